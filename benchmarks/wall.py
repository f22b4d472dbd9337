"""Wall time of the real Pulumi CLI on an emulated cloud, in pairs; and the plugin's memory."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from ehpc_nodes.testing import EmulatedCloud, PulumiStack
from ehpc_nodes.testing.processes import processes_of_session
from ehpc_nodes.testing.worlds import CLUSTER, ids

from . import client
from .frugal import POLLS, polls
from .table import PAIRS, Row, pairs, ratio_row, seconds

ROOT = Path(__file__).resolve().parent.parent
OURS = """
import pulumi
from ehpc_nodes import AttachedNodes
AttachedNodes("nodes", **pulumi.Config().require_object("args"))
"""
NOTHING = """
import pulumi
from benchmarks.nothing import Nothing
Nothing("nodes", **pulumi.Config().require_object("args"))
"""
#: As many resources as the stack config says, of one instance each.
MANY = f"""
import pulumi
from ehpc_nodes import AttachedNodes
for n in range(1, int(pulumi.Config().require("resources")) + 1):
    AttachedNodes(
        f"nodes{{n}}", cluster_id="{CLUSTER}", instance_ids=[f"i-bp1test{{n:04d}}"], replace_system_disks=True
    )
"""


@contextmanager
def stack_on(
    engine: str, program: str, instances: int, numbers: Sequence[int], **knobs: Any
) -> Iterator[tuple[PulumiStack, EmulatedCloud]]:
    """A stack of its own, and a cloud of its own that it talks to."""
    cloud = EmulatedCloud(instances, **knobs)
    with tempfile.TemporaryDirectory(prefix="ehpc-nodes-bench-") as directory:
        stack = PulumiStack(
            engine, Path(directory), program=program, pythonpath=[ROOT], timeout=900.0
        )
        try:
            args = {
                "cluster_id": CLUSTER,
                "instance_ids": ids(*numbers),
                "replace_system_disks": True,
            }
            cloud.configure(stack, args=args)
            yield stack, cloud
        finally:
            stack.close()
            cloud.close()


# -- against a resource that does nothing -------------------------------------------------------


def against_nothing(engine: str) -> list[Row]:
    """Creating 100 nodes, and running without a change."""
    numbers = range(1, 101)
    with (
        stack_on(engine, OURS, 100, numbers, detached_instance_status="Stopped") as (ours, cloud),
        stack_on(engine, NOTHING, 0, numbers) as (nothing, _),
    ):

        def created(stack: PulumiStack) -> float:
            stack.destroy()
            return seconds(stack.up)

        ours.up()  # compiles the modules, fills the caches
        nothing.up()
        create = pairs(lambda: created(ours), lambda: created(nothing))
        cloud.journal.entries.clear()
        up = pairs(lambda: seconds(ours.up), lambda: seconds(nothing.up))
        preview = pairs(lambda: seconds(ours.preview), lambda: seconds(nothing.preview))
        calls = len(cloud.calls()) / PAIRS / 2
    base = "the same with a resource that does nothing"
    return [
        ratio_row("`pulumi up` creating 100 nodes (instant emulator)", create, base, 1.5),
        ratio_row("`pulumi up` with no change, 100 nodes", up, base, 1.25),
        ratio_row("`pulumi preview` with no change, 100 nodes", preview, base, 1.25),
        Row("API calls of a no-change up", f"{calls:g}", "–", "≤ 2, whatever N", calls <= 2),
    ]


# -- growth -------------------------------------------------------------------------------------


class Plugin(threading.Thread):
    """Watches the peak memory of the dynamic provider's process while an operation runs."""

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session, self.peak, self.over = session, 0.0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            for number in processes_of_session(self.session):
                self.peak = max(self.peak, _peak(number))


def _peak(number: int) -> float:
    """Peak resident memory of a dynamic provider's process in MB; 0 for other processes."""
    process = Path("/proc") / str(number)
    try:
        if b"pulumi.dynamic" not in (process / "cmdline").read_bytes():
            return 0.0
        found = re.search(r"VmHWM:\s+(\d+)", (process / "status").read_text())
    except OSError:
        return 0.0
    return int(found.group(1)) / 1024 if found else 0.0


