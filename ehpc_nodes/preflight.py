"""What can be known before anything is written: looks with read-only calls, and says what is wrong.

`look` asks the API; `findings` is pure. The rules are those of the AddExistedNodes page and, for what that
page leaves open, of its successor's (AttachNodes).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from . import wire
from .errors import AuthError, ClusterNotFoundError, listed, permission
from .models import Finding
from .operation import ATTACHING_KEY, TAG_KEY, Cloud
from .plan import Plan

T = TypeVar("T")


@dataclass(frozen=True)
class Wish:
    """What preflight needs of the inputs; anything may still be empty, as not known yet.

    Attributes:
        image_known: False where an image is named whose id comes later; an empty id is the cluster's own.
    """

    cluster_id: str = ""
    region: str = ""
    image_id: str = ""
    image_owner_alias: str = ""
    job_queue: str = ""
    replace_system_disks: bool = False
    stop_running: bool = False
    detach_busy: bool = False
    image_known: bool = True

    @property
    def image(self) -> str:
        """The image, for people."""
        if not self.image_known:
            return "an image that is not known yet"
        return self.image_id or "the cluster's image"


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image; empty texts are not known."""

    family: str
    version: str
    architecture: str
    status: str = "Available"


@dataclass
class Sight:
    """What was seen. None: not looked at, or not allowed to (then ``notes`` says so).

    Attributes:
        marked: instances that carry this resource's mark.
        begun: of these, the ones that an interrupted run announced to be attached.
    """

    cluster: wire.Cluster | None = None
    nodes: dict[str, wire.Node] | None = None
    tasks: list[wire.Task] | None = field(default_factory=list)
    instances: dict[str, wire.Instance] | None = None
    marked: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    queues: list[wire.Queue] | None = None
    images: dict[str, ImageFacts] | None = None
    notes: list[Finding] = field(default_factory=list)

    @property
    def attaching(self) -> set[str]:
        """Instances that a running task names."""
        return set().union(*(t.instance_ids for t in self.tasks or () if t.may_attach))

    def queue_may_exist(self, name: str) -> bool:
        """Whether a queue is named that isn't known not to be there."""
        return bool(name) and (self.queues is None or name in {q.queue_name for q in self.queues})


def look(
    cloud: Cloud,
    wish: Wish,
    wanted: Collection[str],
    owned: Collection[str],
    *,
    mark: str,
    nodes: dict[str, wire.Node] | None = None,
) -> Sight:
    """Look at what the wish depends on, and at the instances that are new or not attached.

    Args:
        nodes: the cluster's nodes where they were looked at already.

    Raises:
        ApiError, TransportError: a look failed for another reason than a missing permission.
    """
    sight = Sight(nodes=nodes)
    try:
        _look_at_cluster(cloud, wish, sight)
    except ClusterNotFoundError as error:
        sight.notes.append(Finding("cluster_id", str(error)))
        return sight
    if _is_elsewhere(sight.cluster, wish):
        return sight  # its instances can't be asked for in the region that is set
    ids = sorted((set(wanted) - set(owned)) | (set(wanted) - (sight.nodes or {}).keys()))
    if mark:
        tagged = _try(sight, "instance_ids", lambda: cloud.instances_tagged(TAG_KEY, mark))
        sight.marked = {instance.instance_id for instance in tagged or []}
        sight.begun = {i.instance_id for i in tagged or [] if i.tag(ATTACHING_KEY)}
    if ids:
        _look_at_instances(cloud, wish, ids, sight)
    return sight


def _look_at_cluster(cloud: Cloud, wish: Wish, sight: Sight) -> None:
    sight.cluster = _try(sight, "cluster_id", lambda: cloud.describe_cluster(wish.cluster_id))
    if sight.nodes is None:
        nodes = _try(sight, "instance_ids", lambda: cloud.list_nodes(wish.cluster_id))
        sight.nodes = None if nodes is None else {node.id: node for node in nodes}
    if wish.job_queue:
        sight.queues = _try(sight, "job_queue", lambda: cloud.list_queues(wish.cluster_id))


def _look_at_instances(cloud: Cloud, wish: Wish, ids: list[str], sight: Sight) -> None:
    sight.tasks = _try(sight, "instance_ids", lambda: cloud.list_running_tasks(wish.cluster_id))
    found = _try(sight, "instance_ids", lambda: cloud.describe_instances(ids))
    sight.instances = None if found is None else {i.instance_id: i for i in found}
    if wish.image_id:
        sight.images = _try(sight, "image_id", lambda: _images(cloud, wish, sight.cluster))


