"""The fixtures of tests on the real engine, on top of the package's own (`ehpc_nodes.testing.plugin`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ehpc_nodes.testing import EmulatedCloud, PulumiStack
from engine.program import PROGRAM, declare

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("engine")


@pytest.fixture
def cloud() -> Iterator[Callable[..., EmulatedCloud]]:
    """Makes emulated clouds: `cloud(instances=6, attached=(1, 2), pace=…)`; they end with the test."""
    with ExitStack() as open_ones:
        yield lambda *args, **options: open_ones.enter_context(EmulatedCloud(*args, **options))


@pytest.fixture
def stack_on(pulumi_stack: Callable[..., PulumiStack]) -> Callable[..., PulumiStack]:
    """Makes a stack of the usual program that talks to an emulated cloud."""

    def make(cloud: EmulatedCloud, program: str = PROGRAM, **config: Any) -> PulumiStack:
        stack = pulumi_stack(program)
        # the secret stands in the file as it is: to have the CLI encrypt it takes a run of its own
        stack.configure({**cloud.config, **cloud.secrets, **config})
        return stack

    return make


@pytest.fixture
def attached(
    cloud: Callable[..., EmulatedCloud], stack_on: Callable[..., PulumiStack]
) -> Callable[..., tuple[EmulatedCloud, PulumiStack]]:
    """Makes a cloud and a stack that has attached these instances: `it, stack = attached(1, 2, job_queue="gpu")`."""

    def make(
        *numbers: int, program: str = PROGRAM, on: EmulatedCloud | None = None, **arguments: Any
    ) -> tuple[EmulatedCloud, PulumiStack]:
        it = cloud() if on is None else on
        stack = stack_on(it, program)
        declare(stack, *numbers, **arguments)
        stack.up()
        return it, stack

    return make
