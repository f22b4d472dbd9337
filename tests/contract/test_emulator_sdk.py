"""Alibaba Cloud's official SDKs work with the emulator: every action, with either signature, and every field
that the emulator sends is one that they know.
"""

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

    def attach(self, *instance_ids, queue=None):
        items = [ehpc.AddExistedNodesRequestInstance(id=i) for i in instance_ids]
        request = ehpc.AddExistedNodesRequest(
            cluster_id=CLUSTER,
            image_id=IMAGE,
            image_owner_alias="system",
            instance=items,
            job_queue=queue,
        )
        return self.ehpc.add_existed_nodes(request).body

    def nodes(self):
        request = ehpc.ListNodesRequest(cluster_id=CLUSTER, page_size=100, role="Compute")
        return self.ehpc.list_nodes(request).body.nodes.node_info

    def statuses(self):
        return {node.id: node.status for node in self.nodes()}


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
    request = ehpc.DeleteNodesRequest(
        cluster_id=CLUSTER,
        instance=[ehpc.DeleteNodesRequestInstance(id=FIRST)],
        release_instance=False,
        sync=True,
    )
    body = sdk.ehpc.delete_nodes(request).body
    assert body.task_id == "Not Available"
    assert sdk.statuses() == {SECOND: "running"}
    assert sdk.emulator.harm.releases == []
    return body


def list_nodes(sdk):
    sdk.attach(FIRST)
    request = ehpc.ListNodesRequest(
        cluster_id=CLUSTER, host_name="comp", filter='{"status":"running"}', sort_by="HostName"
    )
    body = sdk.ehpc.list_nodes(request).body
    (node,) = body.nodes.node_info
    assert (node.id, node.host_name, node.ip_address) == (FIRST, "compute1", "192.168.0.21")
    assert (node.status, node.image_id, node.created_by_ehpc) == ("running", IMAGE, False)
    assert (node.roles.role, node.used_resources.cpu) == (["Compute"], 0)
    assert (node.state_in_sched, node.spot_strategy) == ("active", "NoSpot")
    assert (body.total_count, body.page_number, body.page_size) == (1, 1, 10)
    return body


def list_nodes_by_queue(sdk):
    sdk.attach(FIRST, queue="gpu")
    request = ehpc.ListNodesByQueueRequest(cluster_id=CLUSTER, queue_name="gpu", page_size=50)
    body = sdk.ehpc.list_nodes_by_queue(request).body
    assert [node.id for node in body.nodes.node_info] == [FIRST]
    return body


def list_nodes_no_paging(sdk):
    sdk.attach(FIRST)
    request = ehpc.ListNodesNoPagingRequest(cluster_id=CLUSTER)
    body = sdk.ehpc.list_nodes_no_paging(request).body
    assert [node.host_name for node in body.nodes.node_info] == ["compute1"]
    return body


def list_tasks(sdk):
    task_id = sdk.attach(FIRST).task_id
    request = ehpc.ListTasksRequest(cluster_id=CLUSTER, task_id=task_id, archived=False)
    body = sdk.ehpc.list_tasks(request).body
    (task,) = body.tasks
    assert (task.task_id, task.status, task.task_type) == (task_id, "Success", "AddComputes")
    assert task.current_step == task.total_steps
    assert FIRST in task.result
    return body


def set_queue(sdk):
    sdk.attach(FIRST)
    request = ehpc.SetQueueRequest(
        cluster_id=CLUSTER, queue_name="gpu", node=[ehpc.SetQueueRequestNode(name="compute1")]
    )
    body = sdk.ehpc.set_queue(request).body
    assert sdk.emulator.world.node(FIRST).queue == "gpu"
    return body


def list_queues(sdk):
    body = sdk.ehpc.list_queues(ehpc.ListQueuesRequest(cluster_id=CLUSTER)).body
    assert [queue.queue_name for queue in body.queues.queue_info] == ["workq", "gpu"]
    assert body.queues.queue_info[0].enable_auto_grow is False
    return body


def describe_cluster(sdk):
    body = sdk.ehpc.describe_cluster(ehpc.DescribeClusterRequest(cluster_id=CLUSTER)).body
    info = body.cluster_info
    assert (info.id, info.status, info.vpc_id) == (CLUSTER, "running", "vpc-demo")
    assert (info.os_tag, info.image_id, info.image_owner_alias) == (
        "CentOS_7.6_64",
        IMAGE,
        "system",
    )
    assert (info.ecs_info.manager.count, info.initial_image.image_id) == (1, IMAGE)
    return body