def _try(sight: Sight, property_: str, call: Callable[[], T]) -> T | None:
    """The call's answer; None with a warning where a permission is missing."""
    try:
        return call()
    except AuthError as error:
        if not error.forbidden:
            raise
        said = f"not checked, for want of the permission {permission(error.action)}"
        if not any(note.reason.startswith(said) for note in sight.notes):
            sight.notes.append(Finding(property_, f"{said}: {error}", warning=True))
        return None


def _images(cloud: Cloud, wish: Wish, cluster: wire.Cluster | None) -> dict[str, ImageFacts] | None:
    """The images of the wished owner alias; None where they can't or needn't be listed."""
    if _is_own(wish, cluster) or wish.image_owner_alias in ("marketplace", ""):
        return None
    if wish.image_owner_alias == "system":
        return {
            image.image_id: ImageFacts(
                *_system(image.platform, image.version, image.os_tag), image.architecture
            )
            for image in cloud.list_system_images()
        }
    return {
        image.image_id: ImageFacts(
            *_system(
                image.os_tag.platform or image.base_os_tag.platform,
                image.os_tag.version or image.base_os_tag.version,
                image.os_tag.os_tag or image.base_os_tag.os_tag,
            ),
            image.os_tag.architecture or image.base_os_tag.architecture,
            image.status or "Available",
        )
        for image in cloud.list_custom_images(wish.image_owner_alias)
    }


def _is_own(wish: Wish, cluster: wire.Cluster | None) -> bool:
    """Whether the wished image is the cluster's own, which its nodes are made of already."""
    if cluster is None or wish.image_id != cluster.image_id:
        return False
    return cluster.image_owner_alias in ("", wish.image_owner_alias)


def _system(platform: str, version: str, tag: str) -> tuple[str, str]:
    """Family and version, lower case: from the fields, else from a tag such as ``CentOS_7.6_64``."""
    family, _, rest = tag.partition("_")
    family = (platform or family).lower()
    return ("windows" if family.startswith("win") else family), version or rest.partition("_")[0]


# -- findings -----------------------------------------------------------------------------------


def findings(sight: Sight, wish: Wish, plan: Plan, mark: str) -> list[Finding]:
    """Everything that is wrong with the plan, at once."""
    found = [*sight.notes, *_of_cluster(sight, wish), *_of_queue(sight, wish)]
    if plan.attach:
        found += _of_membership(sight, wish)
        found += _of_image(sight, wish)
        found += _of_consent(sight, wish, plan)
    for instance_id in (*plan.attach, *plan.adopt, *plan.join):
        found += _of_marks(sight, instance_id, mark)
    for instance_id in plan.attach:
        found += _of_instance(sight, wish, instance_id)
    found += _of_types(sight, plan)
    found += _of_host_names(sight, plan)
    found += _of_members(sight, wish, plan)
    return found


def _of_membership(sight: Sight, wish: Wish) -> Iterable[Finding]:
    """Without these looks an attach can't be: it might wipe what is attached or being attached already."""
    if _is_elsewhere(sight.cluster, wish) or not all(note.warning for note in sight.notes):
        return  # the cluster itself can't be used: nothing else was looked at
    for seen, what, action in (
        (sight.nodes, "nodes already", "ListNodes"),
        (sight.tasks, "just being attached", "ListTasks"),
        (sight.instances, "announced by an interrupted run", "DescribeInstances"),
    ):
        if seen is None:
            yield Finding(
                "instance_ids",
                f"which of the instances are {what} can't be seen, and attaching one again would wipe it:"
                f" give the access key's RAM user the permission {permission(action)}",
            )


def _of_cluster(sight: Sight, wish: Wish) -> Iterable[Finding]:
    cluster = sight.cluster
    if cluster is None:
        return
    if _is_elsewhere(cluster, wish):
        yield Finding(
            "region",
            f"cluster {wish.cluster_id} is in {cluster.region_id}, not in {wish.region}: set the region",
        )
    if cluster.status and cluster.status.lower() != "running":
        yield Finding(
            "cluster_id",
            f"cluster {wish.cluster_id} is {cluster.status}, not running: wait until it is",
        )


