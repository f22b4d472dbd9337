"""What an operation leaves: the state that holds, and why each instance is not as wanted."""

import pytest

from ehpc_nodes.api.cache import Looks
from ehpc_nodes.api.responses import Accepted, Node
from ehpc_nodes.errors import CancelledError, WaitTimeoutError
from ehpc_nodes.models import Failure, NodeState, State
from ehpc_nodes.outcome import (
    PENDING,
    ended_by,
    exceptions,
    node_state,
    queues,
    reasons,
    state_after,
)
from ehpc_nodes.reconcile.operations import IncompleteError
from unit.emulated import CLUSTER, Bench, ids, iid, right_after

FORBIDDEN = {"status": 403, "code": "NotAuthorized", "message": "No.", "times": None}
REFUSED = {"status": 400, "code": "InvalidParams", "message": "No.", "times": None}
DOWN = {"code": "ServiceUnavailable", "times": None}


def recorded(operation, *numbers, action="AddExistedNodes", task="T-1", request="R-1"):
    """Such a write was accepted."""
    operation.record(action, ids(*numbers), Accepted(task_id=task, request_id=request), "Success")
    return operation


def saved(*numbers, **more):
    return State(cluster_id=CLUSTER, region="cn-hangzhou", instance_ids=ids(*numbers), **more)


def after(bench, operation, *wanted, before=None, look=True):
    return state_after(operation, bench.inputs(*wanted), before, look=look)


# -- the state ----------------------------------------------------------------------------------


def test_nodes_and_what_is_being_attached_are_kept_and_the_rest_is_not():
    bench = Bench(attached=(1, 2, 5))
    operation = recorded(bench.operation(sent={iid(3)}, detached={iid(2)}), 1, 3)
    operation.fail(ids(4), "InvalidParams", "refused")
    state = after(bench, operation, 1, 3, 4, before=saved(1, 2))
    assert state.instance_ids == ids(1, 3)  # not 5, which is another's
    assert state.nodes[iid(1)].model_dump() == {
        "host_name": "compute1",
        "private_ip": "",
        "status": "running",
        "queue": "workq",
        "image_id": "centos_7_06.vhd",
        "instance_type": bench.nodes[iid(1)].instance_type,
    }
    assert state.nodes[iid(3)] == NodeState(status=PENDING)
    assert {i: f.code for i, f in state.failed.items()} == {iid(4): "InvalidParams"}
    assert (state.task_id, state.request_id) == ("T-1", "R-1")
    assert state.tasks == operation.records


def test_nodes_of_the_state_that_are_not_wanted_stay_until_they_are_detached():
    bench = Bench(attached=(1, 2))
    assert after(bench, bench.operation(), 1, before=saved(1, 2)).instance_ids == ids(1, 2)


def test_nodes_that_the_cluster_calls_failed_are_failed():
    bench = Bench(attached=(1, 2, 3))
    for n in (1, 2, 3):
        bench.emulator.outside.set_node_status(iid(n), "exception")
    operation = bench.operation()
    operation.fail(ids(2), "PartialFail", "disk broken")
    state = after(bench, operation, 1, 2, before=saved(3))
    assert {i: f.reason for i, f in state.failed.items()} == {
        iid(1): "node status exception: repair or detach it",
        iid(2): "disk broken",  # what is known better
    }


def test_the_ids_are_those_of_the_latest_attach():
    bench = Bench(attached=(1, 2))
    operation = recorded(bench.operation(), 1)
    recorded(operation, 2, task="T-2", request="R-2")
    recorded(operation, 3, action="DeleteNodes", task="T-3", request="R-3")
    state = after(bench, operation, 1, 2)
    assert (state.task_id, state.request_id) == ("T-2", "R-2")
    assert [record.task_id for record in state.tasks] == ["T-1", "T-2", "T-3"]


