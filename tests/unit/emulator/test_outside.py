"""What people do in a console."""

import pytest

from ehpc_nodes.emulator import WorldError


def test_stopping_and_starting_an_instance_shows_on_its_node(cloud):
    cloud.emulator.outside.stop("i-old")
    assert cloud.statuses() == {"i-old": "stopped"}
    cloud.emulator.outside.start("i-old")
    assert cloud.statuses() == {"i-old": "running"}
    assert cloud.nodes()["i-old"]["StateInSched"] == "active"


def test_stopping_an_instance_that_is_no_node(cloud):
    cloud.emulator.outside.start("i-1")
    assert cloud.instance("i-1")["Status"] == "Running"
    cloud.emulator.outside.stop("i-1")
    assert cloud.add("i-1").ok


def test_attaching_does_no_harm(cloud):
    cloud.emulator.outside.attach("i-1", "ehpc-1", queue="gpu")
    cloud.emulator.outside.attach("i-2", "ehpc-1")
    assert cloud.statuses() == {"i-old": "running", "i-1": "running", "i-2": "running"}
    assert [cloud.cluster.nodes[i].queue for i in ("i-1", "i-2")] == ["gpu", "workq"]
    assert cloud.instance("i-1")["Status"] == "Running"
    # as the console does; else whoever adopts the node is warned of another image
    assert cloud.instance("i-1")["ImageId"] == cloud.nodes()["i-1"]["ImageId"] == "centos76"
    assert cloud.harm.disk_replacements == {}


def test_detaching_keeps_the_instance(cloud):
    cloud.emulator.outside.detach("i-old")
    assert cloud.statuses() == {}
    assert cloud.instance("i-old")["Status"] == "Running"
    assert cloud.harm.releases == []


def test_detaching_while_a_task_runs(make):
    cloud = make(task_pace="held")
    answer = cloud.add("i-1")
    cloud.emulator.outside.detach("i-1")
    cloud.release("all")
    assert cloud.task(answer)["Status"] == "Success"
    assert list(cloud.statuses()) == ["i-old"]


def test_deleting_an_instance_leaves_a_broken_node(cloud):
    cloud.emulator.outside.remove_instance("i-old")
    assert cloud.statuses() == {"i-old": "exception"}
    answer = cloud.ecs("DescribeInstances", InstanceIds='["i-old"]')
    assert answer.body["TotalCount"] == 0
    assert cloud.ehpc("DeleteNodes", Instance=["i-old"], ReleaseInstance="false").ok


def test_statuses_and_use(cloud):
    cloud.emulator.outside.set_node_status("i-old", "exception")
    cloud.emulator.outside.set_cluster_status("ehpc-1", "releasing")
    cloud.emulator.outside.use("i-old", 2)
    assert cloud.statuses() == {"i-old": "exception"}
    assert cloud.nodes()["i-old"]["UsedResources"]["Cpu"] == 2
    assert cloud.add("i-1").body["Code"] == "InvalidClusterStatus"


@pytest.mark.parametrize(
    ("deed", "arguments", "message"),
    [
        ("stop", ["i-9"], "no instance i-9"),
        ("detach", ["i-1"], "i-1 is a node of no cluster"),
        ("attach", ["i-1", "ehpc-9"], "no cluster ehpc-9"),
        ("attach", ["i-old", "ehpc-2"], "i-old is a node of ehpc-1 already"),
        ("attach", ["i-1", "ehpc-1", "nope"], "no queue nope"),
        ("move", ["i-old", "nope"], "no queue nope"),
        ("set_cluster_status", ["ehpc-9", "running"], "no cluster ehpc-9"),
    ],
)
def test_what_is_not_there(cloud, deed, arguments, message):
    before = cloud.world.to_json()
    with pytest.raises(WorldError, match=f"^{message}$"):
        getattr(cloud.emulator.outside, deed)(*arguments)
    assert cloud.world.to_json() == before
