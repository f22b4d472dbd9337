"""Detaching and moving: nothing is released, nothing is sent twice for what is going already, absence is success."""

from functools import partial

import pytest

from ehpc_nodes.api.paging import one
from ehpc_nodes.api.responses import Node
from ehpc_nodes.clock import LONGEST_PAUSE
from ehpc_nodes.detaching import SENDS, detach, guard, move
from ehpc_nodes.errors import (
    ApiError,
    AuthError,
    EhpcError,
    OutcomeUnknownError,
    RefusedError,
    WaitTimeoutError,
    api_error,
)
from ehpc_nodes.marks import ATTACHING_KEY, TAG_KEY
from unit.emulated import CLUSTER, OWNER, Bench, ids, iid, right_after

FORBIDDEN = {"status": 403, "code": "NotAuthorized", "message": "No.", "times": None}
REFUSED = {"status": 400, "code": "InvalidParams", "message": "No."}
STAY = (
    f"The tags ehpc-nodes, ehpc-nodes-attaching, ehpc-nodes-id stay on {iid(1)}"
    " until the next change:"
)
DOWN = {"code": "ServiceUnavailable", "times": None}


def nodes_of(*numbers, grace=30.0, **options):
    """A bench with some nodes, marked as this resource's."""
    bench = Bench(max(numbers), numbers, grace=grace, **options)
    for n in numbers:
        bench.emulator.world.instances[iid(n)].tags[TAG_KEY] = OWNER
    bench.operation().see_nodes()  # a list lags behind what was seen before
    bench.emulator.journal.entries.clear()
    return bench


def named(bench, action="DeleteNodes"):
    """The instances (or host names) that each call named."""
    return [
        [v for k, v in entry.params.items() if k.startswith(("Instance.", "Node."))]
        for entry in bench.emulator.journal.of(action)
    ]


def run(bench, *numbers, seconds=3600.0):
    operation = bench.operation(seconds)
    detach(operation, ids(*numbers), detach_busy=False)
    return operation


# -- guard --------------------------------------------------------------------------------------


def wire_node(n, roles=("Compute",), **used):
    return one(
        "",
        Node,
        {
            "Id": iid(n),
            "HostName": f"compute{n}",
            "Roles": {"Role": list(roles)},
            "UsedResources": used,
        },
    )


@pytest.mark.parametrize(
    ("used", "load"),
    [({"Cpu": 4}, "4 CPU"), ({"Gpu": 1, "Memory": 512}, "1 GPU, 512 memory")],
)
def test_busy_nodes_are_refused_with_their_load(used, load):
    nodes = {iid(1): wire_node(1, **used), iid(2): wire_node(2)}
    with pytest.raises(RefusedError) as told:
        guard(nodes, ids(1, 2), detach_busy=False)
    assert told.value.property == "detach_busy"
    assert str(told.value) == (
        f"nodes that run jobs are not detached: compute1 ({iid(1)}; used: {load})."
        " Wait until their jobs end, or set detach_busy=True."
    )
    guard(nodes, ids(1, 2), detach_busy=True)
    guard(nodes, ids(2), detach_busy=False)


@pytest.mark.parametrize("consent", [True, False])
def test_managers_and_login_nodes_are_refused_whatever_is_consented(consent):
    nodes = {
        iid(1): wire_node(1, ["Scheduler", "Account"], Cpu=1),
        iid(2): wire_node(2, ["Compute", "Login"]),
        iid(3): wire_node(3),
    }
    with pytest.raises(RefusedError) as told:
        guard(nodes, ids(1, 2, 3), detach_busy=consent)
    assert told.value.property == "instance_ids"
    assert str(told.value) == (
        f"no compute nodes, never detached: {iid(1)} (Scheduler, Account), {iid(2)} (Compute, Login)"
    )


# -- detach -------------------------------------------------------------------------------------


def test_no_nodes_are_no_call():
    bench = nodes_of(1)
    run(bench)
    assert (bench.calls(), bench.said.statuses) == ([], [])


