"""What is looked at before anything is written: with read-only calls, and only what the wish depends on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from .api import responses
from .errors import (
    AuthError,
    BackendError,
    ClusterNotFoundError,
    TransportError,
    listed,
    permission,
)
from .marks import IDENTITY_KEY, announced_for, begun_of, marked_with, owner_of
from .models import Finding
from .operation import Cloud

T = TypeVar("T")
#: Of other clusters in the same VPC: a stopped node looks like any stopped instance.
NOT_SEEN = (
    "can't be seen, and attaching one of them would wipe it: run again when that cluster answers (ehpc-nodes nodes),"
    " or delete it where it is broken for good"
)


@dataclass(frozen=True)
class Wish:
    """What preflight needs of the inputs; anything may still be empty, as not known yet.

    Attributes:
        image_known: False where an image is named whose id comes later; an empty id is the cluster's own.
        later: how many instances are wanted that are not known yet.
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
    later: int = 0

    @property
    def image(self) -> str:
        """The image, for people."""
        if not self.image_known:
            return "an image that is not known yet"
        return self.image_id or "the cluster's image"


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image; empty texts are not known. `os_tag` is E-HPC's own word for the system."""

    family: str
    version: str
    architecture: str
    status: str = "Available"
    os_tag: str = ""


@dataclass
class Sight:
    """What was seen. None: not looked at, or not allowed to (then ``notes`` says so).

    Attributes:
        identity: of the resource that looks.
        marked: instances that carry this resource's mark.
        estranged: of these, the ones with another identity.
        begun: of the marked, the ones that an interrupted run announced to be attached to the cluster, and nodes
            that it attached and that no state knows.
        begun_elsewhere: those that it announced for another cluster, which is named.
        leaving: wanted nodes that are being detached: not among the nodes any more.
        in_queue: the members of the wished queue.
        elsewhere: nodes of the region's other clusters in the same VPC, with their cluster.
    """

    identity: str = ""
    cluster: responses.Cluster | None = None
    nodes: dict[str, responses.Node] | None = None
    tasks: list[responses.Task] | None = field(default_factory=list)
    instances: dict[str, responses.Instance] | None = None
    marked: set[str] = field(default_factory=set)
    estranged: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    begun_elsewhere: dict[str, str] = field(default_factory=dict)
    leaving: set[str] = field(default_factory=set)
    queues: list[responses.Queue] | None = None
    in_queue: set[str] | None = None
    images: dict[str, ImageFacts] | None = None
    elsewhere: dict[str, str] = field(default_factory=dict)
    notes: list[Finding] = field(default_factory=list)

    @property
    def attaching(self) -> set[str]:
        """Instances that a running task names."""
        return responses.attached_by(self.tasks or ())

    def is_elsewhere(self, wish: Wish) -> bool:
        """Whether the cluster says another region than the one that is set."""
        told = self.cluster.region_id if self.cluster else ""
        return bool(told and wish.region) and told != wish.region

    def is_own_image(self, wish: Wish) -> bool:
        """Whether the wished image is the cluster's own, which its nodes are made of already."""
        if self.cluster is None or wish.image_id != self.cluster.image_id:
            return False
        return self.cluster.image_owner_alias in ("", wish.image_owner_alias)

    def image_of(self, wish: Wish) -> tuple[str, str]:
        """Id and owner alias of the wished image, the cluster's own where none is named; empty: not known."""
        if wish.image_id or not wish.image_known or self.cluster is None:
            return wish.image_id, wish.image_owner_alias
        return self.cluster.image_id, self.cluster.image_owner_alias or "system"

    def is_stopped(self, instance_id: str) -> bool:
        """Whether ECS said that it is Stopped; not where it wasn't asked."""
        instance = (self.instances or {}).get(instance_id)
        return instance is not None and instance.stopped

    def of_others(self, name: str) -> dict[str, str]:
        """Instances that carry another resource's mark, which is told; none without a name of one's own."""
        seen = self.instances if name else None
        owners = {i: owner_of(x, name, self.identity) for i, x in (seen or {}).items()}
        return {i: owner for i, owner in owners.items() if owner}

    def host(self, instance_id: str) -> str:
        """The host name, where it was seen."""
        instance = (self.instances or {}).get(instance_id)
        node = (self.nodes or {}).get(instance_id)
        return (node.host_name if node else "") or (instance.host_name if instance else "")

    def name(self, instance_id: str) -> str:
        """For people: ``compute7 (i-…)`` where the host name is known."""
        host = self.host(instance_id)
        return f"{host} ({instance_id})" if host else instance_id


