"""`AttachedNodes`: what a program writes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

import pulumi
from pulumi.dynamic import Resource, ResourceProvider

if TYPE_CHECKING:
    from .models import State

TYPE = "pulumi-python:dynamic/ehpc:AttachedNodes"
OUTPUTS = ("task_id", "request_id", "tasks", "nodes", "failed", "owner", "generation")


def provider() -> ResourceProvider:
    """The provider, in the plugin's process. Never rename or move: stacks name this in their state."""
    from .provider.dynamic import AttachedNodesProvider

    return AttachedNodesProvider()


def import_entry(resource_name: str, state: State, uid: str) -> dict[str, Any]:
    """A resource in the form of `pulumi import --file`; its outputs replace a read, which the engine cannot call.

    Args:
        state: the result of a refresh.
        uid: that of its nodes' owner tags; a new one if they have none.
    """
    from pulumi.dynamic.dynamic import serialize_provider

    from .models import ResourceId
    from .provider.engine import PROVIDER_KEY
    from .provider.properties import UID, inputs_of

    provider_key = {PROVIDER_KEY: serialize_provider(ProviderByName())}
    return {
        "type": TYPE,
        "name": resource_name,
        "id": str(ResourceId.of(state)),
        "inputs": {**inputs_of(state, {}), UID: uid, **provider_key},
        "outputs": {**state.model_dump(), **provider_key},
    }


class ProviderByName(ResourceProvider):
    """Represents the provider in a program, which never calls it: so its imports are not needed there."""

    serialize_as_secret_always = False

    def __reduce__(self) -> Any:
        return provider, ()


def _without_effect(opts: pulumi.ResourceOptions) -> Iterator[str]:
    """Warnings about options without effect: the engine compares lists and maps as a whole."""
    for path in opts.ignore_changes or ():
        if re.match(r"""(?:\[["'])?instance_ids(?:["']\])?[.\[]""", path):
            yield (
                f"ignore_changes: {path} has no effect, because it is a part of instance_ids. Use instance_ids, or"
                " keep the instance in the list."
            )
    if opts.replace_on_changes:
        from .provider.properties import REPLACING

        for path in opts.replace_on_changes:
            if path not in REPLACING:
                yield (
                    f"replace_on_changes: {path} has no effect: only changes of {', '.join(REPLACING)} replace this"
                    " resource. To replace it now, run pulumi up --replace with its URN."
                )


