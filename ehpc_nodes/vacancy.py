"""Whether instances are nobody's still, right before they are sent: attaching replaces their disks."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from .api import responses
from .api.paging import BATCH, chunks
from .errors import AuthError, EhpcError, listed
from .operation import TAKEN, Operation
from .sight import NOT_SEEN, Sight, members_of_others

#: Seconds after which a look is too old to send by (resolving a lost answer takes long, say).
FRESH = 10.0


@dataclass
class Vacancy:
    """What the latest looks of one attach phase say of its instances.

    Attributes:
        instances: what ECS said of them before the phase, by id.
        begun: those that an interrupted run announced, and may have sent.
        looked: when it was seen before the phase that nobody holds any of them.
        to_be_stopped: those that run, and are to be stopped yet.
    """

    operation: Operation
    instances: Mapping[str, responses.Instance]
    begun: Collection[str]
    looked: float
    to_be_stopped: frozenset[str] = frozenset()
    _seen: dict[str, float] = field(default_factory=dict)
    _tasks: frozenset[str] | None = None

    def free(self, ids: Sequence[str], *, marks_anew: bool = False) -> list[str]:
        """Of these, the ones that nobody has taken meanwhile; the others are noted as failed.

        Args:
            marks_anew: look at the instances even where the latest look is new enough.
        """
        taken = self.operation.taken  # for good: it has been told
        ids = [i for i in ids if i not in taken]
        now = self.operation.deadline.clock.now()
        if all(now - self._seen.get(i, self.looked) < FRESH for i in ids):
            return self._untouched(ids) if marks_anew else list(ids)
        self._seen |= dict.fromkeys(ids, now)
        held = self._held_now()
        own = {i for i in {*ids} & {*self.begun} if held.get(i) == self.operation.cluster_id}
        self.operation.sent |= own  # an interrupted run's call has reached them after all
        for instance_id in (held.keys() & {*ids}) - own:
            self._taken(instance_id, f"cluster {held[instance_id]}")
        return self._untouched([i for i in ids if i not in held])

    def forget(self) -> None:
        """Let no look count any more."""
        self._seen.clear()
        self._tasks, self.looked = None, -math.inf

    def tasks(self) -> frozenset[str]:
        """Tasks that can't be the next call's.

        An older look knows fewer: more tasks then forbid to conclude that a call was not accepted.
        """
        if self._tasks is None:
            found = self.operation.cloud.list_running_tasks(self.operation.cluster_id)
            self._tasks = frozenset(task.task_id for task in found)
        return self._tasks

    def has_another_image(self, seen: responses.Instance) -> bool:
        """Whether the image isn't the one that the instance had before the phase."""
        known = self.instances.get(seen.instance_id)
        return known is not None and known.image_id != seen.image_id

    def _untouched(self, ids: Sequence[str]) -> list[str]:
        """Of these, the ones without another resource's mark, and as they were; the others are noted as failed."""
        operation, free = self.operation, list[str]()
        for batch in chunks(ids, BATCH):  # of ten thousand instances, few are in memory at once
            seen = {x.instance_id: x for x in operation.cloud.describe_instances(batch)}
            owners = Sight(operation.identity, instances=seen).of_others(operation.name)
            for instance_id, owner in owners.items():
                self._taken(instance_id, f"resource {owner!r}")
            moved = {i: x for i, x in seen.items() if i not in owners and self._has_moved(x)}
            operation.doubtful |= moved.keys()
            for instance_id, instance in moved.items():
                new = " and has another image" if self.has_another_image(instance) else ""
                self._taken(instance_id, f"somebody, since it is {instance.status}{new} by now")
            free += [i for i in batch if i not in owners and i not in moved]
        return free

    def _has_moved(self, seen: responses.Instance) -> bool:
        """Whether an instance that was Stopped is so no more, or has another image: it may have been sent."""
        asleep = seen.instance_id not in self.to_be_stopped
        return (asleep and seen.awake) or self.has_another_image(seen)

    def _taken(self, instance_id: str, owner: str) -> None:
        reason = f"was taken meanwhile by {owner}: run pulumi up again"
        self.operation.fail([instance_id], TAKEN, reason)

    def _held_now(self) -> dict[str, str]:
        """Nodes of this VPC's clusters, and instances on their way there: instance id to cluster."""
        cloud, cluster_id = self.operation.cloud, self.operation.cluster_id
        vpc_id = next((x.vpc_id for x in self.instances.values()), "")
        held: dict[str, str] = {}
        with suppress(AuthError):  # preflight has warned of it
            held, unseen = members_of_others(cloud, cluster_id, vpc_id)
            if unseen:
                raise EhpcError(f"Nothing more is sent: the nodes of {listed(unseen)} {NOT_SEEN}.")
        here = {*self.operation.see_compute_nodes()}
        tasks = cloud.list_running_tasks(cluster_id)
        self._tasks = frozenset(task.task_id for task in tasks)
        return held | dict.fromkeys(here | responses.attached_by(tasks), cluster_id)
