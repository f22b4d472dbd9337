"""Detaching and moving: what is sent, what a lost answer means, and what is told of a node that stays."""

import re

import pytest

from ehpc_nodes.emulator.knobs import Pace
from ehpc_nodes.errors import CancelledError, EhpcError, RefusedError, WaitTimeoutError
from ehpc_nodes.reconcile.operations import IncompleteError
from ehpc_nodes.reconcile.ports import NoOtherResources
from unit.emulated import CLUSTER, OWNER, Bench, Killed, ids, iid, right_after

FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": None}


def attached(bench, *numbers, **changes):
    """A state with these nodes; what was called until then is forgotten."""
    state = bench.up(*numbers, **changes)
    bench.journal.entries.clear()
    return state


def paced(bench, **pace):
    bench.world.knobs.task_pace = Pace.parse(pace)
    return bench


# -- what is sent --------------------------------------------------------------------------------


@pytest.mark.slow
def test_201_nodes_go_in_three_calls_are_untagged_and_not_released():
    bench = Bench(201)
    state = attached(bench, *range(1, 202))
    bench.operations().destroy(state)
    assert bench.writes() == ["DeleteNodes"] * 3
    assert {c.params["ReleaseInstance"] for c in bench.journal.of("DeleteNodes")} == {"false"}
    assert bench.nodes == {} == bench.owners
    assert bench.harm.releases == []


def test_a_manager_is_never_detached_whatever_is_consented():
    bench = Bench(3)
    state = attached(bench, 1, 2, busy_nodes="detach")
    bench.nodes[iid(1)].roles = ["Manager"]
    with pytest.raises(RefusedError, match=f"no compute nodes, never detached: {iid(1)}"):
        bench.operations().destroy(state)
    bench.fails(EhpcError, 2, match="not a compute node", before=state, busy_nodes="detach")
    assert bench.writes() == []


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_node_that_is_being_taken_away_is_waited_for_and_sent_only_where_it_comes_back(
    comes_back,
):
    bench = paced(Bench(3), seconds=0)
    state = attached(bench, 1, 2)
    bench.outside.set_node_status(iid(1), "releasing")
    word = "running" if comes_back else ""

    def ends():
        if comes_back:
            bench.outside.set_node_status(iid(1), word)
        else:
            bench.outside.detach(iid(1))

    bench.clock.at(60, ends)
    bench.operations().destroy(state)
    assert bench.nodes == {}
    sent = [v for c in bench.journal.of("DeleteNodes") for v in c.params.values()]
    assert (iid(1) in sent) == comes_back


# -- a call without an answer, and refusals ------------------------------------------------------


@pytest.mark.parametrize(("lag", "seconds"), [(None, 200), ({"seconds": 20}, 0)])
def test_an_accepted_detach_whose_answer_is_lost_is_not_sent_again(lag, seconds):
    """While its task runs; while the lists are late."""
    bench = Bench(3, list_lag=lag)
    state = attached(bench, 1, 2)
    paced(bench, seconds=seconds)
    bench.fault("reset_after", "DeleteNodes")
    bench.operations().destroy(state)
    assert bench.writes() == ["DeleteNodes"]
    assert bench.nodes == {} == bench.owners


def test_a_second_hundred_to_detach_is_read_again_where_the_first_call_took_long():
    bench = Bench(160)
    state = attached(bench, *range(1, 152))
    bench.fault("slow", "DeleteNodes", seconds=12)
    begins = right_after(bench, "DeleteNodes", lambda: bench.outside.use(iid(150), 4))
    words = f"{iid(150)}.*not detached: by now it runs jobs"
    with begins:
        bench.fails(EhpcError, 151, match=words, before=state)
    assert sorted(bench.nodes) == ids(150, 151)


def test_after_a_killed_detach_a_late_list_is_waited_for():
    """E-HPC refuses the repeat, since they are no nodes any more: the list that shows them is late."""
    bench = Bench(3, list_lag={"seconds": 20})
    state = attached(bench, 1, 2)

    def die():
        raise Killed

    with right_after(bench, "DeleteNodes", die), pytest.raises(Killed):
        bench.operations().destroy(state)
    bench.operations().destroy(state)
    assert bench.nodes == {} == bench.owners
    assert bench.writes() == ["DeleteNodes"] * 2


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
    with right_after(bench, "DescribeInstances", lambda: bench.outside.detach(iid(2))):
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
    with pytest.raises(
        WaitTimeoutError, match=rf"waiting for {iid(1)}( \(being detached\))?, {iid(2)}"
    ):
        bench.operations(100).destroy(state)
    assert any(f"waiting for {iid(1)}" in text for text in bench.said.statuses)
    bench.operations().destroy(state)
    assert bench.writes() == ["DeleteNodes"]


