"""The answers of the API as models, and its status values in groups.

The models are tolerant: unknown fields are ignored, absent or null fields have a default, and a status is a text,
so that a new status of the service does not break a refresh. Field names are those of the
official SDKs' models (`alibabacloud-ehpc20180412`, `alibabacloud-ecs20140526`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import ConfigDict, model_validator
from pydantic.dataclasses import dataclass

from ehpc_nodes.errors import listed

NODE_READY = frozenset({"running", "ready"})
NODE_FAILED = frozenset({"exception"})
NODE_STOPPED = frozenset({"stopped"})
NODE_INITIAL = frozenset({"uninit", "init", "initing"})
NODE_LEAVING = frozenset({"releasing"})
#: A cluster that is being created or released: E-HPC lists no nodes of it, or none for long.
CLUSTER_WITHOUT_NODES = frozenset({"uninit", "creating", "init", "releasing"})
TASK_SUCCESS = frozenset({"success"})
TASK_FAILED = frozenset({"failed", "fail"})
TASK_PARTIAL = frozenset({"partialfail"})
TASK_OVER = TASK_SUCCESS | TASK_FAILED | TASK_PARTIAL
#: Task types that are certainly not an attach. The type of AddExistedNodes is not documented: it may be one that
#: starts or resets nodes.
TASK_TYPES_OF_OTHERS = frozenset(
    {"createcluster", "stopcluster", "deletecluster", "stopcomputes", "deletecomputes"}
)
#: ECS's status of an instance that starts, and of one that stops.
INSTANCE_COMING = frozenset({"pending", "starting"})
INSTANCE_STOPPING = "stopping"
COMPUTE_ROLE = "compute"


#: The scheduler's status of a node that accepts jobs; empty: not in the answer.
SCHEDULER_ACTIVE = frozenset({"active", ""})
#: ECS's value for an instance that is not a spot instance.
NO_SPOT = "NoSpot"


def embedded(text: str) -> Any:
    """The value of a JSON text, even if it is escaped twice, as in the sample of the ListTasks page.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = json.loads(f'"{text}"')
    return json.loads(value) if isinstance(value, str) else value


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