def list_clusters(sdk):
    body = sdk.ehpc.list_clusters(ehpc.ListClustersRequest(page_size=50)).body
    (cluster,) = body.clusters.cluster_info_simple
    assert (cluster.id, cluster.computes.total, body.total_count) == (CLUSTER, 0, 1)
    return body


def list_images(sdk):
    body = sdk.ehpc.list_images(ehpc.ListImagesRequest()).body
    image = body.os_tags.os_info[0]
    assert (image.image_id, image.os_tag, image.version) == (IMAGE, "CentOS_7.6_64", "7.6")
    return body


def list_custom_images(sdk):
    request = ehpc.ListCustomImagesRequest(image_owner_alias="self", cluster_id=CLUSTER)
    body = sdk.ehpc.list_custom_images(request).body
    (image,) = body.images.image_info
    assert (image.image_name, image.os_tag.os_tag) == ("our-centos-with-mpi", "CentOS_7.6_64")
    return body


def list_jobs_with_filters(sdk):
    sdk.attach(FIRST, SECOND, queue="gpu")
    sdk.emulator.outside.start_job(FIRST, "8.scheduler", "test2@scheduler", cores=2)
    sdk.emulator.outside.start_job(SECOND)
    request = ehpc.ListJobsWithFiltersRequest(
        cluster_id=CLUSTER,
        job_status="notfinish",
        nodes=["compute1", "compute9"],
        queues=["gpu"],
        users=["test2"],
        async_=False,
    )
    body = sdk.ehpc.list_jobs_with_filters(request).body
    (job,) = body.jobs
    assert (job.id, job.owner, job.state) == ("8.scheduler", "test2@scheduler", "RUNNING")
    assert (job.node_list, job.queue) == ('["compute1"]', "gpu")
    assert (job.resources.cores, job.resources.nodes, body.total_count) == (2, 1, 1)
    return body


def get_auto_scale_config(sdk):
    cluster = sdk.emulator.world.clusters[CLUSTER]
    cluster.queues["gpu"].auto_shrink = True
    cluster.auto_scale.exclude_nodes = [FIRST, SECOND]
    request = ehpc.GetAutoScaleConfigRequest(cluster_id=CLUSTER)
    body = sdk.ehpc.get_auto_scale_config(request).body
    assert (body.enable_auto_shrink, body.exclude_nodes) == (False, f"{FIRST},{SECOND}")
    assert (body.shrink_idle_times, body.shrink_interval_in_minutes) == (3, 2)
    assert [(queue.queue_name, queue.enable_auto_shrink) for queue in body.queues.queue_info] == [
        ("workq", False),
        ("gpu", True),
    ]
    return body


def stop_nodes(sdk):
    sdk.attach(FIRST)
    request = ehpc.StopNodesRequest(
        cluster_id=CLUSTER, instance=[ehpc.StopNodesRequestInstance(id=FIRST)]
    )
    body = sdk.ehpc.stop_nodes(request).body
    assert body.task_id
    assert sdk.statuses() == {FIRST: "stopped"}
    return body


def start_nodes(sdk):
    stop_nodes(sdk)
    request = ehpc.StartNodesRequest(
        cluster_id=CLUSTER, instance=[ehpc.StartNodesRequestInstance(id=FIRST)]
    )
    body = sdk.ehpc.start_nodes(request).body
    assert sdk.statuses() == {FIRST: "running"}
    return body


def describe_instances(sdk):
    sdk.emulator.world.instances[FIRST].locks = ["financial"]
    sdk.emulator.world.instances[FIRST].tags = {"ehpc-nodes": "a b+c"}
    request = ecs.DescribeInstancesRequest(
        region_id=REGION,
        instance_ids=f'["{FIRST}"]',
        tag=[ecs.DescribeInstancesRequestTag(key="ehpc-nodes", value="a b+c")],
    )
    body = sdk.ecs.describe_instances(request).body
    (row,) = body.instances.instance
    assert (row.instance_id, row.host_name, row.status) == (FIRST, "compute1", "Stopped")
    assert row.vpc_attributes.private_ip_address.ip_address == ["192.168.0.21"]
    assert (row.expired_time, row.spot_strategy) == ("2099-12-31T15:59Z", "NoSpot")
    assert row.operation_locks.lock_reason[0].lock_reason == "financial"
    assert [(tag.tag_key, tag.tag_value) for tag in row.tags.tag] == [("ehpc-nodes", "a b+c")]
    assert body.total_count == 1
    return body