def look(
    cloud: Cloud,
    wish: Wish,
    wanted: Collection[str],
    owned: Collection[str],
    *,
    mark: str,
    name: str = "",
    identity: str = "",
    is_saved: bool = False,
    nodes: dict[str, responses.Node] | None = None,
) -> Sight:
    """Look at what the wish depends on, and at the instances that are new or not attached.

    Args:
        mark, name: see `Operation`.
        is_saved: whether a state knows the identity: then what was announced with another one, and isn't wanted, is
            a namesake's in another backend. A create can't tell it from what a killed one has left.
        nodes: the cluster's nodes where they were looked at already.

    Raises:
        ApiError, TransportError: a look failed for another reason than a missing permission.
    """
    sight = Sight(identity, nodes=nodes)
    try:
        _look_at_cluster(cloud, wish, sight)
        if wish.job_queue and set(wanted) & (sight.nodes or {}).keys():
            _look_at_queue(cloud, wish, sight)
    except ClusterNotFoundError as error:
        sight.notes.append(Finding("cluster_id", str(error)))
        return sight
    if sight.is_elsewhere(wish):
        return sight  # its instances can't be asked for in the region that is set
    ids = sorted((set(wanted) ^ set(owned)) | (set(wanted) - (sight.nodes or {}).keys()))
    unknown = (sight.nodes or {}).keys() - set(owned)
    tagged = _look_at_marked(cloud, mark, sight) if mark else []
    sight.begun = begun_of(tagged, wish.cluster_id, identity, unknown)
    if ids:
        sight.tasks = _try(sight, "instance_ids", lambda: cloud.list_running_tasks(wish.cluster_id))
        _look_at_instances(cloud, ids, sight)
    missing = set(wanted) - (sight.nodes or {}).keys()
    if missing or wish.later:
        sight.images = _try(sight, "image_id", lambda: _images(cloud, wish, sight))
    if missing:
        _try(sight, "instance_ids", lambda: _look_at_other_clusters(cloud, wish, sight))
    if sight.instances or tagged:
        _note_announced([*tagged, *(sight.instances or {}).values()], wish.cluster_id, name, sight)
    if is_saved:
        sight.begun -= sight.estranged - {*wanted, *owned}
    return sight


def _look_at_cluster(cloud: Cloud, wish: Wish, sight: Sight) -> None:
    sight.cluster = _try(sight, "cluster_id", lambda: cloud.describe_cluster(wish.cluster_id))
    if sight.nodes is None:
        nodes = _try(sight, "instance_ids", lambda: cloud.list_nodes(wish.cluster_id))
        sight.nodes = None if nodes is None else {node.id: node for node in nodes}
    if wish.job_queue:
        sight.queues = _try(sight, "job_queue", lambda: cloud.list_queues(wish.cluster_id))


def _look_at_marked(cloud: Cloud, mark: str, sight: Sight) -> list[responses.Instance]:
    """The instances with this resource's mark; none where they can't be asked for."""
    marked = partial(marked_with, cloud, mark)
    tagged = _try(sight, "instance_ids", marked) or []
    ours = ("", sight.identity)
    foreign = {x.instance_id for x in tagged if x.tag(IDENTITY_KEY) not in ours}
    sight.marked = {x.instance_id for x in tagged}
    sight.estranged = foreign if sight.identity else set()
    return tagged


def _note_announced(
    seen: Collection[responses.Instance], cluster_id: str, name: str, sight: Sight
) -> None:
    """What an interrupted run announced, whichever look shows it.

    The one by the mark may be refused, and doesn't know what was announced under a former name. Without marks of
    one's own, whatever is announced counts: it may be by a run that still had them.
    """
    ours = [x for x in seen if not (name and owner_of(x, name, sight.identity))]
    sight.begun |= begun_of(ours, cluster_id, "", ())
    sent_to = {x.instance_id: announced_for(x) for x in ours}
    sight.begun_elsewhere = {i: to for i, to in sent_to.items() if to not in ("", cluster_id)}


def _look_at_queue(cloud: Cloud, wish: Wish, sight: Sight) -> None:
    """The wished queue's members, unless it is known not to be there."""
    queue = wish.job_queue
    if sight.queues is not None and queue not in {q.queue_name for q in sight.queues}:
        return
    seen = _try(sight, "job_queue", lambda: cloud.list_queue_nodes(wish.cluster_id, queue))
    sight.in_queue = None if seen is None else {node.id for node in seen}