def test_without_an_attach_they_stay_those_of_the_state():
    bench = Bench(attached=(1,))
    before = saved(1, task_id="T-0", request_id="R-0")
    state = after(bench, bench.operation(), 1, before=before)
    assert (state.task_id, state.request_id, state.tasks) == ("T-0", "R-0", [])
    state = after(bench, bench.operation(), 1)
    assert (state.task_id, state.request_id) == ("", "")


def test_what_was_sent_and_is_no_more_wanted_is_kept_as_it_stands():
    bench = Bench(attached=(1, 2))
    state = after(bench, bench.operation(sent={iid(2)}), 1)
    assert state.nodes[iid(2)].host_name == "compute2"


def test_without_a_look_what_was_seen_last_holds():
    bench = Bench(attached=(1,))
    operation = bench.operation(sent={iid(2)})
    operation.see_nodes()
    bench.emulator.journal.entries.clear()
    state = after(bench, operation, 1, 2, look=False)
    assert {i: n.status for i, n in state.nodes.items()} == {iid(1): "running", iid(2): PENDING}
    assert bench.calls() == []


def test_a_node_that_was_settled_and_is_not_listed_yet_is_waited_for():
    bench = Bench(attached=(1,), list_lag={"seconds": 10})
    operation = recorded(bench.operation(), 2)
    operation.see_nodes()
    bench.emulator.outside.attach(iid(2), CLUSTER)
    assert after(bench, operation, 1, 2).instance_ids == ids(1, 2)
    assert 10 <= sum(bench.clock.slept) < 20


def test_it_is_waited_for_no_longer_than_the_grace_period():
    bench = Bench(attached=(1,), grace=20.0)
    assert after(bench, recorded(bench.operation(), 1, 2), 1, 2).instance_ids == ids(1)
    assert sum(bench.clock.slept) == pytest.approx(20)


@pytest.mark.parametrize("known", ["failed", "detached", "sent"])
def test_what_is_known_of_otherwise_is_not_waited_for(known):
    bench = Bench(attached=(1,))
    operation = recorded(bench.operation(), 1, 2)
    if known == "failed":
        operation.fail(ids(2), "Failed", "why")
    else:
        getattr(operation, known).add(iid(2))
    after(bench, operation, 1, 2)
    assert bench.clock.slept == []


@pytest.mark.parametrize("fault", [FORBIDDEN, REFUSED, DOWN])
def test_it_never_fails_and_keeps_what_was_seen(fault):
    bench = Bench(attached=(1,))
    operation = recorded(bench.operation(sent={iid(2)}), 2)
    operation.see_nodes()
    bench.fault("error", "*", **fault)
    state = after(bench, operation, 1, 2, before=saved(1))
    assert state.instance_ids == ids(1, 2)
    assert state.nodes[iid(1)].status == "running"


def test_cancelled_while_it_looks_it_keeps_what_was_seen():
    bench = Bench(attached=(1,))
    operation = recorded(bench.operation(), 1, 2)
    operation.see_nodes()
    bench.clock.cancel_at(3)
    assert after(bench, operation, 1, 2).instance_ids == ids(1)


def test_cancelled_while_it_reads_the_queues_it_keeps_the_nodes():
    bench = Bench(attached=(1,))
    bench.fault("error", "ListQueues", **DOWN)
    bench.clock.cancel_at(1)
    state = after(bench, recorded(bench.operation(), 1), 1)
    assert {i: (n.status, n.queue) for i, n in state.nodes.items()} == {iid(1): ("running", "")}


def test_an_outage_of_the_lists_is_waited_for_in_the_grace_period():
    bench = Bench(attached=(1,), grace=300.0)
    operation = recorded(bench.operation(), 1)
    bench.fault("error", "ListNodes", **DOWN)
    bench.clock.at(200, bench.emulator.faults.clear)
    assert after(bench, operation, 1).instance_ids == ids(1)


