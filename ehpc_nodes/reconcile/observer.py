"""Read the cluster, its tasks and the instances, and keep what was read of each instance.

Times are those of the clock. A read that failed changes nothing; an age counts from the end of a read. In one reading,
tasks are read before nodes, and nodes before instances.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from ehpc_nodes.api import responses
from ehpc_nodes.api.cache import ReadCache
from ehpc_nodes.clock import Clock
from ehpc_nodes.errors import (
    ApiError,
    AuthError,
    BackendError,
    ClusterNotFoundError,
    TransportError,
    permission,
)
from ehpc_nodes.models import Finding, State
from ehpc_nodes.preflight.images import ImageFacts

from .facts import Tag
from .ledger import Ledger, Write
from .owner_tags import NAME_KEY, UNKNOWN, Reference, owner_name, reference_of
from .ports import Cloud, OtherResources
from .records import Owners, Record

T = TypeVar("T")
#: Seconds after which a reading is too old to write by.
FRESH = 10.0
#: Seconds between two whole lists that lack a node which the state has as confirmed, for a report of its absence.
REPORTED_AFTER = 5.0
#: Seconds that the clocks of two machines may be apart: the services refuse calls of one that is over 15 minutes off.
LARGEST_SKEW = 1800.0


@dataclass(frozen=True)
class Identity:
    """Whose run this is.

    Attributes:
        name: the resource's name on owner tags.
        uid: the resource's.
        run: letters in the references that this run writes before it sends.
    """

    name: str
    uid: str
    cluster_id: str
    run: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the program wants of the instances."""

    ids: frozenset[str] = frozenset()
    retained: frozenset[str] = frozenset()
    take_ownership: bool = False
    queue: str = ""


