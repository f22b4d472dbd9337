"""What exists in the emulated cloud. A world is plain data: load it, change it, dump it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from .codec import WorldError, dump, keyed, load
from .knobs import INSTANT, Knobs, Pace

TaskKind = Literal["attach", "detach", "stop", "start"]
Outcome = Literal["exception", "absent"]

#: ECS's expiry time of instances that do not expire.
NEVER = "2099-12-31T15:59Z"


@dataclass
class AccessKey:
    """A key that may call. `token` makes it an STS key; `allow` has patterns like `ehpc:*`."""

    id: str
    secret: str
    token: str | None = None
    allow: list[str] = field(default_factory=lambda: ["*"])


def family_of(system: str) -> str:
    """The family of a tag or a platform: CentOS_7.6_64 is centos, AliyunLinux_3_64 aliyun, Red Hat redhat."""
    return re.sub(r"\s|linux$", "", system.partition("_")[0].lower())


@dataclass
class Image:
    """A system disk image; `os_tag` reads `CentOS_7.6_64`, `platform` is as free as ECS's (`Red Hat`).

    `listed=False`: a system image that is no longer offered; clusters that have it still accept it.
    """

    id: str
    os_tag: str
    owner_alias: Literal["system", "self", "others", "marketplace"] = "system"
    platform: str = "CentOS"
    version: str = ""
    architecture: str = "x86_64"
    status: str = "Available"
    name: str = ""
    description: str = ""
    size: int = 40
    os_name: str = ""
    listed: bool = True

    def __post_init__(self) -> None:
        parts = self.os_tag.split("_")
        self.version = self.version or (parts[1] if len(parts) > 1 else "")
        self.name = self.name or self.id
        self.os_name = self.os_name or f"{self.platform} {self.version} 64 bit"

    @property
    def family(self) -> str:
        """The family of its tag, else of its platform."""
        return family_of(self.os_tag) or family_of(self.platform)

    @property
    def is_windows(self) -> bool:
        return self.family.startswith("windows")


@dataclass
class Instance:
    """An ECS instance. `heading` is its next status."""

    id: str
    host_name: str
    vpc_id: str
    image_id: str
    status: str = "Stopped"
    private_ip: str = "192.168.0.1"
    vswitch_id: str = "vsw-demo"
    zone_id: str = ""
    instance_type: str = "ecs.c5.large"
    network_type: Literal["vpc", "classic"] = "vpc"
    os_name: str = ""
    os_type: Literal["linux", "windows"] = "linux"
    stopped_mode: str = "Not-applicable"
    locks: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    security_group_ids: list[str] = field(default_factory=list)
    cpu: int = 2
    memory: int = 4096
    gpu: int = 0
    creation_time: str = "2024-01-01T00:00Z"
    expired_time: str = NEVER
    spot_strategy: Literal["NoSpot", "SpotWithPriceLimit", "SpotAsPriceGo"] = "NoSpot"
    heading: str | None = None
    pace: Pace = INSTANT
    since: float = 0.0
    reads: int = 0


@dataclass
class Resources:
    """Cpu, gpu and memory, of a node or used on it."""

    cpu: int = 0
    gpu: int = 0
    memory: int = 0


@dataclass
class Node:
    """A node of a cluster. `listed` is False if no list shows it yet; `state_in_sched` is the scheduler's status
    (active, down, drain, …), `active_pace` the pace until it is active; `used` is added to what its jobs use.
    """

    id: str
    host_name: str
    status: str = "running"
    queue: str = ""
    ip: str = ""
    image_id: str = ""
    image_owner_alias: str = "system"
    instance_type: str = "ecs.c5.large"
    roles: list[str] = field(default_factory=lambda: ["Compute"])
    state_in_sched: str = "active"
    create_mode: str = "manual"
    created_by_ehpc: bool = False
    add_time: str = "2024-01-01T00:00:00.000Z"
    lock_reason: str = ""
    total: Resources = field(default_factory=lambda: Resources(2, 0, 4096))
    used: Resources = field(default_factory=Resources)
    listed: bool = True
    active_pace: Pace | None = None
    since: float = 0.0
    reads: int = 0

    @property
    def is_compute(self) -> bool:
        return self.roles == ["Compute"]


@dataclass
class Queue:
    """A queue of the cluster's scheduler; without `auto_shrink` it follows the cluster's `auto_scale`."""

    name: str
    auto_grow: bool = False
    auto_shrink: bool | None = None
    type: Literal["Execution", "Router"] = "Execution"
    image_id: str = ""
    instance_types: list[str] = field(default_factory=list)


@dataclass
class Job:
    """Work of the scheduler, with so many cores on each of its nodes.

    `seconds`: how long it runs; without, until it is ended. `since`: when it began; without, at the start of the
    world.
    """

    id: str
    host_names: list[str] = field(default_factory=list)
    name: str = "job"
    owner: str = "test@scheduler"
    state: Literal["RUNNING", "QUEUED", "FINISHED"] = "RUNNING"
    queue: str = ""
    cores: int = 1
    seconds: float | None = None
    since: float | None = None


@dataclass
class AutoScale:
    """The answer of GetAutoScaleConfig: with `shrink`, nodes that are idle for `idle_times` x `interval_minutes` are removed."""

    grow: bool = False
    shrink: bool = False
    idle_times: int = 3
    interval_minutes: int = 2
    max_nodes: int = 500
    exclude_nodes: list[str] = field(default_factory=list)


@dataclass
class Cluster:
    """An E-HPC cluster. `multi_os` marks a hybrid cluster with several operating systems;
    the default queue is the one of that name, or the first.
    """

    id: str
    vpc_id: str
    image_id: str
    os_tag: str
    name: str = ""
    status: str = "running"
    image_owner_alias: str = "system"
    vswitch_id: str = "vsw-demo"
    zone_id: str = ""
    security_group_id: str = "sg-demo"
    scheduler: str = "pbs"
    deploy_mode: str = "Standard"
    location: str = "PublicCloud"
    multi_os: bool = False
    node_quota: int = 500
    default_queue: str = ""
    create_time: str = "2024-01-01T00:00:00.000Z"
    queues: dict[str, Queue] = field(default_factory=dict, metadata=keyed("name"))
    nodes: dict[str, Node] = field(default_factory=dict, metadata=keyed("id"))
    jobs: dict[str, Job] = field(default_factory=dict, metadata=keyed("id"))
    auto_scale: AutoScale = field(default_factory=AutoScale)

    def __post_init__(self) -> None:
        self.name = self.name or self.id
        self.default_queue = self.default_queue or next(iter(self.queues), "")
        known = {node.host_name for node in self.nodes.values()}
        for job in self.jobs.values():
            absent = set(job.host_names) - known
            if job.state == "RUNNING" and absent:
                raise WorldError(
                    f"job {job.id} runs on {min(absent)}, which is no node of {self.id}"
                )

    def shrinks(self, queue: Queue) -> bool:
        """Whether scale-in removes idle nodes of a queue."""
        return self.auto_scale.shrink if queue.auto_shrink is None else queue.auto_shrink

    @property
    def scales_in(self) -> bool:
        """Whether it does so for any queue."""
        return any(self.shrinks(queue) for queue in self.queues.values())

    def jobs_on(self, node: Node) -> list[Job]:
        """The jobs that run on a node."""
        return [
            job
            for job in self.jobs.values()
            if job.state == "RUNNING" and node.host_name in job.host_names
        ]

    def end_jobs_on(self, node: Node) -> None:
        """End them."""
        for job in self.jobs_on(node):
            job.state = "FINISHED"

    def used(self, node: Node) -> Resources:
        """What is used on a node, by its jobs and by `used`."""
        running = self.jobs_on(node) if self.jobs else []
        cores = sum(job.cores for job in running)
        return replace(node.used, cpu=node.used.cpu + cores) if cores else node.used

    def is_busy(self, node: Node) -> bool:
        """Whether anything is used on it."""
        return self.used(node) != Resources()


@dataclass
class Task:
    """A task of E-HPC. `outcomes` has the nodes that will fail, and how."""

    id: str
    cluster_id: str
    kind: TaskKind
    type: str
    instance_ids: list[str]
    status: str = "Processing"
    request_id: str = ""
    current_step: int = 1
    total_steps: int = 8
    queue: str = ""
    release: bool = False
    listed: bool = True
    names_instances: bool = True
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    failed_status: str | None = None
    failure_text: str = ""
    pace: Pace = INSTANT
    since: float = 0.0
    reads: int = 0

    @property
    def is_open(self) -> bool:
        return self.status == "Processing"


@dataclass
class World:
    """Everything, of one region and one account.

    `tags_per_instance` and `tag_filter_limit` are ECS's limits: how many tags an instance can have, and how many
    instances DescribeInstances finds by tags.
    """

    region: str = "cn-hangzhou"
    account_uid: str = "1609982529920000"
    tags_per_instance: int = 20
    tag_filter_limit: int = 1000
    access_keys: dict[str, AccessKey] = field(default_factory=dict, metadata=keyed("id"))
    images: dict[str, Image] = field(default_factory=dict, metadata=keyed("id"))
    clusters: dict[str, Cluster] = field(default_factory=dict, metadata=keyed("id"))
    instances: dict[str, Instance] = field(default_factory=dict, metadata=keyed("id"))
    tasks: dict[str, Task] = field(default_factory=dict, metadata=keyed("id"))
    knobs: Knobs = field(default_factory=Knobs)
    faults: list[dict[str, Any]] = field(default_factory=list)
    member_of: dict[str, str] = field(init=False, repr=False)
    open_tasks: dict[str, Task] = field(init=False, repr=False)
    moving: dict[str, Instance] = field(init=False, repr=False)
    joining: dict[str, Node] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.access_keys:
            default = AccessKey("emulator-access-key-id", "emulator-access-key-secret")
            self.access_keys[default.id] = default
        self.member_of, self.joining = {}, {}
        for cluster in self.clusters.values():
            for node in cluster.nodes.values():
                if node.id in self.member_of:
                    raise WorldError(f"{node.id} is a node of two clusters")
                self.member_of[node.id] = cluster.id
                if node.active_pace:
                    self.joining[node.id] = node
        self.open_tasks = {task.id: task for task in self.tasks.values() if task.is_open}
        self.moving = {item.id: item for item in self.instances.values() if item.heading}

    @classmethod
    def from_dict(cls, data: object) -> World:
        """Build a world from plain data; errors name the place."""
        return load(cls, data)

    @classmethod
    def from_file(cls, path: str | Path) -> World:
        """Read a YAML or JSON file (JSON is YAML); errors name the file and the place."""
        try:
            return cls.from_dict(_read_yaml(Path(path).read_text(encoding="utf-8")))
        except ValueError as error:  # WorldError, or bytes that are no text
            raise WorldError(f"{path}: {error}") from error

    @classmethod
    def demo(cls) -> World:
        """The world that ships with the package."""
        text = resources.files(__package__ or "").joinpath("demo.yaml").read_text("utf-8")
        return cls.from_dict(_read_yaml(text))

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads again."""
        data: dict[str, Any] = dump(self)
        return data

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @property
    def default_key(self) -> AccessKey:
        """The default key of callers in the same process."""
        return next(iter(self.access_keys.values()))

    def add_node(self, cluster: Cluster, node: Node) -> None:
        """Make an instance a node of a cluster."""
        cluster.nodes[node.id] = node
        self.member_of[node.id] = cluster.id

    def remove_node(self, instance_id: str) -> Node | None:
        """Remove a node, if there is one, and end its jobs."""
        cluster = self.clusters.get(self.member_of.pop(instance_id, ""))
        node = cluster.nodes.pop(instance_id, None) if cluster else None
        if cluster and node:
            cluster.end_jobs_on(node)
            self.joining.pop(instance_id, None)
        return node

    def remove_instance(self, instance_id: str) -> None:
        """Delete an ECS instance."""
        del self.instances[instance_id]
        self.moving.pop(instance_id, None)

    def node(self, instance_id: str) -> Node | None:
        """The node of an instance, if any."""
        cluster = self.clusters.get(self.member_of.get(instance_id, ""))
        return cluster.nodes.get(instance_id) if cluster else None


def _read_yaml(text: str) -> object:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}: pip install 'ehpc-nodes[emulator]'") from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise WorldError(f"{place}{getattr(error, 'problem', error)}") from error