def test_a_detach_that_is_cancelled_tells_its_task_and_what_to_do():
    bench = Bench(3)
    state = attached(bench, 1)
    paced(bench, seconds=600)
    bench.clock.cancel_at(30)
    with pytest.raises(CancelledError, match=rf"Cancelled; waiting for {iid(1)}.*task ") as told:
        bench.operations().destroy(state)
    assert "run the same command again to finish" in str(told.value)


# -- jobs ----------------------------------------------------------------------------------------


def working(bench, *numbers, seconds=None):
    """Let a job of test2 run on each of these."""
    for number in numbers:
        bench.outside.start_job(iid(number), owner="test2@scheduler", seconds=seconds)


def test_busy_nodes_are_waited_for_and_idle_ones_go_at_once():
    bench = Bench(3)
    state = attached(bench, 1, 2, 3, busy_nodes="wait")
    working(bench, 2, seconds=600)
    began = bench.clock.now()
    idle = []
    bench.clock.at(60, lambda: idle.append(sorted(bench.nodes)))
    state = bench.up(1, before=state, busy_nodes="wait")
    assert state.instance_ids == sorted(bench.nodes) == ids(1)
    assert idle == [ids(1, 2)]
    assert bench.writes() == ["DeleteNodes"] * 2
    assert 600 <= bench.clock.now() - began < 700
    assert any(f"waiting for {iid(2)} (1 job)" in text for text in bench.said.statuses)


def test_a_busy_node_with_the_host_name_of_an_instance_to_attach_is_waited_for_first():
    bench = Bench(3)
    state = attached(bench, 1, busy_nodes="wait")
    bench.instance(2).host_name = "compute1"
    working(bench, 1, seconds=300)
    state = bench.up(2, before=state, busy_nodes="wait")
    assert state.instance_ids == ids(2)
    assert bench.writes() == ["DeleteNodes", "AddExistedNodes"]


def test_at_the_end_of_its_time_busy_nodes_stay_and_their_jobs_are_named():
    bench = Bench(3)
    state = attached(bench, 1, 2, busy_nodes="wait")
    working(bench, 2, 2)
    told = rf"waiting for {iid(2)} \(2 jobs\); compute2 runs 1.scheduler \(test2\), 2.scheduler \(test2\)"
    words = f"Timed out after 100 s: {told}. They stay attached"
    bench.fails(WaitTimeoutError, 1, match=words, before=state, seconds=100, busy_nodes="wait")
    with pytest.raises(WaitTimeoutError, match=told):
        bench.operations(100).destroy(state)
    assert sorted(bench.nodes) == ids(2)
    assert bench.operations().refresh(state).instance_ids == ids(2)


def test_a_run_that_has_attached_keeps_busy_nodes_in_the_state_at_the_end_of_its_time():
    bench = Bench(3)
    state = attached(bench, 1, busy_nodes="wait")
    working(bench, 1)
    words = r"compute1 runs 1\.scheduler"
    told = bench.fails(
        IncompleteError, 2, match=words, before=state, seconds=100, busy_nodes="wait"
    )
    assert told.state.instance_ids == sorted(bench.nodes) == ids(1, 2)
    bench.outside.end_job(CLUSTER, "1.scheduler")
    assert bench.up(2, before=told.state, busy_nodes="wait").instance_ids == ids(2)


def test_a_wait_for_jobs_is_cancelled_like_any_other():
    bench = Bench(3)
    state = attached(bench, 1, 2, busy_nodes="wait")
    working(bench, 2)
    bench.clock.cancel_at(30)
    with pytest.raises(CancelledError, match=rf"waiting for {iid(2)} .*compute2 runs 1.scheduler"):
        bench.operations().destroy(state)
    assert sorted(bench.nodes) == ids(2)


