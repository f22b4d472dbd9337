"""Lists that show the world as it was."""

import pytest


def test_by_looks(make):
    cloud = make(list_lag={"reads": 3})
    cloud.statuses()
    cloud.add("i-1")
    assert [len(cloud.statuses()) for _ in range(4)] == [1, 1, 2, 2]


def test_by_seconds(make):
    cloud = make(list_lag={"seconds": 10}, task_pace="held")
    first = cloud.add("i-1").body["TaskId"]
    assert cloud.statuses() == {"i-old": "running"}
    assert cloud.ehpc("ListTasks").body["Tasks"] == []
    cloud.emulator.advance(10)
    assert cloud.statuses()["i-1"] == "uninit"
    assert [row["TaskId"] for row in cloud.ehpc("ListTasks").body["Tasks"]] == [first]
    cloud.release("all")
    assert cloud.statuses()["i-1"] == "uninit"
    cloud.emulator.advance(10)
    assert cloud.statuses()["i-1"] == "running"


@pytest.mark.parametrize("action", ["ListNodes", "ListNodesByQueue", "ListNodesNoPaging"])
def test_all_node_lists_lag(make, action):
    cloud = make(list_lag={"seconds": 10})
    params = {"ListNodesByQueue": {"QueueName": "workq"}, "ListNodes": {"Role": "Compute"}}

    def count():
        return len(cloud.ehpc(action, **params.get(action, {})).body["Nodes"]["NodeInfo"])

    assert count() == 1
    cloud.emulator.outside.detach("i-old")  # what people do, too
    cloud.emulator.advance(9)
    assert count() == 1
    cloud.emulator.advance(1)
    assert count() == 0


def test_writes_and_ecs_do_not_lag(make):
    cloud = make(list_lag={"seconds": 10})
    cloud.add("i-1")
    assert cloud.add("i-1").body["Code"] == "Emulator.DoubleAttach"
    assert cloud.instance("i-1")["Status"] == "Running"


def test_turned_off_the_lists_are_of_today(make):
    cloud = make(list_lag={"seconds": 10})
    cloud.add("i-1")
    cloud.world.knobs.list_lag = None
    assert "i-1" in cloud.statuses()
