"""Detaching and moving: what is sent, what a lost answer means, and what is told of a node that stays."""

import pytest

from ehpc_nodes.emulator.knobs import Pace
from ehpc_nodes.errors import CancelledError, EhpcError, RefusedError, WaitTimeoutError
from ehpc_nodes.reconcile.operations import IncompleteError
from unit.emulated import OWNER, Bench, ids, iid, right_after

FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": None}


def attached(bench, *numbers, **changes):
    """A state with these nodes; what was called until then is forgotten."""
    state = bench.up(*numbers, **changes)
    bench.emulator.journal.entries.clear()
    return state


def paced(bench, **pace):
    bench.emulator.world.knobs.task_pace = Pace.parse(pace)
    return bench


# -- what is sent --------------------------------------------------------------------------------


@pytest.mark.slow
def test_201_nodes_go_in_three_calls_are_untagged_and_not_released():
    bench = Bench(201)
    state = attached(bench, *range(1, 202))
    bench.operations().destroy(state)
    assert bench.writes() == ["DeleteNodes"] * 3
    assert {c.params["ReleaseInstance"] for c in bench.emulator.journal.of("DeleteNodes")} == {
        "false"
    }
    assert bench.nodes == {} == bench.owners
    assert bench.harm.releases == []


def test_a_manager_is_never_detached_whatever_is_consented():
    bench = Bench(3)
    state = attached(bench, 1, 2, detach_busy=True)
    bench.nodes[iid(1)].roles = ["Manager"]
    with pytest.raises(RefusedError, match=f"no compute nodes, never detached: {iid(1)}"):
        bench.operations().destroy(state)
    with pytest.raises(EhpcError, match="no compute node"):
        bench.up(2, before=state, detach_busy=True)
    assert bench.writes() == []


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_node_that_is_being_taken_away_is_waited_for_and_sent_only_where_it_comes_back(
    comes_back,
):
    bench = paced(Bench(3), seconds=0)
    state = attached(bench, 1, 2)
    bench.emulator.outside.set_node_status(iid(1), "releasing")
    word = "running" if comes_back else ""

    def ends():
        if comes_back:
            bench.emulator.outside.set_node_status(iid(1), word)
        else:
            bench.emulator.outside.detach(iid(1))

    bench.clock.at(60, ends)
    bench.operations().destroy(state)
    assert bench.nodes == {}
    sent = [v for c in bench.emulator.journal.of("DeleteNodes") for v in c.params.values()]
    assert (iid(1) in sent) == comes_back


@pytest.mark.slow
def test_a_list_that_lags_less_than_the_grace_period_is_waited_for():
    bench = Bench(3, list_lag={"seconds": 20})
    state = bench.up(1, 2)
    bench.emulator.advance(60)
    assert bench.up(2, before=state).instance_ids == sorted(bench.nodes) == ids(2)
    bench.operations().destroy(state)
    assert bench.nodes == {}
    assert bench.calls("DeleteNodes") == ["DeleteNodes"] * 2


# -- a call without an answer, and refusals ------------------------------------------------------


def test_an_accepted_detach_whose_answer_is_lost_is_not_sent_again():
    bench = Bench(3)
    state = attached(bench, 1, 2)
    paced(bench, seconds=200)
    bench.fault("reset_after", "DeleteNodes")
    bench.operations().destroy(state)
    assert bench.writes() == ["DeleteNodes"]
    assert bench.nodes == {} == bench.owners


def test_a_detach_that_had_no_effect_is_sent_again_after_the_grace_period_three_times_at_most():
    bench = Bench(3)
    state = attached(bench, 1)
    bench.fault("reset_before", "DeleteNodes", times=None)
    began = bench.clock.now()
    with pytest.raises(IncompleteError, match="DeleteNodes"):
        bench.operations().destroy(state)
    assert bench.clock.now() - began >= 2 * bench.grace
    assert bench.calls("DeleteNodes") == ["DeleteNodes"] * 3
    assert bench.owners == {iid(1): OWNER}
    bench.emulator.faults.clear()
    bench.operations().destroy(state)
    assert bench.nodes == {} == bench.owners


