"""How fast tasks are, and the knobs of what isn't documented."""

import json

import pytest

from ehpc_nodes.emulator import World


def test_texts_may_be_escaped_twice(make):
    cloud = make(task_texts_escaped_twice=True)
    row = cloud.task(cloud.add("i-1"))
    assert row["Result"].startswith('{\\"Instances\\": [')
    assert json.loads(json.loads(f'"{row["Request"]}"'))["clusterId"] == "ehpc-1"


def test_after_looks_at_nodes_or_tasks(make):
    cloud = make(task_pace={"reads": 4})
    answer = cloud.add("i-1")
    cloud.ehpc("ListQueues")  # no look
    cloud.nodes(ClusterId="ehpc-2")  # none at this cluster
    cloud.nodes()
    cloud.ehpc("ListNodesNoPaging")
    assert [cloud.task(answer)["Status"] for _ in range(2)] == ["Processing", "Success"]


@pytest.mark.parametrize(("pace", "released"), [("held", True), ("never", False)])
def test_when_told_or_never(make, pace, released):
    cloud = make(task_pace=pace)
    answer = cloud.add("i-1")
    cloud.emulator.advance(10**6)
    assert cloud.statuses()["i-1"] == "uninit"
    assert (cloud.release("all") == [answer.body["TaskId"]]) == released
    assert (cloud.statuses()["i-1"] == "running") == released
    assert (cloud.release(answer.body["TaskId"]) == []) == released  # by its id, any ends


def test_after_seconds_in_steps(make):
    cloud = make(task_pace={"seconds": 8})
    answer = cloud.add("i-1")
    seen = []
    for _ in range(5):
        row = cloud.task(answer)
        seen.append((row["CurrentStep"], row["Status"]))
        cloud.emulator.advance(2)
    assert seen == [*((step, "Processing") for step in (1, 2, 4, 6)), (8, "Success")]


@pytest.mark.parametrize(("start", "status"), [("at_acceptance", "Running"), ("at_end", "Stopped")])
def test_knob_instances_start(make, start, status):
    cloud = make(task_pace="held", instances_start=start)
    cloud.add("i-1")
    instance = cloud.emulator.world.instances["i-1"]
    assert (instance.status, instance.image_id) == (status, "centos76")
    cloud.release("all")
    assert instance.status == "Running"


def test_knob_nodes_listed(make):
    early, late = make(task_pace="held"), make(task_pace="held", nodes_listed="at_end")
    for cloud in (early, late):
        cloud.add("i-1")
    assert early.statuses() == {"i-old": "running", "i-1": "uninit"}
    assert late.statuses() == {"i-old": "running"}
    assert late.add("i-1").body["Code"] == "Emulator.DoubleAttach"
    late.release("all")
    assert late.statuses()["i-1"] == "running"


def test_knob_task_listed(make):
    cloud = make(task_pace="held", task_listed=False)
    answer = cloud.add("i-1")
    assert cloud.ehpc("ListTasks", TaskId=answer.body["TaskId"]).body["Tasks"] == []
    assert cloud.release("all") == [answer.body["TaskId"]]


def test_knobs_of_what_a_task_says(make):
    named = {"task_result_names_instances": False, "task_id_is_request_id": False}
    cloud = make(task_type="AddExistedNodes", failed_word="Fail", **named)
    cloud.fault("fail_nodes")
    answer = cloud.add("i-1")
    assert answer.body["TaskId"] != answer.body["RequestId"]
    row = cloud.task(answer)
    assert (row["TaskType"], row["Status"], row["Result"]) == ("AddExistedNodes", "Fail", "{}")


def test_knob_throttle_per_second(make):
    cloud = make(throttle_per_second=2)
    answers = [cloud.ehpc("DescribeCluster") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert answers[-1].body["Code"] == "Throttling.User"
    cloud.emulator.advance(1)
    assert cloud.ehpc("DescribeCluster").ok


def test_turning_knobs_names_slips(cloud):
    knobs = cloud.world.knobs
    assert knobs.changed({"task_pace": {"reads": 3}}).task_pace.amount == 3
    assert knobs.task_pace.kind == "instant"
    with pytest.raises(ValueError, match=r"^knobs: unknown pace; known: absent_nodes_refused, "):
        knobs.changed({"pace": "instant"})
    with pytest.raises(ValueError, match=r"^knobs.list_lag: expected instant, held"):
        knobs.changed({"list_lag": 3})


def test_a_world_that_is_loaded_again_goes_on(make):
    cloud = make(task_pace={"seconds": 10})
    answer = cloud.add("i-1")
    cloud.emulator.advance(5)
    cloud.emulator.load(World.from_dict(json.loads(cloud.world.to_json())))
    assert cloud.task(answer)["Status"] == "Processing"
    cloud.emulator.advance(5)
    assert cloud.task(answer)["Status"] == "Success"
    assert cloud.statuses()["i-1"] == "running"
