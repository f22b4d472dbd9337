"""What can be known beforehand to be wrong with a plan. Pure: from what was seen to findings.

The rules are those of the AddExistedNodes page and, for what that page leaves open, of its successor's
(AttachNodes). They stand together, in more lines than other modules have, so that all that a preview refuses
can be read in one go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from .api import responses
from .errors import listed, permission
from .marks import ATTACHING_KEY, TAG_KEY
from .models import Finding
from .plan import Plan
from .sight import ImageFacts, Sight, Wish, system_of

#: More instances than this with the same trouble are told in one finding.
MOST = 10


def findings(sight: Sight, wish: Wish, plan: Plan, name: str) -> list[Finding]:
    """Everything that is wrong with the plan, at once."""
    found = [*sight.notes, *_of_cluster(sight, wish), *_of_queue(sight, wish, plan)]
    if plan.attach:
        found += _of_membership(sight, wish)
    if plan.attach or wish.later:
        found += _of_image(sight, wish)
    found += _of_consent(sight, wish, plan)
    found += _of_marks(sight, plan, name)
    found += _of_instances(sight, wish, plan)
    found += _of_types(sight, plan)
    found += _of_architecture(sight, wish, plan)
    found += _of_host_names(sight, plan)
    found += _of_members(sight, wish, plan)
    return found


def of_instances(sight: Sight, wish: Wish, plan: Plan, name: str) -> list[Finding]:
    """What is wrong with instances whose cluster isn't known; what is right for its nodes is a warning."""
    wrong = [*_of_instances(sight, wish, plan, status=False), *_of_marks(sight, plan, name)]
    wrong += _of_host_names(sight, plan)
    perhaps = [*_of_instances(sight, wish, plan), *_of_consent(sight, wish, plan)]
    soft = [replace(found, warning=True) for found in perhaps if found not in wrong]
    return [*sight.notes, *wrong, *soft, *_of_types(sight, plan)]


def _of_membership(sight: Sight, wish: Wish) -> Iterable[Finding]:
    """Without these looks an attach can't be: it might wipe what is attached or being attached already."""
    if sight.is_elsewhere(wish) or not all(note.warning for note in sight.notes):
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
    if sight.is_elsewhere(wish):
        yield Finding(
            "region",
            f"cluster {wish.cluster_id} is in {cluster.region_id}, not in {wish.region}: set the region",
        )
    if cluster.status and cluster.status.lower() != "running":
        yield Finding(
            "cluster_id",
            f"cluster {wish.cluster_id} is {cluster.status}, not running: wait until it is",
        )


def _of_queue(sight: Sight, wish: Wish, plan: Plan) -> Iterable[Finding]:
    if not wish.job_queue:
        return
    names = [queue.queue_name for queue in sight.queues or ()]
    queue = next((q for q in sight.queues or () if q.queue_name == wish.job_queue), None)
    if sight.queues is not None and queue is None:
        import difflib  # late: seldom needed

        near = difflib.get_close_matches(wish.job_queue, names, n=3, cutoff=0.4)
        there = f"there is {listed(names)}" if names else "it has none"
        hint = f"did you mean {listed(near)}?" if near else there
        yield Finding(
            "job_queue", f"queue {wish.job_queue!r} does not exist in {wish.cluster_id}: {hint}"
        )
    elif sight.in_queue is None and (plan.keep or plan.adopt):
        yield Finding(
            "job_queue",
            f"which nodes are in queue {wish.job_queue!r} can't be seen: give the access key's RAM user the"
            f" permission {permission('ListNodesByQueue')}, or leave job_queue out",
        )
    if queue and queue.enable_auto_grow:
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
    if market and not sight.is_own_image(wish):
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
        yield _not_listed(sight, wish)
        return
    if image.status.lower() != "available":
        yield Finding("image_id", f"image {wish.image_id} is {image.status}, not Available")
    if sight.cluster is not None and not sight.is_own_image(wish):
        yield from _of_system(image, sight.cluster, wish)