def test_what_the_watch_saw_last_does_where_all_is_settled():
    bench, looks = Bench(attached=(1, 2)), Looks()
    addresses = {iid(1): "10.0.0.1", iid(2): "10.0.0.2"}
    operation = recorded(bench.operation(looks=looks, addresses=addresses), 1)
    operation.watch_nodes(bench.clock.now())
    bench.clock.advance(5)
    after(bench, operation, 1)
    assert bench.calls("ListNodes", "ListNodesNoPaging") == ["ListNodesNoPaging"]
    operation.sent.add(iid(2))
    state = after(bench, operation, 1)
    assert bench.calls("ListNodes", "ListNodesNoPaging") == ["ListNodesNoPaging"] * 2
    assert state.instance_ids == ids(1, 2)


# -- its parts ----------------------------------------------------------------------------------


def test_queues_of_no_nodes_are_not_asked_for():
    bench = Bench()
    assert queues(bench.operation(), [], 0.0) == {}
    assert bench.calls() == []


def test_the_only_queue_has_all_nodes():
    bench = Bench(attached=(1, 2), queues=("workq",))
    assert queues(bench.operation(), ids(1, 2), 0.0) == dict.fromkeys(ids(1, 2), "workq")
    assert bench.calls() == ["ListQueues"]


def test_of_several_queues_each_is_asked():
    bench = Bench(attached=(1, 2))
    bench.emulator.outside.move(iid(2), "gpu")
    assert queues(bench.operation(), ids(1, 2), 0.0) == {iid(1): "workq", iid(2): "gpu"}
    assert bench.calls() == ["ListQueues", "ListNodesByQueue", "ListNodesByQueue"]


@pytest.mark.parametrize("action", ["ListQueues", "ListNodesByQueue"])
@pytest.mark.parametrize("fault", [FORBIDDEN, REFUSED, DOWN])
def test_queues_that_cannot_be_read_are_a_warning(action, fault):
    bench = Bench(attached=(1,))
    bench.fault("error", action, **fault)
    assert queues(bench.operation(), ids(1), 0.0) == {}
    (warning,) = bench.said.warnings
    assert warning.startswith(f"The nodes' queues could not be read: {action}: {fault['code']}: ")


def test_a_node_as_the_state_keeps_it():
    node = Node(
        id=iid(1),
        host_name="compute1",
        ip_address="10.0.0.1",
        status="stopped",
        image_id="img",
        instance_type="ecs.c5.large",
    )
    assert node_state(node, "gpu").model_dump() == {
        "host_name": "compute1",
        "private_ip": "10.0.0.1",
        "status": "stopped",
        "queue": "gpu",
        "image_id": "img",
        "instance_type": "ecs.c5.large",
    }


def test_only_exceptions_are_failed_nodes():
    words = ("running", "stopped", "Exception", "migrating", "releasing", "")
    nodes = {word: NodeState(status=word) for word in words}
    assert exceptions(nodes) == {
        "Exception": Failure(code="Exception", reason="node status Exception: repair or detach it")
    }


# -- words --------------------------------------------------------------------------------------


def test_an_error_that_ends_an_operation_says_itself():
    operation = recorded(Bench().operation(sent={iid(1)}), 1)
    assert ended_by(operation, WaitTimeoutError("why", 3)).startswith("Timed out after 3 s: why.")
    cancelled = CancelledError("Cancelled while waiting.")
    assert ended_by(Bench().operation(), cancelled) == "Cancelled while waiting."


def test_cancelling_says_what_goes_on_with_its_tasks():
    operation = recorded(Bench().operation(sent=set(ids(1, 3))), 1, 2)
    recorded(operation, 3, task="T-2")
    recorded(operation, 4, task="T-3")
    assert ended_by(operation, CancelledError("Cancelled while waiting.")) == (
        f"Cancelled while waiting. The attaching of {iid(1)}, {iid(3)} (task T-1, T-2) goes on in E-HPC;"
        " pulumi up joins it."
    )