@dataclass
class Observer:
    """The tables of what was read last, and since when.

    Attributes:
        scheduler_seconds: for how long a node that this run attached may take to be active in the scheduler.
        wanted: what the program wants.
        saved: the state; None where there is none.
        reporting: no write follows: a shorter absence is enough for a report.
        detached_first: nodes that are as good as detached: a replacement detaches them first.
        complete: whether the first reading came to its end: the cluster exists, in this region.
        tags_read: whether all instances with this resource's name on their tags were read.
        claimed: instances that other resources of this run list.
        records: what this run has read of each instance.
        denied: reads for which a permission is missing, with the error.
        notes: findings of the first reading.
        jobs: on the busy nodes that were asked for; None: they cannot be read.
        planned: what the first plan attaches, or may detach; None before there is one.
        unnamed_tasks: tasks that run, may attach, and name no instance.
    """

    cloud: Cloud
    clock: Clock
    cache: ReadCache
    grace: float
    identity: Identity
    ledger: Ledger
    others: OtherResources
    scheduler_seconds: float
    wanted: Wanted = field(default_factory=Wanted)
    saved: State | None = None
    reporting: bool = False
    planned: frozenset[str] | None = None
    denied: dict[str, AuthError] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)
    cluster: responses.Cluster | None = None
    nodes: dict[str, responses.Node] = field(default_factory=dict)
    tasks: list[responses.Task] = field(default_factory=list)
    instances: dict[str, responses.Instance] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    unlisted: list[str] = field(default_factory=list)
    jobs: list[responses.Job] | None = field(default_factory=list)
    queues: list[responses.Queue] | None = None
    images: dict[str, ImageFacts] | None = None
    scaling: responses.AutoScaleConfig | None = None
    in_queue: set[str] | None = None
    nodes_begun: float = -math.inf
    nodes_ended: float = -math.inf
    tags_read: bool = True
    complete: bool = False
    records: dict[str, Record] = field(default_factory=dict)
    claimed: frozenset[str] = frozenset()
    detached_first: frozenset[str] = frozenset()
    replaced_uid: str = ""
    unnamed_tasks: frozenset[str] = frozenset()
    _begun: float = math.inf
    _ended: float = math.inf
    _reading_began: float = -math.inf
    _elsewhere_ended: float = -math.inf

    def __post_init__(self) -> None:
        self.saved_ids = frozenset(self.saved.instance_ids if self.saved else ())
        self._named_ids = self.wanted.ids | self.wanted.retained | self.saved_ids
        for instance_id in self._named_ids:
            self.record(instance_id)

    def record(self, instance_id: str) -> Record:
        """What is known of an instance; of one that is heard of for the first time, the list that was read."""
        record = self.records.get(instance_id)
        if record is None:
            record = self.records[instance_id] = Record()
            if self.nodes_ended > -math.inf:
                record.note_listed(self.nodes.get(instance_id), self.nodes_ended)
        return record

    # -- reading ---------------------------------------------------------------------------------------------------

    def read_whole(self, ids: Collection[str], *, elsewhere: bool = False) -> None:
        """Read all about these instances: tasks, nodes, and their status in ECS.

        Args:
            elsewhere: the other clusters of the VPC, too: before an attach.
        """
        self.begin_reading()
        self.read_tasks()
        self.read_nodes()
        self.read_instances(ids)
        if elsewhere:  # last: of ten thousand instances, the read takes longer than a read is fresh
            self.read_other_clusters()
        self.note_reading(ids)

    def note_reading(self, ids: Collection[str]) -> None:
        """Note that all was read about these since the last `begin_reading`."""
        ended = min(self._ended, self.clock.now())
        for instance_id in ids:
            awake = is_awake(self.instances.get(instance_id))
            node = instance_id in self.nodes
            self.record(instance_id).note_reading(self._begun, ended, node=node, awake=awake)

    def is_fresh(self, ids: Iterable[str], *, elsewhere: bool = False) -> bool:
        """Whether each was read in the last seconds, and since the latest write that may have changed it.

        Args:
            elsewhere: whether the other clusters of the VPC had to be read as lately.
        """
        oldest = self.clock.now() - FRESH
        if elsewhere and self._elsewhere_ended < oldest:
            return False
        return all(self.record(i).read_at >= oldest for i in ids)

    def read_cluster(self, since: float | None = None) -> None:
        """DescribeCluster."""
        self.cluster = self._tolerated(
            "cluster_id", lambda: self._cached("cluster", self.cloud.describe_cluster, since)
        )

    def read_tasks(self, since: float | None = None) -> None:
        """ListTasks; of those that have ended since, ListTasks by id."""
        found = self._tolerated(
            "instance_ids",
            lambda: self._cached_at("tasks", self.cloud.list_running_tasks, since),
        )
        if found is None:
            return
        self.tasks = found.seen
        running = {task.task_id: task for task in self.tasks}
        attaching = {t.task_id: t.instance_ids for t in self.tasks if t.may_attach}
        self.unnamed_tasks = frozenset(task_id for task_id, ids in attaching.items() if not ids)
        for task_id, ids in attaching.items():
            for instance_id in ids:
                self.record(instance_id).task = running[task_id]
        named = (record.task for record in self.records.values())
        gone = {t.task_id for t in named if t and not t.over and t.task_id not in running}
        for write in self.ledger.writes:
            if write.task_id and write.over_at is None:
                write.task = (
                    running.get(write.task_id) or self._get_task(write.task_id) or write.task
                )
                if write.task and write.task.over:
                    write.over_at = self.clock.now()
                    self._note_ended(write.task_id, write.task)
                gone.discard(write.task_id)
        for task_id in sorted(gone):
            self._note_ended(task_id, self._get_task(task_id))

    def _note_ended(self, task_id: str, task: responses.Task | None) -> None:
        """A task that named instances and runs no more: how it ended; nothing where the service forgot it."""
        for record in self.records.values():
            if record.task and record.task.task_id == task_id:
                record.task = task
                if task and task.over:
                    record.task_ended = self.clock.now()

    def _get_task(self, task_id: str) -> responses.Task | None:
        return self.cloud.get_task(self.identity.cluster_id, task_id)

    def read_nodes(self, since: float | None = None) -> None:
        """ListNodes, to its end."""
        found = self._tolerated(
            "instance_ids", lambda: self._cached_at("nodes", self.cloud.list_nodes, since)
        )
        if found is None:
            return
        self.nodes = {node.id: node for node in found.seen}
        self.nodes_begun, self.nodes_ended = found.begun, found.ended
        for instance_id, record in self.records.items():
            record.note_listed(self.nodes.get(instance_id), found.ended)

    def read_instances(self, ids: Collection[str], since: float | None = None) -> None:
        """DescribeInstances; a second time for those that the first answer lacks."""
        if not ids:
            return
        ordered = sorted(ids)
        found = self._tolerated(
            "instance_ids",
            lambda: self._cached(
                "instances", lambda _: self.cloud.describe_instances(ordered), since, *ordered
            ),
        )
        if found is None:
            return
        self.denied.pop("DescribeInstances", None)  # instances by id may be read, those by tag not
        missing = {*ordered} - {x.instance_id for x in found}
        if missing:
            again = sorted(missing)
            found = [*found, *self.cloud.describe_instances(again)]
        self._note_instances(found)
        for instance_id in missing - {x.instance_id for x in found}:
            self.record(instance_id).missing = True

    def _note_instances(self, found: Iterable[responses.Instance]) -> None:
        for seen in found:
            self._note_instance(seen)
            record = self.record(seen.instance_id)
            record.missing = False
            record.first_image = record.first_image or seen.image_id
            record.was_stopped |= seen.stopped

    def _note_instance(self, seen: responses.Instance) -> None:
        name, reference = owner_name(seen), reference_of(seen)
        self.instances[seen.instance_id] = seen
        owners = Owners(name, reference, self._whose(name, reference))
        self.record(seen.instance_id).owners = owners

    def read_tagged(self, *names: str, since: float | None = None) -> None:
        """The instances whose owner tag has one of these names."""
        for name in dict.fromkeys(filter(None, names)):
            found = self._tolerated("instance_ids", partial(self._tagged, name, since))
            self.tags_read = self.tags_read and found is not None
            self._note_instances(found or ())

    def _tagged(self, name: str, since: float | None) -> list[responses.Instance]:
        def read(_cluster_id: str) -> list[responses.Instance]:
            return self.cloud.instances_tagged({NAME_KEY: name})

        return self._cached("tagged", read, since, name)

    def read_other_clusters(self, since: float | None = None) -> None:
        """ListClusters; of those in the same VPC, nodes and tasks."""
        vpc_id = self.cluster.vpc_id if self.cluster else ""
        found = self._tolerated(
            "instance_ids",
            lambda: self._cached_at(
                "elsewhere",
                lambda cluster_id: members_of_others(self.cloud, cluster_id, vpc_id),
                since,
            ),
        )
        self._elsewhere_ended = self.clock.now() if found is None else found.ended
        if found is not None:
            self.elsewhere, self.unlisted = found.seen

    def read_queue(self, since: float | None = None) -> None:
        """ListNodesByQueue of the wanted queue."""
        found = self._tolerated("job_queue", partial(self._queue_nodes, self.wanted.queue, since))
        self.in_queue = None if found is None else {node.id for node in found}
        for instance_id, record in self.records.items():
            record.queue_read = instance_id in self.nodes

    @property
    def queue_exists(self) -> bool:
        """Whether the cluster has the wanted queue; so where its queues were not read."""
        return self.queues is None or self.wanted.queue in {q.queue_name for q in self.queues}

    def has_unknown_queue(self, instance_id: str) -> bool:
        """Whether it became a node after the wanted queue was read, and not by this run's call, which names the queue."""
        own = self.ledger.latest("AddExistedNodes", instance_id)
        new = instance_id in self.nodes and not self.records[instance_id].queue_read
        return (
            bool(self.wanted.queue)
            and new
            and own is None
            and self.queue_exists
            and "ListNodesByQueue" not in self.denied
        )

    def _queue_nodes(self, name: str, since: float | None) -> list[responses.Node]:
        def read(cluster_id: str) -> list[responses.Node]:
            return self.cloud.list_queue_nodes(cluster_id, name)

        return self._cached("queue", read, since, name)

    def read_queues(self, ids: Collection[str]) -> dict[str, str]:
        """The queue of each of these nodes: ListQueues, and where there are several, ListNodesByQueue of each."""
        since = max(self.nodes_begun, self.cache.next_after_writes)
        names = [q.queue_name for q in self._cached("queues", self.cloud.list_queues, since)]
        if len(names) == 1:  # nothing to choose from, and a page for each 50 nodes saved
            return dict.fromkeys(ids, names[0])
        return {node.id: name for name in names for node in self._queue_nodes(name, since)}

    def read(self, kind: str, property_: str, make: Callable[[str], T], *key: str) -> T | None:
        """Any other read of the first reading; None where a permission is missing, which is noted."""
        return self._tolerated(
            property_, lambda: self._cached(kind, make, self.clock.now() - FRESH, *key)
        )

    def read_jobs(self, ids: Iterable[str], since: float | None = None) -> None:
        """ListJobsWithFilters of those of these nodes that run jobs: for texts alone."""
        hosts = [n.host_name for i in sorted(ids) if (n := self.nodes.get(i)) and n.busy]
        if hosts and self.jobs is not None:
            self.jobs = self._optional(
                "jobs",
                "busy_nodes",
                "the jobs of busy nodes are not known",
                lambda cluster_id: self.cloud.list_jobs(cluster_id, hosts),
                since,
                *hosts,
            )

    def runs(self, instance_id: str) -> str:
        """What a node runs by the last reads, for people."""
        node = self.records[instance_id].node
        return node.runs(self.jobs or ()) if node else ""

    def read_scaling(self) -> responses.AutoScaleConfig | None:
        """GetAutoScaleConfig: for texts alone."""
        lost = "whether scale-in takes idle nodes is not known"
        make = self.cloud.get_auto_scale_config
        return self._optional("scaling", "instance_ids", lost, make, None)

    def _optional(
        self,
        kind: str,
        property_: str,
        lost: str,
        make: Callable[[str], T],
        since: float | None,
        *key: str,
    ) -> T | None:
        """The answer of a read that no decision needs; None where it fails, which is noted.

        Args:
            lost: what is not known then.
        """
        since = self.clock.now() - FRESH if since is None else since
        try:
            return self._cached(kind, make, since, *key)
        except (ApiError, TransportError) as error:
            if isinstance(error, AuthError) and not error.forbidden:
                raise
            self.notes.append(Finding(property_, f"{lost}: {error}", warning=True))
            return None

    def _cached(self, kind: str, make: Callable[[str], T], since: float | None, *key: str) -> T:
        return self._cached_at(kind, make, since, *key).seen  # type: ignore[no-any-return]

    def _cached_at(
        self, kind: str, make: Callable[[str], T], since: float | None, *key: str
    ) -> Any:
        now = self.clock.now
        cluster_id = self.identity.cluster_id
        found = self.cache.at(
            (kind, cluster_id, *key),
            lambda: make(cluster_id),
            now,
            since=math.nextafter(now(), math.inf) if since is None else since,
        )
        self._begun = min(self._begun, found.begun)
        if (
            found.begun < self._reading_began
        ):  # cached from before this reading: it counts from then
            self._ended = min(self._ended, found.ended)
        return found

    def begin_reading(self) -> None:
        """What is read from now on is one reading (see `note_reading`)."""
        self._begun, self._ended = math.inf, math.inf
        self._reading_began = self.clock.now()

    def begin_pass(self) -> None:
        """Before facts are asked for: what holds for all of them."""
        self.claimed = frozenset(self.others.listed())

    def _tolerated(self, property_: str, read: Callable[[], T]) -> T | None:
        """The answer; None where a permission is missing that the first reading lacked too, which is noted."""
        try:
            answer = read()
        except AuthError as error:
            lost = self.planned is not None and error.action not in self.denied
            if not error.forbidden or lost:
                raise
            if error.action not in self.denied:
                text = f"not checked (permission {permission(error.action)} is missing): {error}"
                self.notes.append(Finding(property_, text, warning=True))
            self.denied[error.action] = error
            return None
        return answer

    # -- what was written ------------------------------------------------------------------------------------------

    def written(self, ids: Collection[str] = (), tags: Mapping[str, str] | None = None) -> None:
        """Note a write that may change what was read before.

        Args:
            ids: that it was about: what was quiet before it counts no more.
            tags: that they have by an answered call; an empty value: not any more.
        """
        self.cache.written = self.clock.now()
        for instance_id in ids:
            record = self.record(instance_id)
            record.quiet = None
            if not tags:
                record.read_at = -math.inf
            seen = self.instances.get(instance_id)
            if tags and seen:
                self._note_instance(seen.with_tags(tags))

    def note_replaced(self) -> None:
        """What a replacement detaches first: what its tags name, whatever the state has; not what the new one has made."""
        references = {i: r.owners.reference for i, r in self.records.items()}
        named = {i for i, r in references.items() if r and r.uid == self.replaced_uid}
        ours = {i for i, r in references.items() if r and r.uid != UNKNOWN}
        made = self.detached_first & self.nodes.keys() & ours
        self.detached_first = (self.detached_first - made) | named

    def forget_readings(self) -> None:
        """No reading counts for a write any more: much may have happened since."""
        for record in self.records.values():
            record.read_at = -math.inf

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def known(self) -> set[str]:
        """The instances that this run is about: those of program and state, and what has this resource's tags."""
        ours = (Tag.MINE, Tag.SAME_NAME)
        return {i for i, r in self.records.items() if i in self._named_ids or r.owners.tag in ours}

    def _whose(self, name: str, reference: Reference | None) -> Tag:
        uid, ours = self.identity.uid, self.identity.name
        if reference is not None and reference.uid == uid:
            return Tag.MINE
        if reference is not None and reference.uid == UNKNOWN:
            return Tag.UNKNOWN
        named = name in {ours, self.saved.owner if self.saved else ours}
        if name and not named:
            return Tag.OTHER
        if reference is None:
            return Tag.NONE
        return Tag.SAME_NAME

    def write_about(self, instance_id: str) -> Write | None:
        """The run's DeleteNodes about the instance, else its AddExistedNodes, if its task was read."""
        for action in ("DeleteNodes", "AddExistedNodes"):
            write = self.ledger.latest(action, instance_id)
            if write and write.task:
                return write
        return None

    def task_about(self, instance_id: str) -> responses.Task | None:
        """The task of this run's call about the instance, else one that names it."""
        write = self.write_about(instance_id)
        return write.task if write else self.record(instance_id).task