def _not_listed(sight: Sight, wish: Wish) -> Finding:
    """The system images that are listed are those on offer: an old cluster's own may work for longer."""
    if not sight.is_own_image(wish):
        return Finding(
            "image_id",
            f"image {wish.image_id} is not among the {wish.image_owner_alias!r} images: check the id"
            " and image_owner_alias",
        )
    gone = f"the cluster's image {wish.image_id} is not among the {wish.image_owner_alias!r} images (any more)"
    if wish.image_owner_alias == "system":
        return Finding(
            "image_id",
            f"{gone}: if E-HPC refuses it (ImageNotFound), name another image and its owner alias",
            warning=True,
        )
    return Finding("image_id", f"{gone}: name another image and its owner alias")


def _of_system(image: ImageFacts, cluster: responses.Cluster, wish: Wish) -> Iterable[Finding]:
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
                f"image {wish.image_id} is {image.family} {image.version}, the cluster's system is"
                f" {family} {version}: only a hybrid cluster of several systems takes it",
                warning=True,
            )
            return
    elif known and image.family != family:
        yield Finding(
            "image_id",
            f"image {wish.image_id} is {image.family}, the cluster's system is {family}: choose an"
            f" image of {family}",
        )
        return
    elif known and other_major:
        yield Finding(
            "image_id",
            f"image {wish.image_id} is {image.family} {image.version}, the cluster's is {version}:"
            f" the major version has to be {_major(version)}",
        )
    if not (known and version and image.version):
        whose = "its" if family and version else "the cluster's"
        yield Finding(
            "image_id",
            f"image {wish.image_id} can't be checked, since {whose} system or version isn't told: make sure"
            " that it is of the cluster's system and major version",
            warning=True,
        )


#: Instance type families with Arm processors (Yitian, Ampere): a family's last letter alone doesn't tell.
ARM_FAMILIES = frozenset({"g8y", "c8y", "r8y", "ebmg8y", "ebmc8y", "ebmr8y", "g6r", "c6r", "gn7r"})


def _is_arm(instance_type: str) -> bool:
    """Of a type such as ``ecs.g8y.large`` or ``ecs.gn7r-c16g1.4xlarge``."""
    return re.sub(r"^ecs\.|[.-].*", "", instance_type) in ARM_FAMILIES


def _of_architecture(sight: Sight, wish: Wish, plan: Plan) -> Iterable[Finding]:
    image = (sight.images or {}).get(wish.image_id)
    if image is None or not image.architecture:
        return
    arm = image.architecture.lower().startswith(("arm", "aarch"))
    seen = ((i, (sight.instances or {}).get(i)) for i in plan.attach)
    unlike = [i for i, x in seen if x and _is_arm(x.instance_type) != arm]
    if unlike:
        yield Finding(
            "image_id",
            f"image {wish.image_id} is for {image.architecture}, but {listed(sorted(map(sight.name, unlike)))}"
            f" seem{'s' if len(unlike) == 1 else ''} to have another kind of processor",
            warning=True,
        )


def _major(version: str) -> str:
    return version.partition(".")[0]


def _of_consent(sight: Sight, wish: Wish, plan: Plan) -> Iterable[Finding]:
    if wish.replace_system_disks or not (plan.attach or wish.later):
        return
    if not plan.attach:
        yield Finding(
            "replace_system_disks",
            "attaching replaces system disks, and the instances are not known yet: without"
            " replace_system_disks=True the update refuses those that are no nodes already",
            warning=True,
        )
        return
    names = [sight.name(instance_id) for instance_id in plan.attach]
    yield Finding(
        "replace_system_disks",
        f"attaching replaces the system disks of {listed(names)} by {wish.image}: what is on them is lost."
        " Set replace_system_disks=True to allow it",
    )


