"""One operation's notes, and how it looks at the cluster."""

import pytest

from ehpc_nodes.api.cache import Looks
from ehpc_nodes.api.responses import Accepted, Task
from ehpc_nodes.errors import (
    AuthError,
    BackendError,
    CertificateError,
    ConflictError,
    NotSentError,
    ThrottledError,
    TransportError,
    api_error,
)
from ehpc_nodes.operation import may_have_acted
from unit.emulated import CLUSTER, IMAGE, Bench, ids, iid

FORBIDDEN = {"status": 403, "code": "NotAuthorized", "message": "No.", "times": None}


def error(code, status=400):
    return api_error("AddExistedNodes", code, "m", http_status=status, request_id="R")


def send(bench, *numbers):
    """Somebody else's AddExistedNodes; its task's id."""
    named = {f"Instance.{k}.Id": iid(n) for k, n in enumerate(numbers, start=1)}
    image = {"ImageId": IMAGE, "ImageOwnerAlias": "system"}
    params = {"ClusterId": CLUSTER, **image, **named}
    return bench.emulator.call("AddExistedNodes", "2018-04-12", params).body["TaskId"]


# -- looking ------------------------------------------------------------------------------------


def test_all_nodes_are_seen_and_noted():
    operation = Bench(attached=(1, 2)).operation()
    seen = operation.see_nodes()
    assert sorted(seen) == sorted([*ids(1, 2), "i-bp1login", "i-bp1manager"])
    assert operation.nodes is seen


def test_compute_nodes_are_seen_in_one_call_and_not_noted():
    bench = Bench(250, attached=range(1, 251))
    operation = bench.operation()
    assert sorted(operation.see_compute_nodes()) == ids(*range(1, 251))
    assert bench.calls() == ["ListNodesNoPaging"]
    assert operation.nodes == {}


def test_where_that_call_is_forbidden_the_whole_list_does():
    bench = Bench(attached=(1,))
    bench.fault("error", "ListNodesNoPaging", **FORBIDDEN)
    assert sorted(bench.operation().see_compute_nodes()) == ids(1)
    assert bench.calls() == ["ListNodesNoPaging", "ListNodes"]


def test_a_refused_key_is_no_missing_permission():
    bench = Bench(attached=(1,))
    bench.fault("error", "ListNodesNoPaging", **{**FORBIDDEN, "code": "SignatureDoesNotMatch"})
    with pytest.raises(AuthError, match="SignatureDoesNotMatch"):
        bench.operation().see_compute_nodes()
    assert bench.calls() == ["ListNodesNoPaging"]


def test_operations_of_one_process_share_what_they_watch_but_not_what_they_decide_by():
    bench, looks = Bench(attached=(1,)), Looks()
    one, other = bench.operation(looks=looks), bench.operation(looks=looks)
    since = bench.clock.now()
    assert one.watch_nodes(since) is other.watch_nodes(since)
    assert one.watch_tasks(since) is other.watch_tasks(since)
    assert bench.calls() == ["ListNodesNoPaging", "ListTasks"]
    bench.clock.advance(1)
    assert other.watch_tasks(bench.clock.now()).begun == since + 1
    other.see_compute_nodes()
    assert bench.calls()[2:] == ["ListTasks", "ListNodesNoPaging"]


def test_nodes_whose_addresses_are_known_are_seen_again_in_one_call_and_noted():
    bench = Bench(attached=(1, 2))
    operation = bench.operation(addresses={iid(1): "10.0.0.1", iid(2): "10.0.0.2"})
    seen = operation.see_nodes_again(ids(1, 2), bench.clock.now())
    assert sorted(seen) == ids(1, 2)
    assert operation.nodes is seen
    assert bench.calls() == ["ListNodesNoPaging"]
    operation.see_nodes_again(ids(1), bench.clock.now())
    assert bench.calls() == ["ListNodesNoPaging"]
    assert operation.addresses == {iid(1): "10.0.0.1", iid(2): "10.0.0.2"}


