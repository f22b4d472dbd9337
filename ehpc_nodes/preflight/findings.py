"""What is wrong with a plan, as known before the first write. Pure: from what was read to findings.

The rules are those of the AddExistedNodes page; where it is silent, those of its successor, AttachNodes. All rules
of a preview are in this one module, so that they can be read together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from ehpc_nodes.api import responses
from ehpc_nodes.errors import listed, permission
from ehpc_nodes.models import Finding

from .images import ImageFacts, system_of
from .snapshot import Changes, Desired, Snapshot

#: An instance that expires within so many seconds is a finding.
SOON = 30 * 86_400.0
#: More instances than this with the same problem share one finding.
MOST = 10


def findings(snapshot: Snapshot, desired: Desired, changes: Changes) -> list[Finding]:
    """Everything that is wrong with the changes, at once."""
    found = [
        *snapshot.notes,
        *_of_cluster(snapshot, desired),
        *_of_queue(snapshot, desired, changes),
    ]
    if changes.attach:
        found += _of_membership(snapshot, desired)
    if changes.attach or desired.later:
        found += _of_image(snapshot, desired)
    found += _of_opt_in(snapshot, desired, changes)
    found += _of_instances(snapshot, desired, changes)
    found += _of_types(snapshot, changes)
    found += _of_architecture(snapshot, desired, changes)
    found += _of_host_names(snapshot, changes)
    found += _of_members(snapshot, desired, changes)
    found += _of_jobs(snapshot, desired, changes)
    found += _of_scaling(snapshot, desired, changes)
    found += _of_lifetimes(snapshot, changes)
    return found


def of_instances(snapshot: Snapshot, desired: Desired, changes: Changes) -> list[Finding]:
    """The findings if the cluster is not known yet; what would be right for one of its nodes is a warning."""
    wrong = [*_of_instances(snapshot, desired, changes, status=False)]
    wrong += _of_host_names(snapshot, changes)
    may_be = [*_of_instances(snapshot, desired, changes), *_of_opt_in(snapshot, desired, changes)]
    soft = [replace(found, warning=True) for found in may_be if found not in wrong]
    last = [*_of_types(snapshot, changes), *_of_lifetimes(snapshot, changes)]
    return [*snapshot.notes, *wrong, *soft, *last]


def _of_membership(snapshot: Snapshot, desired: Desired) -> Iterable[Finding]:
    """The reads that an attach needs: without them it could replace the disk of a node, or of a node to be."""
    if snapshot.is_wrong_region(desired) or not all(note.warning for note in snapshot.notes):
        return  # the cluster itself cannot be used: nothing else was read
    for read, what, action in (
        (snapshot.nodes, "already nodes", "ListNodes"),
        (snapshot.tasks, "being attached now", "ListTasks"),
        (snapshot.instances, "possibly sent by an interrupted run", "DescribeInstances"),
    ):
        if read is None:
            yield Finding(
                "instance_ids",
                f"cannot check which instances are {what}: permission {permission(action)} is missing. Give it to"
                " the access key's RAM user; until then nothing is attached, because a second attach would replace the"
                " system disk again",
            )


def _of_cluster(snapshot: Snapshot, desired: Desired) -> Iterable[Finding]:
    cluster = snapshot.cluster
    if cluster is None:
        return
    if snapshot.is_wrong_region(desired):
        yield Finding(
            "region",
            f"cluster {desired.cluster_id} is in {cluster.region_id}, not in {desired.region}: set the region",
        )
    if cluster.status and cluster.status.lower() != "running":
        yield Finding(
            "cluster_id",
            f"cluster {desired.cluster_id} is {cluster.status}, not running: wait until it is running",
        )


def _of_queue(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    if not desired.job_queue:
        return
    names = [queue.queue_name for queue in snapshot.queues or ()]
    if snapshot.queues is not None and desired.job_queue not in names:
        import difflib  # late: seldom needed

        near = difflib.get_close_matches(desired.job_queue, names, n=3, cutoff=0.4)
        there = f"the cluster has {listed(names)}" if names else "the cluster has no queue"
        hint = f"did you mean {listed(near)}?" if near else there
        yield Finding(
            "job_queue",
            f"queue {desired.job_queue!r} does not exist in {desired.cluster_id}: {hint}",
        )
    elif snapshot.in_queue is None and (changes.keep or changes.adopt):
        yield Finding(
            "job_queue",
            f"cannot check which nodes are in queue {desired.job_queue!r}. Give the access key's RAM user the"
            f" permission {permission('ListNodesByQueue')}, or remove job_queue",
        )


def _of_image(snapshot: Snapshot, desired: Desired) -> Iterable[Finding]:
    if (
        not desired.image_id
        and desired.image_known
        and all(note.warning for note in snapshot.notes)
    ):
        yield Finding(
            "image_id",
            "the cluster's image is not known. Set image_id and image_owner_alias, or give the access key's"
            f" RAM user the permission {permission('DescribeCluster')}",
        )
    market = desired.image_owner_alias == "marketplace" and desired.image_id
    if market and not snapshot.is_own_image(desired):
        yield Finding(
            "image_id",
            f"marketplace image {desired.image_id} cannot be checked. Make sure that its operating system fits"
            " the cluster",
            warning=True,
        )
    if snapshot.images is None:
        return
    image = snapshot.images.get(desired.image_id)
    if image is None:
        yield _not_listed(snapshot, desired)
        return
    if image.status.lower() != "available":
        yield Finding(
            "image_id",
            f"image {desired.image_id} is {image.status}, not Available: wait until it is, or set another image_id",
        )
    if snapshot.cluster is not None and not snapshot.is_own_image(desired):
        yield from _of_system(image, snapshot.cluster, desired)


def _not_listed(snapshot: Snapshot, desired: Desired) -> Finding:
    """E-HPC lists the system images that it offers today: an old cluster's own may still work."""
    if not snapshot.is_own_image(desired):
        return Finding(
            "image_id",
            f"image {desired.image_id} is not among the {desired.image_owner_alias!r} images. Check image_id, and"
            " image_owner_alias: 'self' for your own images, 'others' for shared ones",
        )
    gone = f"the cluster's image {desired.image_id} is not among the {desired.image_owner_alias!r} images."
    if desired.image_owner_alias == "system":
        return Finding(
            "image_id",
            f"{gone} If E-HPC rejects it (ImageNotFound), set another image_id and image_owner_alias",
            warning=True,
        )
    return Finding("image_id", f"{gone} Set another image_id and image_owner_alias")


