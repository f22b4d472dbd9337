"""What can be known beforehand to be wrong with a plan. Pure: from what was seen to findings.

The rules are those of the AddExistedNodes page and, for what that page leaves open, of its successor's
(AttachNodes). They stand together, in more lines than other modules have, so that all that a preview refuses
can be read in one go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from ehpc_nodes.api import responses
from ehpc_nodes.errors import listed, permission
from ehpc_nodes.models import Finding

from .images import ImageFacts, system_of
from .snapshot import Changes, Desired, Snapshot

#: More instances than this with the same trouble are told in one finding.
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
    found += _of_consent(snapshot, desired, changes)
    found += _of_instances(snapshot, desired, changes)
    found += _of_types(snapshot, changes)
    found += _of_architecture(snapshot, desired, changes)
    found += _of_host_names(snapshot, changes)
    found += _of_members(snapshot, desired, changes)
    found += _of_jobs(snapshot, desired, changes)
    found += _of_scaling(snapshot, desired, changes)
    return found


def of_instances(snapshot: Snapshot, desired: Desired, changes: Changes) -> list[Finding]:
    """What is wrong with instances whose cluster isn't known; what is right for its nodes is a warning."""
    wrong = [*_of_instances(snapshot, desired, changes, status=False)]
    wrong += _of_host_names(snapshot, changes)
    perhaps = [*_of_instances(snapshot, desired, changes), *_of_consent(snapshot, desired, changes)]
    soft = [replace(found, warning=True) for found in perhaps if found not in wrong]
    return [*snapshot.notes, *wrong, *soft, *_of_types(snapshot, changes)]


def _of_membership(snapshot: Snapshot, desired: Desired) -> Iterable[Finding]:
    """Without these looks an attach can't be: it might wipe what is attached or being attached already."""
    if snapshot.is_wrong_region(desired) or not all(note.warning for note in snapshot.notes):
        return  # the cluster itself can't be used: nothing else was looked at
    for seen, what, action in (
        (snapshot.nodes, "already nodes", "ListNodes"),
        (snapshot.tasks, "being attached now", "ListTasks"),
        (snapshot.instances, "possibly sent by an interrupted run", "DescribeInstances"),
    ):
        if seen is None:
            yield Finding(
                "instance_ids",
                f"cannot check which instances are {what}: permission {permission(action)} is missing. Nothing is"
                " attached, because a second attach would replace the system disk again. Give"
                f" {permission(action)} to the access key's RAM user",
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
            f"cluster {desired.cluster_id} is {cluster.status}, not running: wait until it is",
        )


