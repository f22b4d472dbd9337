"""How the emulated cloud behaves if the real one is not documented, and how fast it works."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .codec import dump, load

PaceKind = Literal["instant", "reads", "seconds", "held", "never"]


@dataclass(frozen=True)
class Pace:
    """When a task or a change ends: at once, at the n-th read, after seconds, when released, or never.

    Written as `instant`, `held`, `never`, `{reads: 3}` or `{seconds: 2}`.
    """

    kind: PaceKind = "instant"
    amount: float = 0.0

    @classmethod
    def parse(cls, data: object) -> Pace:
        if data in ("instant", "held", "never"):
            return cls(data)
        if isinstance(data, dict) and len(data) == 1:
            ((kind, amount),) = data.items()
            number = isinstance(amount, (int, float)) and not isinstance(amount, bool)
            if kind in ("reads", "seconds") and number and amount >= 0:
                return cls(kind, float(amount))
        raise ValueError(
            f"expected instant, held, never, {{reads: n}} or {{seconds: s}}, got {data!r}"
        )

    def dump(self) -> object:
        if self.kind in ("reads", "seconds"):
            return {self.kind: self.amount}
        return self.kind

    def progress(self, reads: int, elapsed: float) -> float:
        """The part of the work that is done, 0 to 1."""
        if self.kind == "instant":
            return 1.0
        done = {"reads": float(reads), "seconds": elapsed}.get(self.kind)
        if done is None:
            return 0.0
        return 1.0 if done >= self.amount else done / self.amount


INSTANT = Pace()


@dataclass
class Knobs:
    """The behaviour; each default is the most probable one after the public pages.

    Attributes:
        task_pace: when an E-HPC task ends; reads are ListTasks and ListNodes* calls.
        instance_pace: when an instance is stopped or started; reads are DescribeInstances calls.
        scheduler_pace: when a node is active in the scheduler, after its attach; reads are ListNodes* calls.
        scale_in_releases: whether scale-in also releases instances that E-HPC did not create.
        nodes_listed: whether nodes appear when AddExistedNodes is accepted or when its task ends.
        instances_start: whether ECS starts an instance when AddExistedNodes is accepted or when its task ends (until
            then it is Stopped, on its new image).
        task_listed: whether ListTasks has the tasks of AddExistedNodes.
        task_type: the TaskType of AddExistedNodes.
        task_result_names_instances: whether such a task's Result names its instances from the start.
        task_texts_escaped_twice: whether Request and Result are escaped twice, as in the published sample.
        failed_word: the status of a task without any success.
        task_id_is_request_id: as in the published sample.
        list_lag: for how long node and task lists are out of date; `{reads: n}` or `{seconds: s}`.
        tasks_lag: whether task lists are out of date, too: each list may come from another replica.
        detached_instance_status: Running leaves the instance as it is, Stopped stops it.
        throttle_per_second: more calls of one key in a second get Throttling.User.
        absent_nodes_refused: whether DeleteNodes rejects ids that are no nodes of the cluster.
        one_task_at_a_time: whether writes are rejected (ConflictOpt) while the cluster has a task.
        signature_clock_skew: seconds by which the check of timestamps uses another time than this computer's.
    """

    task_pace: Pace = field(default_factory=Pace)
    instance_pace: Pace = field(default_factory=Pace)
    scheduler_pace: Pace = field(default_factory=Pace)
    scale_in_releases: bool = False
    nodes_listed: Literal["at_acceptance", "at_end"] = "at_acceptance"
    instances_start: Literal["at_acceptance", "at_end"] = "at_acceptance"
    task_listed: bool = True
    task_type: str = "AddComputes"
    task_result_names_instances: bool = True
    task_texts_escaped_twice: bool = False
    failed_word: Literal["Failed", "Fail"] = "Failed"
    task_id_is_request_id: bool = True
    list_lag: Pace | None = None
    tasks_lag: bool = True
    detached_instance_status: Literal["Running", "Stopped"] = "Running"
    throttle_per_second: int | None = None
    absent_nodes_refused: bool = True
    one_task_at_a_time: bool = False
    signature_clock_skew: float = 0.0

    def changed(self, changes: dict[str, Any]) -> Knobs:
        """A copy with some knobs changed."""
        return load(Knobs, {**dump(replace(self)), **changes}, "knobs")
