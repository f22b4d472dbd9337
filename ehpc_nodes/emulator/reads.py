"""The reading actions of E-HPC about clusters, queues, images and tasks."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from . import tasks
from .answers import Body
from .nodes import has_role
from .params import Args
from .state import State
from .world import Cluster, Image, Node, Queue, Task

T = TypeVar("T")


def page(args: Args, rows: list[T], default_size: int = 10) -> tuple[list[T], Body]:
    """The rows of the requested page, and the answer's paging fields."""
    number = args.number("PageNumber", 1)
    size = args.number("PageSize", default_size)
    fields: Body = {"PageNumber": number, "PageSize": size, "TotalCount": len(rows)}
    return rows[(number - 1) * size : number * size], fields


def list_tasks(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    tasks.look(state, cluster.id)
    found = _tasks(state, cluster)
    if args.text("TaskId"):
        found = [task for task in found if task.id == args.text("TaskId")]
    elif not args.flag("Archived"):
        found = [task for task in found if task.is_open]
    rows, fields = page(args, found)
    return {"Tasks": [_task(state, task) for task in rows], **fields}


def list_queues(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    return {"Queues": {"QueueInfo": [_queue(queue) for queue in cluster.queues.values()]}}


def describe_cluster(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    info = {**_common(state, cluster), **_details(state, cluster)}
    return {"ClusterInfo": info}


def list_clusters(state: State, args: Args) -> Body:
    rows, fields = page(args, list(state.world.clusters.values()))
    return {"Clusters": {"ClusterInfoSimple": [_simple(state, c) for c in rows]}, **fields}


def list_images(state: State, args: Args) -> Body:
    rows = [
        {
            "ImageId": image.id,
            "OsTag": image.os_tag,
            "BaseOsTag": image.os_tag,
            "OSName": image.os_name,
            "OSNameEn": image.os_name,
            "Platform": image.platform,
            "Version": image.version,
            "Architecture": image.architecture,
        }
        for image in state.world.images.values()
        if image.owner_alias == "system"
        and image.status == "Available"
        and image.listed
        and args.text("BaseOsTag", image.os_tag) == image.os_tag
    ]
    return {"OsTags": {"OsInfo": rows}}


def list_custom_images(state: State, args: Args) -> Body:
    if args.text("ClusterId"):
        state.cluster(args.text("ClusterId"))
    rows = [
        _custom_image(image)
        for image in state.world.images.values()
        if image.owner_alias in ("self", "others")
        and args.text("ImageOwnerAlias", image.owner_alias) == image.owner_alias
        and args.text("BaseOsTag", image.os_tag) == image.os_tag
    ]
    return {"Images": {"ImageInfo": rows}}


def _tasks(state: State, cluster: Cluster) -> list[Task]:
    knobs = state.world.knobs
    lag = knobs.list_lag if knobs.tasks_lag else None
    view = state.lag.view(cluster.id, lag, state.clock.now()) if lag else None
    known = view.tasks if view else state.world.tasks.values()
    return [task for task in known if task.listed and task.cluster_id == cluster.id]


def _task(state: State, task: Task) -> Body:
    request = {
        "requestId": task.request_id,
        "uid": state.world.account_uid,
        "bid": "26842",
        "clusterId": task.cluster_id,
    }
    return {
        "ClusterId": task.cluster_id,
        "TaskId": task.id,
        "TaskType": task.type,
        "Status": task.status,
        "CurrentStep": task.current_step,
        "TotalSteps": task.total_steps,
        "Request": _text(state, json.dumps(request)),
        "Result": _text(state, tasks.result(state.world, task)),
        "Errors": tasks.errors(task),
    }


def _text(state: State, text: str) -> str:
    return json.dumps(text)[1:-1] if state.world.knobs.task_texts_escaped_twice else text


def _queue(queue: Queue) -> Body:
    return {
        "QueueName": queue.name,
        "Type": queue.type,
        "ComputeInstanceType": {"InstanceType": list(queue.instance_types)},
        "EnableAutoGrow": queue.auto_grow,
        "HostNamePrefix": "",
        "HostNameSuffix": "",
        "ImageId": queue.image_id,
        "DeploymentSetId": "",
        "ResourceGroupId": "",
        "SpotStrategy": "NoSpot",
        "SpotInstanceTypes": {"Instance": []},
        "UseESS": False,
    }


def _common(state: State, cluster: Cluster) -> Body:
    """The fields of both DescribeCluster and ListClusters."""
    return {
        "Id": cluster.id,
        "Name": cluster.name,
        "Description": "",
        "Status": cluster.status,
        "RegionId": state.world.region,
        "ZoneId": cluster.zone_id or f"{state.world.region}-a",
        "VpcId": cluster.vpc_id,
        "VSwitchId": cluster.vswitch_id,
        "ImageId": cluster.image_id,
        "ImageOwnerAlias": cluster.image_owner_alias,
        "OsTag": cluster.os_tag,
        "BaseOsTag": cluster.os_tag,
        "SchedulerType": cluster.scheduler,
        "DeployMode": cluster.deploy_mode,
        "Location": cluster.location,
        "AccountType": "nis",
        "ClientVersion": "1.0.78",
        "CreateTime": cluster.create_time,
        "ResourceGroupId": "",
    }


def _details(state: State, cluster: Cluster) -> Body:
    image = state.world.images.get(cluster.image_id)
    return {
        "SecurityGroupId": cluster.security_group_id,
        "ImageName": image.name if image else cluster.image_id,
        "InitialImage": {
            "ImageId": cluster.image_id,
            "ImageOwnerAlias": cluster.image_owner_alias,
            "OsTag": cluster.os_tag,
        },
        "SchedulerVersion": "18.1.1",
        "ClusterVersion": "1.0",
        "EcsChargeType": "PostPaid",
        "HaEnable": False,
        "KeyPairName": "",
        "EcsInfo": {
            "Compute": _ecs_info(cluster, "Compute"),
            "Login": _ecs_info(cluster, "Login"),
            "Manager": _ecs_info(cluster, "Manager"),
            "ProxyMgr": {"Count": 0, "InstanceType": ""},
        },
        "Nodes": {"NodesInfo": []},
        "Applications": {"ApplicationInfo": []},
        "PostInstallScripts": {"PostInstallScriptInfo": []},
        "AddOnsInfo": {"AddOnsInfo": []},
    }


def _with_role(cluster: Cluster, role: str) -> list[Node]:
    return [node for node in cluster.nodes.values() if node.listed and has_role(node, role)]


def _ecs_info(cluster: Cluster, role: str) -> Body:
    found = _with_role(cluster, role)
    return {"Count": len(found), "InstanceType": found[0].instance_type if found else ""}


def _simple(state: State, cluster: Cluster) -> Body:
    computes = _with_role(cluster, "Compute")
    return {
        **_common(state, cluster),
        "Count": len(computes),
        "Computes": _counts(computes),
        "Managers": _counts(_with_role(cluster, "Manager")),
        "TotalResources": total([node.total for node in computes]),
        "UsedResources": total([cluster.used(node) for node in computes]),
        "NodePrefix": "",
        "NodeSuffix": "",
    }


def _counts(found: list[Node]) -> Body:
    statuses = [node.status for node in found]
    normal, broken = statuses.count("running"), statuses.count("exception")
    stopped = statuses.count("stopped")
    return {
        "Total": len(found),
        "NormalCount": normal,
        "ExceptionCount": broken,
        "StoppedCount": stopped,
        "OperatingCount": len(found) - normal - broken - stopped,
    }


def total(parts: list[Any]) -> Body:
    """The sum of resources, as answers show them."""
    return {
        "Cpu": sum(part.cpu for part in parts),
        "Gpu": sum(part.gpu for part in parts),
        "Memory": sum(part.memory for part in parts),
    }


def _custom_image(image: Image) -> Body:
    tag = {
        "OsTag": image.os_tag,
        "Platform": image.platform,
        "Version": image.version,
        "Architecture": image.architecture,
    }
    return {
        "ImageId": image.id,
        "ImageName": image.name,
        "ImageOwnerAlias": image.owner_alias,
        "Description": image.description,
        "Size": image.size,
        "Status": image.status,
        "OsTag": {**tag, "BaseOsTag": image.os_tag},
        "BaseOsTag": tag,
    }