def _of_system(
    image: ImageFacts, cluster: responses.Cluster, desired: Desired
) -> Iterable[Finding]:
    tag = cluster.os_tag or cluster.base_os_tag
    if tag and image.os_tag.lower() == tag.lower():
        return
    family, version = system_of("", "", tag)
    other_major = bool(version and image.version) and _major(image.version) != _major(version)
    known = family and image.family
    if known and family == "windows" and image.family in ("windows", "centos"):
        if image.family != family or other_major:  # no answer shows whether the cluster is hybrid
            yield Finding(
                "image_id",
                f"image {desired.image_id} is {image.family} {image.version}, but the cluster is {family}"
                f" {version}. Only a hybrid cluster with several operating systems accepts it",
                warning=True,
            )
            return
    elif known and image.family != family:
        yield Finding(
            "image_id",
            f"image {desired.image_id} is {image.family}, but the cluster is {family}. Set an image_id of"
            f" {family}",
        )
        return
    elif known and other_major:
        yield Finding(
            "image_id",
            f"image {desired.image_id} is {image.family} {image.version}, but the cluster is {family} {version}."
            f" Set an image_id of {family} {_major(version)}",
        )
    if not (known and version and image.version):
        whose = "its" if family and version else "the cluster's"
        yield Finding(
            "image_id",
            f"image {desired.image_id} cannot be checked, because {whose} operating system or version is not"
            " known. Make sure that it has the cluster's operating system and major version",
            warning=True,
        )


#: Instance type families with Arm processors (Yitian, Ampere): a family's last letter alone does not show it.
ARM_FAMILIES = frozenset({"g8y", "c8y", "r8y", "ebmg8y", "ebmc8y", "ebmr8y", "g6r", "c6r", "gn7r"})


def _is_arm(instance_type: str) -> bool:
    """Whether an instance type, such as ``ecs.g8y.large`` or ``ecs.gn7r-c16g1.4xlarge``, is an Arm type."""
    return re.sub(r"^ecs\.|[.-].*", "", instance_type) in ARM_FAMILIES


