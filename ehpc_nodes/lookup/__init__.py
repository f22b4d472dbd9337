"""Lists for people and programs: clusters, queues, images, nodes, tasks, candidates.

    from ehpc_nodes import lookup

    for cluster in lookup.clusters():
        print(cluster.cluster_id, cluster.status)

Read-only. Each function returns frozen values; lists are complete. Region, endpoints and credentials are those of
the resource: in a Pulumi program from the stack config, then the environment (in a preview, too); in a script from
the environment. ``connect`` makes a client to share, or one for another region.

Every function raises ConfigError if a setting or an argument is missing or wrong, ApiError if the service answers with
an error (``AuthError.forbidden``: the permission is missing), TransportError if there is no usable answer. In a Pulumi
program the error is also a ``pulumi.RunError``, which Pulumi shows in one line, without a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

from ehpc_nodes import preflight
from ehpc_nodes.api import connect as connection
from ehpc_nodes.api import responses, settings
from ehpc_nodes.api.client import Client
from ehpc_nodes.clock import Deadline, RealClock
from ehpc_nodes.errors import ConfigError, EhpcError, TransportError, listed
from ehpc_nodes.models import Finding
from ehpc_nodes.preflight.images import ImageFacts
from ehpc_nodes.preflight.snapshot import Changes, Desired, Snapshot
from ehpc_nodes.reconcile.observer import members_of_others
from ehpc_nodes.reconcile.owner_tags import owner_name

from .views import Candidate, Cluster, Image, Node, Queue, Task

__all__ = [
    "Candidate",
    "Cluster",
    "Image",
    "Node",
    "Queue",
    "Task",
    "candidates",
    "clusters",
    "connect",
    "images",
    "nodes",
    "queues",
    "tasks",
]

P = ParamSpec("P")
T = TypeVar("T")

#: After how many seconds a client ends.
LOOK_SECONDS = 300.0


# -- settings and errors --------------------------------------------------------------------------


def _for_people(function: Callable[P, T]) -> Callable[P, T]:
    """In a Pulumi program, errors of the function are shown in one line, without the program's traceback.

    An argument of a wrong type, such as an Output, is an error.
    """
    known = signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = known.bind(*args, **kwargs)
        given = bound.arguments
        try:
            for name, value in given.items():
                _refuse_unusable(function.__name__, known.parameters[name], value)
            given.update({n: v.strip() for n, v in given.items() if isinstance(v, str)})
            return function(*bound.args, **bound.kwargs)
        except EhpcError as error:
            pulumi = _pulumi()
            if pulumi is not None:
                error.__class__ = _also(type(error), pulumi.RunError)
            raise

    return call


def _refuse_unusable(function: str, parameter: Parameter, value: object) -> None:
    name = parameter.name
    pulumi = _pulumi()
    if pulumi is not None and isinstance(value, pulumi.Output):
        raise ConfigError(
            f"lookup.{function}: {name} is an Output, which has no value yet. Call it inside apply:"
            f" output.apply(lambda value: lookup.{function}({name}=value))."
        )
    not_given = value is None and parameter.default == ""
    if parameter.annotation == "str" and not isinstance(value, str) and not not_given:
        found = "None" if value is None else f"of type {type(value).__name__}"
        raise ConfigError(f"lookup.{function}: {name} is {found}; it must be a str.")


def _also(kind: type[EhpcError], other: type[Exception]) -> type[EhpcError]:
    """The error's class with a second base: `except` with either class catches it."""
    return kind if issubclass(kind, other) else type(kind.__name__, (kind, other), {})


def _pulumi() -> Any:
    """Pulumi's SDK if it is loaded, as in every Pulumi program; a script does not load it."""
    return sys.modules.get("pulumi")


def _stack_config(key: str) -> str | None:
    pulumi = _pulumi()
    namespace, _, name = key.partition(":")
    value: str | None = pulumi.Config(namespace).get(name) if pulumi else None
    return value


@_for_people
def connect(*, region: str = "") -> Client:
    """A client from the settings, for several lookups or another region than the one that is set.

    It can be used for five minutes.
    """
    found = settings.resolve(_stack_config, os.environ, region=region)
    return connection.connect(found, Deadline.after(RealClock(), LOOK_SECONDS))


# -- what there is --------------------------------------------------------------------------------


@_for_people
def clusters(*, client: Client | None = None) -> list[Cluster]:
    """The clusters of the region, by id."""
    found = (client or connect()).list_clusters()
    return sorted(map(Cluster.of, found), key=lambda cluster: cluster.cluster_id)


@_for_people
def queues(cluster_id: str, *, client: Client | None = None) -> list[Queue]:
    """The queues of a cluster, by name."""
    found = (client or connect()).list_queues(cluster_id)
    return sorted((Queue(q.queue_name, q.enable_auto_grow) for q in found), key=lambda q: q.name)


@_for_people
def images(cluster_id: str = "", *, client: Client | None = None) -> list[Image]:
    """The system's and the account's images, and those shared with it; no API lists marketplace images.

    Args:
        cluster_id: only images that fit this cluster's nodes: Available, of the operating system and major
            version that preview accepts.
    """
    client = client or connect()
    found = [Image.of(image, "system") for image in client.list_system_images()]
    for alias in ("self", "others"):
        found += [Image.of(image, alias) for image in client.list_custom_images(alias)]
    cluster = client.describe_cluster(cluster_id) if cluster_id else None
    return [image for image in found if cluster is None or _image_fits(cluster, image)]


