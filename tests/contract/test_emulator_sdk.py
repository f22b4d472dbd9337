"""Alibaba Cloud's official SDKs work with the emulator: every action, with either signature, and every field
that the emulator sends is one that they know.
"""

import re
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_ecs20140526.client import Client as Ecs
from alibabacloud_ehpc20180412 import models as ehpc
from alibabacloud_ehpc20180412.client import Client as Ehpc
from alibabacloud_tea_openapi.models import Config

from ehpc_nodes.emulator import Emulator, EmulatorServer, World, declared

REGION, CLUSTER = "cn-hangzhou", "ehpc-hz-demo"
IMAGE = "centos_7_06_64_20G_alibase_20190711.vhd"
FIRST, SECOND = "i-bp1demo00000000001", "i-bp1demo00000000002"
EHPC, ECS = declared.ACTIONS["ehpc"], declared.ACTIONS["ecs"]


class Both:
    """Both SDKs on one emulator. `called` maps each action to the body that the emulator sent last."""

    def __init__(self, server, algorithm):
        config = {
            "access_key_id": server.access_key_id,
            "access_key_secret": server.access_key_secret,
            "endpoint": server.address,
            "protocol": "HTTP",
            "region_id": REGION,
            "signature_algorithm": algorithm,
        }
        self.ehpc, self.ecs = Ehpc(Config(**config)), Ecs(Config(**config))
        self.emulator, self.called = server.emulator, {}
        self._call, self.emulator.call = self.emulator.call, self._noted

    def _noted(self, action, version, params, caller=None):
        answer = self._call(action, version, params, caller)
        self.called[action] = answer.body
        return answer

    def __call__(self, action, **params):
        """The body that the SDK's method of an action returns; cluster and region are the usual ones."""
        client, models, known = (self.ehpc, ehpc, EHPC) if action in EHPC else (self.ecs, ecs, ECS)
        usual = {"ClusterId": CLUSTER, "RegionId": REGION}
        usual = {name: value for name, value in usual.items() if name in known[action]}
        request = getattr(models, f"{action}Request")().from_map(usual | params)
        return getattr(client, method_of(action))(request).body

    def attach(self, *instance_ids, **params):
        image = {"ImageId": IMAGE, "ImageOwnerAlias": "system"}
        return self("AddExistedNodes", **image, Instance=items(*instance_ids), **params)

    def statuses(self):
        rows = self("ListNodes", PageSize=100, Role="Compute").nodes.node_info
        return {node.id: node.status for node in rows}


def method_of(action):
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action).lower()


def items(*instance_ids):
    return [{"Id": i} for i in instance_ids]


@pytest.fixture(params=[None, "v2"], ids=["ACS3", "RPC"])
def sdk(request):
    world = World.demo()
    world.knobs = world.knobs.changed({"task_pace": "instant", "instance_pace": "instant"})
    with EmulatorServer(Emulator(world)) as server:
        yield Both(server, request.param)


def add_existed_nodes(sdk):
    body = sdk.attach(FIRST, SECOND)
    assert body.task_id == body.request_id
    assert sdk.statuses() == {FIRST: "running", SECOND: "running"}
    return body


def delete_nodes(sdk):
    sdk.attach(FIRST, SECOND)
    body = sdk("DeleteNodes", Instance=items(FIRST), ReleaseInstance=False, Sync=True)
    assert body.task_id == "Not Available"
    assert sdk.statuses() == {SECOND: "running"}
    assert sdk.emulator.harm.releases == []
    return body


def list_nodes(sdk):
    sdk.attach(FIRST)
    body = sdk("ListNodes", HostName="comp", Filter='{"status":"running"}', SortBy="HostName")
    (node,) = body.nodes.node_info
    assert (node.id, node.host_name, node.ip_address) == (FIRST, "compute1", "192.168.0.21")
    assert (node.status, node.image_id, node.created_by_ehpc) == ("running", IMAGE, False)
    assert (node.roles.role, node.used_resources.cpu) == (["Compute"], 0)
    assert (node.state_in_sched, node.spot_strategy) == ("active", "NoSpot")
    assert (body.total_count, body.page_number, body.page_size) == (1, 1, 10)
    return body


def list_nodes_by_queue(sdk):
    sdk.attach(FIRST, JobQueue="gpu")
    body = sdk("ListNodesByQueue", QueueName="gpu", PageSize=50)
    assert [node.id for node in body.nodes.node_info] == [FIRST]
    return body


