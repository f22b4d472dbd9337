"""Each kind of fault: what the caller gets, and what happened all the same."""

import json

import pytest

from ehpc_nodes.emulator import Dropped, WorldError
from ehpc_nodes.emulator.faults import Fault


def attached(cloud):
    return "i-1" in cloud.cluster.nodes


def test_throttle(cloud):
    cloud.fault("throttle", retry_after=1500)
    answer = cloud.add("i-1")
    assert (answer.status, answer.body["Code"]) == (400, "Throttling.User")
    assert answer.headers == {"x-acs-retry-after": "1500"}
    assert not attached(cloud)
    assert cloud.add("i-1").ok  # once only


@pytest.mark.parametrize(("kind", "effect"), [("error", False), ("error_after", True)])
def test_errors(cloud, kind, effect):
    cloud.fault(kind, status=500, code="InternalError", message="Sorry.")
    cloud.fault(kind)
    answer = cloud.add("i-1")
    said = (answer.status, answer.body["Code"], answer.body["Message"])
    assert said == (500, "InternalError", "Sorry.")
    assert attached(cloud) == effect
    usual = cloud.add("i-2")
    assert (usual.status, usual.body["Code"]) == (503, "ServiceUnavailable")


@pytest.mark.parametrize(
    ("kind", "dropped", "effect", "seconds"),
    [
        ("reset_before", "reset", False, 0),
        ("reset_after", "reset", True, 0),
        ("lost", "lost", True, 7),
    ],
)
def test_connections_that_break(cloud, kind, dropped, effect, seconds):
    cloud.fault(kind, **({"seconds": 7} if seconds else {}))
    with pytest.raises(Dropped) as caught:
        cloud.add("i-1")
    error = caught.value
    assert (error.kind, error.after_effect, error.seconds) == (dropped, effect, seconds)
    assert attached(cloud) == effect
    entry = cloud.emulator.journal.entries[-1]
    assert (entry.status, entry.code, entry.fault) == (None, None, kind)


def test_slow_goes_with_others(cloud):
    cloud.fault("slow", seconds=3)
    cloud.fault("slow", seconds=2)
    cloud.fault("throttle")
    answer = cloud.add("i-1")
    assert (answer.delay, answer.status) == (5, 400)


@pytest.mark.parametrize("effect", [True, False])
def test_garbage(cloud, effect):
    cloud.fault("garbage", body="<html>", content_type="text/plain", after_effect=effect)
    answer = cloud.add("i-1")
    assert (answer.status, answer.raw, answer.content_type) == (502, b"<html>", "text/plain")
    assert not answer.ok
    assert attached(cloud) == effect


def test_truncated(cloud):
    cloud.fault("truncated")
    answer = cloud.add("i-1")
    assert answer.truncated
    assert b'{"RequestId"'.startswith(answer.raw[:12])
    assert not answer.raw.endswith(b"}")
    assert attached(cloud)


def test_half_page(cloud):
    cloud.fault("half_page", "ListNodes")
    rows = cloud.nodes()
    assert list(rows) == ["i-head"]
    assert len(cloud.nodes()) == 3


def test_unknown_status(cloud):
    cloud.fault("unknown_status", "ListNodes", word="dancing")
    assert cloud.statuses() == {"i-old": "dancing"}
    assert cloud.statuses() == {"i-old": "running"}


def test_unknown_status_of_tasks(cloud):
    answer = cloud.add("i-1")
    cloud.fault("unknown_status", "ListTasks")
    assert cloud.task(answer)["Status"] == "migrating"


def test_redirect(cloud):
    cloud.fault("redirect", location="http://127.0.0.1:1/")
    answer = cloud.add("i-1")
    assert (answer.status, answer.headers) == (302, {"Location": "http://127.0.0.1:1/"})
    assert not attached(cloud)


@pytest.mark.parametrize(
    ("options", "status", "statuses"),
    [
        ({"instances": ["i-2"]}, "PartialFail", {"i-1": "running", "i-2": "exception"}),
        ({"count": 1}, "PartialFail", {"i-1": "exception", "i-2": "running"}),
        ({}, "Failed", {"i-1": "exception", "i-2": "exception"}),
        ({"status": "absent"}, "Failed", {}),
        ({"count": 1, "status": "absent"}, "PartialFail", {"i-2": "running"}),
        ({"task_status": "Success"}, "Success", {"i-1": "exception", "i-2": "exception"}),
    ],
)
def test_nodes_that_fail_to_be_attached(cloud, options, status, statuses):
    cloud.fault("fail_nodes", errors="No luck.", **options)
    row = cloud.task(cloud.add("i-1", "i-2"))
    assert row["Status"] == status
    assert cloud.statuses() == {"i-old": "running", **statuses}
    failed = [item["InstanceId"] for item in json.loads(row["Errors"])]
    assert failed == [i for i in ("i-1", "i-2") if statuses.get(i) != "running"]
    assert "No luck." in row["Errors"]
    assert cloud.harm.disk_replacements == {"i-1": 1, "i-2": 1}  # wiped all the same