@_for_people
def nodes(
    cluster_id: str,
    *,
    queue: str = "",
    compute_only: bool = True,
    client: Client | None = None,
) -> list[Node]:
    """The nodes of a cluster, by host name; an `AttachedNodes` can adopt them.

    Args:
        queue: only the nodes of this queue; ConfigError if the cluster has no such queue.
        compute_only: False: manager and login nodes too.
    """
    client = client or connect()
    found = client.list_nodes(cluster_id)
    names = [q.queue_name for q in client.list_queues(cluster_id)]
    if queue and queue not in names:
        raise ConfigError(
            f"Queue {queue!r} does not exist in {cluster_id}: the cluster has {listed(names)}."
        )
    names = [queue] if queue else names
    queue_of = {
        node.id: name for name in names for node in client.list_queue_nodes(cluster_id, name)
    }
    rows = [
        Node.of(node, queue_of.get(node.id, ""))
        for node in found
        if (node.is_compute or not compute_only) and (not queue or node.id in queue_of)
    ]
    return sorted(rows, key=lambda node: (node.host_name, node.instance_id))


@_for_people
def tasks(cluster_id: str, *, history: bool = False, client: Client | None = None) -> list[Task]:
    """The tasks of a cluster, in E-HPC's order.

    Args:
        history: ended tasks too, as long as E-HPC keeps them.
    """
    client = client or connect()
    found = client.list_tasks(cluster_id) if history else client.list_running_tasks(cluster_id)
    return [Task.of(task) for task in found]


@_for_people
def candidates(
    cluster_id: str,
    *,
    stop_running: bool = False,
    unfit: bool = False,
    client: Client | None = None,
) -> list[Candidate]:
    """Instances that could be attached to a cluster, all of them in one call, by host name.

    These are preview's own rules: a candidate is Stopped, in the cluster's VPC, in no cluster of the region and in no
    running task, without a lock and without an owner tag; its host name differs from those of the other candidates and
    of the cluster's nodes. A cluster that is not running has no candidates. An attached candidate is no longer one: a
    program with candidates alone as ``instance_ids`` detaches them at the next run. Write the ids into the program, or
    add those of `nodes`.

    Args:
        stop_running: running instances too, as for a resource with ``stop_running=True``.
        unfit: also the instances that cannot be attached, with the reasons (also those about the cluster).
    """
    client = client or connect()
    cluster = client.describe_cluster(cluster_id)
    members = {node.id: node for node in client.list_nodes(cluster_id)}
    elsewhere, unlisted = members_of_others(client, cluster_id, cluster.vpc_id)
    if unlisted:
        raise TransportError("ListNodes", f"the nodes of {listed(unlisted)} cannot be listed")
    snapshot = Snapshot(
        cluster=cluster,
        nodes=dict(members),
        tasks=client.list_running_tasks(cluster_id),
        instances={i.instance_id: i for i in client.instances_in_vpc(cluster.vpc_id)},
        elsewhere=elsewhere,
    )
    desired = Desired(cluster_id, replace_system_disks=True, stop_running=stop_running)
    free = [i for i in (snapshot.instances or {}).values() if i.instance_id not in members]
    found = []
    for instance in sorted(free, key=lambda i: (i.host_name, i.instance_id)):
        reasons = _reasons(snapshot, desired, instance.instance_id)
        found.append(Candidate.of(instance, reasons))
        if not reasons and snapshot.nodes is not None:  # its host name is taken for the next ones
            snapshot.nodes[instance.instance_id] = responses.Node(
                id=instance.instance_id, host_name=instance.host_name
            )
    return [candidate for candidate in found if unfit or candidate.fits]


# -- what fits: preview's rules --------------------------------------------------------------------


def _reasons(snapshot: Snapshot, desired: Desired, instance_id: str) -> tuple[str, ...]:
    """Why an instance cannot be attached: preview's errors for this instance alone.

    The program chooses the image.
    """
    if instance_id in snapshot.attaching:
        return ("is being attached by a running task",)
    owner = owner_name((snapshot.instances or {})[instance_id])
    if owner:
        return (f"has the owner tag of {owner!r}",)
    found = preflight.findings(snapshot, desired, Changes(attach=(instance_id,)))
    name = snapshot.name(instance_id)
    errors = (*_errors(found, "cluster_id"), *_errors(found, "instance_ids"))
    return tuple(text.removeprefix(f"{name} ").removeprefix(f"{instance_id} ") for text in errors)


def _image_fits(cluster: responses.Cluster, image: Image) -> bool:
    """Whether preview would accept the image, for any instance."""
    facts = ImageFacts(image.family, image.version, image.architecture, image.status)
    snapshot = Snapshot(cluster=cluster, nodes={}, instances={}, images={image.image_id: facts})
    desired = Desired(cluster.id, "", image.image_id, image.owner_alias, replace_system_disks=True)
    found = preflight.findings(snapshot, desired, Changes(attach=("any",)))
    return not _errors(found, "image_id")


def _errors(findings: Iterable[Finding], property_: str) -> tuple[str, ...]:
    """The errors about one input, without warnings."""
    return tuple(f.reason for f in findings if f.property == property_ and not f.warning)
