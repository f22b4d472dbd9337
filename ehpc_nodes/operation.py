"""What the lifecycle stands on: the cloud and the reporter as protocols, and one operation's notes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from .api import responses
from .api.cache import Look, Looks
from .clock import Deadline, wait_until
from .errors import (
    NOTHING_SENT,
    ApiError,
    AuthError,
    BackendError,
    EhpcError,
    NotSentError,
    ThrottledError,
    TransportError,
    WaitTimeoutError,
    listed,
)
from .models import Failure, TaskRecord

T = TypeVar("T")

#: A write that ended with one of these may have had an effect: look before anything else.
AMBIGUOUS = (TransportError, BackendError)
#: The code of an instance that turned out to be somebody else's right before it was sent.
TAKEN = "Taken"
#: A look that ended with one of these told nothing: look again.
UNSEEN = (TransportError, BackendError, ThrottledError)


class Cloud(Protocol):
    """E-HPC and ECS as the lifecycle needs them; `client.Client` is one."""

    def describe_cluster(self, cluster_id: str) -> responses.Cluster: ...
    def list_clusters(self) -> list[responses.ClusterSummary]: ...
    def list_nodes(self, cluster_id: str) -> list[responses.Node]: ...
    def list_compute_nodes(self, cluster_id: str) -> list[responses.Node]: ...
    def list_queue_nodes(self, cluster_id: str, queue: str) -> list[responses.Node]: ...
    def list_queues(self, cluster_id: str) -> list[responses.Queue]: ...
    def list_running_tasks(self, cluster_id: str) -> list[responses.Task]: ...
    def get_task(self, cluster_id: str, task_id: str) -> responses.Task | None: ...
    def list_system_images(self) -> list[responses.SystemImage]: ...
    def list_custom_images(self, owner_alias: str) -> list[responses.CustomImage]: ...
    def add_existed_nodes(
        self, cluster_id: str, instance_ids: Sequence[str], *, image: tuple[str, str], queue: str
    ) -> responses.Accepted: ...
    def delete_nodes(self, cluster_id: str, instance_ids: Sequence[str]) -> responses.Accepted: ...
    def set_queue(
        self, cluster_id: str, queue: str, host_names: Sequence[str]
    ) -> responses.Accepted: ...
    def describe_instances(self, instance_ids: Sequence[str]) -> list[responses.Instance]: ...
    def instances_tagged(self, tags: Mapping[str, str]) -> list[responses.Instance]: ...
    def stop_instances(self, instance_ids: Sequence[str]) -> responses.Stopped: ...
    def tag_instances(self, instance_ids: Sequence[str], tags: Mapping[str, str]) -> None: ...
    def untag_instances(self, instance_ids: Sequence[str], *keys: str) -> None: ...
    def tag_once(self, instance_ids: Sequence[str], tags: Mapping[str, str]) -> None: ...
    def attempts(self, *, harmless: bool = False) -> Iterable[AbstractContextManager[Any]]: ...


class Reporter(Protocol):
    """Where an operation tells people what it does."""

    def status(self, text: str) -> None:
        """What is going on now; replaces what was said before."""

    def info(self, text: str) -> None:
        """Worth keeping in the output."""

    def warning(self, text: str) -> None:
        """Something the user should know, though it goes on."""


class Others(Protocol):
    """The other resources of the run."""

    def listed(self, cluster_id: str) -> Collection[str]:
        """The cluster's instances that the program lists in them, as far as it has come."""

    def given_up(self, cluster_id: str) -> Collection[str]:
        """The cluster's instances that the program has taken out of them, as far as it has come."""

    def let_go(self, cluster_id: str, instance_ids: Collection[str]) -> Collection[str]:
        """Note that these are about to be detached, but for those that are listed, which are given back.

        Whoever comes to list the others later in the run is refused: no preview told what would become of them.
        """


class NoOthers:
    """A resource that is alone in its run."""

    def listed(self, _cluster_id: str) -> Collection[str]:
        """None."""
        return ()

    def given_up(self, _cluster_id: str) -> Collection[str]:
        """None."""
        return ()

    def let_go(self, _cluster_id: str, _instance_ids: Collection[str]) -> Collection[str]:
        """None is kept."""
        return ()