def test_nodes_are_detached_unmarked_and_not_released():
    bench = nodes_of(1, 2, 3)
    bench.emulator.world.instances[iid(1)].tags[ATTACHING_KEY] = CLUSTER
    operation = run(bench, 1, 2)
    (sent,) = bench.emulator.journal.of("DeleteNodes")
    assert sent.params == {
        "ClusterId": CLUSTER,
        "ReleaseInstance": "false",
        "Sync": "false",
        "Instance.1.Id": iid(1),
        "Instance.2.Id": iid(2),
    }
    assert sorted(bench.nodes) == ids(3)
    assert bench.harm.releases == []
    assert (operation.detached, operation.failed) == (set(ids(1, 2)), {})
    (record,) = operation.records
    assert (record.action, record.task_id, record.status) == (
        "DeleteNodes",
        sent.task_id,
        "Success",
    )
    assert [bench.emulator.world.instances[i].tags for i in ids(1, 2, 3)] == [
        {},
        {},
        {TAG_KEY: OWNER},
    ]
    assert bench.said.statuses[0] == "detaching 2 nodes"


def test_201_nodes_go_in_three_calls():
    bench = nodes_of(*range(1, 202))
    run(bench, *range(1, 202))
    assert [len(some) for some in named(bench)] == [100, 100, 1]
    assert bench.nodes == {}


def test_it_waits_until_the_nodes_are_gone_and_says_for_which():
    bench = nodes_of(1, 2, 3, 4, pace={"seconds": 60})
    began = bench.clock.now()
    run(bench, 1, 2, 3, 4)
    assert 60 <= bench.clock.now() - began <= 80
    assert (
        f"0/4 nodes detached; waiting for {iid(1)}, {iid(2)}, {iid(3)} and 1 more"
        in bench.said.statuses
    )


def test_nodes_that_stay_until_the_deadline_are_named():
    bench = nodes_of(1, 2, pace="never")
    with pytest.raises(WaitTimeoutError) as told:
        run(bench, 1, 2, seconds=50)
    (task,) = bench.emulator.world.open_tasks
    assert str(told.value) == (
        f"Timed out after 50 s: not detached yet: {iid(1)} (releasing), {iid(2)} (releasing); task {task}."
        " The work goes on in E-HPC; Run pulumi up again: it continues from there and sends nothing twice. To wait longer, set custom_timeouts."
    )
    assert bench.owners == dict.fromkeys(ids(1, 2), OWNER)


def test_a_node_that_is_being_taken_away_already_is_only_waited_for():
    bench = nodes_of(1, 2, pace={"seconds": 60})
    first = bench.operation()
    first.cloud.delete_nodes(CLUSTER, ids(1))
    operation = bench.operation()
    operation.see_nodes()
    detach(operation, ids(1, 2), detach_busy=False)
    assert named(bench) == [ids(1), ids(2)]
    assert bench.nodes == {}


def test_a_node_that_is_being_taken_away_and_comes_back_is_sent():
    bench = nodes_of(1, 2)
    bench.nodes[iid(1)].status = "releasing"
    bench.clock.at(60, lambda: setattr(bench.nodes[iid(1)], "status", "running"))
    operation = bench.operation()
    operation.see_nodes()
    detach(operation, ids(1, 2), detach_busy=False)
    assert named(bench) == [ids(2), ids(1)]
    assert bench.nodes == {}


@pytest.mark.parametrize("ended", ["time", "Ctrl-C"])
@pytest.mark.parametrize("verb", ["destroy", "update"])
def test_a_detach_that_is_ended_tells_its_task_and_what_to_do(verb, ended):
    bench = Bench(3)
    state = bench.up(1, 2)
    bench.fault("task_never_ends", "DeleteNodes")
    if ended == "Ctrl-C":
        bench.clock.cancel_at(60)
    lifecycle = bench.operations(seconds=60 if ended == "time" else 3600)
    end = partial(lifecycle.remove, state)
    if verb == "update":
        end = partial(lifecycle.converge, bench.inputs(2), state)
    with pytest.raises(EhpcError) as told:
        end()
    (task,) = bench.emulator.world.open_tasks
    assert f"not detached yet: {iid(1)} (releasing)" in str(told.value)
    assert f"task {task}" in str(told.value)
    advice = "the same command goes on from there. To keep the nodes instead: pulumi up --refresh"
    assert (advice in str(told.value)) == (verb == "destroy")