def attach(engine: str, count: int) -> tuple[float, float, float]:
    """Seconds of `pulumi up` attaching so many, the plugin's peak in MB, bytes a node in the state."""
    with stack_on(engine, OURS, count, range(1, count + 1)) as (stack, cloud):
        running: Any = None

        def up() -> None:
            nonlocal running
            running = stack.start("up", "--yes", "--skip-preview")
            watch = Plugin(running.process.pid)
            watch.start()
            running.wait(stack.timeout).checked()
            watch.over.set()
            watch.join()
            running.peak = watch.peak

        took = seconds(up)
        assert len(cloud.nodes) == count
        size = _state_size(stack)
        stack.write("")
    return took, running.peak, size / count


def _state_size(stack: PulumiStack) -> int:
    files = [p for p in stack.state_files() if "stacks" in p.parts and p.name == "dev.json"]
    return files[0].stat().st_size


def growth(engine: str) -> list[Row]:
    """Attaching 100, 1,000 and 10,000 nodes."""
    measured = {100: [attach(engine, 100) for _ in range(PAIRS)]}
    measured |= {1000: [], 10_000: []}
    for _ in range(PAIRS):
        for count in (1000, 10_000):
            measured[count].append(attach(engine, count))
    took = {count: median(m[0] for m in runs) for count, runs in measured.items()}
    ratio = median(
        ten[0] / one[0] for ten, one in zip(measured[10_000], measured[1000], strict=True)
    )
    peak = max(m[1] for m in measured[10_000])
    size = max(m[2] for m in measured[10_000])
    return [
        Row(
            "`pulumi up` attaching 100, 1,000, 10,000 nodes (batches of 100, instant tasks)",
            f"{took[100]:.2f} s, {took[1000]:.2f} s, {took[10_000]:.1f} s: {ratio:.1f} ×",
            "its own growth",
            "10,000 ≤ 12 × 1,000",
            ratio <= 12,
        ),
        Row("peak memory of the plugin at 10,000", f"{peak:.0f} MB", "–", "≤ 150 MB", peak <= 150),
        Row("state file, bytes a node at 10,000", f"{size:.0f}", "–", "≤ 400", size <= 400),
    ]


# -- many resources of one cluster --------------------------------------------------------------


def together(engine: str, count: int = PAIRS) -> list[Row]:
    """20 resources on one cluster against one, tasks of 30 seconds."""
    counted: dict[int, list[int]] = {1: [], 20: []}

    def run(resources: int) -> float:
        knobs = {"pace": {"seconds": 30}, "queues": ("workq",)}
        with stack_on(engine, MANY, 20, (), **knobs) as (stack, cloud):
            stack.config("resources", str(resources))
            took = seconds(lambda: stack.up("--parallel", "32"))
            counted[resources].append(polls(cloud.journal.entries))
            assert len(cloud.nodes) == resources
            return took

    what = "20 resources on one cluster, 30 s tasks, `--parallel 32`"
    measured = pairs(lambda: run(20), lambda: run(1), count)
    ours, one = median(counted[20]), median(counted[1])
    return [
        ratio_row(f"{what}: wall", measured, "one resource of the same", 1.5),
        Row(
            f"{what}: looks at lists while waiting ({', '.join(POLLS)})",
            f"{ours:g}, {ours / one:.1f} ×",
            f"one resource of the same: {one:g}",
            "≤ 2 ×",
            ours <= 2 * one,
        ),
    ]


# -- against a script ---------------------------------------------------------------------------


def against_script(engine: str) -> Row:
    """The same 100 instances by the script and by a program; tasks of one second."""
    calls, took = client.script(100, 1.0)
    with stack_on(engine, OURS, 100, range(1, 101), pace={"seconds": 1}) as (stack, cloud):
        ours = seconds(stack.up)
        our_calls = len(cloud.calls())
    return Row(
        "attaching 100 instances, tasks of 1 s",
        f"{our_calls} calls, {ours:.1f} s",
        "a script with the official SDK, one call an instance, each polled:"
        f" {calls.total()} calls, {took:.0f} s",
        "–",
        None,
    )