def _of_architecture(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    image = (snapshot.images or {}).get(desired.image_id)
    if image is None or not image.architecture:
        return
    arm = image.architecture.lower().startswith(("arm", "aarch"))
    instances = ((i, (snapshot.instances or {}).get(i)) for i in changes.attach)
    unlike = [i for i, x in instances if x and _is_arm(x.instance_type) != arm]
    if unlike:
        yield Finding(
            "image_id",
            f"image {desired.image_id} is for {image.architecture}, but {listed(sorted(map(snapshot.name, unlike)))}"
            f" seem{'s' if len(unlike) == 1 else ''} to have another processor architecture",
            warning=True,
        )


def _major(version: str) -> str:
    return version.partition(".")[0]


def _of_opt_in(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    if desired.replace_system_disks or not (changes.attach or desired.later):
        return
    if not changes.attach:
        yield Finding(
            "replace_system_disks",
            "the instances are not known yet. Without replace_system_disks=True the update refuses each one"
            " that is not a node already, because attaching replaces its system disk",
            warning=True,
        )
        return
    names = [snapshot.name(instance_id) for instance_id in changes.attach]
    yield Finding(
        "replace_system_disks",
        f"attaching replaces the system disks of {listed(names)} by {desired.image}, and their data is lost."
        " Set replace_system_disks=True to allow this",
    )


def _of_instances(
    snapshot: Snapshot, desired: Desired, changes: Changes, *, status: bool = True
) -> Iterable[Finding]:
    """What is wrong with instances to attach: one finding each, above MOST of a kind one for all.

    Args:
        status: whether it matters that an instance is not Stopped.
    """
    if snapshot.instances is None:
        return
    kinds: dict[str, list[str]] = {}
    for instance_id in changes.attach:
        found = [*_problems(snapshot, desired, instance_id)]
        found += _of_status(snapshot, desired, changes, instance_id) if status else ()
        for problem in found:
            kinds.setdefault(problem, []).append(snapshot.name(instance_id))
    for problem, names in kinds.items():
        shown = names if len(names) <= MOST else [f"each of {listed(names)}"]
        yield from (Finding("instance_ids", f"{name} {problem}") for name in shown)


def _problems(snapshot: Snapshot, desired: Desired, instance_id: str) -> Iterable[str]:
    instance = (snapshot.instances or {}).get(instance_id)
    if instance is None:
        yield f"does not exist in {desired.region}: check the id and the region"
        return
    if instance_id in snapshot.elsewhere:
        yield (
            f"is a node of cluster {snapshot.elsewhere[instance_id]}, or is being attached to it: detach it there"
            " first"
        )
    if instance.instance_network_type.lower() == "classic":
        yield "is in the classic network, not in the cluster's VPC"
    elif (
        snapshot.cluster and snapshot.cluster.vpc_id and instance.vpc_id != snapshot.cluster.vpc_id
    ):
        yield (
            f"is in {instance.vpc_id or 'no VPC'}, but the cluster is in {snapshot.cluster.vpc_id}. Both must be in"
            " the same VPC"
        )
    if instance.locks:
        yield f"is locked ({', '.join(instance.locks)}): unlock it first"


def _of_status(
    snapshot: Snapshot, desired: Desired, changes: Changes, instance_id: str
) -> Iterable[str]:
    """Only a Stopped instance can be attached, and ECS stops only a Running one."""
    instance = (snapshot.instances or {}).get(instance_id)
    if instance is None or instance.stopped or instance_id in changes.unknown:
        return
    status = instance.status.lower()
    if status in responses.INSTANCE_COMING:
        yield (
            f"is {instance.status}, not Stopped, and cannot be stopped yet: wait until it is Running, then run"
            " again"
        )
    elif desired.stop_running:
        return
    elif instance_id in changes.detaching:
        yield (
            "is being detached, and is not Stopped. Wait until it is no longer a node, then stop it; or set"
            " stop_running=True"
        )
    elif status == responses.INSTANCE_STOPPING:
        yield f"is {instance.status}, not Stopped yet: wait until it is Stopped, then run again"
    else:
        yield f"is {instance.status}, not Stopped: stop it, or set stop_running=True"


def _of_types(snapshot: Snapshot, changes: Changes) -> Iterable[Finding]:
    instances = [(snapshot.instances or {}).get(instance_id) for instance_id in changes.attach]
    types = sorted({instance.instance_type for instance in instances if instance})
    if len(types) > 1:
        yield Finding(
            "instance_ids",
            f"the instances have several types ({listed(types)}), and E-HPC may accept only one type in a call",
            warning=True,
        )


def _of_host_names(snapshot: Snapshot, changes: Changes) -> Iterable[Finding]:
    """Clashes with nodes that stay, and within the set. Nodes that are being detached make room."""
    going = {*changes.detach, *changes.detaching}
    taken = {
        node.host_name.lower(): f"node {node.id}"
        for node in (snapshot.nodes or {}).values()
        if node.host_name and node.id not in going
    }
    for instance_id in changes.attach:
        instance = (snapshot.instances or {}).get(instance_id)
        host = instance.host_name.lower() if instance else ""
        if host and host in taken:
            yield Finding(
                "instance_ids",
                f"{instance_id} has the same host name as {taken[host]}, {host!r}: rename one of them",
            )
        elif host:
            taken[host] = instance_id


def _of_members(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    there, new = {*changes.keep, *changes.adopt}, {*changes.adopt, *changes.wait}
    for instance_id in (*changes.keep, *changes.adopt, *changes.wait, *changes.detach):
        node = (snapshot.nodes or {}).get(instance_id)
        if node is None:
            continue
        name = snapshot.name(instance_id)
        if not node.is_compute:
            roles = ", ".join(node.roles.role)
            yield Finding(
                "instance_ids",
                f"{name} is not a compute node of {desired.cluster_id} but {roles}, and is never changed."
                f" {'Add it to retain_ids' if instance_id in changes.detach else 'Remove it from instance_ids'}",
            )
        elif instance_id in there and node.in_status(responses.NODE_FAILED):
            yield Finding(
                "instance_ids",
                f"{name} has the status {node.status}, and pulumi up fails until this changes. Repair it in the"
                " console, or remove it from instance_ids to detach it",
                warning=True,
            )
        elif (
            instance_id in new and desired.image_id and node.image_id not in ("", desired.image_id)
        ):
            yield Finding(
                "image_id",
                f"{name} was attached with image {node.image_id}, not {desired.image_id}. It is adopted as it is:"
                " its system disk is kept",
                warning=True,
            )


#: What happens to nodes to detach that run jobs, by `busy_nodes`.
_BUSY = {
    "refuse": (
        'pulumi up fails until the jobs end. Wait for them, or set busy_nodes="wait" (the update waits for them) or'
        ' "detach" (the jobs are lost)'
    ),
    "wait": "The update waits until the jobs end, then detaches the nodes",
    "detach": "The update detaches the nodes, and these jobs are lost",
}


def _of_jobs(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    """Nodes to detach that run jobs: one finding for all."""
    nodes = snapshot.nodes or {}
    busy = [i for i in changes.detach if i in nodes and nodes[i].is_compute and nodes[i].busy]
    if busy:
        names = [f"{snapshot.name(i)} {nodes[i].runs(snapshot.jobs or ())}" for i in busy]
        text = f"{listed(names, between='; ')}. {_BUSY[desired.busy_nodes]}"
        yield Finding("busy_nodes", text, warning=True)


def _of_scaling(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    """Nodes to add to a queue with scale-in, which removes idle nodes: one finding for all."""
    scaling = snapshot.scaling
    if scaling is None or not scaling.shrinks(desired.job_queue):
        return
    taken = sorted({*changes.attach, *changes.adopt} - scaling.excluded)
    if taken:
        where = f"queue {desired.job_queue!r}" if desired.job_queue else "the cluster"
        yield Finding(
            "instance_ids",
            f"{where} scales in: E-HPC removes nodes that are idle for {scaling.idle_minutes} minutes. To keep these, add"
            f" them to ExcludeNodes in the cluster's auto scaling: {listed(taken, between=',')}",
            warning=True,
        )


def _of_lifetimes(snapshot: Snapshot, changes: Changes) -> Iterable[Finding]:
    """Spot instances, and those that expire soon, among the nodes to add: one finding for all."""
    ending = []
    for instance_id in (*changes.attach, *changes.adopt):
        instance = (snapshot.instances or {}).get(instance_id)
        if instance and instance.spot:
            ending.append(f"{snapshot.name(instance_id)} is a spot instance")
        elif instance and (instance.expires_at or math.inf) - snapshot.read_at <= SOON:
            ending.append(f"{snapshot.name(instance_id)} expires on {instance.expired_time[:10]}")
    if ending:
        text = f"ECS may release some instances, and their nodes are then lost: {listed(ending)}"
        yield Finding("instance_ids", text, warning=True)