def _of_marks(sight: Sight, plan: Plan, name: str) -> Iterable[Finding]:
    owners = sight.of_others(name)
    for instance_id in (i for i in (*plan.attach, *plan.adopt, *plan.join) if i in owners):
        owner = owners[instance_id]
        renamed = ", or name it in this resource's aliases where it was renamed"
        siblings = owner.rpartition("/")[0] == name.rpartition("/")[0]
        yield Finding(
            "instance_ids",
            f"{sight.name(instance_id)} belongs to another resource, {owner!r}: remove it there first"
            f"{renamed if siblings else ''} (or its ECS tag {TAG_KEY!r}, where that resource no longer exists)",
        )


def _of_instances(
    sight: Sight, wish: Wish, plan: Plan, *, status: bool = True
) -> Iterable[Finding]:
    """What is wrong with instances to attach: one finding each, above MOST of a kind one for all.

    Args:
        status: whether it matters that an instance isn't Stopped.
    """
    if sight.instances is None:
        return
    kinds: dict[str, list[str]] = {}
    for instance_id in plan.attach:
        found = [*_troubles(sight, wish, instance_id)]
        for trouble in (*found, *(_of_status(sight, wish, instance_id) if status else ())):
            kinds.setdefault(trouble, []).append(sight.name(instance_id))
    for trouble, names in kinds.items():
        told = names if len(names) <= MOST else [f"each of {listed(names)}"]
        yield from (Finding("instance_ids", f"{name} {trouble}") for name in told)


def _troubles(sight: Sight, wish: Wish, instance_id: str) -> Iterable[str]:
    instance = (sight.instances or {}).get(instance_id)
    if instance is None:
        yield f"does not exist in {wish.region}: check the id and the region"
        return
    if instance_id in sight.elsewhere:
        yield f"is in cluster {sight.elsewhere[instance_id]}, or on its way there: detach it there first"
    if instance.instance_network_type.lower() == "classic":
        yield "is in the classic network, not in a VPC"
    elif sight.cluster and sight.cluster.vpc_id and instance.vpc_id != sight.cluster.vpc_id:
        yield (
            f"is in {instance.vpc_id or 'no VPC'}, the cluster in {sight.cluster.vpc_id}: it has to be"
            " in the same"
        )
    if instance.locks:
        yield f"is locked ({', '.join(instance.locks)}): unlock it first"


def _of_status(sight: Sight, wish: Wish, instance_id: str) -> Iterable[str]:
    """Only what is Stopped can be attached, and ECS stops only what is Running."""
    instance = (sight.instances or {}).get(instance_id)
    if instance is None or instance.stopped or instance_id in sight.begun:
        return
    status = instance.status.lower()
    if status in responses.INSTANCE_COMING:
        yield (
            f"is {instance.status}, not Stopped, and can't be stopped yet: wait until it is Running, and run"
            " again"
        )
    elif wish.stop_running:
        return
    elif instance_id in sight.leaving:
        yield (
            "is being detached, and its instance goes on running: wait until it is no node any more, then stop"
            " it, or set stop_running=True"
        )
    elif status == responses.INSTANCE_STOPPING:
        yield f"is {instance.status}, not Stopped yet: wait until it is, and run again"
    else:
        yield f"is {instance.status}, not Stopped: stop it, or set stop_running=True"


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


def of_strangers(sight: Sight, known: Collection[str], *, is_saved: bool) -> Iterable[Finding]:
    """Nodes with this resource's mark that stand neither in its state nor in the program: told, not touched.

    Another stack of the same project, stack and resource name may have attached them (in another backend,
    or under a name that was given anew), or a create that was killed just before its state was saved. A forced
    replacement looks like a create, and its old half's nodes like these.
    """
    fate = (
        "not in its state: it is left alone"
        if is_saved
        else "not in the program: it is left alone, unless this is a forced replacement, which detaches it"
    )
    for instance_id in sorted(
        (sight.marked - sight.begun - set(known)) & (sight.nodes or {}).keys()
    ):
        yield Finding(
            "instance_ids",
            f"{sight.name(instance_id)} is attached with this resource's mark, but is {fate}."
            " If it is this program's, list it; otherwise rename this resource or its stack",
            warning=True,
        )