def test_nodes_that_fail_to_be_deleted(cloud):
    cloud.fault("fail_nodes", "DeleteNodes")
    answer = cloud.ehpc("DeleteNodes", Instance=["i-old"], ReleaseInstance="false")
    assert cloud.task(answer)["Status"] == "Failed"
    assert cloud.statuses() == {"i-old": "exception"}


def test_a_task_that_never_ends(cloud):
    cloud.fault("task_never_ends")
    answer = cloud.add("i-1")
    cloud.emulator.advance(10**6)
    assert cloud.task(answer)["Status"] == "Processing"
    assert cloud.release("all") == []


def test_task_faults_wait_for_an_action_that_has_a_task(cloud):
    cloud.fault("task_never_ends")
    cloud.nodes()
    assert cloud.emulator.faults.dump()[0]["fired"] == 0


def test_after_times_and_instance(cloud):
    cloud.fault("throttle", "ListNodes", after=1, times=2)
    answers = [cloud.ehpc("ListNodes").status for _ in range(5)]
    assert answers == [200, 400, 400, 200, 200]
    cloud.emulator.faults.clear()
    cloud.fault("throttle", instance="i-2", times=None)
    assert cloud.add("i-1").ok
    assert [cloud.add("i-2").status, cloud.add("i-2", "i-3").status] == [400, 400]
    described = cloud.ecs("DescribeInstances", InstanceIds='["i-2"]')
    assert described.body["Code"] == "Throttling.User"


def test_rules_in_a_row_act_one_after_the_other(cloud):
    cloud.fault("throttle")
    cloud.fault("error")
    assert [cloud.ehpc("ListNodes").status for _ in range(3)] == [400, 503, 200]
    assert [entry.fault for entry in cloud.emulator.journal.entries] == ["throttle", "error", None]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("throttle", "a fault needs a kind of throttle, error,"),
        ({}, "a fault needs a kind of"),
        ({"kind": ["a"]}, "a fault needs a kind of"),
        ({"kind": "throttle", "retry": 1}, "fault throttle: unknown option retry"),
        ({"kind": "throttle", "retry_after": "1"}, "fault throttle: retry_after cannot be '1'"),
        ({"kind": "throttle", "retry_after": True}, "fault throttle: retry_after cannot be True"),
        ({"kind": "slow", "times": 1.5}, "fault slow: times cannot be 1.5"),
        ({"kind": "slow", "times": 0}, "fault slow: times cannot be 0"),
        ({"kind": "slow", "action": None}, "fault slow: action cannot be None"),
        ({"kind": "slow", "seconds": -1}, "fault slow: seconds cannot be -1"),
        ({"kind": "error", "status": 200}, "fault error: status cannot be 200"),
        ({"kind": "garbage", "status": 99}, "fault garbage: status cannot be 99"),
        ({"kind": "fail_nodes", "status": "x"}, "fault fail_nodes: status cannot be 'x'"),
        ({"kind": "fail_nodes", "instances": [1]}, "fault fail_nodes: instances cannot be [1]"),
        ({"kind": "slow", "action": "ListNode"}, "fault slow: action cannot be 'ListNode'"),
    ],
)
def test_slips_in_rules(cloud, rule, message):
    with pytest.raises(WorldError) as caught:
        cloud.emulator.faults.add(rule)
    assert str(caught.value).startswith(message)
    assert cloud.emulator.faults.dump() == []


def test_a_rule_that_is_shown_can_be_added_again(cloud):
    rule = cloud.fault("error", "ListNodes", after=1, status=500)
    assert cloud.emulator.faults.add(rule.dump()).dump() == rule.dump() | {"number": 2}


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("fail_nodes", "ListNodes"),
        ("task_never_ends", "DescribeInstances"),
        ("half_page", "AddExistedNodes"),
        ("unknown_status", "DescribeCluster"),
        ("unknown_status", "ListQueues"),
    ],
)
def test_a_kind_that_can_t_strike_an_action_is_refused(kind, action):
    with pytest.raises(WorldError, match=f"fault {kind} is not possible for {action}, only for "):
        Fault.parse({"kind": kind, "action": action}).check_strikes()
