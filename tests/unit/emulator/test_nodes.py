"""DeleteNodes, SetQueue, StopNodes, StartNodes."""

from typing import Any

import pytest


def test_deleting_without_a_word_releases_the_instance(cloud):
    answer = cloud.ehpc("DeleteNodes", Instance=["i-old"])
    assert answer.ok
    assert "i-old" not in cloud.nodes()
    assert "i-old" not in cloud.world.instances
    assert cloud.harm.releases == ["i-old"]


@pytest.mark.parametrize("word", ["false", "False"])
def test_released_instances_stay_where_that_is_said(cloud, word):
    cloud.ehpc("DeleteNodes", Instance=["i-old"], ReleaseInstance=word)
    assert "i-old" not in cloud.nodes()
    assert cloud.instance("i-old")["Status"] == "Running"
    assert cloud.harm.releases == []


def test_detached_instances_may_be_stopped(make):
    cloud = make(detached_instance_status="Stopped", instance_pace={"seconds": 5})
    cloud.ehpc("DeleteNodes", Instance=["i-old"], ReleaseInstance="false")
    assert cloud.instance("i-old")["Status"] == "Stopping"
    cloud.emulator.advance(5)
    assert cloud.instance("i-old")["Status"] == "Stopped"


def test_a_stopped_node_stays_stopped_when_it_is_detached(make):
    cloud = make(detached_instance_status="Stopped", instance_pace="held")
    cloud.emulator.outside.stop("i-old")
    cloud.ehpc("DeleteNodes", Instance=["i-old"], ReleaseInstance="false")
    assert cloud.instance("i-old")["Status"] == "Stopped"


def test_a_node_that_is_deleted_is_releasing(make):
    cloud = make(task_pace={"reads": 2})
    answer = cloud.ehpc("DeleteNodes", Instance=["i-old"], ReleaseInstance="false")
    assert cloud.statuses() == {"i-old": "releasing"}
    assert cloud.ehpc("DeleteNodes", Instance=["i-old"]).body["Code"] == "ConflictOpt"
    assert cloud.task(answer)["Status"] == "Success"
    assert cloud.statuses() == {}


def test_synchronous_deletion_has_no_task(make):
    cloud = make(task_pace="held")
    answer = cloud.ehpc("DeleteNodes", Instance=["i-old"], ReleaseInstance="false", Sync="true")
    assert answer.body["TaskId"] == "Not Available"
    assert cloud.statuses() == {}
    assert cloud.ehpc("ListTasks", Archived="true").body["Tasks"] == []


def test_ids_that_are_no_nodes_are_refused_or_ignored(make):
    strict, lenient = make(), make(absent_nodes_refused=False)

    def delete(cloud):
        return cloud.ehpc("DeleteNodes", Instance=["i-old", "i-1"], ReleaseInstance="false")

    assert delete(strict).body["Code"] == "ComputeNotFound"
    assert list(strict.statuses()) == ["i-old"]
    assert delete(lenient).ok
    assert lenient.statuses() == {}


@pytest.mark.parametrize("node", ["i-head", "i-login"])
def test_touching_a_manager_or_login_node_is_harm(cloud, node):
    answer = cloud.ehpc("DeleteNodes", Instance=[node])
    assert answer.body["Code"] == "InvalidParams"
    (entry,) = cloud.harm.touched
    assert (entry["instance_id"], entry["action"]) == (node, "DeleteNodes")
    assert node in cloud.nodes()


def test_writes_need_a_running_cluster(make):
    cloud = make(lambda data: data["clusters"][0].update(status="releasing"))
    calls: dict[str, dict[str, Any]] = {
        "DeleteNodes": {"Instance": ["i-old"]},
        "SetQueue": {"Node": ["old"], "QueueName": "gpu"},
        "StopNodes": {"Instance": ["i-old"]},
        "StartNodes": {"Instance": ["i-old"]},
    }
    codes = {action: cloud.ehpc(action, **p).body["Code"] for action, p in calls.items()}
    assert codes == dict.fromkeys(calls, "InvalidClusterStatus")


def test_set_queue_takes_host_names_and_acts_at_once(make):
    cloud = make(task_pace="held")
    answer = cloud.ehpc("SetQueue", QueueName="gpu", Node=["old"])
    assert set(answer.body) == {"RequestId"}
    assert cloud.cluster.nodes["i-old"].queue == "gpu"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Node": ["old"], "QueueName": "nope"}, "InvalidParams"),
        ({"Node": ["i-old"], "QueueName": "gpu"}, "ComputeNotFound"),
        ({"Node": ["old", "login0"], "QueueName": "gpu"}, "InvalidNodeStatus"),
        ({"Node": ["old"]}, "MissingParameter"),
        ({"QueueName": "gpu"}, "MissingParameter"),
    ],
)
def test_set_queue_moves_all_or_none(cloud, params, code):
    assert cloud.ehpc("SetQueue", **params).body["Code"] == code
    assert cloud.cluster.nodes["i-old"].queue == "workq"


def test_a_node_that_is_being_attached_cannot_be_moved(make):
    cloud = make(task_pace="held")
    cloud.add("i-1")
    answer = cloud.ehpc("SetQueue", Node=["compute1"], QueueName="gpu")
    assert answer.body["Code"] == "InvalidNodeStatus"


def test_stopping_and_starting_a_node(make):
    cloud = make(task_pace={"reads": 2})
    stop = cloud.ehpc("StopNodes", Instance=["i-old"])
    assert cloud.instance("i-old")["Status"] == "Stopping"
    cloud.statuses()
    row = cloud.task(stop)
    assert (row["TaskType"], row["Status"]) == ("StopComputes", "Success")
    assert cloud.statuses() == {"i-old": "stopped"}
    assert cloud.instance("i-old")["Status"] == "Stopped"

    assert cloud.ehpc("StopNodes", Instance=["i-old"]).body["Code"] == "InvalidNodeStatus"
    start = cloud.ehpc("StartNodes", Instance=["i-old"])
    assert cloud.instance("i-old")["Status"] == "Starting"
    cloud.statuses()
    assert cloud.task(start)["TaskType"] == "StartComputes"
    assert cloud.statuses() == {"i-old": "running"}
    assert cloud.instance("i-old")["Status"] == "Running"


def test_stop_nodes_looks_at_the_role(cloud):
    assert cloud.ehpc("StopNodes", Instance=["i-login"]).body["Code"] == "InvalidParams"
    assert cloud.ehpc("StopNodes", Instance=["i-old"], Role="Login").body["Code"] == "InvalidParams"
    assert len(cloud.harm.touched) == 1