def _is_elsewhere(cluster: wire.Cluster | None, wish: Wish) -> bool:
    """Whether the cluster says another region than the one that is set."""
    told = cluster.region_id if cluster else ""
    return bool(told and wish.region) and told != wish.region


def _of_queue(sight: Sight, wish: Wish) -> Iterable[Finding]:
    if sight.queues is None:
        return
    queue = next((q for q in sight.queues if q.queue_name == wish.job_queue), None)
    if queue is None:
        names = [q.queue_name for q in sight.queues]
        near = difflib.get_close_matches(wish.job_queue, names, n=3, cutoff=0.4) or names
        yield Finding(
            "job_queue",
            f"queue {wish.job_queue!r} does not exist in {wish.cluster_id}; there is {listed(near)}",
        )
    elif queue.enable_auto_grow:
        yield Finding(
            "job_queue",
            f"queue {wish.job_queue!r} grows and shrinks by itself: E-HPC may take nodes out of it",
            warning=True,
        )


def _of_image(sight: Sight, wish: Wish) -> Iterable[Finding]:
    if not wish.image_id and wish.image_known and all(note.warning for note in sight.notes):
        yield Finding(
            "image_id",
            "the cluster's image can't be seen: name an image and its owner alias, or give the access key's"
            f" RAM user the permission {permission('DescribeCluster')}",
        )
    market = wish.image_owner_alias == "marketplace" and wish.image_id
    if market and not _is_own(wish, sight.cluster):
        yield Finding(
            "image_id",
            f"marketplace image {wish.image_id} can't be checked: make sure that its system fits the"
            " cluster's",
            warning=True,
        )
    if sight.images is None:
        return
    image = sight.images.get(wish.image_id)
    if image is None:
        yield Finding(
            "image_id",
            f"image {wish.image_id} is not among the {wish.image_owner_alias!r} images: check the id"
            " and image_owner_alias",
        )
        return
    if image.status.lower() != "available":
        yield Finding("image_id", f"image {wish.image_id} is {image.status}, not Available")
    if sight.cluster is not None:
        yield from _of_system(image, sight.cluster, wish)


def _of_system(image: ImageFacts, cluster: wire.Cluster, wish: Wish) -> Iterable[Finding]:
    family, version = _system("", "", cluster.os_tag or cluster.base_os_tag)
    if not family or not image.family:
        return
    other_major = bool(version and image.version) and _major(image.version) != _major(version)
    if family == "windows" and image.family in ("windows", "centos"):
        if image.family != family or other_major:  # no answer tells whether the cluster is hybrid
            yield Finding(
                "image_id",
                f"image {wish.image_id} is {image.family} {image.version}, the cluster's system is"
                f" {family} {version}: only a hybrid cluster of several systems takes it",
                warning=True,
            )
    elif image.family != family:
        yield Finding(
            "image_id",
            f"image {wish.image_id} is {image.family}, the cluster's system is {family}: choose an"
            f" image of {family}",
        )
    elif other_major:
        yield Finding(
            "image_id",
            f"image {wish.image_id} is {image.family} {image.version}, the cluster's is {version}:"
            f" the major version has to be {_major(version)}",
        )


def _major(version: str) -> str:
    return version.partition(".")[0]


def _of_consent(sight: Sight, wish: Wish, plan: Plan) -> Iterable[Finding]:
    if wish.replace_system_disks:
        return
    names = [_name(sight, instance_id) for instance_id in plan.attach]
    yield Finding(
        "replace_system_disks",
        f"attaching replaces the system disks of {listed(names)} by {wish.image}: what is on them is lost."
        " Set replace_system_disks=True to allow it",
    )


def _of_marks(sight: Sight, instance_id: str, mark: str) -> Iterable[Finding]:
    instance = (sight.instances or {}).get(instance_id)
    owner = instance.tag(TAG_KEY) if instance else ""
    if mark and owner and owner != mark:
        yield Finding(
            "instance_ids",
            f"{_name(sight, instance_id)} belongs to another resource, {owner!r}: remove it there first"
            f" (or its ECS tag {TAG_KEY!r}, where that resource no longer exists)",
        )


