"""AddExistedNodes: each rule of its page, and what it does."""

import pytest

from ehpc_nodes.emulator import World
from ehpc_nodes.emulator.world import Image

ADD = {"Instance": ["i-1"], "ImageId": "centos76", "ImageOwnerAlias": "system"}


def nothing(data):
    pass


def instance(**changes):
    return lambda data: data["instances"][1].update(changes)


def cluster(**changes):
    return lambda data: data["clusters"][0].update(changes)


@pytest.mark.parametrize(
    ("change", "params", "status", "code"),
    [
        (nothing, {"ClusterId": "ehpc-9"}, 404, "ClusterNotFound"),
        (cluster(status="exception"), {}, 403, "InvalidClusterStatus"),
        (nothing, {"Instance": ["i-9"]}, 400, "InvalidParams"),
        (instance(status="Running"), {}, 400, "InvalidStatus"),
        (instance(status="Stopping", heading="Stopped", pace="held"), {}, 400, "InvalidStatus"),
        (instance(vpc_id="vpc-2"), {}, 400, "InvalidParams"),
        (instance(network_type="classic"), {}, 400, "InvalidParams"),
        (instance(locks=["financial"]), {}, 406, "EcsError"),
        (instance(host_name="old"), {}, 400, "InvalidParams"),
        (instance(host_name="scheduler0"), {}, 400, "InvalidParams"),
        (instance(host_name="compute2"), {"Instance": ["i-1", "i-2"]}, 400, "InvalidParams"),
        (nothing, {"ImageId": "centos99"}, 404, "ImageNotFound"),
        (nothing, {"ImageId": "m-making"}, 404, "ImageNotFound"),
        (nothing, {"ImageId": "m-own"}, 404, "ImageNotFound"),
        (nothing, {"ImageId": "m-own", "ImageOwnerAlias": "others"}, 404, "ImageNotFound"),
        (nothing, {"ImageOwnerAlias": "mine"}, 400, "InvalidParams"),
        (nothing, {"ImageId": "centos80"}, 400, "InvalidParams"),
        (nothing, {"ImageId": "ubuntu18"}, 400, "InvalidParams"),
        (nothing, {"ImageId": "win2016"}, 400, "InvalidParams"),
        (nothing, {"ClusterId": "ehpc-2", "ImageId": "ubuntu18"}, 400, "InvalidParams"),
        (nothing, {"JobQueue": "nope"}, 400, "InvalidParams"),
        (nothing, {"Instance": ["i-1", "i-2", "i-3", "i-4"]}, 400, "TooManyNodes"),
        (nothing, {"Instance": ["i-1", "i-old"]}, 403, "Emulator.DoubleAttach"),
        (nothing, {"Instance": ["i-1", "i-1"]}, 400, "InvalidParams"),
        (nothing, {"Instance": []}, 400, "MissingParameter"),
        (nothing, {"Instance": [f"i-{n}" for n in range(101)]}, 400, "InvalidParams"),
        (nothing, {"ClientToken": "x"}, 400, "InvalidParams"),
    ],
)
def test_a_rule_that_is_broken_has_no_effect(make, change, params, status, code):
    cloud = make(change)
    before = cloud.world.to_json()
    answer = cloud.ehpc("AddExistedNodes", **{**ADD, **params})
    assert (answer.status, answer.body["Code"]) == (status, code)
    assert set(answer.body) == {"RequestId", "HostId", "Code", "Message"}
    assert cloud.world.to_json() == before
    assert cloud.harm.disk_replacements == {}


@pytest.mark.parametrize(
    ("image", "alias", "cluster_id"),
    [
        ("centos72", "system", "ehpc-1"),
        ("m-own", "self", "ehpc-1"),
        ("m-theirs", "others", "ehpc-1"),
        ("win2016", "system", "ehpc-2"),
        ("centos80", "system", "ehpc-2"),
    ],
)
def test_images_that_fit(cloud, image, alias, cluster_id):
    answer = cloud.add("i-1", ImageId=image, ImageOwnerAlias=alias, ClusterId=cluster_id)
    assert answer.ok


@pytest.mark.parametrize(
    ("cluster", "tag", "platform"),
    [
        ("RedHat_7.6_64", "RedHat_7.6_64", "Red Hat"),
        ("RedHat_7.6_64", "RedHat_7.2_64", "Red Hat"),
        ("SUSE_12_64", "SUSE_12.5_64", "SUSE Linux"),
        ("AliyunLinux_2.1903_64", "", "Aliyun"),
        ("", "", "Others Linux"),
    ],
)
def test_an_images_platform_may_be_spelt_otherwise_than_its_tag(cloud, cluster, tag, platform):
    cloud.cluster.os_tag = cluster
    cloud.world.images["m-own"] = Image("m-own", tag, "self", platform, version="" if tag else "2")
    rows = cloud.ehpc("ListCustomImages", ClusterId=None).body["Images"]["ImageInfo"]
    told = next(row["OsTag"] for row in rows if row["ImageId"] == "m-own")
    assert (told["OsTag"], told["Platform"]) == (tag, platform)
    assert cloud.add("i-1", ImageId="m-own", ImageOwnerAlias="self").ok