def test_nodes_of_which_an_address_is_not_known_are_listed_with_all_their_facts():
    bench = Bench(attached=(1, 2))
    operation = bench.operation(addresses={iid(1): "10.0.0.1"})
    operation.see_nodes_again(ids(1, 2), bench.clock.now())
    assert bench.calls() == ["ListNodes"]


def test_an_address_that_was_seen_before_is_known():
    bench = Bench(attached=(1,))
    bench.nodes[iid(1)].ip = "10.9.9.9"
    operation = bench.operation()
    operation.see_nodes()
    operation.see_nodes_again(ids(1), bench.clock.now())
    assert operation.addresses[iid(1)] == "10.9.9.9"
    assert bench.calls() == ["ListNodes", "ListNodesNoPaging"]


# -- confirm ------------------------------------------------------------------------------------


def test_what_is_listed_needs_no_other_look():
    bench = Bench(attached=(1,))
    operation = bench.operation()
    operation.see_nodes()
    assert operation.confirm(set(ids(1))) == set()
    assert bench.calls() == ["ListNodes"]
    assert bench.clock.slept == []


def test_what_is_not_listed_is_looked_for_until_the_grace_period_is_over():
    bench = Bench(attached=(1,), grace=20.0)
    operation = bench.operation()
    assert operation.confirm(set(ids(1, 2))) == set()
    assert sum(bench.clock.slept) == pytest.approx(20)
    assert iid(1) in operation.nodes


def test_an_instance_that_a_task_attaches_is_no_absent_one():
    bench = Bench(pace="held", nodes_listed="at_end")
    send(bench, 1, 2)
    assert bench.operation().confirm(set(ids(1))) == set(ids(1, 2))
    assert bench.clock.slept == []


def test_a_task_of_another_kind_attaches_nothing():
    bench = Bench(pace="held", nodes_listed="at_end", task_type="StopComputes")
    send(bench, 1)
    assert bench.operation().confirm(set(ids(1))) == set()


def test_a_list_that_lags_is_waited_for():
    bench = Bench(attached=(1,), list_lag={"seconds": 10})
    operation = bench.operation()
    operation.see_nodes()
    bench.emulator.outside.attach(iid(2), CLUSTER)
    operation.confirm(set(ids(1, 2)))
    assert iid(2) in operation.nodes
    assert 10 <= sum(bench.clock.slept) < 20


# -- records ------------------------------------------------------------------------------------


def test_an_accepted_write_is_recorded_with_its_ids():
    bench = Bench()
    operation = bench.operation()
    bench.clock.advance(7)
    entry = operation.record(
        "AddExistedNodes", ids(1), Accepted(task_id="T", request_id="R"), "Processing"
    )
    assert entry.model_dump() == {
        "action": "AddExistedNodes",
        "task_id": "T",
        "request_id": "R",
        "instance_ids": ids(1),
        "status": "Processing",
        "error": "",
    }
    assert operation.records == [entry]
    assert operation.changed == bench.clock.now()


def test_a_write_whose_answer_was_lost_has_none():
    operation = Bench().operation()
    entry = operation.record("DeleteNodes", ids(1), None, "Unknown")
    assert (entry.task_id, entry.request_id, entry.status) == ("", "", "Unknown")


def recorded(bench, task_id, action="AddExistedNodes"):
    operation = bench.operation()
    record = operation.record(action, ids(1, 2), Accepted(task_id=task_id), "Processing")
    return operation, record


def test_a_task_that_runs_is_noted_from_the_list_and_not_asked_for():
    bench = Bench()
    operation, record = recorded(bench, "T")
    operation.note_tasks("AddExistedNodes", [Task(task_id="T", status="Waiting", errors="[1]")])
    assert (record.status, record.error, bench.calls()) == ("Waiting", "", [])


def test_a_task_that_is_not_listed_any_more_is_asked_for_once_until_it_is_over():
    bench = Bench()
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(2), errors="disk broken")
    operation, record = recorded(bench, send(bench, 1, 2))
    bench.emulator.journal.entries.clear()
    operation.note_tasks("AddExistedNodes")
    operation.note_tasks("AddExistedNodes")
    assert bench.calls() == ["ListTasks"]
    assert record.status == "PartialFail"
    assert "disk broken" in record.error