def _of_instance(sight: Sight, wish: Wish, instance_id: str) -> Iterable[Finding]:
    if sight.instances is None:
        return
    instance = sight.instances.get(instance_id)
    name = _name(sight, instance_id)
    if instance is None:
        yield Finding(
            "instance_ids",
            f"instance {instance_id} does not exist in {wish.region}: check the id and the region",
        )
        return
    if instance.instance_network_type.lower() == "classic":
        yield Finding("instance_ids", f"{name} is in the classic network, not in a VPC")
    elif sight.cluster and sight.cluster.vpc_id and instance.vpc_id != sight.cluster.vpc_id:
        yield Finding(
            "instance_ids",
            f"{name} is in {instance.vpc_id or 'no VPC'}, the cluster in {sight.cluster.vpc_id}: it has"
            " to be in the same",
        )
    if instance.locks:
        yield Finding(
            "instance_ids", f"{name} is locked ({', '.join(instance.locks)}): unlock it first"
        )
    if not instance.stopped and not wish.stop_running and instance_id not in sight.begun:
        yield Finding(
            "instance_ids",
            f"{name} is {instance.status}, not Stopped: stop it, or set stop_running=True",
        )


def _of_types(sight: Sight, plan: Plan) -> Iterable[Finding]:
    seen = [(sight.instances or {}).get(instance_id) for instance_id in plan.attach]
    types = sorted({instance.instance_type for instance in seen if instance})
    if len(types) > 1:
        yield Finding(
            "instance_ids",
            f"the instances are of several types ({listed(types)}): E-HPC may want one type a call",
            warning=True,
        )


def _of_host_names(sight: Sight, plan: Plan) -> Iterable[Finding]:
    """Clashes with nodes that stay, and within the set. Nodes that the plan detaches make room."""
    taken = {
        node.host_name.lower(): f"node {node.id}"
        for node in (sight.nodes or {}).values()
        if node.host_name and node.id not in plan.detach
    }
    for instance_id in plan.attach:
        instance = (sight.instances or {}).get(instance_id)
        host = instance.host_name.lower() if instance else ""
        if host and host in taken:
            yield Finding(
                "instance_ids",
                f"{instance_id} has the host name {host!r}, which {taken[host]} has too: rename one",
            )
        elif host:
            taken[host] = instance_id


def of_strangers(sight: Sight, known: Collection[str]) -> Iterable[Finding]:
    """Nodes with this resource's mark that stand neither in its state nor in the program: told, not touched.

    Another stack of the same project, stack and resource name may have attached them (in another backend,
    or under a name that was given anew), or a run that was killed just before its state was saved.
    """
    for instance_id in sorted(
        (sight.marked - sight.begun - set(known)) & (sight.nodes or {}).keys()
    ):
        yield Finding(
            "instance_ids",
            f"{_name(sight, instance_id)} is attached with this resource's mark, but is not in its state: it is"
            " left alone. If it is this program's, list it; otherwise rename this resource or its stack",
            warning=True,
        )


def _of_members(sight: Sight, wish: Wish, plan: Plan) -> Iterable[Finding]:
    for instance_id in (*plan.keep, *plan.adopt, *plan.detach):
        node = (sight.nodes or {}).get(instance_id)
        if node is None:
            continue
        name = _name(sight, instance_id)
        if not node.is_compute:
            roles = ", ".join(node.roles.role)
            yield Finding(
                "instance_ids",
                f"{name} is no compute node of {wish.cluster_id} but {roles}: it is never touched;"
                " take it out of the list",
            )
        elif instance_id in plan.detach and node.busy and not wish.detach_busy:
            yield Finding(
                "instance_ids",
                f"{name} runs jobs (used: {node.used_resources}) and is to be detached: that will be"
                " refused until they end, or with detach_busy=True",
                warning=True,
            )
        elif (
            instance_id in plan.adopt and wish.image_id and node.image_id not in ("", wish.image_id)
        ):
            yield Finding(
                "image_id",
                f"{name} is attached with image {node.image_id} and is adopted as it is, not"
                f" {wish.image_id}",
                warning=True,
            )


def _name(sight: Sight, instance_id: str) -> str:
    """``compute7 (i-…)`` where the host name is known."""
    instance = (sight.instances or {}).get(instance_id)
    node = (sight.nodes or {}).get(instance_id)
    host = (node.host_name if node else "") or (instance.host_name if instance else "")
    return f"{host} ({instance_id})" if host else instance_id