TOLERANT = ConfigDict(
    extra="ignore", alias_generator=_pascal, populate_by_name=True, coerce_numbers_to_str=True
)


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Wire:
    """Base of the answers' parts.

    Dataclasses with slots, because a cluster may have ten thousand: a BaseModel needs ten times the memory.
    """

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict) and None in data.values():
            return {name: value for name, value in data.items() if value is not None}
        return data


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Resources(Wire):
    """Cores, GPUs and memory of a node: total, or used by jobs."""

    cpu: int = 0
    gpu: int = 0
    memory: int = 0

    def __str__(self) -> str:
        parts = {"CPU": self.cpu, "GPU": self.gpu, "memory": self.memory}
        return ", ".join(f"{amount} {name}" for name, amount in parts.items() if amount) or "none"


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _Roles(Wire):
    role: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Node(Wire):
    """An entry of ListNodes or ListNodesByQueue (which sends fewer fields)."""

    id: str
    host_name: str = ""
    ip_address: str = ""
    status: str = ""
    state_in_sched: str = ""
    image_id: str = ""
    image_owner_alias: str = ""
    instance_type: str = ""
    roles: _Roles = _Roles()
    used_resources: Resources = Resources()

    @property
    def is_compute(self) -> bool:
        """Whether all its roles are the compute role; without roles it counts as a compute node."""
        return all(role.lower() == COMPUTE_ROLE for role in self.roles.role)

    @property
    def busy(self) -> bool:
        """Whether jobs use it."""
        used = self.used_resources
        return used.cpu > 0 or used.gpu > 0 or used.memory > 0

    @property
    def active(self) -> bool:
        """Whether the scheduler gives it jobs; without a scheduler status it counts as active."""
        return self.state_in_sched.lower() in SCHEDULER_ACTIVE

    def in_status(self, words: frozenset[str]) -> bool:
        return self.status.lower() in words

    def runs(self, jobs: Iterable[Job]) -> str:
        """What a busy node runs, for people: its jobs; if no job names it, the resources in use."""
        named = [str(job) for job in jobs if job.runs_on(self.host_name)]
        return f"runs {listed(named or [f'jobs (used: {self.used_resources})'])}"


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Task(Wire):
    """An entry of ListTasks. ``result`` and ``errors`` are JSON in a string."""

    task_id: str
    task_type: str = ""
    status: str = ""
    current_step: int = 0
    total_steps: int = 0
    result: str = ""
    errors: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended, with success or not; an unknown status counts as running."""
        return self.status.lower() in TASK_OVER

    @property
    def may_attach(self) -> bool:
        """Whether it could be an attach: its type is not known to be something else."""
        return self.task_type.lower() not in TASK_TYPES_OF_OTHERS

    @property
    def instance_ids(self) -> frozenset[str]:
        """The instances in its result; may be empty."""
        try:
            items = embedded(self.result or "{}").get("Instances") or []
            return frozenset(str(item["InstanceId"]) for item in items)
        except (ValueError, TypeError, KeyError, AttributeError):
            return frozenset()

    @property
    def reason(self) -> str:
        """Why it failed: its errors, or without errors its last step."""
        if self.errors and self.errors not in ("[]", "{}"):
            return self.errors
        return f"step {self.current_step} of {self.total_steps}"


def attached_by(tasks: Iterable[Task]) -> set[str]:
    """The instances that these tasks name and may be attaching."""
    return {instance_id for t in tasks if t.may_attach for instance_id in t.instance_ids}


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Job(Wire):
    """An entry of ListJobsWithFilters. ``node_list`` is a JSON array of host names in a string."""

    id: str
    name: str = ""
    owner: str = ""
    state: str = ""
    queue: str = ""
    node_list: str = ""

    @property
    def host_names(self) -> frozenset[str]:
        """The nodes that it runs on; may be empty."""
        try:
            return frozenset(map(str, embedded(self.node_list or "[]")))
        except (ValueError, TypeError):
            return frozenset()

    def runs_on(self, host_name: str) -> bool:
        """Whether it names this node."""
        return host_name.lower() in map(str.lower, self.host_names)

    @property
    def user(self) -> str:
        """Its owner, without the host."""
        return self.owner.partition("@")[0]

    def __str__(self) -> str:
        return f"{self.id} ({self.user})" if self.user else self.id


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Queue(Wire):
    """An entry of ListQueues."""

    queue_name: str
    enable_auto_grow: bool = False


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _QueueScaling(Wire):
    queue_name: str = ""
    enable_auto_shrink: bool | None = None


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _QueueScalings(Wire):
    queue_info: list[_QueueScaling] = field(default_factory=list)


@dataclass(frozen=True, slots=True, config=TOLERANT)
class AutoScaleConfig(Wire):
    """The scale-in part of the answer to GetAutoScaleConfig; the defaults are those of the documentation."""

    enable_auto_shrink: bool = False
    shrink_idle_times: int = 3
    shrink_interval_in_minutes: int = 2
    exclude_nodes: str = ""
    queues: _QueueScalings = _QueueScalings()

    @property
    def idle_minutes(self) -> int:
        """After how many idle minutes scale-in removes a node."""
        return self.shrink_idle_times * self.shrink_interval_in_minutes

    @property
    def excluded(self) -> frozenset[str]:
        """The instances that scale-in does not remove."""
        return frozenset(part.strip() for part in self.exclude_nodes.split(",")) - {""}

    def shrinks(self, queue: str) -> bool:
        """Whether scale-in removes idle nodes of a queue: the queue's own setting, else the cluster's."""
        own = {entry.queue_name: entry.enable_auto_shrink for entry in self.queues.queue_info}
        setting = own.get(queue)
        return self.enable_auto_shrink if setting is None else setting


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Cluster(Wire):
    """DescribeCluster's ClusterInfo: the fields that this package needs."""

    id: str = ""
    name: str = ""
    status: str = ""
    region_id: str = ""
    vpc_id: str = ""
    image_id: str = ""
    image_owner_alias: str = ""
    os_tag: str = ""
    base_os_tag: str = ""
    scheduler_type: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Computes(Wire):
    """How many compute nodes a cluster has, by what they do."""

    total: int = 0
    normal_count: int = 0
    exception_count: int = 0
    operating_count: int = 0
    stopped_count: int = 0


@dataclass(frozen=True, slots=True, config=TOLERANT)
class ClusterSummary(Cluster):
    """An entry of ListClusters."""

    id: str
    computes: Computes = Computes()