def is_awake(instance: responses.Instance | None) -> bool:
    """Whether it is neither Stopped nor Stopping, by ECS."""
    return instance is not None and instance.awake


def members_of_others(
    cloud: Cloud, cluster_id: str, vpc_id: str
) -> tuple[dict[str, str], list[str]]:
    """Nodes of the region's other clusters in this VPC (in any, where it is empty), and what is being attached
    there: instance id to cluster id.

    Returns:
        These, and the clusters whose nodes could not be listed.

    Raises:
        ApiError, TransportError: the clusters could not be listed, or a permission is missing.
    """
    found: dict[str, str] = {}
    unlisted: list[str] = []
    for other in cloud.list_clusters():
        apart = vpc_id and other.vpc_id not in {"", vpc_id}
        empty = other.status.lower() in responses.CLUSTER_WITHOUT_NODES
        if other.id == cluster_id or apart or empty:
            continue
        try:
            found |= {node.id: other.id for node in cloud.list_nodes(other.id)}
            tasks = cloud.list_running_tasks(other.id)
            found |= dict.fromkeys(responses.attached_by(tasks), other.id)
        except ClusterNotFoundError:  # deleted meanwhile
            continue
        except (AuthError, BackendError, TransportError) as error:
            if isinstance(error, AuthError) and not error.forbidden:
                raise
            unlisted.append(other.id)
    return found, unlisted
