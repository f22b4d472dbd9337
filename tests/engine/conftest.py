"""The fixtures of tests on the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.cloud import PROGRAM, Cloud
from engine.harness import PulumiStack

HERE = Path(__file__).parent
GET = HERE.parent.parent / "tools" / "engine" / "get.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("engine")


@pytest.fixture(scope="session")
def engine() -> Path:
    """The `pulumi` to test with: got by tools/engine/get.py, which `make engine` has run before."""
    done = subprocess.run([sys.executable, GET], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Path(done.stdout.splitlines()[-1])
    reason = f"there is no Pulumi engine, and none could be got:\n{done.stderr}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def pulumi_stack(engine: Path, tmp_path: Path) -> Iterator[Callable[..., PulumiStack]]:
    """Makes stacks: `pulumi_stack(program, env=…, python=…)`; what they started ends with the test."""
    stacks: list[PulumiStack] = []

    def make(program: str = "", **options: Any) -> PulumiStack:
        directory = tmp_path / f"stack{len(stacks)}"
        directory.mkdir()
        stack = PulumiStack(engine, directory, program=program, **options)
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.close()


@pytest.fixture
def cloud() -> Iterator[Callable[..., Cloud]]:
    """Makes emulated clouds: `cloud(instances=6, attached=(1, 2), pace=…)`; they end with the test."""
    clouds: list[Cloud] = []

    def make(*args: Any, **options: Any) -> Cloud:
        clouds.append(Cloud(*args, **options))
        return clouds[-1]

    yield make
    for each in clouds:
        each.close()


@pytest.fixture
def stack_on(pulumi_stack: Callable[..., PulumiStack]) -> Callable[..., PulumiStack]:
    """Makes a stack of the usual program that talks to an emulated cloud."""

    def make(cloud: Cloud, program: str = PROGRAM, **config: str) -> PulumiStack:
        stack = pulumi_stack(program)
        cloud.configure(stack, **config)
        return stack

    return make