def _of_queue(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    if not desired.job_queue:
        return
    names = [queue.queue_name for queue in snapshot.queues or ()]
    if snapshot.queues is not None and desired.job_queue not in names:
        import difflib  # late: seldom needed

        near = difflib.get_close_matches(desired.job_queue, names, n=3, cutoff=0.4)
        there = f"there is {listed(names)}" if names else "it has none"
        hint = f"did you mean {listed(near)}?" if near else there
        yield Finding(
            "job_queue",
            f"queue {desired.job_queue!r} does not exist in {desired.cluster_id}: {hint}",
        )
    elif snapshot.in_queue is None and (changes.keep or changes.adopt):
        yield Finding(
            "job_queue",
            f"which nodes are in queue {desired.job_queue!r} can't be seen: give the access key's RAM user the"
            f" permission {permission('ListNodesByQueue')}, or leave job_queue out",
        )


def _of_image(snapshot: Snapshot, desired: Desired) -> Iterable[Finding]:
    if (
        not desired.image_id
        and desired.image_known
        and all(note.warning for note in snapshot.notes)
    ):
        yield Finding(
            "image_id",
            "the cluster's image can't be seen: name an image and its owner alias, or give the access key's"
            f" RAM user the permission {permission('DescribeCluster')}",
        )
    market = desired.image_owner_alias == "marketplace" and desired.image_id
    if market and not snapshot.is_own_image(desired):
        yield Finding(
            "image_id",
            f"marketplace image {desired.image_id} can't be checked: make sure that its system fits the"
            " cluster's",
            warning=True,
        )
    if snapshot.images is None:
        return
    image = snapshot.images.get(desired.image_id)
    if image is None:
        yield _not_listed(snapshot, desired)
        return
    if image.status.lower() != "available":
        yield Finding("image_id", f"image {desired.image_id} is {image.status}, not Available")
    if snapshot.cluster is not None and not snapshot.is_own_image(desired):
        yield from _of_system(image, snapshot.cluster, desired)


def _not_listed(snapshot: Snapshot, desired: Desired) -> Finding:
    """The system images that are listed are those on offer: an old cluster's own may work for longer."""
    if not snapshot.is_own_image(desired):
        return Finding(
            "image_id",
            f"image {desired.image_id} is not among the {desired.image_owner_alias!r} images: check the id"
            " and image_owner_alias",
        )
    gone = f"the cluster's image {desired.image_id} is not among the {desired.image_owner_alias!r} images (any more)"
    if desired.image_owner_alias == "system":
        return Finding(
            "image_id",
            f"{gone}: if E-HPC refuses it (ImageNotFound), name another image and its owner alias",
            warning=True,
        )
    return Finding("image_id", f"{gone}: name another image and its owner alias")


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
        if image.family != family or other_major:  # no answer tells whether the cluster is hybrid
            yield Finding(
                "image_id",
                f"image {desired.image_id} is {image.family} {image.version}, the cluster's system is"
                f" {family} {version}: only a hybrid cluster of several systems takes it",
                warning=True,
            )
            return
    elif known and image.family != family:
        yield Finding(
            "image_id",
            f"image {desired.image_id} is {image.family}, the cluster's system is {family}: choose an"
            f" image of {family}",
        )
        return
    elif known and other_major:
        yield Finding(
            "image_id",
            f"image {desired.image_id} is {image.family} {image.version}, the cluster's is {version}:"
            f" the major version has to be {_major(version)}",
        )
    if not (known and version and image.version):
        whose = "its" if family and version else "the cluster's"
        yield Finding(
            "image_id",
            f"image {desired.image_id} can't be checked, since {whose} system or version isn't told: make sure"
            " that it is of the cluster's system and major version",
            warning=True,
        )


#: Instance type families with Arm processors (Yitian, Ampere): a family's last letter alone doesn't tell.
ARM_FAMILIES = frozenset({"g8y", "c8y", "r8y", "ebmg8y", "ebmc8y", "ebmr8y", "g6r", "c6r", "gn7r"})


def _is_arm(instance_type: str) -> bool:
    """Of a type such as ``ecs.g8y.large`` or ``ecs.gn7r-c16g1.4xlarge``."""
    return re.sub(r"^ecs\.|[.-].*", "", instance_type) in ARM_FAMILIES


def _of_architecture(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    image = (snapshot.images or {}).get(desired.image_id)
    if image is None or not image.architecture:
        return
    arm = image.architecture.lower().startswith(("arm", "aarch"))
    seen = ((i, (snapshot.instances or {}).get(i)) for i in changes.attach)
    unlike = [i for i, x in seen if x and _is_arm(x.instance_type) != arm]
    if unlike:
        yield Finding(
            "image_id",
            f"image {desired.image_id} is for {image.architecture}, but {listed(sorted(map(snapshot.name, unlike)))}"
            f" seem{'s' if len(unlike) == 1 else ''} to have another kind of processor",
            warning=True,
        )


def _major(version: str) -> str:
    return version.partition(".")[0]


def _of_consent(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    if desired.replace_system_disks or not (changes.attach or desired.later):
        return
    if not changes.attach:
        yield Finding(
            "replace_system_disks",
            "attaching replaces system disks, and the instances are not known yet: without"
            " replace_system_disks=True the update refuses those that are no nodes already",
            warning=True,
        )
        return
    names = [snapshot.name(instance_id) for instance_id in changes.attach]
    yield Finding(
        "replace_system_disks",
        f"attaching replaces the system disks of {listed(names)} by {desired.image}: what is on them is lost."
        " Set replace_system_disks=True to allow it",
    )


def _of_instances(
    snapshot: Snapshot, desired: Desired, changes: Changes, *, status: bool = True
) -> Iterable[Finding]:
    """What is wrong with instances to attach: one finding each, above MOST of a kind one for all.

    Args:
        status: whether it matters that an instance isn't Stopped.
    """
    if snapshot.instances is None:
        return
    kinds: dict[str, list[str]] = {}
    for instance_id in changes.attach:
        found = [*_troubles(snapshot, desired, instance_id)]
        found += _of_status(snapshot, desired, changes, instance_id) if status else ()
        for trouble in found:
            kinds.setdefault(trouble, []).append(snapshot.name(instance_id))
    for trouble, names in kinds.items():
        told = names if len(names) <= MOST else [f"each of {listed(names)}"]
        yield from (Finding("instance_ids", f"{name} {trouble}") for name in told)


def _troubles(snapshot: Snapshot, desired: Desired, instance_id: str) -> Iterable[str]:
    instance = (snapshot.instances or {}).get(instance_id)
    if instance is None:
        yield f"does not exist in {desired.region}: check the id and the region"
        return
    if instance_id in snapshot.elsewhere:
        yield f"is in cluster {snapshot.elsewhere[instance_id]}, or on its way there: detach it there first"
    if instance.instance_network_type.lower() == "classic":
        yield "is in the classic network, not in a VPC"
    elif (
        snapshot.cluster and snapshot.cluster.vpc_id and instance.vpc_id != snapshot.cluster.vpc_id
    ):
        yield (
            f"is in {instance.vpc_id or 'no VPC'}, the cluster in {snapshot.cluster.vpc_id}: it has to be"
            " in the same"
        )
    if instance.locks:
        yield f"is locked ({', '.join(instance.locks)}): unlock it first"


def _of_status(
    snapshot: Snapshot, desired: Desired, changes: Changes, instance_id: str
) -> Iterable[str]:
    """Only what is Stopped can be attached, and ECS stops only what is Running."""
    instance = (snapshot.instances or {}).get(instance_id)
    if instance is None or instance.stopped or instance_id in changes.unknown:
        return
    status = instance.status.lower()
    if status in responses.INSTANCE_COMING:
        yield (
            f"is {instance.status}, not Stopped, and can't be stopped yet: wait until it is Running, and run"
            " again"
        )
    elif desired.stop_running:
        return
    elif instance_id in changes.leaving:
        yield (
            "is being detached, and its instance goes on running: wait until it is no node any more, then stop"
            " it, or set stop_running=True"
        )
    elif status == responses.INSTANCE_STOPPING:
        yield f"is {instance.status}, not Stopped yet: wait until it is, and run again"
    else:
        yield f"is {instance.status}, not Stopped: stop it, or set stop_running=True"


def _of_types(snapshot: Snapshot, changes: Changes) -> Iterable[Finding]:
    seen = [(snapshot.instances or {}).get(instance_id) for instance_id in changes.attach]
    types = sorted({instance.instance_type for instance in seen if instance})
    if len(types) > 1:
        yield Finding(
            "instance_ids",
            f"the instances are of several types ({listed(types)}): E-HPC may want one type a call",
            warning=True,
        )


def _of_host_names(snapshot: Snapshot, changes: Changes) -> Iterable[Finding]:
    """Clashes with nodes that stay, and within the set. Nodes that are being detached make room."""
    going = {*changes.detach, *changes.leaving}
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
                f"{instance_id} has the host name {host!r}, which {taken[host]} has too: rename one",
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
                f"{name} is no compute node of {desired.cluster_id} but {roles}: it is never touched;"
                " take it out of the list",
            )
        elif instance_id in there and node.in_status(responses.NODE_FAILED):
            yield Finding(
                "instance_ids",
                f"{name} has the status {node.status}: pulumi up will fail until it is repaired, or taken out"
                " of the list and so detached",
                warning=True,
            )
        elif (
            instance_id in new and desired.image_id and node.image_id not in ("", desired.image_id)
        ):
            yield Finding(
                "image_id",
                f"{name} is attached with image {node.image_id} and is adopted as it is, not"
                f" {desired.image_id}",
                warning=True,
            )


#: What happens to nodes to detach that run jobs, by `busy_nodes`.
_BUSY = {
    "refuse": 'the update refuses to detach nodes that run jobs, unless with busy_nodes="wait" or "detach"',
    "wait": "the update waits until these nodes run no jobs, then detaches them",
    "detach": "the update detaches nodes that run jobs, which end with it",
}


def _of_jobs(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    """Nodes to detach that run jobs: one finding for all."""
    nodes = snapshot.nodes or {}
    busy = [i for i in changes.detach if i in nodes and nodes[i].is_compute and nodes[i].busy]
    if busy:
        told = [f"{snapshot.name(i)} {nodes[i].runs(snapshot.jobs or ())}" for i in busy]
        text = f"{_BUSY[desired.busy_nodes]}: {listed(told, between='; ')}"
        yield Finding("busy_nodes", text, warning=True)


def _of_scaling(snapshot: Snapshot, desired: Desired, changes: Changes) -> Iterable[Finding]:
    """Nodes that come to a queue whose idle nodes scale-in takes: one finding for all."""
    scaling = snapshot.scaling
    if scaling is None or not scaling.shrinks(desired.job_queue):
        return
    taken = sorted({*changes.attach, *changes.adopt} - scaling.excluded)
    if taken:
        where = f"queue {desired.job_queue!r}" if desired.job_queue else "the cluster"
        yield Finding(
            "instance_ids",
            f"{where} scales in: E-HPC removes nodes that are idle for {scaling.idle_minutes} minutes. To keep these, add"
            f" them to ExcludeNodes of the cluster's auto scaling: {listed(taken, between=',')}",
            warning=True,
        )
