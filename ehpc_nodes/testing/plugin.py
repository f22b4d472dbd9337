"""The pytest plugin: its fixtures. A test suite that does not use them is not changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .cloud import EmulatedCloud
    from .stack import PulumiStack

HOW = (
    "Install the Pulumi CLI (https://www.pulumi.com/docs/iac/download-install/; on macOS also"
    " `brew install pulumi`), or give its path: `pytest --ehpc-pulumi PATH`, or ehpc_pulumi in pytest's settings."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """An option for a `pulumi` that is not on the PATH."""
    text = "the `pulumi` that the fixture pulumi_stack runs; by default the one on the PATH"
    parser.getgroup("ehpc-nodes").addoption("--ehpc-pulumi", metavar="PATH", help=text)
    parser.addini("ehpc_pulumi", text)


@pytest.fixture(scope="session")
def pulumi_engine(request: pytest.FixtureRequest) -> Path:
    """The `pulumi` that `pulumi_stack` runs; override it to use another one.

    Without one, its tests are skipped; they fail if a path was given, or if CI is set.
    """
    named = request.config.getoption("--ehpc-pulumi") or request.config.getini("ehpc_pulumi")
    found = shutil.which(named or "pulumi")
    if found:
        return Path(found).absolute()
    if named:
        pytest.fail(f"There is no Pulumi CLI at {named}. {HOW}", pytrace=False)
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(f"There is no `pulumi` on the PATH. {HOW}", pytrace=False)
    pytest.skip(f"there is no `pulumi` on the PATH. {HOW}")


@pytest.fixture
def pulumi_stack(pulumi_engine: Path, tmp_path: Path) -> Iterator[Callable[..., PulumiStack]]:
    """Makes stacks: `pulumi_stack(PROGRAM_OR_FOLDER, env=…, timeout=…)`; see `PulumiStack`.

    Their processes end with the test.
    """
    from .stack import PulumiStack

    stacks: list[PulumiStack] = []

    def make(program: str | Path = "", **options: Any) -> PulumiStack:
        directory = tmp_path / f"stack{len(stacks)}"
        directory.mkdir()
        stack = PulumiStack(pulumi_engine, directory, program=program, **options)
        stacks.append(stack)
        return stack

    yield make
    for stack in stacks:
        stack.close()


@pytest.fixture
def ehpc() -> Iterator[EmulatedCloud]:
    """An emulated cloud with a small world: one cluster, and six stopped instances. See `EmulatedCloud`."""
    from .cloud import EmulatedCloud

    with EmulatedCloud() as cloud:
        yield cloud
