"""Scale-in: idle nodes go, without anybody's call."""

import pytest

MINUTE = 60


@pytest.fixture
def shrinking(make):
    """A cluster with the nodes i-old (workq), i-1 and i-2 (gpu)."""

    def shrinking(shrink=False, workq=None, gpu=None, exclude=(), **knobs):
        def change(data):
            cluster = data["clusters"][0]
            cluster["auto_scale"] = {"shrink": shrink, "exclude_nodes": list(exclude)}
            for queue, setting in zip(cluster["queues"], (workq, gpu), strict=True):
                queue["auto_shrink"] = setting

        cloud = make(change, **knobs)
        for instance_id in ("i-1", "i-2"):
            cloud.emulator.outside.attach(instance_id, "ehpc-1", queue="gpu")
        return cloud

    return shrinking


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, ["i-old", "i-1", "i-2"]),
        ({"shrink": True}, []),
        ({"gpu": True}, ["i-old"]),
        ({"shrink": True, "gpu": False}, ["i-1", "i-2"]),
        ({"shrink": True, "exclude": ["i-old", "i-2"]}, ["i-old", "i-2"]),
    ],
)
def test_idle_nodes_of_a_shrinking_queue_go(shrinking, options, left):
    cloud = shrinking(**options)
    cloud.emulator.advance(6 * MINUTE - 1)
    assert list(cloud.statuses()) == ["i-old", "i-1", "i-2"]
    cloud.emulator.advance(1)
    assert list(cloud.statuses()) == left
    assert cloud.instance("i-1")["Status"] == "Running"
    assert "i-head" in cloud.nodes()


def test_a_node_is_idle_from_its_last_job_on(shrinking):
    cloud = shrinking(gpu=True)
    cloud.emulator.outside.start_job("i-1", seconds=10 * MINUTE)
    cloud.emulator.outside.set_node_status("i-2", "initing")  # neither idle nor busy yet
    cloud.emulator.advance(10 * MINUTE)
    cloud.emulator.outside.set_node_status("i-2", "running")
    cloud.emulator.advance(6 * MINUTE - 1)
    assert list(cloud.statuses()) == ["i-old", "i-1", "i-2"]
    cloud.emulator.advance(1)
    assert list(cloud.statuses()) == ["i-old"]


def test_the_times_are_the_cluster_s(shrinking):
    cloud = shrinking(gpu=True)
    cloud.cluster.auto_scale.idle_times, cloud.cluster.auto_scale.interval_minutes = 2, 5
    cloud.emulator.advance(9 * MINUTE)
    assert len(cloud.statuses()) == 3
    cloud.emulator.advance(MINUTE)
    assert len(cloud.statuses()) == 1


def test_what_e_hpc_created_is_released(shrinking):
    cloud = shrinking(gpu=True)
    cloud.cluster.nodes["i-1"].created_by_ehpc = True
    cloud.emulator.advance(6 * MINUTE)
    assert ("i-1" in cloud.world.instances, "i-2" in cloud.world.instances) == (False, True)
    assert cloud.harm.releases == []  # no call did it


def test_attached_instances_may_be_released_too(shrinking):
    cloud = shrinking(gpu=True, scale_in_releases=True)
    cloud.emulator.advance(6 * MINUTE)
    assert not {"i-1", "i-2"} & set(cloud.world.instances)


def test_the_configuration(shrinking):
    cloud = shrinking(shrink=True, gpu=False, exclude=["i-1", "i-2"])
    body = cloud.ehpc("GetAutoScaleConfig").body
    assert (body["EnableAutoShrink"], body["EnableAutoGrow"]) == (True, False)
    assert (body["ShrinkIdleTimes"], body["ShrinkIntervalInMinutes"]) == (3, 2)
    assert body["ExcludeNodes"] == "i-1,i-2"
    assert {
        row["QueueName"]: (row["EnableAutoGrow"], row["EnableAutoShrink"])
        for row in body["Queues"]["QueueInfo"]
    } == {"workq": (False, True), "gpu": (True, False)}
    refused = cloud.ehpc("GetAutoScaleConfig", ClusterId="ehpc-9")
    assert refused.body["Code"] == "ClusterNotFound"