def test_an_old_clusters_image_may_be_in_no_list_any_more(cloud):
    cloud.world.images["centos76"].listed = False
    rows = cloud.ehpc("ListImages", ClusterId=None).body["OsTags"]["OsInfo"]
    assert "centos76" not in {row["ImageId"] for row in rows}
    assert cloud.add("i-1", ImageId="centos76").ok


def test_the_disk_is_replaced_and_the_node_runs(cloud):
    answer = cloud.add("i-1", "i-2")
    assert answer.body["TaskId"] == answer.body["RequestId"]
    assert cloud.statuses() == {"i-old": "running", "i-1": "running", "i-2": "running"}
    assert cloud.nodes()["i-1"]["ImageId"] == "centos76"
    row = cloud.instance("i-1")
    told = (row["Status"], row["ImageId"], row["OSNameEn"])
    assert told == ("Running", "centos76", "CentOS 7.6 64 bit")
    assert cloud.harm.disk_replacements == {"i-1": 1, "i-2": 1}


def test_the_queue_is_the_one_named_or_the_default(cloud):
    cloud.add("i-1")
    cloud.add("i-2", JobQueue="gpu")
    nodes = cloud.cluster.nodes
    assert (nodes["i-1"].queue, nodes["i-2"].queue) == ("workq", "gpu")


def test_on_the_way_the_node_is_uninit_then_initing(make):
    cloud = make(task_pace={"seconds": 10}, instance_pace={"seconds": 4})
    cloud.add("i-1")
    seen = []
    for _ in range(4):
        seen.append((cloud.statuses()["i-1"], cloud.instance("i-1")["Status"]))
        cloud.emulator.advance(4)
    assert seen == [
        ("uninit", "Starting"),
        ("uninit", "Running"),
        ("initing", "Running"),
        ("running", "Running"),
    ]


def test_attaching_twice_is_refused_and_stands_in_the_account_of_harm(make):
    cloud = make(task_pace="held")
    cloud.add("i-1")
    answer = cloud.add("i-1", "i-2")
    assert answer.body["Code"] == "Emulator.DoubleAttach"
    (entry,) = cloud.harm.double_attach
    assert entry["instance_ids"] == ["i-1"]
    assert entry["request_id"] == answer.body["RequestId"]
    assert cloud.harm.disk_replacements == {"i-1": 1}


def test_a_cluster_may_take_one_task_at_a_time(make):
    cloud = make(task_pace="held", one_task_at_a_time=True)
    assert cloud.add("i-1").ok
    assert cloud.add("i-2").body["Code"] == "ConflictOpt"
    assert cloud.ehpc("DeleteNodes", Instance=["i-old"]).body["Code"] == "ConflictOpt"
    cloud.emulator.world.knobs.one_task_at_a_time = False
    assert cloud.add("i-2").ok


# -- the scheduler --------------------------------------------------------------------------------


def state(cloud, instance_id="i-1"):
    return cloud.nodes()[instance_id]["StateInSched"]


def test_a_node_is_active_in_the_scheduler_with_the_end_of_its_task(make):
    cloud = make(task_pace="held")
    cloud.add("i-1")
    assert state(cloud) == "unknown"
    cloud.release("all")
    assert (cloud.statuses()["i-1"], state(cloud)) == ("running", "active")


@pytest.mark.slow
def test_the_scheduler_may_take_its_time(make):
    cloud = make(scheduler_pace={"seconds": 30})
    cloud.add("i-1")
    assert (cloud.statuses()["i-1"], state(cloud)) == ("running", "unknown")
    again = World.from_dict(cloud.world.to_dict())
    assert list(again.joining) == ["i-1"]
    cloud.emulator.advance(30)
    assert state(cloud) == "active"
    assert World.from_dict(cloud.world.to_dict()).joining == {}


def test_the_scheduler_may_be_looked_at(make):
    cloud = make(scheduler_pace={"reads": 3})
    cloud.add("i-1")
    assert [state(cloud) for _ in range(3)] == ["unknown", "unknown", "active"]


def test_a_node_that_has_left_joins_no_more(make):
    cloud = make(scheduler_pace={"seconds": 30})
    cloud.add("i-1", "i-2")
    cloud.emulator.outside.detach("i-1")
    cloud.emulator.outside.stop("i-2")
    cloud.emulator.advance(30)
    assert state(cloud, "i-2") == "down"
    assert cloud.world.joining == {}


def test_the_scheduler_s_word_is_forced(make):
    cloud = make(scheduler_pace="never")
    cloud.add("i-1")
    cloud.emulator.outside.set_scheduler_state("i-1", "active")
    cloud.emulator.outside.set_scheduler_state("i-old", "drain")
    assert (state(cloud), state(cloud, "i-old")) == ("active", "drain")
    assert cloud.statuses()["i-old"] == "running"
