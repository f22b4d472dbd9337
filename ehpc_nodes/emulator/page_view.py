"""The content of the page: the world in groups, counts and sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .clock import ManualClock
from .harm import Harm
from .journal import Entry
from .page_words import (
    clock_time,
    counts,
    fault_words,
    many,
    names,
    natural,
    often,
    pace_words,
    tone,
)
from .params import named_ids
from .service import Emulator
from .world import Cluster, Instance, Job, Node, Task, World

MANY_NODES = 120
MANY_CALLS = 60
MANY_TASKS = 12
MANY_JOBS = 12

_JOB_STATES = ("RUNNING", "QUEUED", "FINISHED")
_DOES = {"attach": "Attach", "detach": "Detach", "stop": "Stop", "start": "Start"}
# Parameters that a line of the journal shows, apart from the instances.
_TELLING = (
    "JobQueue",
    "QueueName",
    "ReleaseInstance",
    "Role",
    "StoppedMode",
    "Tag.1.Key",
    "TagKey.1",
)


@dataclass(frozen=True)
class Machine:
    """A node or an instance. `notes`: what is unusual about it."""

    id: str
    host_name: str
    status: str
    ip: str
    notes: list[str]


@dataclass(frozen=True)
class Group:
    """A group of nodes or instances; `hidden`: how many more there are."""

    name: str
    counts: str
    machines: list[Machine]
    hidden: int = 0


@dataclass(frozen=True)
class JobList:
    """Jobs of a cluster; `hidden`: how many more there are."""

    jobs: list[Job]
    counts: str
    hidden: int


@dataclass(frozen=True)
class Figure:
    """A number of `Harm`, and its parts."""

    label: str
    number: int
    words: str
    is_harm: bool
    details: list[str]


@dataclass(frozen=True)
class Row:
    """Equal calls of the journal in sequence."""

    entry: Entry
    count: int
    time: str
    about: str
    outcome: str
    tone: str
    is_write: bool


def view(emulator: Emulator) -> dict[str, Any]:
    """Everything that the page shows; call it inside `Emulator.turn`."""
    world, harm = emulator.world, emulator.harm
    rows = journal_rows(world, emulator.journal.entries)
    tasks = sorted(world.tasks.values(), key=lambda task: (task.is_open, task.since), reverse=True)
    return {
        "region": world.region,
        "time": clock_time(emulator.clock.now()),
        "clusters": [
            (cluster, groups(world, harm, cluster), jobs(cluster))
            for cluster in world.clusters.values()
        ],
        "spare": _spare(world, harm),
        "tasks": [(t, task_title(world, t), _failure(world, t)) for t in tasks[:MANY_TASKS]],
        "older_tasks": max(0, len(tasks) - MANY_TASKS),
        "open_tasks": len(world.open_tasks),
        "rows": rows,
        "calls": len(emulator.journal.entries),
        "figures": figures(harm),
        "faults": [(fault, fault_words(fault)) for fault in emulator.faults.rules],
        "pace": pace_words(world.knobs.task_pace),
        "by_clock": isinstance(emulator.clock, ManualClock) or _goes_by_clock(world),
        "news": news(emulator),
    }


def groups(world: World, harm: Harm, cluster: Cluster) -> list[Group]:
    """A cluster's nodes by queue; those of the cluster itself first, those of no queue last."""
    compute = [node for node in cluster.nodes.values() if node.is_compute]
    heads = [node for node in cluster.nodes.values() if not node.is_compute]
    lost = [node for node in compute if node.queue not in cluster.queues]

    def group(name: str, nodes: list[Node]) -> Group:
        return _group(name, [_node(world, harm, cluster, node) for node in nodes])

    found = [group("Manager and login nodes", heads)]
    found += [
        group(f"Queue {queue}", [node for node in compute if node.queue == queue])
        for queue in cluster.queues
    ]
    if lost:
        found.append(group("In no queue of the cluster", lost))
    return found


def jobs(cluster: Cluster) -> JobList:
    """Running jobs first, then waiting ones, then the latest that ended."""
    newest = list(cluster.jobs.values())[::-1]
    found = sorted(newest, key=lambda job: _JOB_STATES.index(job.state))
    words = counts(job.state for job in found)
    return JobList(found[:MANY_JOBS], words, max(0, len(found) - MANY_JOBS))


def _spare(world: World, harm: Harm) -> Group:
    free = [item for item in world.instances.values() if item.id not in world.member_of]
    return _group("Instances not attached", [_instance(harm, item) for item in free])


def _group(name: str, machines: list[Machine]) -> Group:
    """In the order of their host names; of very many, those with something unusual are kept."""
    shown = sorted(machines, key=lambda machine: natural(machine.host_name))
    if len(shown) > MANY_NODES:
        order = {machine.id: place for place, machine in enumerate(shown)}
        shown.sort(key=lambda machine: tone(machine.status) in ("good", "idle"))
        shown = sorted(shown[:MANY_NODES], key=lambda machine: order[machine.id])
    return Group(name, counts(m.status for m in machines), shown, len(machines) - len(shown))


