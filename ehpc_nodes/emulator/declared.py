"""The actions that the emulator knows, and the parameters that each of them takes."""

from __future__ import annotations

from .params import Param

EHPC_VERSION = "2018-04-12"
ECS_VERSION = "2014-05-26"
SERVICES = {EHPC_VERSION: "ehpc", ECS_VERSION: "ecs"}

ALIASES = ("system", "self", "others", "marketplace")
ROLES = ("Manager", "Login", "Compute")

_CLUSTER = Param("ClusterId", required=True)
_INSTANCES = Param("Instance.N.Id", required=True, high=100)
_PAGE = Param("PageNumber", "int", low=1)
_ROLE = Param("Role", choices=ROLES)
_ASYNC = Param("Async", "bool")
_SEQUENCE = Param("Sequence", choices=("Forward", "Backward"))


def _size(high: int) -> Param:
    return Param("PageSize", "int", low=1, high=high)


_EHPC: dict[str, list[Param]] = {
    "AddExistedNodes": [
        _CLUSTER,
        Param("ImageId", required=True),
        Param("ImageOwnerAlias", required=True, choices=ALIASES),
        _INSTANCES,
        Param("JobQueue"),
    ],
    "DeleteNodes": [
        _CLUSTER,
        _INSTANCES,
        Param("ReleaseInstance", "bool"),
        Param("Sync", "bool"),
    ],
    "ListNodes": [
        _CLUSTER,
        _ROLE,
        Param("HostName"),
        Param("HostNamePrefix"),
        Param("HostNameSuffix"),
        Param("PrivateIpAddress"),
        Param("Filter"),
        _PAGE,
        _size(100),
        _SEQUENCE,
        Param("SortBy", choices=("AddedTime", "HostName")),
    ],
    "ListNodesByQueue": [_CLUSTER, Param("QueueName", required=True), _PAGE, _size(50), _ASYNC],
    "ListNodesNoPaging": [_CLUSTER, Param("HostName"), _ROLE, _SEQUENCE],
    "ListTasks": [
        _CLUSTER,
        Param("TaskId"),
        Param("Archived", "bool"),
        Param("PageNumber", "int", low=1, high=999),
        _size(50),
    ],
    "SetQueue": [
        _CLUSTER,
        Param("QueueName", required=True),
        Param("Node.N.Name", required=True, high=100),
    ],
    "ListQueues": [_CLUSTER, _ASYNC],
    "DescribeCluster": [_CLUSTER],
    "ListClusters": [_PAGE, _size(50)],
    "ListImages": [Param("BaseOsTag"), Param("InstanceType")],
    "ListCustomImages": [
        Param("ImageOwnerAlias", choices=("self", "others")),
        Param("ClusterId"),
        Param("BaseOsTag"),
        Param("InstanceType"),
    ],
    "ListJobsWithFilters": [
        _CLUSTER,
        Param("JobStatus", choices=("all", "finished", "notfinish")),
        Param("Nodes.N"),
        Param("Queues.N"),
        Param("Users.N"),
        Param("RegionId"),
        _ASYNC,
        _PAGE,
        _size(50),
    ],
    "GetAutoScaleConfig": [_CLUSTER],
    "StopNodes": [_CLUSTER, _INSTANCES, _ROLE],
    "StartNodes": [_CLUSTER, _INSTANCES, _ROLE],
}

_REGION = Param("RegionId", required=True)
_TYPE = Param("ResourceType", required=True, choices=("instance",))
_TAG_VALUE = Param("Tag.N.Value", high=20, sparse=True)

_ECS: dict[str, list[Param]] = {
    "DescribeInstances": [
        _REGION,
        Param("InstanceIds", "ids", high=100),
        Param("MaxResults", "int", low=1, high=100),
        Param("NextToken"),
        _PAGE,
        _size(100),
        Param("Status", choices=("Pending", "Running", "Starting", "Stopping", "Stopped")),
        Param("VpcId"),
        Param("Tag.N.Key", high=20),
        _TAG_VALUE,
    ],
    "StopInstances": [
        _REGION,
        Param("InstanceId.N", required=True, high=100),
        Param("ForceStop", "bool"),
        Param("StoppedMode", choices=("StopCharging", "KeepCharging")),
        Param("DryRun", "bool"),
        Param("BatchOptimization", choices=("AllTogether", "SuccessFirst")),
    ],
    "TagResources": [
        _REGION,
        _TYPE,
        Param("ResourceId.N", required=True, high=50),
        Param("Tag.N.Key", required=True, high=20),
        _TAG_VALUE,
    ],
    "UntagResources": [
        _REGION,
        _TYPE,
        Param("ResourceId.N", required=True, high=50),
        Param("TagKey.N", high=20),
        Param("All", "bool"),
    ],
    "ListTagResources": [
        _REGION,
        _TYPE,
        Param("ResourceId.N", high=50),
        Param("Tag.N.Key", high=20),
        _TAG_VALUE,
        Param("NextToken"),
    ],
}


def _by_name(table: dict[str, list[Param]]) -> dict[str, dict[str, Param]]:
    return {action: {item.name: item for item in params} for action, params in table.items()}


ACTIONS = {"ehpc": _by_name(_EHPC), "ecs": _by_name(_ECS)}

# The path of the items in each list answer, for faults that change lists.
LISTS: dict[str, tuple[str, ...]] = {
    "ListNodes": ("Nodes", "NodeInfo"),
    "ListNodesByQueue": ("Nodes", "NodeInfo"),
    "ListNodesNoPaging": ("Nodes", "NodeInfo"),
    "ListTasks": ("Tasks",),
    "ListJobsWithFilters": ("Jobs",),
    "ListQueues": ("Queues", "QueueInfo"),
    "ListClusters": ("Clusters", "ClusterInfoSimple"),
    "ListImages": ("OsTags", "OsInfo"),
    "ListCustomImages": ("Images", "ImageInfo"),
    "DescribeInstances": ("Instances", "Instance"),
    "ListTagResources": ("TagResources", "TagResource"),
}
