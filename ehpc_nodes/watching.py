"""Watch instances that were sent, until each is a running node or has failed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from .api import responses
from .clock import FIRST_PAUSE, LONGEST_PAUSE, jittered, wait_until
from .errors import WaitTimeoutError, listed
from .marks import ATTACHING_KEY
from .operation import UNSEEN, Operation

#: The part of the wait so far that a pause may last, where the tasks' steps don't say that it takes longer.
LATENESS = 0.025
#: Seconds after which an instance that nobody wants is given up, where neither node nor task has shown it.
PATIENCE = 600.0
#: The part of a pause for which a look of another operation in this process does as well as an own.
SHARED = 0.9


@dataclass
class Watch:
    """What was seen of the tasks and instances of one operation.

    While each instance has a running task, just the tasks are looked at, in one call whatever their number;
    the nodes when a task is over, and once in the grace period (a task may never end).

    Attributes:
        strays: instances that nobody wants, but that an interrupted run may have sent.
        since: an instance's status as last seen, and from when on it has been seen without a break.
        began: when the watch began; an older look shows nothing of what was sent.
        pause: seconds between two looks, by the latest.
        tasks_seen, nodes_seen: when the last looks were begun (before the first of nodes: the watch).
        left: seconds from ``tasks_seen`` for which all tasks go on at least, if they step evenly.
        nodes: as last seen.
        joined: the task that named an instance when it was last seen.
    """

    operation: Operation
    strays: Collection[str] = frozenset()
    since: dict[str, tuple[str, float]] = field(default_factory=dict)
    began: float = field(init=False)
    pause: float = FIRST_PAUSE
    tasks_seen: float = -math.inf
    nodes_seen: float = field(init=False)
    left: float = 0.0
    nodes: dict[str, responses.Node] = field(default_factory=dict)
    joined: dict[str, responses.Task] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.began = self.nodes_seen = self._now()

    def until_settled(self, pending: set[str]) -> None:
        """Wait until each instance is a running node, or has failed. All are seen by the same calls."""
        operation = self.operation
        total = len(pending)
        if not total:
            return
        last = "not looked at yet"

        def look() -> bool | None:
            nonlocal last
            try:
                tasks = self._look_at_tasks(pending)
                if self._nodes_are_due(pending, tasks):
                    self._look_at_nodes(pending, tasks)
            except UNSEEN as error:
                last = str(error)
                operation.reporter.status(f"waiting; the last look failed: {error}")
                return None
            last = self._pending_text(pending)
            done = total - len(pending)
            operation.reporter.status(f"{done}/{total} nodes settled; {last}" if pending else "")
            return True if not pending else None

        if not wait_until(look, operation.deadline, self._pauses()):
            raise WaitTimeoutError(last, operation.deadline.elapsed)

    # -- looking --------------------------------------------------------------------------------

    def _now(self) -> float:
        return self.operation.deadline.clock.now()

    def _pauses(self) -> Iterator[float]:
        while True:
            now = self._now()
            left = self.tasks_seen + self.left - now
            self.pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, LATENESS * (now - self.began), left))
            yield jittered(self.pause)

    def _look_at_tasks(self, pending: set[str]) -> dict[str, responses.Task]:
        """The task of each instance that has one."""
        look = self.operation.watch_tasks(max(self.began, self._now() - SHARED * self.pause))
        self.operation.note_tasks("AddExistedNodes", look.seen)
        self.tasks_seen = look.begun
        tasks = self._tasks_by_instance(look.seen, pending)
        waited = self.tasks_seen - self.began
        self.left = min(waited * steps_left(tasks.get(instance_id)) for instance_id in pending)
        return tasks

    def _nodes_are_due(self, pending: Collection[str], tasks: Mapping[str, responses.Task]) -> bool:
        if self._now() - self.nodes_seen >= self.operation.grace:
            return True
        return any(i not in tasks or tasks[i].over for i in pending)

    def _look_at_nodes(self, pending: set[str], tasks: Mapping[str, responses.Task]) -> None:
        """Look, and take what is settled out of ``pending``."""
        look = self.operation.watch_nodes(self.tasks_seen)
        self.nodes, self.nodes_seen = look.seen, look.begun
        settled = {i for i in sorted(pending) if self._settled(i, self.nodes.get(i), tasks.get(i))}
        pending -= settled
        known = {i: self.nodes[i] for i in settled & self.nodes.keys()}
        self.operation.nodes = {
            **self.operation.nodes,
            **known,
        }  # for a state that nobody may look for

    def _tasks_by_instance(
        self, running: list[responses.Task], pending: set[str]
    ) -> dict[str, responses.Task]:
        """The task that each instance was sent with, else one that names it: running, or ended since."""
        named = {i: task for task in running for i in task.instance_ids if i in pending}
        self.joined |= named
        self._note_ended(pending - named.keys())
        found = dict(self.joined)
        for record in self.operation.records:
            own = self.operation.tasks.get(record.task_id)
            if own and record.action == "AddExistedNodes":
                found |= dict.fromkeys(record.instance_ids, own)
        return found

    def _note_ended(self, ids: Collection[str]) -> None:
        """Ask for the tasks that named these instances and run no more; those sent here are asked for anyway."""
        own = {record.task_id for record in self.operation.records}
        gone = {i: t for i, t in self.joined.items() if i in ids and not t.over}
        for task_id in {task.task_id for task in gone.values()} - own:
            ended = self.operation.cloud.get_task(self.operation.cluster_id, task_id)
            if ended is not None:
                named = [i for i, task in gone.items() if task.task_id == task_id]
                self.joined |= dict.fromkeys(named, ended)

    def _settled(
        self, instance_id: str, node: responses.Node | None, task: responses.Task | None
    ) -> bool:
        """Whether the instance's fate is known; failures are noted.

        A task that is found decides when to judge; by itself it decides nothing (a task may succeed
        without a node, and fail with some): the node's own status does. Where no task can be found, and
        where a task never ends, a status that holds for the grace period counts.
        """
        over = task is not None and task.over
        word = node.status.lower() if node else "absent"
        steady = self._steady(instance_id, word) >= self.operation.grace
        if node and node.in_status(responses.NODE_READY | responses.NODE_STOPPED):
            done = over or steady or (task is None and instance_id not in self.operation.sent)
            if done:
                self.operation.sent.discard(instance_id)
            return done
        failed_node = node is not None and node.in_status(responses.NODE_FAILED)
        if (failed_node and (over or steady)) or (over and steady):
            self._fail(instance_id, node, task)
            if failed_node or node is None:
                self.operation.sent.discard(instance_id)
            return True
        nowhere = node is None and task is None and instance_id in self.strays
        if nowhere and self._steady(instance_id, word) >= PATIENCE:
            self.operation.sent.discard(instance_id)
            self.operation.unsettled.add(instance_id)
            return True
        return False

    def _steady(self, instance_id: str, word: str) -> float:
        """For how many seconds the instance has been seen in this status without a break."""
        if self.since.get(instance_id, ("", 0.0))[0] != word:
            self.since[instance_id] = (word, self.nodes_seen)
        return self.nodes_seen - self.since[instance_id][1]

    def _fail(
        self, instance_id: str, node: responses.Node | None, task: responses.Task | None
    ) -> None:
        what = f"node status {node.status}" if node else "not among the cluster's nodes"
        told = f"; task {task.task_id} {task.status}: {task.reason}" if task else ""
        self.operation.fail([instance_id], task.status if task else "exception", what + told)

    def _pending_text(self, pending: set[str]) -> str:
        """Who is pending, with the last status and the tasks: ``i-1 (uninit), … ; task T step 3 of 9``."""
        ids, nodes = sorted(pending), self.nodes
        names = [f"{i} ({nodes[i].status if i in nodes else 'not listed'})" for i in ids]
        names = names if self.nodes_seen > self.began else ids
        own = {r.task_id for r in self.operation.records if pending.intersection(r.instance_ids)}
        own |= {task.task_id for i, task in self.joined.items() if i in pending}
        tasks = [
            f"task {task_id}" + (f" step {t.current_step} of {t.total_steps}" if t else "")
            for task_id, t in self.operation.tasks.items()
            if task_id in own and not (t and t.over)
        ]
        text = "; ".join([f"waiting for {listed(names, 3)}", *tasks[:3]])
        long = self._now() - self.began >= self.operation.grace
        if long and not tasks and not pending & nodes.keys():
            text += "; where the console shows no task for it, " + (
                f"remove its ECS tag {ATTACHING_KEY!r}"
                if pending <= {*self.strays}
                else "stop the instance: an up then sends it anew"
            )
        return text


def steps_left(task: responses.Task | None) -> float:
    """For how much longer a task goes on at least if it steps evenly, as a multiple of the time so far."""
    if task is None or task.over or not 0 <= task.current_step < task.total_steps:
        return 0.0
    return task.total_steps / (task.current_step + 1) - 1