@dataclass(frozen=True, slots=True, config=TOLERANT)
class OsTag(Wire):
    """The operating system of a custom image."""

    os_tag: str = ""
    platform: str = ""
    version: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True, config=TOLERANT)
class SystemImage(Wire):
    """An entry of ListImages."""

    image_id: str
    os_tag: str = ""
    platform: str = ""
    version: str = ""
    architecture: str = ""


@dataclass(frozen=True, slots=True, config=TOLERANT)
class CustomImage(Wire):
    """An entry of ListCustomImages."""

    image_id: str
    image_name: str = ""
    image_owner_alias: str = ""
    status: str = ""
    os_tag: OsTag = OsTag()
    base_os_tag: OsTag = OsTag()


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _Lock(Wire):
    lock_reason: str = ""


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _Locks(Wire):
    lock_reason: list[_Lock] = field(default_factory=list)


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _Addresses(Wire):
    ip_address: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _VpcAttributes(Wire):
    vpc_id: str = ""
    private_ip_address: _Addresses = _Addresses()


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _Tag(Wire):
    tag_key: str = ""
    tag_value: str = ""


@dataclass(frozen=True, slots=True, config=TOLERANT)
class _Tags(Wire):
    tag: list[_Tag] = field(default_factory=list)


@lru_cache(maxsize=1000)  # most instances of a region expire together, or never
def _seconds(time: str) -> float | None:
    try:
        return datetime.strptime(time, "%Y-%m-%dT%H:%M%z").timestamp()
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Instance(Wire):
    """An entry of ECS DescribeInstances."""

    instance_id: str
    host_name: str = ""
    status: str = ""
    image_id: str = ""
    instance_type: str = ""
    instance_network_type: str = ""
    vpc_attributes: _VpcAttributes = _VpcAttributes()
    operation_locks: _Locks = _Locks()
    expired_time: str = ""
    spot_strategy: str = ""
    tags: _Tags = _Tags()

    @property
    def vpc_id(self) -> str:
        return self.vpc_attributes.vpc_id

    @property
    def private_ip(self) -> str:
        """The first private address; may be empty."""
        return next(iter(self.vpc_attributes.private_ip_address.ip_address), "")

    @property
    def stopped(self) -> bool:
        return self.status.lower() == "stopped"

    @property
    def awake(self) -> bool:
        """Whether it is neither Stopped nor Stopping: an instance that waits to be attached is never so."""
        return self.status.lower() not in ("stopped", INSTANCE_STOPPING)

    @property
    def spot(self) -> bool:
        """Whether it is a spot instance, which ECS may release."""
        return self.spot_strategy not in ("", NO_SPOT)

    @property
    def expires_at(self) -> float | None:
        """When it expires, in seconds since 1970; None if it is not known. Written ``2026-12-05T16:00Z``."""
        return _seconds(self.expired_time)

    @property
    def locks(self) -> list[str]:
        """Why the instance is locked (financial, security, …); empty: not locked."""
        return [lock.lock_reason for lock in self.operation_locks.lock_reason if lock.lock_reason]

    def with_tags(self, tags: Mapping[str, str]) -> Instance:
        """The same with these tags, by key, and without those whose value is empty; other tags are kept."""
        kept = [tag for tag in self.tags.tag if tag.tag_key not in tags]
        new = [_Tag(tag_key=key, tag_value=value) for key, value in tags.items() if value]
        return replace(self, tags=_Tags(tag=[*kept, *new]))

    def tag(self, key: str) -> str:
        """The value of a tag; empty without this tag."""
        return next((tag.tag_value for tag in self.tags.tag if tag.tag_key == key), "")


@dataclass(frozen=True, slots=True, config=TOLERANT)
class TaggedResource(Wire):
    """An entry of ECS ListTagResources: one tag of one instance."""

    resource_id: str
    tag_key: str = ""
    tag_value: str = ""


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Accepted(Wire):
    """The answer to a write: the ids of the request and of the task that it started."""

    request_id: str = ""
    task_id: str = ""


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Stopping(Wire):
    """One instance's part in the answer to StopInstances."""

    instance_id: str
    code: str = "200"
    message: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the instance is being stopped."""
        return self.code in ("200", "Success", "")


@dataclass(frozen=True, slots=True, config=TOLERANT)
class Stopped(Wire):
    """The answer to StopInstances."""

    request_id: str = ""
    instances: list[Stopping] = field(default_factory=list)