def test_a_node_whose_task_failed_is_told_and_keeps_its_mark():
    bench = nodes_of(1, 2)
    bench.fault("fail_nodes", "DeleteNodes", instances=ids(2), errors="disk busy")
    began = bench.clock.now()
    operation = run(bench, 1, 2)
    assert bench.clock.now() - began >= bench.grace
    (record,) = operation.records
    assert record.status == "PartialFail"
    assert operation.failed[iid(2)].model_dump() == {
        "code": "PartialFail",
        "reason": f"still a node (exception) after task {record.task_id} PartialFail {record.error}",
    }
    assert "disk busy" in record.error
    assert operation.detached == {iid(1)}
    assert bench.owners == {iid(2): OWNER}


def test_a_node_that_stays_after_a_task_that_succeeded_is_told_too():
    bench = nodes_of(1)
    bench.fault("fail_nodes", "DeleteNodes", status="absent", task_status="Success")
    operation = run(bench, 1)
    (record,) = operation.records
    assert operation.failed[iid(1)].model_dump() == {
        "code": "Success",
        "reason": f"still a node (running) after task {record.task_id} Success",
    }


def test_a_list_that_lags_less_than_the_grace_period_is_waited_for():
    bench = nodes_of(1, list_lag={"seconds": 20})
    began = bench.clock.now()
    operation = run(bench, 1)
    assert 20 <= bench.clock.now() - began < 20 + LONGEST_PAUSE
    assert (operation.detached, operation.failed) == ({iid(1)}, {})


def test_a_look_that_fails_is_made_again():
    bench = nodes_of(1, pace={"seconds": 20})

    def outage():
        bench.fault("error", "ListNodesNoPaging", **DOWN)
        bench.clock.at(200, bench.emulator.faults.clear)

    with right_after(bench, "DeleteNodes", outage):
        operation = run(bench, 1)
    assert operation.detached == {iid(1)}
    assert any(
        text.startswith("waiting; the last look failed: ListNodesNoPaging: ServiceUnavailable")
        for text in bench.said.statuses
    )


def test_a_cluster_that_is_gone_has_no_nodes():
    bench = nodes_of(1, 2, pace="held")
    with right_after(bench, "DeleteNodes", bench.emulator.world.clusters.clear):
        operation = run(bench, 1, 2)
    assert operation.detached == set(ids(1, 2))


# -- an answer that is lost, or a refusal -------------------------------------------------------


@pytest.mark.parametrize("fault", ["reset_after", "error_after", "lost"])
@pytest.mark.parametrize("knobs", [{"pace": {"seconds": 60}}, {"list_lag": {"seconds": 20}}, {}])
def test_an_accepted_delete_whose_answer_is_lost_is_not_sent_again(fault, knobs):
    bench = nodes_of(1, 2, grace=90.0, **knobs)
    bench.fault(fault, "DeleteNodes")
    operation = run(bench, 1, 2)
    (sent,) = bench.emulator.journal.of("DeleteNodes")
    assert (
        operation.changed - sent.time <= 61
    )  # as soon as one is seen to go ("lost" took a minute)
    assert named(bench) == [ids(1, 2)]
    assert operation.detached == set(ids(1, 2))
    assert [(r.status, r.instance_ids) for r in operation.records] == [("Unknown", ids(1, 2))]
    assert operation.failed == {}


@pytest.mark.parametrize("fault", ["reset_before", "error"])
def test_a_delete_that_had_no_effect_for_the_grace_period_is_sent_again(fault):
    bench = nodes_of(1)
    bench.fault(fault, "DeleteNodes")
    operation = run(bench, 1)
    first, second = bench.emulator.journal.of("DeleteNodes")
    assert second.time - first.time >= bench.grace
    assert [r.status for r in operation.records] == ["Success"]


