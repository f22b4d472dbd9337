"""The runs that the docs show: each makes one trouble on the emulator and returns what the CLI said of it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from textwrap import dedent, wrap
from types import ModuleType

from docs.previews import PREVIEWS
from ehpc_nodes.testing import Result
from ehpc_nodes.testing.worlds import ids
from engine.program import declare
from unit.emulated import iid

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 84
#: What differs from run to run, and what the docs show in its place.
REQUEST_ID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
SHOWN_ID = "8E1A2B3C-0D4E-5F60-7182-93A4B5C6D7E8"


def script(name: str) -> ModuleType:
    """A script of tools/pictures, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / "pictures" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(result: Result) -> str:
    """What the CLI says of the resource under "Diagnostics", long lines folded."""
    sections = result.text.partition("Diagnostics:\n")[2].split("\n\n")
    own = "\n".join(section for section in sections if "AttachedNodes (nodes):" in section)
    own = dedent(REQUEST_ID.sub(SHOWN_ID, own))
    return "\n".join(folded for line in own.splitlines() for folded in fold(line))


def fold(line: str) -> list[str]:
    line = line.expandtabs(4).rstrip()
    indent = " " * (len(line) - len(line.lstrip()))
    return wrap(
        line.strip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def refused(cloud, stack_on):
    """Everything that is wrong, at once."""
    it = cloud()
    it.emulator.outside.start(iid(1))
    stack = stack_on(it)
    declare(stack, 1, 2, job_queue="workk")
    return stack.preview(expect_failure=True)


def partial(cloud, stack_on):
    """One of three nodes fails."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2, 3)
    it.fault(
        "fail_nodes",
        "AddExistedNodes",
        instances=[iid(2)],
        status="absent",
        errors="EcsError: sold out",
    )
    failed = stack.up(expect_failure=True)
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 3)
    assert "compute2 (i-bp1test0002) is Running" in stack.preview(expect_failure=True).text
    it.emulator.outside.stop(iid(2))
    it.forget()
    stack.up()
    assert it.named("AddExistedNodes") == [ids(2)]
    return failed


RUNS = PREVIEWS | {f.__name__: f for f in (refused, partial)}