def test_cancelling_without_a_task_names_none():
    operation = Bench().operation(sent={iid(1)})
    operation.record("AddExistedNodes", ids(1), None, "Unknown")
    assert ended_by(operation, CancelledError("Stopped.")) == (
        f"Stopped. The attaching of {iid(1)} goes on in E-HPC; pulumi up joins it."
    )


def failed(operation, *numbers, why="node status exception; task T-1 Failed: disk broken"):
    """The state with these failed, of which the second has a host name."""
    nodes = {iid(2): NodeState(host_name="compute2", status="exception")}
    failures = {i: Failure(code="Failed", reason=why) for i in ids(*numbers)}
    return saved(*numbers, nodes=nodes, failed=failures)


def test_up_to_ten_nodes_have_a_line_each_with_task_and_request():
    operation = recorded(Bench().operation(), *range(1, 11))
    told = reasons(operation, failed(operation, *range(1, 11)))
    assert len(told) == 10
    assert told[0] == (
        f"{iid(1)}: node status exception; task T-1 Failed: disk broken (RequestId R-1)"
    )
    assert told[1].startswith(f"compute2 ({iid(2)}): node status exception; ")


def test_more_are_told_in_groups():
    operation = recorded(Bench().operation(), *range(1, 12))
    assert reasons(operation, failed(operation, *range(1, 12))) == [
        (
            f"11 instances ({iid(1)}, compute2 ({iid(2)}), {iid(3)}, {iid(4)}, {iid(5)} and 6 more): node"
            " status exception; task T-1 Failed: disk broken (RequestId R-1)"
        )
    ]


def test_a_group_of_one_is_one_instance():
    operation = recorded(Bench().operation(), *range(1, 12))
    state = failed(operation, *range(1, 12))
    state.failed[iid(11)] = Failure(code="InvalidParams", reason="refused")
    many, one = reasons(operation, state)
    assert many.startswith("10 instances (")
    assert one == f"1 instance ({iid(11)}): refused (RequestId R-1)"


def test_a_request_id_is_told_once_and_only_where_there_is_one():
    operation = recorded(Bench().operation(), 1, request="R-9")
    operation.record("AddExistedNodes", ids(3), None, "Unknown")
    state = failed(operation, 1, 3, 4, why="no (HTTP 400, RequestId R-9)")
    assert reasons(operation, state) == [f"{i}: no (HTTP 400, RequestId R-9)" for i in ids(1, 3, 4)]


# -- told by an up ------------------------------------------------------------------------------


def test_cancelling_an_up_says_what_goes_on_and_keeps_it():
    bench = Bench(pace="held")
    bench.clock.cancel_at(20)
    with pytest.raises(IncompleteError) as told:
        bench.up(1, 2)
    (sent,) = bench.emulator.journal.of("AddExistedNodes")
    assert told.value.reasons == [
        (
            f"Cancelled while waiting. The attaching of {', '.join(ids(1, 2))} (task {sent.task_id}) goes on in"
            " E-HPC; pulumi up joins it."
        )
    ]
    assert told.value.state.instance_ids == ids(1, 2)
    assert told.value.state.task_id == sent.task_id


def test_cancelling_while_a_lost_answer_is_looked_after_keeps_what_may_have_been_sent():
    bench = Bench(mark="", pace={"seconds": 600}, task_listed=False, nodes_listed="at_end")
    bench.fault("reset_after", "AddExistedNodes")

    def blind_and_cancelled():
        bench.fault("error", "DescribeInstances", **DOWN)
        bench.clock.cancel_at(10)

    with (
        right_after(bench, "AddExistedNodes", blind_and_cancelled),
        pytest.raises(IncompleteError) as told,
    ):
        bench.up(1, 2)
    assert told.value.state.instance_ids == ids(1, 2)
    assert "goes on in E-HPC; pulumi up joins it" in told.value.reasons[-1]
