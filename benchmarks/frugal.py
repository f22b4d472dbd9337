"""Calls and lateness, on the emulator with a clock that only waiting advances: the same on any machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pulumi.dynamic import ConfigureRequest

from ehpc_nodes.emulator.journal import Entry
from ehpc_nodes.provider.dynamic import AttachedNodesProvider
from ehpc_nodes.provider.run_registry import OthersInRun
from unit.emulated import CLUSTER, WRITES, Bench, ids

from .table import Row

#: What an operation reads while it waits.
POLLS = ("ListTasks", "ListNodes")


class Run(AttachedNodesProvider):
    """The provider in one plugin process, on an emulator in this one."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        config: Any = {
            "ehpc:region": "cn-hangzhou"
        }  # the SDK's Config looks values up in the same way
        self.configure(ConfigureRequest(config=config))

    def _operations(self, call: Any, _region: str, seconds: float) -> Any:
        others = OthersInRun(self._registry, call.urn)
        return self.bench.operations(seconds, reads=self._reads, others=others)


def declared(numbers: Sequence[int]) -> dict[str, Any]:
    """What a program declares."""
    return {
        "cluster_id": CLUSTER,
        "instance_ids": ids(*numbers),
        "replace_system_disks": True,
    }


def create(bench: Bench, numbers: Sequence[int]) -> dict[str, Any]:
    """What `pulumi up` of a new resource asks the provider for: a preview, then the update."""
    Run(bench).check({}, declared(numbers))
    run = Run(bench)
    checked = run.check({}, declared(numbers))
    assert not checked.failures, checked.failures
    return run.create(checked.inputs).outs or {}


def attach_a_thousand(already: int = 1000, **options: Any) -> Counter[str]:
    """The calls that attaching 1,000 nodes to a cluster takes whose tasks last five minutes."""
    bench = Bench(
        already + 1000,
        range(1, already + 1),
        pace={"seconds": 300},
        queues=("workq",),
        **options,
    )
    outs = create(bench, range(already + 1, already + 1001))
    assert len(outs["nodes"]) == 1000
    return Counter(bench.calls())


def lateness(wait: float) -> float:
    """Seconds from a task's end until a create returns."""
    bench = Bench(100, pace={"seconds": wait}, queues=("workq",))
    create(bench, range(1, 101))
    (task,) = bench.emulator.world.tasks.values()
    return float(bench.clock.time - (task.since + wait))


def polls(entries: Sequence[Entry]) -> int:
    """The reads of lists from the last AddExistedNodes on; a task that is asked for by its id is no poll."""
    last = max(n for n, entry in enumerate(entries) if entry.action == "AddExistedNodes")
    return sum(entry.action in POLLS and "TaskId" not in entry.params for entry in entries[last:])


def told(calls: Counter[str]) -> str:
    """The calls by action, the most first."""
    return ", ".join(f"{count} {action}" for action, count in calls.most_common())


def rows() -> list[Row]:
    """The rows of calls and lateness."""
    calls = attach_a_thousand()
    writes = sum(calls[action] for action in WRITES)
    return [
        Row(
            "API calls, attach of 1,000 in a cluster of 1,000, tasks of five minutes, preview included",
            f"{calls.total()} ({told(calls)})",
            "10 writes and the pages to read",
            "≤ 80 in all, 10 writes",
            calls.total() <= 80 and writes == 10,
        ),
        _of_lateness(),
    ]


def _of_lateness() -> Row:
    waits = (10, 33, 47, 61, 120, 300, 790, 1800)
    late = {wait: max(lateness(wait + 0.37 * n) for n in range(5)) for wait in waits}
    return Row(
        "time between a task's end and `pulumi up` noticing",
        "; ".join(f"{late[wait]:.1f} s of {wait} s" for wait in waits),
        "the wait",
        "≤ 5 % of the wait or 2 s",
        all(late[wait] <= max(2.0, 0.05 * wait) for wait in waits),
    )