def list_nodes_no_paging(sdk):
    sdk.attach(FIRST)
    body = sdk("ListNodesNoPaging")
    assert [node.host_name for node in body.nodes.node_info] == ["compute1"]
    return body


def list_tasks(sdk):
    task_id = sdk.attach(FIRST).task_id
    body = sdk("ListTasks", TaskId=task_id, Archived=False)
    (task,) = body.tasks
    assert (task.task_id, task.status, task.task_type) == (task_id, "Success", "AddComputes")
    assert task.current_step == task.total_steps
    assert FIRST in task.result
    return body


def set_queue(sdk):
    sdk.attach(FIRST)
    body = sdk("SetQueue", QueueName="gpu", Node=[{"Name": "compute1"}])
    assert sdk.emulator.world.node(FIRST).queue == "gpu"
    return body


def list_queues(sdk):
    body = sdk("ListQueues")
    assert [queue.queue_name for queue in body.queues.queue_info] == ["workq", "gpu"]
    assert body.queues.queue_info[0].enable_auto_grow is False
    return body


def describe_cluster(sdk):
    body = sdk("DescribeCluster")
    info = body.cluster_info
    assert (info.id, info.status, info.vpc_id) == (CLUSTER, "running", "vpc-demo")
    image = (info.os_tag, info.image_id, info.image_owner_alias)
    assert image == ("CentOS_7.6_64", IMAGE, "system")
    assert (info.ecs_info.manager.count, info.initial_image.image_id) == (1, IMAGE)
    return body


def list_clusters(sdk):
    body = sdk("ListClusters", PageSize=50)
    (cluster,) = body.clusters.cluster_info_simple
    assert (cluster.id, cluster.computes.total, body.total_count) == (CLUSTER, 0, 1)
    return body


def list_images(sdk):
    body = sdk("ListImages")
    image = body.os_tags.os_info[0]
    assert (image.image_id, image.os_tag, image.version) == (IMAGE, "CentOS_7.6_64", "7.6")
    return body


def list_custom_images(sdk):
    body = sdk("ListCustomImages", ImageOwnerAlias="self", ClusterId=CLUSTER)
    (image,) = body.images.image_info
    assert (image.image_name, image.os_tag.os_tag) == ("our-centos-with-mpi", "CentOS_7.6_64")
    return body


def list_jobs_with_filters(sdk):
    sdk.attach(FIRST, SECOND, JobQueue="gpu")
    sdk.emulator.outside.start_job(FIRST, "8.scheduler", "test2@scheduler", cores=2)
    sdk.emulator.outside.start_job(SECOND)
    filters = {"Nodes": ["compute1", "compute9"], "Queues": ["gpu"], "Users": ["test2"]}
    body = sdk("ListJobsWithFilters", JobStatus="notfinish", Async=False, **filters)
    (job,) = body.jobs
    assert (job.id, job.owner, job.state) == ("8.scheduler", "test2@scheduler", "RUNNING")
    assert (job.node_list, job.queue) == ('["compute1"]', "gpu")
    assert (job.resources.cores, job.resources.nodes, body.total_count) == (2, 1, 1)
    return body


def get_auto_scale_config(sdk):
    cluster = sdk.emulator.world.clusters[CLUSTER]
    cluster.queues["gpu"].auto_shrink = True
    cluster.auto_scale.exclude_nodes = [FIRST, SECOND]
    body = sdk("GetAutoScaleConfig")
    assert (body.enable_auto_shrink, body.exclude_nodes) == (False, f"{FIRST},{SECOND}")
    assert (body.shrink_idle_times, body.shrink_interval_in_minutes) == (3, 2)
    shrinking = {queue.queue_name: queue.enable_auto_shrink for queue in body.queues.queue_info}
    assert shrinking == {"workq": False, "gpu": True}
    return body


def stop_nodes(sdk):
    sdk.attach(FIRST)
    body = sdk("StopNodes", Instance=items(FIRST))
    assert body.task_id
    assert sdk.statuses() == {FIRST: "stopped"}
    return body


def start_nodes(sdk):
    stop_nodes(sdk)
    body = sdk("StartNodes", Instance=items(FIRST))
    assert sdk.statuses() == {FIRST: "running"}
    return body