def test_it_is_sent_three_times_at_most():
    bench = nodes_of(1)
    bench.fault("reset_before", "DeleteNodes", times=None)
    operation = run(bench, 1)
    assert named(bench) == [ids(1)] * SENDS == [ids(1)] * 3
    assert operation.failed[iid(1)].model_dump() == {
        "code": "TransportError",
        "reason": "DeleteNodes: no usable answer: connection reset.",
    }
    assert bench.owners == {iid(1): OWNER}


def test_a_refusal_for_good_is_told_at_once():
    bench = nodes_of(1)
    bench.fault("error", "DeleteNodes", **REFUSED, times=None)
    began = bench.clock.now()
    operation = run(bench, 1)
    assert len(bench.calls("DeleteNodes")) == 1
    assert bench.clock.now() - began < 1
    assert operation.failed[iid(1)].code == "InvalidParams"
    assert operation.failed[iid(1)].reason.startswith("DeleteNodes: InvalidParams: No (HTTP 400, ")
    assert sorted(bench.nodes) == ids(1)


def test_a_refused_batch_keeps_no_other_from_being_detached():
    bench = nodes_of(*range(1, 102))
    bench.fault("error", "DeleteNodes", **REFUSED)
    operation = run(bench, *range(1, 102))
    assert sorted(bench.nodes) == sorted(operation.failed) == ids(*range(1, 101))
    assert operation.detached == set(ids(101))


def test_nodes_that_are_gone_already_are_no_error_and_the_others_are_sent_again():
    bench = nodes_of(1, 2, 3)
    bench.emulator.outside.detach(iid(2))
    operation = run(bench, 1, 2, 3)
    assert named(bench) == [ids(1, 2, 3), ids(1, 3)]
    assert (bench.nodes, operation.failed) == ({}, {})
    assert operation.detached == set(ids(1, 2, 3))
    assert bench.owners == {}


def test_all_gone_already_is_success():
    bench = nodes_of(1)
    bench.emulator.outside.detach(iid(1))
    operation = run(bench, 1)
    assert named(bench) == [ids(1)]
    assert (operation.detached, operation.failed) == ({iid(1)}, {})


def test_refused_again_and_again_for_another_node_that_went_it_is_told(monkeypatch):
    bench = nodes_of(1, 2, 3, 4)
    operation, going = bench.operation(), [*ids(1, 2, 3)]

    def refuse(*_):
        bench.emulator.outside.detach(going.pop(0))
        raise api_error("DeleteNodes", "ComputeNotFound", "m", http_status=404, request_id="R")

    monkeypatch.setattr(operation.cloud, "delete_nodes", refuse)
    detach(operation, ids(1, 2, 3, 4), detach_busy=False)
    assert {i: f.model_dump() for i, f in operation.failed.items()} == {
        iid(4): {"code": "NotDetached", "reason": "DeleteNodes was not accepted"}
    }
    assert sorted(bench.nodes) == ids(4)
    assert operation.detached == set(ids(1, 2, 3))


def test_a_lost_answer_and_an_outage_leave_the_outcome_open():
    bench = nodes_of(1, pace="held")
    bench.fault("reset_after", "DeleteNodes")
    bench.fault("error", "ListNodesNoPaging", **DOWN)
    with pytest.raises(OutcomeUnknownError, match="the nodes could not be listed") as told:
        run(bench, 1, seconds=300)
    assert told.value.instance_ids == ids(1)
    assert named(bench) == [ids(1)]


def test_without_permission_it_ends_at_once():
    bench = nodes_of(*range(1, 102))
    bench.fault("error", "DeleteNodes", **FORBIDDEN)
    with pytest.raises(AuthError, match="the permission ehpc:DeleteNodes"):
        run(bench, *range(1, 102))
    assert len(bench.calls("DeleteNodes")) == 1


# -- marks --------------------------------------------------------------------------------------