def of_interrupted(sight: Sight, plan: Plan, owned: Collection[str]) -> Iterable[Finding]:
    """Nodes that go only because an interrupted run announced them: somebody else may have attached them since."""
    for instance_id in sorted(sight.begun & {*plan.detach} - set(owned)):
        yield Finding(
            "instance_ids",
            f"{sight.name(instance_id)} was sent by an interrupted run of this resource, and is not in the program:"
            f" it is detached. If somebody else has attached it since, remove its ECS tag {TAG_KEY!r} first",
            warning=True,
        )


def of_lost(sight: Sight, plan: Plan, owned: Collection[str]) -> Iterable[Finding]:
    """Nodes that somebody has detached, and that the program still lists: who did so may have other plans for them."""
    for instance_id in sorted({*plan.attach} & set(owned)):
        yield Finding(
            "instance_ids",
            f"{sight.name(instance_id)} was this resource's node and is none any more: it is attached anew, and its"
            " system disk replaced. Where somebody has detached it on purpose, take it out of the list",
            warning=True,
        )


def of_other_clusters(sight: Sight, plan: Plan) -> Iterable[Finding]:
    """Instances that an interrupted run announced for another cluster; one that isn't Stopped was sent there."""
    for instance_id, cluster_id in sorted(sight.begun_elsewhere.items()):
        if instance_id in plan.attach:
            yield _of_attached_elsewhere(sight, instance_id, cluster_id)
            continue
        yield Finding(
            "cluster_id",
            f"{sight.name(instance_id)} was sent to {cluster_id} by an interrupted run of this resource: it is"
            " left there. Let the program name that cluster once more, or detach it by hand",
            warning=True,
        )


def _of_attached_elsewhere(sight: Sight, instance_id: str, cluster_id: str) -> Finding:
    name = sight.name(instance_id)
    if sight.is_stopped(instance_id):
        return Finding(
            "instance_ids",
            f"{name} was announced for {cluster_id} by an interrupted run of this resource: the update looks first"
            " whether it was sent there",
            warning=True,
        )
    return Finding(
        "instance_ids",
        f"{name} is on its way to {cluster_id} by an interrupted run of this resource: let the program name that"
        f" cluster once more (or remove the ECS tag {ATTACHING_KEY!r}, where the console shows no task)",
    )


def _of_members(sight: Sight, wish: Wish, plan: Plan) -> Iterable[Finding]:
    for instance_id in (*plan.keep, *plan.adopt, *plan.detach):
        node = (sight.nodes or {}).get(instance_id)
        if node is None:
            continue
        name = sight.name(instance_id)
        if not node.is_compute:
            roles = ", ".join(node.roles.role)
            yield Finding(
                "instance_ids",
                f"{name} is no compute node of {wish.cluster_id} but {roles}: it is never touched;"
                " take it out of the list",
            )
        elif instance_id not in plan.detach and node.in_status(responses.NODE_FAILED):
            yield Finding(
                "instance_ids",
                f"{name} has the status {node.status}: pulumi up will fail until it is repaired, or taken out"
                " of the list and so detached",
                warning=True,
            )
        elif instance_id in plan.detach and node.busy and not wish.detach_busy:
            yield Finding(
                "instance_ids",
                f"{name} runs jobs (used: {node.used_resources}) and is to be detached: that will be"
                " refused until they end, or with detach_busy=True",
                warning=True,
            )
        elif (
            instance_id in {*plan.adopt, *sight.begun}
            and wish.image_id
            and node.image_id not in ("", wish.image_id)
        ):
            yield Finding(
                "image_id",
                f"{name} is attached with image {node.image_id} and is adopted as it is, not"
                f" {wish.image_id}",
                warning=True,
            )