class AttachedNodes(Resource, module="ehpc", name="AttachedNodes"):
    """A set of existing ECS instances, attached as compute nodes to an E-HPC cluster.

    **Attaching an instance replaces its system disk.** It happens only with `replace_system_disks=True`;
    instances that are nodes of the cluster already are adopted as they are. Removing an instance from the
    set, or the resource from the program, detaches it; the instance stays.

    Args:
        resource_name: the resource's name in the program.
        cluster_id: the cluster, ``ehpc-hz-…``. A change replaces the resource.
        instance_ids: one or more ids, in any order. A change attaches and detaches only the difference.
        image_id: the image that replaces the system disks; the cluster's own by default. A change
            replaces the resource: all nodes are detached and attached again.
        image_owner_alias: ``system``, ``self``, ``others`` or ``marketplace``; ``system`` by default.
        job_queue: the queue of the nodes; by default E-HPC chooses it, and moves are not undone.
        replace_system_disks: allow that attaching replaces system disks: their data is lost.
        stop_running: stop running instances before attaching; by default they are an error.
        busy_nodes: what is done with nodes to detach that run jobs: ``refuse`` (the default), ``wait`` until the jobs end, or
            ``detach`` them, and the jobs are lost.
        retain_ids: ids removed from ``instance_ids`` whose nodes stay attached: they leave this resource, their owner tags are
            removed, and E-HPC is not called.
        take_ownership: adopt nodes of another resource, by their owner tags (it retains them, or no longer exists).
        region: by default the stack config's ``ehpc:region``, then the environment's.
        opts: Pulumi's resource options; ``custom_timeouts`` sets the time limits (by default 60
            minutes for create and update, 30 for delete).

    Raises:
        pulumi.RunError: ``opts`` has ``import_``. A create adopts nodes; an import file restores a state.
    """

    cluster_id: pulumi.Output[str]
    region: pulumi.Output[str]
    image_id: pulumi.Output[str]
    image_owner_alias: pulumi.Output[str]
    job_queue: pulumi.Output[str]
    task_id: pulumi.Output[str]
    """Task of the latest AddExistedNodes call; empty if all nodes were adopted."""
    request_id: pulumi.Output[str]
    """Request of the latest AddExistedNodes call; empty if all nodes were adopted."""
    tasks: pulumi.Output[Sequence[Mapping[str, Any]]]
    """Every write of the last operation: action, task_id, request_id, instance_ids, status, error."""
    nodes: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """By instance id: host_name, private_ip, status, queue, image_id, instance_type, scheduler_state, confirmed_at."""
    failed: pulumi.Output[Mapping[str, Mapping[str, str]]]
    """By instance id: code and reason."""
    owner: pulumi.Output[str]
    """The name on the nodes' owner tags: ``project/stack/name``."""
    generation: pulumi.Output[int]
    """The number of this resource's last run whose results are known."""

    def __init__(
        self,
        resource_name: str,
        *,
        cluster_id: pulumi.Input[str],
        instance_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None,
        image_id: pulumi.Input[str] | None = None,
        image_owner_alias: pulumi.Input[str] | None = None,
        job_queue: pulumi.Input[str] | None = None,
        replace_system_disks: pulumi.Input[bool] = False,
        stop_running: pulumi.Input[bool] = False,
        busy_nodes: pulumi.Input[str] = "refuse",
        retain_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        take_ownership: pulumi.Input[bool] = False,
        region: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        if opts is not None and opts.import_:
            raise pulumi.RunError(
                f"AttachedNodes {resource_name!r} cannot be imported with import_: remove this option, because a create"
                " adopts attached instances. To restore a lost state, run ehpc-nodes program CLUSTER --import-file FILE, then"
                " pulumi import --file FILE."
            )
        if isinstance(instance_ids, (AbstractSet, Iterator)):
            instance_ids = sorted(instance_ids, key=str)  # in any order; a list can be sent
        props = {
            "cluster_id": cluster_id,
            "region": region,
            "instance_ids": instance_ids,
            "image_id": image_id,
            "image_owner_alias": image_owner_alias,
            "job_queue": job_queue,
            "replace_system_disks": replace_system_disks,
            "stop_running": stop_running,
            "busy_nodes": busy_nodes,
            "retain_ids": retain_ids,
            "take_ownership": take_ownership,
            **dict.fromkeys(OUTPUTS),
        }
        super().__init__(ProviderByName(), resource_name, props, opts)
        for text in _without_effect(opts) if opts else ():
            pulumi.log.warn(text, self)

    @property
    def instance_ids(self) -> pulumi.Output[Sequence[str]]:
        """The attached instances, sorted."""
        found: pulumi.Output[Any] = pulumi.get(self, "instance_ids")
        return found.apply(lambda ids: sorted(ids or ()))

    @staticmethod
    def get(
        resource_name: str,
        id: pulumi.Input[str],  # noqa: A002 - Pulumi's own name
        *,
        instance_ids: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        region: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> AttachedNodes:
        """Read nodes without managing them.

        Args:
            resource_name: the name in the program. Do not use the name of a resource that manages nodes: that
                resource would be deleted, and its nodes detached.
            id: a cluster id, or the id of an `AttachedNodes` resource.
            instance_ids: which nodes; by default all compute nodes of the cluster.
            region: as for the resource.
            opts: Pulumi's resource options.
        """
        from .models import ResourceId

        return AttachedNodes(
            resource_name,
            cluster_id=pulumi.Output.from_input(id).apply(
                lambda text: ResourceId.parse(str(text or "")).cluster_id
            ),
            instance_ids=instance_ids,
            region=region,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(id=id)),
        )