@pytest.mark.slow
def test_a_refused_batch_is_told_at_once_and_keeps_no_other_from_being_detached():
    bench = Bench(150)
    state = attached(bench, *range(1, 151))
    bench.fault("error", "DeleteNodes", status=400, code="InvalidParams", message="No.")
    with pytest.raises(IncompleteError, match="InvalidParams"):
        bench.operations().destroy(state)
    assert sorted(bench.nodes) == sorted(bench.owners) == ids(*range(1, 101))
    assert bench.writes() == ["DeleteNodes"] * 2


def test_a_node_that_went_in_the_last_moment_keeps_no_other_from_being_detached():
    """E-HPC refuses a call that names an instance which is no node."""
    bench = Bench(4)
    state = attached(bench, 1, 2, 3)
    with right_after(bench, "DescribeInstances", lambda: bench.emulator.outside.detach(iid(2))):
        bench.operations().destroy(state)
    assert bench.nodes == {} == bench.owners


def test_without_the_permission_to_detach_it_ends_at_once():
    bench = Bench(150)
    state = attached(bench, *range(1, 151))
    bench.fault("error", "DeleteNodes", **FORBIDDEN)
    with pytest.raises(EhpcError, match="ehpc:DeleteNodes"):
        bench.operations().destroy(state)
    assert bench.writes() == ["DeleteNodes"]
    assert bench.owners.keys() == bench.nodes.keys()


def test_a_node_that_stays_after_the_task_is_told_and_keeps_its_tags():
    bench = Bench(3)
    state = attached(bench, 1, 2)
    bench.fault("fail_nodes", "DeleteNodes", instances=ids(1))
    with pytest.raises(IncompleteError, match="still a node"):
        bench.operations().destroy(state)
    assert sorted(bench.nodes) == sorted(bench.owners) == ids(1)


# -- while it waits ------------------------------------------------------------------------------


def test_it_says_for_which_nodes_it_waits_and_names_them_at_the_deadline():
    bench = Bench(3)
    state = attached(bench, 1, 2)
    paced(bench, seconds=600)
    with pytest.raises(WaitTimeoutError, match=rf"waiting for {iid(1)}( \(releasing\))?, {iid(2)}"):
        bench.operations(100).destroy(state)
    assert any(f"waiting for {iid(1)}" in text for text in bench.said.statuses)
    bench.operations().destroy(state)
    assert bench.writes() == ["DeleteNodes"]


def test_a_detach_that_is_cancelled_tells_its_task_and_what_to_do():
    bench = Bench(3)
    state = attached(bench, 1)
    paced(bench, seconds=600)
    bench.clock.cancel_at(30)
    with pytest.raises(
        CancelledError, match=rf"not detached yet: waiting for {iid(1)}.*task "
    ) as told:
        bench.operations().destroy(state)
    assert "Run the same command again to finish" in str(told.value)


# -- moves ---------------------------------------------------------------------------------------


def test_101_nodes_are_moved_by_host_name_in_two_calls():
    bench = Bench(101)
    state = attached(bench, *range(1, 102), job_queue="workq")
    state = bench.up(*range(1, 102), before=state, job_queue="gpu")
    assert bench.writes() == ["SetQueue"] * 2
    assert {n.queue for n in bench.nodes.values()} == {"gpu"}
    assert {n.queue for n in state.nodes.values()} == {"gpu"}
    assert "compute1" in bench.emulator.journal.of("SetQueue")[0].params.values()


def test_a_move_whose_answer_is_lost_is_looked_after_and_a_refused_one_is_told():
    bench = Bench(3)
    state = attached(bench, 1, 2, job_queue="workq")
    bench.fault("reset_after", "SetQueue")
    state = bench.up(1, 2, before=state, job_queue="gpu")
    assert bench.writes() == ["SetQueue"]
    bench.fault("error", "SetQueue", status=400, code="InvalidParams", times=None)
    with pytest.raises(EhpcError, match="SetQueue: InvalidParams"):
        bench.up(1, 2, before=state, job_queue="workq")
    assert {n.queue for n in bench.nodes.values()} == {"gpu"}


def test_nodes_that_cannot_be_moved_are_told_after_three_calls():
    bench = Bench(3)
    state = attached(bench, 1, 2, job_queue="workq")
    bench.fault("reset_before", "SetQueue", times=None)
    with pytest.raises(EhpcError, match="SetQueue"):
        bench.up(1, 2, before=state, job_queue="gpu")
    assert bench.writes() == ["SetQueue"] * 3