def stop_instances(sdk):
    sdk.emulator.outside.start(FIRST)
    request = ecs.StopInstancesRequest(
        region_id=REGION, instance_id=[FIRST], stopped_mode="KeepCharging", force_stop=False
    )
    body = sdk.ecs.stop_instances(request).body
    (row,) = body.instance_responses.instance_response
    assert (row.instance_id, row.previous_status, row.code) == (FIRST, "Running", "200")
    assert sdk.emulator.world.instances[FIRST].status == "Stopped"
    return body


def tag_resources(sdk):
    request = ecs.TagResourcesRequest(
        region_id=REGION,
        resource_type="instance",
        resource_id=[FIRST, SECOND],
        tag=[ecs.TagResourcesRequestTag(key="ehpc-nodes", value="stack/nodes")],
    )
    body = sdk.ecs.tag_resources(request).body
    assert sdk.emulator.world.instances[SECOND].tags == {"ehpc-nodes": "stack/nodes"}
    return body


def untag_resources(sdk):
    tag_resources(sdk)
    request = ecs.UntagResourcesRequest(
        region_id=REGION, resource_type="instance", resource_id=[FIRST], tag_key=["ehpc-nodes"]
    )
    body = sdk.ecs.untag_resources(request).body
    assert sdk.emulator.world.instances[FIRST].tags == {}
    return body


def list_tag_resources(sdk):
    tag_resources(sdk)
    request = ecs.ListTagResourcesRequest(
        region_id=REGION,
        resource_type="instance",
        tag=[ecs.ListTagResourcesRequestTag(key="ehpc-nodes")],
    )
    body = sdk.ecs.list_tag_resources(request).body
    assert [row.resource_id for row in body.tag_resources.tag_resource] == [FIRST, SECOND]
    return body


DEEDS = {
    "AddExistedNodes": add_existed_nodes,
    "DeleteNodes": delete_nodes,
    "ListNodes": list_nodes,
    "ListNodesByQueue": list_nodes_by_queue,
    "ListNodesNoPaging": list_nodes_no_paging,
    "ListTasks": list_tasks,
    "SetQueue": set_queue,
    "ListQueues": list_queues,
    "DescribeCluster": describe_cluster,
    "ListClusters": list_clusters,
    "ListImages": list_images,
    "ListCustomImages": list_custom_images,
    "ListJobsWithFilters": list_jobs_with_filters,
    "GetAutoScaleConfig": get_auto_scale_config,
    "StopNodes": stop_nodes,
    "StartNodes": start_nodes,
    "DescribeInstances": describe_instances,
    "StopInstances": stop_instances,
    "TagResources": tag_resources,
    "UntagResources": untag_resources,
    "ListTagResources": list_tag_resources,
}


def test_all_actions_are_tried():
    assert set(DEEDS) == {*EHPC, *ECS}


@pytest.mark.parametrize("action", DEEDS)
def test_the_official_sdk_completes(sdk, action):
    body = DEEDS[action](sdk)
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


def test_errors_are_read(sdk):
    with pytest.raises(Exception, match="ClusterNotFound") as caught:
        sdk.ehpc.list_queues(ehpc.ListQueuesRequest(cluster_id="ehpc-hz-nope"))
    error: Any = caught.value
    assert (error.status_code, error.code) == (404, "ClusterNotFound")
    assert error.data["HostId"] == "ehpc.aliyuncs.com"


def test_throttling_says_when_to_come_again(sdk):
    sdk.emulator.faults.add({"kind": "throttle", "retry_after": 2500})
    with pytest.raises(Exception, match=r"Throttling\.User") as caught:
        sdk.nodes()
    error: Any = caught.value
    assert error.retry_after == 2500


def test_a_secret_that_is_wrong(sdk):
    sdk.emulator.world.default_key.secret = "another"
    with pytest.raises(Exception, match="SignatureDoesNotMatch") as caught:
        sdk.nodes()
    error: Any = caught.value
    assert error.status_code == 403
