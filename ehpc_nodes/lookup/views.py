"""The results of lookups: frozen values, made from the API's answers."""

from __future__ import annotations

from dataclasses import dataclass

from ehpc_nodes.api import responses
from ehpc_nodes.preflight.images import image_facts


@dataclass(frozen=True)
class Cluster:
    """A cluster of the region.

    Attributes:
        computes: how many compute nodes it has; of these, `running`, `failed`, `stopped` and `changing`.
        image_id, image_owner_alias: the image of nodes if a program sets none.
    """

    cluster_id: str
    name: str
    status: str
    region: str
    vpc_id: str
    image_id: str
    image_owner_alias: str
    os_tag: str
    scheduler: str
    computes: int
    running: int
    failed: int
    stopped: int
    changing: int

    @classmethod
    def of(cls, cluster: responses.ClusterSummary) -> Cluster:
        """From an entry of ListClusters."""
        return cls(
            cluster_id=cluster.id,
            name=cluster.name,
            status=cluster.status,
            region=cluster.region_id,
            vpc_id=cluster.vpc_id,
            image_id=cluster.image_id,
            image_owner_alias=cluster.image_owner_alias,
            os_tag=cluster.os_tag or cluster.base_os_tag,
            scheduler=cluster.scheduler_type,
            computes=cluster.computes.total,
            running=cluster.computes.normal_count,
            failed=cluster.computes.exception_count,
            stopped=cluster.computes.stopped_count,
            changing=cluster.computes.operating_count,
        )


@dataclass(frozen=True)
class Queue:
    """A queue of a cluster. `auto_grow`: E-HPC may add nodes to it by itself."""

    name: str
    auto_grow: bool


@dataclass(frozen=True)
class Image:
    """An image for nodes.

    Attributes:
        owner_alias: ``system``, ``self`` or ``others``: the resource's image_owner_alias.
        family, version: of its operating system, lower case: ``centos``, ``7.6``.
        status: ``Available`` if it can be used.
    """

    image_id: str
    owner_alias: str
    name: str
    family: str
    version: str
    architecture: str
    status: str

    @classmethod
    def of(cls, image: responses.SystemImage | responses.CustomImage, alias: str) -> Image:
        """From an entry of ListImages, or of ListCustomImages of this owner alias."""
        facts = image_facts(image)
        name = image.image_name if isinstance(image, responses.CustomImage) else ""
        return cls(
            image_id=image.image_id,
            owner_alias=alias,
            name=name,
            family=facts.family,
            version=facts.version,
            architecture=facts.architecture,
            status=facts.status,
        )


@dataclass(frozen=True)
class Node:
    """A node of a cluster.

    Attributes:
        status: E-HPC's value: ``running``, ``uninit``, ``initing``, ``exception``, ``stopped``, ``releasing``.
        queue: empty if it is in none.
        roles: E-HPC's values (``Compute``, ``Login``, …).
        busy: whether jobs use it.
    """

    instance_id: str
    host_name: str
    private_ip: str
    status: str
    queue: str
    image_id: str
    image_owner_alias: str
    instance_type: str
    roles: tuple[str, ...]
    busy: bool

    @classmethod
    def of(cls, node: responses.Node, queue: str) -> Node:
        """From an entry of ListNodes."""
        return cls(
            instance_id=node.id,
            host_name=node.host_name,
            private_ip=node.ip_address,
            status=node.status,
            queue=queue,
            image_id=node.image_id,
            image_owner_alias=node.image_owner_alias,
            instance_type=node.instance_type,
            roles=tuple(node.roles.role),
            busy=node.busy,
        )


@dataclass(frozen=True)
class Task:
    """A task of E-HPC.

    Attributes:
        status: E-HPC's value: ``Processing``, ``Success``, ``PartialFail``, ``Failed`` or ``Fail``.
        over: whether it has ended, with success or not.
        step, steps: its progress, as E-HPC counts it.
        instance_ids: the instances in its result.
        errors: why it failed; empty: it did not fail.
    """

    task_id: str
    type: str
    status: str
    over: bool
    step: int
    steps: int
    instance_ids: tuple[str, ...]
    errors: str

    @classmethod
    def of(cls, task: responses.Task) -> Task:
        """From an entry of ListTasks."""
        failed = task.over and task.status.lower() not in responses.TASK_SUCCESS
        return cls(
            task_id=task.task_id,
            type=task.task_type,
            status=task.status,
            over=task.over,
            step=task.current_step,
            steps=task.total_steps,
            instance_ids=tuple(sorted(task.instance_ids)),
            errors=task.reason if failed else "",
        )


@dataclass(frozen=True)
class Candidate:
    """An instance in a cluster's VPC that is in no cluster.

    Attributes:
        reasons: why it cannot be attached as it is, each a sentence about it (``is Running, …``) or about the
            cluster (``cluster ehpc-… is stopped, …``); empty: it can be.
    """

    instance_id: str
    host_name: str
    private_ip: str
    status: str
    instance_type: str
    image_id: str
    reasons: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it can be attached."""
        return not self.reasons

    @classmethod
    def of(cls, instance: responses.Instance, reasons: tuple[str, ...]) -> Candidate:
        """From an entry of DescribeInstances."""
        return cls(
            instance_id=instance.instance_id,
            host_name=instance.host_name,
            private_ip=instance.private_ip,
            status=instance.status,
            instance_type=instance.instance_type,
            image_id=instance.image_id,
            reasons=reasons,
        )
