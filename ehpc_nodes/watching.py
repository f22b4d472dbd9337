"""Watch instances that were sent, until each is a running node or has failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import wire
from .errors import WaitTimeoutError, listed
from .operation import UNSEEN, Operation
from .waiting import wait_until


@dataclass
class Watch:
    """What was seen of the tasks and instances of one operation.

    Attributes:
        since: an instance's status as last seen, and from when on it has been seen without a break.
    """

    operation: Operation
    since: dict[str, tuple[str, float]] = field(default_factory=dict)

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
                running = operation.cloud.list_running_tasks(operation.cluster_id)
                nodes = operation.see_compute_nodes()
                operation.note_tasks("AddExistedNodes", running)
            except UNSEEN as error:
                last = str(error)
                operation.reporter.status(f"waiting; the last look failed: {error}")
                return None
            tasks = self._tasks_by_instance(running)
            for instance_id in sorted(pending):
                if self._settled(instance_id, nodes.get(instance_id), tasks.get(instance_id)):
                    pending.discard(instance_id)
            last = self._pending_text(pending, nodes)
            done = total - len(pending)
            operation.reporter.status(f"{done}/{total} nodes settled; {last}" if pending else "")
            return True if not pending else None

        if not wait_until(look, operation.deadline):
            raise WaitTimeoutError(last, operation.deadline.elapsed)

    def _tasks_by_instance(self, running: list[wire.Task]) -> dict[str, wire.Task]:
        """The task that each instance was sent with, else one that is running and names it."""
        found = {i: task for task in running for i in task.instance_ids}
        for record in self.operation.records:
            task = self.operation.tasks.get(record.task_id)
            if task and record.action == "AddExistedNodes":
                found |= dict.fromkeys(record.instance_ids, task)
        return found

    def _settled(self, instance_id: str, node: wire.Node | None, task: wire.Task | None) -> bool:
        """Whether the instance's fate is known; failures are noted.

        A task that is found decides when to judge; by itself it decides nothing (a task may succeed
        without a node, and fail with some): the node's own status does. Where no task can be found, and
        where a task never ends, a status that holds for the grace period counts.
        """
        over = task is not None and task.over
        word = node.status.lower() if node else "absent"
        steady = self._steady(instance_id, word) >= self.operation.grace
        if node and node.in_status(wire.NODE_READY | wire.NODE_STOPPED):
            done = over or steady or (task is None and instance_id not in self.operation.sent)
            if done:
                self.operation.sent.discard(instance_id)
            return done
        failed_node = node is not None and node.in_status(wire.NODE_FAILED)
        if failed_node and (over or steady):
            self._fail(instance_id, node, task)
            return True
        if over and steady:
            self._fail(instance_id, node, task)
            if node is None:
                self.operation.sent.discard(instance_id)
            return True
        return False

    def _steady(self, instance_id: str, word: str) -> float:
        """For how many seconds the instance has been seen in this status without a break."""
        now = self.operation.deadline.clock.now()
        if self.since.get(instance_id, ("", 0.0))[0] != word:
            self.since[instance_id] = (word, now)
        return now - self.since[instance_id][1]

    def _fail(self, instance_id: str, node: wire.Node | None, task: wire.Task | None) -> None:
        what = f"node status {node.status}" if node else "not among the cluster's nodes"
        told = f"; task {task.task_id} {task.status}: {task.reason}" if task else ""
        self.operation.fail([instance_id], task.status if task else "exception", what + told)

    def _pending_text(self, pending: set[str], nodes: Mapping[str, wire.Node]) -> str:
        """Who is pending, with the last status and the tasks: ``i-1 (uninit), … ; task T step 3 of 9``."""
        ids = sorted(pending)
        names = [f"{i} ({nodes[i].status if i in nodes else 'not listed'})" for i in ids]
        tasks = [
            f"task {task_id}" + (f" step {t.current_step} of {t.total_steps}" if t else "")
            for task_id, t in self.operation.tasks.items()
            if not (t and t.over)
        ]
        text = "; ".join([f"waiting for {listed(names, 3)}", *tasks[:3]])
        if not tasks and not pending & nodes.keys():
            text += (
                "; where the console shows no task for it, stop the instance: it is then sent anew"
            )
        return text