def _node(world: World, harm: Harm, cluster: Cluster, node: Node) -> Machine:
    instance = world.instances.get(node.id)
    notes = [] if node.is_compute else [", ".join(node.roles)]
    if not node.listed:
        notes.append("not listed yet")
    running = cluster.jobs_on(node)
    if running:
        notes.append(f"runs {', '.join(job.id for job in running)}")
    elif cluster.is_busy(node):
        notes.append("runs jobs")
    if node.status == "running" and node.state_in_sched != "active":
        notes.append(f"{node.state_in_sched} in the scheduler")
    notes += _notes(harm, instance, node.id)
    return Machine(node.id, node.host_name, node.status, node.ip, notes)


def _instance(harm: Harm, instance: Instance) -> Machine:
    notes = _notes(harm, instance, instance.id)
    return Machine(instance.id, instance.host_name, instance.status, instance.private_ip, notes)


def _notes(harm: Harm, instance: Instance | None, instance_id: str) -> list[str]:
    replaced = harm.disk_replacements.get(instance_id, 0)
    notes = [f"disk replaced {often(replaced)}"] if replaced else []
    tags = instance.tags if instance else {}
    return [*notes, *(f"{key}={value}" for key, value in tags.items())]


def task_title(world: World, task: Task) -> str:
    """`Attach compute1, compute2 to queue gpu`."""
    title = f"{_DOES[task.kind]} {names(world, task.instance_ids)}"
    if task.kind == "attach" and task.queue:
        return f"{title} to queue {task.queue}"
    return f"{title} and release" if task.release else title


def _failure(world: World, task: Task) -> str:
    if task.is_open or not task.outcomes:
        return ""
    return f"{names(world, task.outcomes)}: {task.failure_text}"


def journal_rows(world: World, entries: list[Entry]) -> list[Row]:
    """The newest calls first; equal reads in sequence share a row."""
    rows: list[tuple[Entry, int]] = []
    for entry in entries:
        before, count = rows[-1] if rows else (None, 0)
        if before is not None and _alike(before, entry):
            rows[-1] = (before, count + 1)
        else:
            rows.append((entry, 1))
    return [_row(world, entry, count) for entry, count in reversed(rows[-MANY_CALLS:])]


def is_write(action: str) -> bool:
    return not action.startswith(("List", "Describe", "Get"))


def _alike(one: Entry, other: Entry) -> bool:
    return not is_write(one.action) and (
        (one.action, one.params, one.status, one.code, one.fault)
        == (other.action, other.params, other.status, other.code, other.fault)
    )


def _row(world: World, entry: Entry, count: int) -> Row:
    parts = ["no answer" if entry.status is None else str(entry.status), entry.code or ""]
    good = entry.status is not None and entry.status < 400
    return Row(
        entry,
        count,
        clock_time(entry.time),
        about(world, entry.params),
        " ".join(filter(None, parts)),
        "bad" if not good else "busy" if entry.fault else "good",
        is_write(entry.action),
    )


def about(world: World, params: Mapping[str, str]) -> str:
    """The instances of a call, and what else differs from other calls of its action."""
    machines = {name: value for name, value in params.items() if not name.startswith("Tag")}
    parts = [names(world, named_ids(machines))]
    parts += [f"{name}={params[name]}" for name in _TELLING if name in params]
    return ", ".join(filter(None, parts))


def figures(harm: Harm) -> list[Figure]:
    """The numbers of `Harm`; a disk replaced once is an attach, twice is harm."""
    disks = harm.disk_replacements
    twice = sum(1 for times in disks.values() if times > 1)
    again = f"{many(twice, 'instance')} more than once" if twice else "each instance once"
    return [
        Figure(
            "System disks replaced",
            sum(disks.values()),
            again if disks else "none",
            twice > 0,
            [f"{item}: {often(times)}" for item, times in disks.items()],
        ),
        _harmful("Instances released", list(harm.releases)),
        _harmful("Double attaches", [", ".join(e["instance_ids"]) for e in harm.double_attach]),
        _harmful(
            "Manager or login nodes touched",
            [f"{e['action']} on {e['instance_id']}" for e in harm.touched],
        ),
    ]


def _harmful(label: str, details: list[str]) -> Figure:
    return Figure(label, len(details), "harm" if details else "none", bool(details), details)


def _goes_by_clock(world: World) -> bool:
    paces = [world.knobs.task_pace, world.knobs.instance_pace, world.knobs.list_lag]
    paces += [world.knobs.scheduler_pace, *(node.active_pace for node in world.joining.values())]
    paces += [task.pace for task in world.open_tasks.values()]
    paces += [instance.pace for instance in world.moving.values()]
    jobs = (job for cluster in world.clusters.values() for job in cluster.jobs.values())
    return (
        any(pace is not None and pace.kind == "seconds" for pace in paces)
        or any(job.state == "RUNNING" and job.seconds is not None for job in jobs)
        or any(cluster.scales_in for cluster in world.clusters.values())
    )


def news(emulator: Emulator) -> str:
    """A text for screen readers: it changes after an event, not with each call."""
    nodes = [n for c in emulator.world.clusters.values() for n in c.nodes.values() if n.is_compute]
    armed = sum(not (fault.spent or fault.off) for fault in emulator.faults.rules)
    sentences = [
        f"Compute nodes: {counts(node.status for node in nodes)}",
        f"Open tasks: {len(emulator.world.open_tasks) or 'none'}",
        f"Faults armed: {armed or 'none'}",
        *(f"{f.label}: {f.number}" for f in figures(emulator.harm) if f.number),
    ]
    return ". ".join(sentences) + "."
