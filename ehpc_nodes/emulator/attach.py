"""AddExistedNodes: every rule of its page, then the effect.

The codes of the real service for each error are documented only in part. Documented:
InvalidClusterStatus, ImageNotFound, InvalidStatus and TooManyNodes (by name, not for which rule), InvalidParams. Guessed: InvalidStatus for an instance that is not Stopped; InvalidParams
for an unknown instance, another VPC, a classic network, a host name in use, another operating
system and an unknown queue; EcsError for a locked instance. `Emulator.DoubleAttach` is the
emulator's own code: the real one is unknown, and no caller should ever get it.
"""

from __future__ import annotations

from . import tasks
from .answers import ApiError, Body, invalid
from .params import Args
from .state import State
from .world import Cluster, Image, Instance, Node, Resources, Task, family_of

DOUBLE_ATTACH = "Emulator.DoubleAttach"


def add_existed_nodes(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    ids = args.items("Instance.N.Id")
    _check_memberships(state, cluster, ids)
    check_writable(state, cluster)
    instances = [_check_instance(state, cluster, item) for item in ids]
    _check_host_names(cluster, instances)
    image = _check_image(state, cluster, args)
    queue = args.text("JobQueue") or cluster.default_queue
    if queue not in cluster.queues:
        raise invalid("JobQueue")
    if len(cluster.nodes) + len(ids) > cluster.node_quota:
        text = f"The cluster can have {cluster.node_quota} nodes."
        raise ApiError(400, "TooManyNodes", text)
    for instance in instances:
        _take(state, cluster, instance, image, queue)
    return {"TaskId": _start_task(state, cluster, ids, queue).id}


def check_writable(state: State, cluster: Cluster) -> None:
    """The cluster must be running, and idle if the world requires it."""
    if cluster.status != "running":
        text = f"The current status of the cluster ({cluster.status}) does not support this."
        raise ApiError(403, "InvalidClusterStatus", text)
    busy = any(task.cluster_id == cluster.id for task in state.world.open_tasks.values())
    if busy and state.world.knobs.one_task_at_a_time:
        raise conflict()


def conflict() -> ApiError:
    """Another operation runs on the same cluster or node."""
    return ApiError(403, "ConflictOpt", "A conflicting operation is running.")


def _check_memberships(state: State, cluster: Cluster, ids: list[str]) -> None:
    """Checked first, so that `Harm` counts every attempt."""
    members = [item for item in ids if item in state.world.member_of]
    if not members:
        return
    state.harm.double_attach.append(
        {
            "cluster_id": cluster.id,
            "instance_ids": members,
            "member_of": sorted({state.world.member_of[item] for item in members}),
            "request_id": state.request_id,
            "time": state.now,
        }
    )
    text = f"Already attached or attaching: {', '.join(members)}. Attaching them again would replace their disks."
    raise ApiError(403, DOUBLE_ATTACH, text)


def _check_instance(state: State, cluster: Cluster, instance_id: str) -> Instance:
    instance = state.world.instances.get(instance_id)
    if instance is None:
        raise invalid("Instance.N.Id", f"{instance_id} does not exist.")
    if instance.status != "Stopped":
        text = f"The instance {instance_id} is {instance.status}; it must be Stopped."
        raise ApiError(400, "InvalidStatus", text)
    if instance.network_type == "classic" or instance.vpc_id != cluster.vpc_id:
        raise invalid("Instance.N.Id", f"{instance_id} is not in the VPC {cluster.vpc_id}.")
    if instance.locks:
        text = f"The instance {instance_id} is locked: {', '.join(instance.locks)}."
        raise ApiError(406, "EcsError", text)
    return instance


def _check_host_names(cluster: Cluster, instances: list[Instance]) -> None:
    taken = {node.host_name for node in cluster.nodes.values()}
    for instance in instances:
        if instance.host_name in taken:
            why = f"The host name {instance.host_name} of {instance.id} is in use."
            raise invalid("Instance.N.Id", why)
        taken.add(instance.host_name)


def _check_image(state: State, cluster: Cluster, args: Args) -> Image:
    image = state.world.images.get(args.text("ImageId"))
    usable = image is not None and image.status == "Available"
    if image is None or not usable or image.owner_alias != args.text("ImageOwnerAlias"):
        raise ApiError(404, "ImageNotFound", "The specified image does not exist.")
    if image.os_tag == cluster.os_tag:
        return image
    family, rest = family_of(cluster.os_tag), cluster.os_tag.partition("_")[2]
    cluster_is_windows = family.startswith("windows")
    if cluster.multi_os and cluster_is_windows:
        if image.is_windows or image.family == "centos":
            return image
        raise invalid("ImageId", "Only Windows Server and CentOS images fit this cluster.")
    same_family = image.is_windows if cluster_is_windows else image.family == family
    same_major = image.version.split(".")[0] == rest.split("_")[0].split(".")[0]
    if not (same_family and same_major):
        raise invalid("ImageId", f"{image.os_tag} does not fit a cluster of {cluster.os_tag}.")
    return image


def _take(state: State, cluster: Cluster, instance: Instance, image: Image, queue: str) -> None:
    """The effect on one instance: its disk is replaced."""
    state.harm.disk_replaced(instance.id)
    set_image(instance, image)
    node = member(state, instance, image.owner_alias, queue)
    node.status, node.state_in_sched = "uninit", "unknown"
    node.listed = state.world.knobs.nodes_listed == "at_acceptance"
    state.world.add_node(cluster, node)
    if state.world.knobs.instances_start == "at_acceptance":
        state.move(instance, "Starting", "Running")


def set_image(instance: Instance, image: Image) -> None:
    """Replace the system disk."""
    instance.image_id, instance.os_name = image.id, image.os_name
    instance.os_type = "windows" if image.is_windows else "linux"


def member(state: State, instance: Instance, image_owner_alias: str, queue: str) -> Node:
    """The compute node of an instance."""
    return Node(
        id=instance.id,
        host_name=instance.host_name,
        queue=queue,
        ip=instance.private_ip,
        image_id=instance.image_id,
        image_owner_alias=image_owner_alias,
        instance_type=instance.instance_type,
        add_time=state.now,
        total=Resources(instance.cpu, instance.gpu, instance.memory),
    )


def _start_task(state: State, cluster: Cluster, ids: list[str], queue: str) -> Task:
    knobs = state.world.knobs
    task = Task(
        id=tasks.task_id(state),
        cluster_id=cluster.id,
        kind="attach",
        type=knobs.task_type,
        instance_ids=ids,
        queue=queue,
        listed=knobs.task_listed,
        names_instances=knobs.task_result_names_instances,
    )
    return tasks.start(state, task)