def test_a_job_that_begins_after_the_wait_and_before_the_call_is_waited_for(monkeypatch):
    bench = Bench(3)
    state = attached(bench, 1, 2, busy_nodes="wait")
    working(bench, 2, seconds=100)
    jobs = bench.world.clusters[CLUSTER].jobs

    def next_job(*, before):
        ended = jobs["1.scheduler"].state == "FINISHED" and bench.calls()[-1] == "ListNodes"
        if before and ended and len(jobs) == 1:  # the wait has seen an idle node
            working(bench, 2, seconds=50)

    monkeypatch.setattr(bench, "_maybe_die", next_job)
    bench.up(1, before=state, busy_nodes="wait")
    assert bench.clock.now() - jobs["2.scheduler"].since >= 50
    assert bench.writes() == ["DeleteNodes"]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (None, "compute2 .* runs 1.scheduler \\(test2\\)"),
        (FORBIDDEN, "compute2 .* runs jobs \\(used: 1 CPU\\)"),
        ({"code": "AgentError.Job.ListFailed", "status": 406, "times": None}, "used: 1 CPU"),
    ],
)
def test_jobs_are_named_where_they_can_be_read(fault, told):
    bench = Bench(3)
    state = attached(bench, 1, 2)
    working(bench, 2, seconds=1000)
    if fault:
        bench.fault("error", "ListJobsWithFilters", **fault)
    found = [f for f in bench.preview(1, before=state).findings if f.property == "busy_nodes"]
    assert all(f.warning for f in found)
    lost = [f.reason for f in found if f.reason.startswith("the jobs of busy nodes are not known:")]
    assert len(lost) == (1 if fault else 0)
    assert re.search(told, found[-1].reason)
    bench.fails(RefusedError, 1, match=told, before=state)
    assert bench.writes() == []
    assert bench.up(1, before=state, busy_nodes="wait").instance_ids == ids(1)


def test_jobs_are_read_only_where_a_node_to_detach_is_busy():
    bench = Bench(4)
    state = attached(bench, 1, 2, 3)
    working(bench, 1)
    bench.preview(1, 2, before=state)
    bench.up(1, 2, before=state)
    assert bench.calls("ListJobsWithFilters") == []


@pytest.mark.parametrize("verb", ["destroy", "update"])
def test_a_list_that_shows_a_detached_node_once_more_keeps_no_tags_on_it(verb, monkeypatch):
    """The look before its tags are removed comes from a replica that lags."""
    bench = Bench(3)
    state = attached(bench, 1, 2)
    cluster, call, seen = bench.world.clusters[CLUSTER], bench.emulator.call, []
    nodes = {**cluster.nodes}

    def lagging(action, version, params):
        if action == "ListNodes" and "DeleteNodes" in bench.calls():
            seen.append(action)
            if len(seen) in (2, 3):
                with monkeypatch.context() as patch:
                    patch.setattr(cluster, "nodes", nodes)
                    return call(action, version, params)
        return call(action, version, params)

    monkeypatch.setattr(bench.emulator, "call", lagging)
    if verb == "destroy":
        bench.operations().destroy(state)
    else:
        bench.up(1, before=state)
    assert sorted(bench.owners) == sorted(bench.nodes) == (ids(1) if verb == "update" else [])
    assert bench.calls("DeleteNodes") == ["DeleteNodes"]


# -- moves ---------------------------------------------------------------------------------------


def test_101_nodes_are_moved_by_host_name_in_two_calls():
    bench = Bench(101)
    state = attached(bench, *range(1, 102), job_queue="workq")
    state = bench.up(*range(1, 102), before=state, job_queue="gpu")
    assert bench.writes() == ["SetQueue"] * 2
    assert {n.queue for n in bench.nodes.values()} == {"gpu"}
    assert {n.queue for n in state.nodes.values()} == {"gpu"}
    assert "compute1" in bench.journal.of("SetQueue")[0].params.values()


def test_a_move_whose_answer_is_lost_is_looked_after_and_a_refused_one_is_told():
    bench = Bench(3)
    state = attached(bench, 1, 2, job_queue="workq")
    bench.fault("reset_after", "SetQueue")
    state = bench.up(1, 2, before=state, job_queue="gpu")
    assert bench.writes() == ["SetQueue"]
    bench.fault("error", "SetQueue", status=400, code="InvalidParams", times=None)
    bench.fails(EhpcError, 1, 2, match="SetQueue: InvalidParams", before=state, job_queue="workq")
    assert {n.queue for n in bench.nodes.values()} == {"gpu"}