def describe_instances(sdk):
    sdk.emulator.world.instances[FIRST].locks = ["financial"]
    sdk.emulator.world.instances[FIRST].tags = {"ehpc-nodes": "a b+c"}
    tag = {"Key": "ehpc-nodes", "Value": "a b+c"}
    body = sdk("DescribeInstances", InstanceIds=f'["{FIRST}"]', Tag=[tag])
    (row,) = body.instances.instance
    assert (row.instance_id, row.host_name, row.status) == (FIRST, "compute1", "Stopped")
    assert row.vpc_attributes.private_ip_address.ip_address == ["192.168.0.21"]
    assert row.vpc_attributes.vpc_id == "vpc-demo"
    assert row.image_id == sdk.emulator.world.instances[FIRST].image_id
    assert (row.expired_time, row.spot_strategy) == ("2099-12-31T15:59Z", "NoSpot")
    assert row.operation_locks.lock_reason[0].lock_reason == "financial"
    assert [(tag.tag_key, tag.tag_value) for tag in row.tags.tag] == [("ehpc-nodes", "a b+c")]
    assert body.total_count == 1
    return body


def stop_instances(sdk):
    sdk.emulator.outside.start(FIRST)
    body = sdk("StopInstances", InstanceId=[FIRST], StoppedMode="KeepCharging", ForceStop=False)
    (row,) = body.instance_responses.instance_response
    assert (row.instance_id, row.previous_status, row.code) == (FIRST, "Running", "200")
    assert sdk.emulator.world.instances[FIRST].status == "Stopped"
    return body


def tag_resources(sdk):
    tag = {"Key": "ehpc-nodes", "Value": "stack/nodes"}
    body = sdk("TagResources", ResourceType="instance", ResourceId=[FIRST, SECOND], Tag=[tag])
    assert sdk.emulator.world.instances[SECOND].tags == {"ehpc-nodes": "stack/nodes"}
    return body


def untag_resources(sdk):
    tag_resources(sdk)
    keys = ["ehpc-nodes"]
    body = sdk("UntagResources", ResourceType="instance", ResourceId=[FIRST], TagKey=keys)
    assert sdk.emulator.world.instances[FIRST].tags == {}
    return body


def list_tag_resources(sdk):
    tag_resources(sdk)
    body = sdk("ListTagResources", ResourceType="instance", Tag=[{"Key": "ehpc-nodes"}])
    assert [row.resource_id for row in body.tag_resources.tag_resource] == [FIRST, SECOND]
    return body


@pytest.mark.parametrize("action", [*EHPC, *ECS])
def test_the_official_sdk_completes(sdk, action):
    """By the function above that is named like the SDK's method."""
    body = globals()[method_of(action)](sdk)
    # what the models don't know they drop: so the emulator sends no field that there isn't
    assert body.to_map() == sdk.called[action]


@pytest.mark.parametrize(("models", "actions"), [(ehpc, EHPC), (ecs, ECS)], ids=["ehpc", "ecs"])
def test_all_parameters_are_official(models, actions):
    for action, params in actions.items():
        given: dict[str, Any] = {}
        for name in params:
            head, _, item = name.partition(".N")
            if item:  # Instance.N.Id
                given.setdefault(head, [{}])[0][item[1:]] = "x"
            else:
                given[head] = ["x"] if name.endswith(".N") else "x"
        official = getattr(models, f"{action}Request")().from_map(given).to_map()
        assert {name: official.get(name) for name in given} == given, action


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"kind": "error", "status": 404, "code": "ClusterNotFound"}, 404, "ClusterNotFound"),
        ({"kind": "throttle", "retry_after": 2500}, 400, "Throttling.User"),
    ],
)
def test_errors_are_read(sdk, fault, status, code):
    sdk.emulator.faults.add(fault)
    with pytest.raises(Exception, match=code) as caught:
        sdk("ListQueues")
    error: Any = caught.value
    assert (error.status_code, error.code) == (status, code)
    assert error.data["HostId"] == "ehpc.aliyuncs.com"
    assert error.retry_after == fault.get("retry_after")


def test_a_secret_that_is_wrong(sdk):
    sdk.emulator.world.default_key.secret = "another"
    with pytest.raises(Exception, match="SignatureDoesNotMatch") as caught:
        sdk("ListQueues")
    error: Any = caught.value
    assert error.status_code == 403
    (entry,) = sdk.emulator.journal.entries
    assert (entry.action, entry.status, entry.code) == ("ListQueues", 403, "SignatureDoesNotMatch")
    assert (entry.access_key_id, entry.params) == (sdk.emulator.world.default_key.id, {})