def test_without_marks_none_are_taken_away():
    bench = nodes_of(1, mark="")
    run(bench, 1)
    assert bench.calls("UntagResources") == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (FORBIDDEN, "Ownership marks are off for this run: UntagResources: NotAuthorized: "),
        (
            {"kind": "reset_before", "times": None},
            f"{STAY} UntagResources: no usable answer: connection reset.",
        ),
        (REFUSED, f"{STAY} UntagResources: InvalidParams: No (HTTP 400, "),
    ],
)
def test_marks_that_stay_are_a_warning(fault, said):
    bench = nodes_of(1)
    bench.fault(action="UntagResources", **{"kind": "error", **fault})
    operation = run(bench, 1)
    (warning,) = bench.said.warnings
    assert warning.startswith(said)
    assert (operation.detached, operation.failed) == ({iid(1)}, {})


# -- moving -------------------------------------------------------------------------------------


def moved(bench, *numbers, queue="gpu", seconds=3600.0):
    operation = bench.operation(seconds)
    operation.see_nodes()
    move(operation, ids(*numbers), queue)
    return operation


def queues(bench):
    return {i: node.queue for i, node in bench.nodes.items()}


def test_nodes_are_moved_by_host_name():
    bench = nodes_of(1, 2, 3)
    operation = moved(bench, 1, 3)
    assert named(bench, "SetQueue") == [["compute1", "compute3"]]
    assert queues(bench) == {iid(1): "gpu", iid(2): "workq", iid(3): "gpu"}
    (record,) = operation.records
    assert (record.action, record.instance_ids, record.status) == ("SetQueue", ids(1, 3), "Done")
    assert record.request_id
    assert "moving 2 nodes to queue gpu" in bench.said.statuses


def test_none_to_move_is_no_call():
    bench = nodes_of(1)
    move(bench.operation(), [], "gpu")
    assert bench.calls() == []


def test_101_nodes_are_moved_in_two_calls():
    bench = nodes_of(*range(1, 102))
    moved(bench, *range(1, 102))
    assert [len(some) for some in named(bench, "SetQueue")] == [100, 1]
    assert {*queues(bench).values()} == {"gpu"}


def test_a_move_whose_answer_is_lost_is_looked_after():
    bench = nodes_of(1)
    bench.fault("reset_after", "SetQueue")
    operation = moved(bench, 1)
    assert len(bench.calls("SetQueue")) == 1
    assert (operation.records, operation.failed) == ([], {})
    assert bench.said.warnings == [
        "SetQueue: no usable answer: connection reset. Looking whether the nodes were moved."
    ]


def test_a_list_that_lags_does_not_move_a_node_again():
    bench = nodes_of(1, list_lag={"seconds": 20})
    moved(bench, 1)
    assert len(bench.calls("SetQueue")) == 1


def test_only_nodes_that_are_not_there_after_the_grace_period_are_moved_again():
    bench = nodes_of(1, 2)
    with right_after(bench, "SetQueue", lambda: bench.emulator.outside.move(iid(2), "workq")):
        moved(bench, 1, 2)
    first, second = bench.emulator.journal.of("SetQueue")
    assert named(bench, "SetQueue") == [["compute1", "compute2"], ["compute2"]]
    assert second.time - first.time >= bench.grace
    assert {*queues(bench).values()} == {"gpu"}


def test_nodes_that_cannot_be_moved_are_told_after_three_calls():
    bench = nodes_of(1)
    bench.fault("reset_before", "SetQueue", times=None)
    operation = moved(bench, 1)
    assert len(bench.calls("SetQueue")) == SENDS
    assert operation.failed[iid(1)].model_dump() == {
        "code": "QueueNotSet",
        "reason": "not in queue gpu after SetQueue",
    }


def test_a_refused_move_is_an_error():
    bench = nodes_of(1)
    with pytest.raises(ApiError, match="SetQueue: InvalidParams: "):
        moved(bench, 1, queue="nosuch")
    assert len(bench.calls("SetQueue")) == 1