def test_nodes_that_cannot_be_moved_are_told_after_three_calls():
    bench = Bench(3)
    state = attached(bench, 1, 2, job_queue="workq")
    bench.fault("reset_before", "SetQueue", times=None)
    bench.fails(EhpcError, 1, 2, match="SetQueue", before=state, job_queue="gpu")
    assert bench.writes() == ["SetQueue"] * 3


def test_nodes_that_cannot_be_moved_end_a_run_that_has_attached_others_after_three_calls():
    bench = Bench(3)
    state = attached(bench, 1, 2, job_queue="workq")
    bench.fault("reset_before", "SetQueue", times=None)
    with pytest.raises(IncompleteError, match="SetQueue") as told:
        bench.up(1, 2, 3, before=state, job_queue="gpu")
    assert bench.calls("AddExistedNodes", "SetQueue") == ["AddExistedNodes"] + ["SetQueue"] * 3
    assert told.value.state.instance_ids == ids(1, 2, 3)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [({"kind": "throttle"}, 120), ({"kind": "error", "code": "Throttling"}, 120)],
)
def test_a_write_that_has_no_effect_is_given_up_after_two_minutes_also_after_another_write(
    fault, seconds
):
    bench = Bench(2)
    bench.instance(1).status = "Running"
    bench.emulator.faults.add({"action": "TagResources", "times": None, "after": 1, **fault})
    began = bench.clock.now()
    with pytest.raises(EhpcError, match="Throttling"):
        bench.up(1, 2, stop_running=True)
    assert bench.writes()[0] == "StopInstances"
    assert seconds <= bench.clock.now() - began < 2 * seconds + 60


@pytest.mark.parametrize("stays", [True, False])
def test_a_retained_node_stays_in_the_state_until_its_tags_are_removed(stays):
    bench = Bench(3)
    state = attached(bench, 1, 2)
    bench.fault("error", "UntagResources", **FORBIDDEN)
    state = bench.up(1, before=state, retain_ids=[iid(2)])
    assert state.instance_ids == ids(1, 2)
    assert "were not removed" in " ".join(bench.said.warnings)
    bench.emulator.faults.clear()
    state = bench.up(1, before=state, retain_ids=[iid(2)] if stays else [iid(2), iid(3)])
    assert state.instance_ids == ids(1)
    assert bench.nodes.keys() == {*ids(1, 2)}
    assert bench.writes() == []


def test_a_cancelled_run_keeps_a_retained_node_whose_tags_are_not_removed():
    bench = paced(Bench(3), seconds=300)
    state = bench.up(1, 2)
    bench.clock.cancel_at(60)
    with pytest.raises(IncompleteError) as told:
        bench.up(1, 3, before=state, retain_ids=[iid(2)])
    assert told.value.state.instance_ids == ids(1, 2, 3)


def test_a_node_that_ecs_does_not_know_is_not_adopted():
    bench = Bench(2, attached=[1])
    del bench.world.instances[iid(1)]
    with pytest.raises(EhpcError, match=f"{iid(1)}.*does not exist in ECS"):
        bench.up(1, 2)
    assert bench.writes() == [] == bench.calls("TagResources")


@pytest.mark.parametrize("verb", ["update", "destroy"])
def test_an_attach_that_fails_after_it_is_no_longer_wanted_is_no_failure(verb):
    bench = Bench(3, pace={"seconds": 300})
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(2), status="absent")
    state = bench.fails(IncompleteError, 1, 2, seconds=60).state
    if verb == "destroy":
        bench.operations().destroy(state)
        assert bench.nodes == bench.owners == {}
    else:
        state = bench.up(1, before=state)
        assert (state.instance_ids, state.failed) == (ids(1), {})
        assert bench.owners == {iid(1): OWNER}


def test_what_is_being_attached_stays_in_the_state_where_another_resource_lists_it_meanwhile():
    bench = Bench(3, nodes_listed="at_end", pace={"seconds": 600})
    state = bench.fails(IncompleteError, 1, 2, seconds=60).state

    class Others(NoOtherResources):
        def listed(self):
            return ids(2) if bench.clock.now() > began + 100 else ()

    bench.others, began = Others(), bench.clock.now()
    told = bench.fails(IncompleteError, 1, before=state, match="another resource of the program")
    assert told.state.instance_ids == ids(1, 2)
    assert iid(2) in bench.owners