def test_a_task_that_succeeded_has_no_error():
    bench = Bench()
    operation, record = recorded(bench, send(bench, 1))
    operation.note_tasks("AddExistedNodes")
    assert (record.status, record.error) == ("Success", "")


def test_a_task_that_nobody_knows_is_noted_as_such_and_asked_for_again():
    bench = Bench()
    operation, record = recorded(bench, "T-none")
    operation.note_tasks("AddExistedNodes")
    operation.note_tasks("AddExistedNodes")
    assert operation.tasks == {"T-none": None}
    assert record.status == "Processing"
    assert bench.calls() == ["ListTasks"] * 2


@pytest.mark.parametrize(("task_id", "action"), [("T", "DeleteNodes"), ("", "AddExistedNodes")])
def test_records_of_other_actions_or_without_a_task_are_left(task_id, action):
    bench = Bench()
    operation, record = recorded(bench, task_id, action)
    operation.note_tasks("AddExistedNodes", [Task(task_id="T", status="Failed")])
    assert (record.status, operation.tasks, bench.calls()) == ("Processing", {}, [])


# -- failures -----------------------------------------------------------------------------------


def test_failures_are_noted_by_instance():
    operation = Bench().operation()
    operation.fail(ids(1, 2), "Code", "why")
    operation.fail_by(ids(2), error("InvalidParams"))
    operation.fail_by(ids(3), TransportError("AddExistedNodes", "reset"))
    assert {i: (f.code, f.reason) for i, f in operation.failed.items()} == {
        iid(1): ("Code", "why"),
        iid(2): ("InvalidParams", "AddExistedNodes: InvalidParams: m (HTTP 400, RequestId R)."),
        iid(3): ("TransportError", "AddExistedNodes: no usable answer: reset."),
    }


def test_marks_that_are_refused_are_off_and_said():
    bench = Bench()
    operation = bench.operation()
    operation.marks_refused(error("NotAuthorized", 403))
    assert operation.mark == ""
    assert bench.said.warnings == [
        (
            "Ownership marks are off for this run: AddExistedNodes: NotAuthorized: m (HTTP 403, RequestId R)."
            " Give the access key's RAM user the permission ehpc:AddExistedNodes. (turn them off for good: pulumi"
            " config set ehpc:ownershipTags false)."
        )
    ]


@pytest.mark.parametrize(
    ("raised", "acted"),
    [
        (TransportError("X", "reset"), True),
        (error("ServiceUnavailable", 503), True),
        (error("SomethingNew", 500), True),
        (error("EcsError", 406), True),
        (NotSentError("X", "refused"), False),
        (CertificateError("X", "untrusted"), False),
        (error("Throttling"), False),
        (error("ConflictOpt", 403), False),
        (error("NotAuthorized", 403), False),
        (error("InvalidParams"), False),
    ],
    ids=lambda value: getattr(value, "code", type(value).__name__),
)
def test_which_errors_leave_open_whether_a_write_had_an_effect(raised, acted):
    assert may_have_acted(raised) is acted


def test_the_classes_behind_those_codes():
    """So that the table above is about what it says."""
    assert isinstance(error("EcsError", 406), BackendError)
    assert isinstance(error("Throttling"), ThrottledError)
    assert isinstance(error("ConflictOpt", 403), ConflictError)


def test_resources_of_a_cluster_share_looks_at_queues_that_are_new_enough():
    bench, looks = Bench(attached=(1, 2)), Looks()
    first, second = bench.operation(looks=looks), bench.operation(looks=looks)
    began = bench.clock.now()
    assert first.see_queue("workq", began) == second.see_queue("workq", began)
    assert [q.queue_name for q in first.see_queues(began)] == ["workq", "gpu"]
    assert first.see_queues(began) == second.see_queues(began)
    assert bench.calls() == ["ListNodesByQueue", "ListQueues"]
    second.see_queue("workq", began + 1)
    assert bench.calls() == ["ListNodesByQueue", "ListQueues", "ListNodesByQueue"]