@dataclass
class Operation:
    """One create, read, update or delete of one resource, and what it has found out so far.

    Attributes:
        grace: seconds for which a list may lag behind: one look proves nothing within them.
        mark: the ownership mark's value; empty: none is set.
        name: the same, whether it is set or not: tells other resources' marks from this one's. Empty: not told.
        identity: what the resource's state alone knows; empty: not known.
        records: every write call that was accepted, in order.
        failed: instances that could not be brought to where they should be.
        nodes: the cluster's nodes as last seen, by instance id.
        unsettled: sent or not by an interrupted run, as nobody could find out; announced still.
        doubtful: taken by somebody, so that an announcement (perhaps of theirs, that this one replaced) stays.
        images: what instances that were sent had before.
        sent: instances of an accepted AddExistedNodes that have not been seen ready yet.
        detached: instances that this operation has detached.
        announced: instances that carry the tag of those that may be being attached.
        tasks: the records' tasks as last seen, by id; None where the service knows no such task.
        looks: those of the process, for what is only waited for.
        changed: when the latest write was accepted (before the first: when the operation began).
        addresses: private addresses by instance id, as ECS told them; attaching keeps them.
        others: the other resources of the run.
        awaited: instances that others have been seen to list.
        begun: instances that an interrupted run of this resource sent, or may have sent.
    """

    cloud: Cloud
    deadline: Deadline
    reporter: Reporter
    cluster_id: str
    grace: float
    mark: str = ""
    identity: str = ""
    records: list[TaskRecord] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    nodes: dict[str, responses.Node] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    images: dict[str, str] = field(default_factory=dict)
    sent: set[str] = field(default_factory=set)
    unsettled: set[str] = field(default_factory=set)
    detached: set[str] = field(default_factory=set)
    announced: set[str] = field(default_factory=set)
    tasks: dict[str, responses.Task | None] = field(default_factory=dict)
    looks: Looks = field(default_factory=Looks)
    addresses: dict[str, str] = field(default_factory=dict)
    others: Others = field(default_factory=NoOthers)
    awaited: set[str] = field(default_factory=set, init=False)
    begun: set[str] = field(default_factory=set, init=False)
    name: str = ""
    changed: float = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.name or self.mark
        self.changed = self.deadline.clock.now()

    def see_awaited(self) -> set[str]:
        """Instances that another resource waits for, or has waited for since this operation began.

        Detached here, they would be wiped there; and that resource may have been refused by now.
        """
        self.awaited |= {*self.others.listed(self.cluster_id)}
        return self.awaited

    def let_go(self, ids: Collection[str]) -> list[str]:
        """Of these, the nodes to detach now: those that another resource waits for stay, which is said."""
        kept = {*ids} & self.see_awaited()
        kept |= {*self.others.let_go(self.cluster_id, {*ids} - kept)}
        if kept:
            told = listed(sorted(kept))
            self.reporter.info(f"kept until the resource that lists it holds it: {told}")
        return [i for i in ids if i not in kept]

    def see_nodes(self) -> dict[str, responses.Node]:
        """Every node of the cluster, by instance id; noted."""
        self.nodes = {node.id: node for node in self.cloud.list_nodes(self.cluster_id)}
        return self.nodes

    def watch_tasks(self, since: float) -> Look[list[responses.Task]]:
        """The running tasks as this process last saw them, if that look was begun at ``since`` or later."""
        return self.looks.at(
            ("tasks", self.cluster_id),
            lambda: self.cloud.list_running_tasks(self.cluster_id),
            self.deadline.clock.now,
            since=since,
        )

    def watch_nodes(self, since: float) -> Look[dict[str, responses.Node]]:
        """The compute nodes in the same way; never used to decide what may be sent."""
        return self.looks.at(
            ("nodes", self.cluster_id),
            self.see_compute_nodes,
            self.deadline.clock.now,
            since=since,
        )

    def see_queues(self, since: float) -> list[responses.Queue]:
        """The queues, by a look of this process that was begun at ``since`` or later."""
        return self._shared(("queues",), self.cloud.list_queues, since)

    def see_queue(self, name: str, since: float) -> list[responses.Node]:
        """The queue's nodes in the same way: each resource of a cluster asks for all its queues."""
        return self._shared(("queue", name), self.cloud.list_queue_nodes, since, name)

    def _shared(self, what: tuple[str, ...], look: Callable[..., T], since: float, *more: str) -> T:
        now = self.deadline.clock.now
        made = self.looks.at(
            (*what, self.cluster_id), lambda: look(self.cluster_id, *more), now, since=since
        )
        return made.seen

    def see_compute_nodes(self) -> dict[str, responses.Node]:
        """The compute nodes with fewer facts, in one call whatever their number, where that is allowed."""
        try:
            found = self.cloud.list_compute_nodes(self.cluster_id)
        except AuthError as error:
            if not error.forbidden:
                raise
            found = [node for node in self.cloud.list_nodes(self.cluster_id) if node.is_compute]
        return {node.id: node for node in found}

    def see_nodes_again(self, ids: Collection[str], since: float) -> dict[str, responses.Node]:
        """The nodes with what the state keeps of them, their addresses perhaps in ``addresses``; noted.

        One call, where the addresses of all are known, and none where the process has looked ``since``.
        """
        self.addresses |= {i: n.ip_address for i, n in self.nodes.items() if n.ip_address}
        if all(self.addresses.get(instance_id) for instance_id in ids):
            self.nodes = self.watch_nodes(since).seen
            return self.nodes
        return self.see_nodes()

    def confirm(self, wanted: set[str]) -> set[str]:
        """Look until all are listed or the grace period is over; returns those being attached.

        Raises:
            AuthError: not all are listed, and whether the others are being attached may not be seen.
            WaitTimeoutError: time was up before that: a list may lag.
        """
        attaching: set[str] = set()
        forbidden: AuthError | None = None

        def look() -> bool | None:
            nonlocal attaching, forbidden
            if wanted <= self.nodes.keys():
                return True
            try:
                attaching = responses.attached_by(self.cloud.list_running_tasks(self.cluster_id))
            except AuthError as error:
                forbidden = error
            if wanted <= self.see_nodes().keys() | attaching:
                return True
            return None

        if not wait_until(look, self.deadline.at_most(self.grace)):
            if forbidden:
                raise forbidden
            if self.deadline.passed:
                missing = listed(sorted(wanted - self.nodes.keys()))
                text = f"a list that may lag lacks {missing}"
                raise WaitTimeoutError(text, self.deadline.elapsed, NOTHING_SENT)
        return attaching

    def record(
        self, action: str, ids: Sequence[str], accepted: responses.Accepted | None, status: str
    ) -> TaskRecord:
        """Note an accepted write; ``accepted`` is None where its answer was lost."""
        answer = accepted or responses.Accepted()
        entry = TaskRecord(
            action=action,
            task_id=answer.task_id,
            request_id=answer.request_id,
            instance_ids=list(ids),
            status=status,
        )
        self.records.append(entry)
        self.changed = self.deadline.clock.now()
        return entry

    def note_tasks(self, action: str, running: Sequence[responses.Task] = ()) -> None:
        """Bring the records of an action's tasks up to date.

        Args:
            running: tasks as seen just now; those that aren't among them are asked for by id.
        """
        seen = {task.task_id: task for task in running}
        for record in self.records:
            if record.action != action or not record.task_id:
                continue
            known = self.tasks.get(record.task_id)
            if known and known.over:
                continue
            task = seen.get(record.task_id) or self.cloud.get_task(self.cluster_id, record.task_id)
            self.tasks[record.task_id] = task
            if task:
                record.status = task.status
                record.error = task.reason if task.over and task.status != "Success" else ""

    def fail(self, ids: Collection[str], code: str, reason: str) -> None:
        """Note instances as failed."""
        for instance_id in ids:
            self.failed[instance_id] = Failure(code=code, reason=reason)

    @property
    def taken(self) -> set[str]:
        """Instances that turned out to be somebody else's right before they were sent."""
        return {i for i, failure in self.failed.items() if failure.code == TAKEN}

    def fail_by(self, ids: Collection[str], error: EhpcError) -> None:
        """Note instances as failed by an error."""
        code = error.code if isinstance(error, ApiError) else type(error).__name__
        self.fail(ids, code, str(error))

    def marks_refused(self, error: EhpcError) -> None:
        """Go on without marks, and say so once."""
        self.mark = ""
        self.reporter.warning(
            f"Ownership marks are off for this run: {error}"
            " (turn them off for good: pulumi config set ehpc:ownershipTags false)."
        )


def may_have_acted(error: EhpcError) -> bool:
    """Whether a write that ended with this error may have had an effect."""
    return isinstance(error, AMBIGUOUS) and not isinstance(error, NotSentError)