def look_at_instances(cloud: Cloud, ids: Collection[str], *, identity: str = "") -> Sight:
    """Look at instances alone, where their cluster isn't known yet.

    Raises:
        ApiError, TransportError: the look failed for another reason than a missing permission.
    """
    sight = Sight(identity)
    _look_at_instances(cloud, sorted(ids), sight)
    return sight


def _look_at_instances(cloud: Cloud, ids: list[str], sight: Sight) -> None:
    found = _try(sight, "instance_ids", lambda: cloud.describe_instances(ids))
    sight.instances = None if found is None else {i.instance_id: i for i in found}


def _look_at_other_clusters(cloud: Cloud, wish: Wish, sight: Sight) -> None:
    vpc_id = sight.cluster.vpc_id if sight.cluster else ""
    sight.elsewhere, unseen = members_of_others(cloud, wish.cluster_id, vpc_id)
    if unseen:
        reason = f"the nodes of {listed(unseen)} {NOT_SEEN}"
        sight.notes.append(Finding("instance_ids", reason))


def members_of_others(
    cloud: Cloud, cluster_id: str, vpc_id: str
) -> tuple[dict[str, str], list[str]]:
    """Nodes of the region's other clusters in this VPC (in any, where it is empty), and what is being attached
    there: instance id to cluster id.

    Returns:
        These, and the clusters whose nodes could not be seen.

    Raises:
        ApiError, TransportError: the clusters could not be listed, or a permission is missing.
    """
    found: dict[str, str] = {}
    unseen: list[str] = []
    for other in cloud.list_clusters():
        apart = vpc_id and other.vpc_id not in ("", vpc_id)
        if (
            other.id == cluster_id
            or apart
            or other.status.lower() in responses.CLUSTER_WITHOUT_NODES
        ):
            continue
        try:
            found |= {node.id: other.id for node in cloud.list_nodes(other.id)}
            tasks = cloud.list_running_tasks(other.id)
            found |= dict.fromkeys(responses.attached_by(tasks), other.id)
        except ClusterNotFoundError:  # deleted meanwhile
            continue
        except (BackendError, TransportError):
            unseen.append(other.id)
    return found, unseen


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


def _images(cloud: Cloud, wish: Wish, sight: Sight) -> dict[str, ImageFacts] | None:
    """The images of the wished image's owner alias; None where they can't be listed."""
    image_id, alias = sight.image_of(wish)
    if not image_id or alias in ("marketplace", ""):
        return None
    images = cloud.list_system_images() if alias == "system" else cloud.list_custom_images(alias)
    return {image.image_id: facts_of(image) for image in images}


def facts_of(image: responses.SystemImage | responses.CustomImage) -> ImageFacts:
    """What a list tells of an image."""
    if isinstance(image, responses.SystemImage):
        system = system_of(image.platform, image.version, image.os_tag)
        return ImageFacts(*system, image.architecture, os_tag=image.os_tag)
    tag, base = image.os_tag, image.base_os_tag
    family, version = system_of(tag.platform, tag.version, tag.os_tag)
    base_family, base_version = system_of(base.platform, base.version, base.os_tag)
    return ImageFacts(
        family or base_family,
        version or base_version,
        tag.architecture or base.architecture,
        image.status or "Available",
        tag.os_tag or base.os_tag,
    )


#: Other names of a family: ECS says Aliyun of what E-HPC's tags call AliyunLinux or AlibabaCloudLinux.
_FAMILIES = {"alibabacloud": "aliyun"}


def system_of(platform: str, version: str, tag: str) -> tuple[str, str]:
    """Family and version, lower case: from a tag such as ``CentOS_7.6_64``, else from the fields.

    Tags and fields spell one family in several ways, the fields in more: Red Hat and RedHat, Aliyun and
    AliyunLinux. So case, blanks and a trailing «Linux» don't count.
    """
    parts = tag.split("_")
    numbers = [n for n, part in enumerate(parts) if part[:1].isdigit()]
    words = parts[: numbers[0]] if numbers else parts
    told = parts[numbers[0]] if len(numbers) > 1 else ""  # a single one is the number of bits
    return _family("".join(words)) or _family(platform), told or version


def _family(name: str) -> str:
    family = "".join(name.lower().split())
    family = family.removesuffix("linux") or family
    return "windows" if family.startswith("win") else _FAMILIES.get(family, family)
