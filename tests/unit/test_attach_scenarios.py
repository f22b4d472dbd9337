"""Attaching: in which order it is stopped, tagged and sent, what a lost answer means, and what is told of a failure."""

from itertools import pairwise

import pytest

from ehpc_nodes.emulator import ecs
from ehpc_nodes.emulator.answers import ApiError
from ehpc_nodes.errors import CONTINUES, AuthError, EhpcError
from ehpc_nodes.reconcile.operations import IncompleteError
from ehpc_nodes.reconcile.reconciler import SELDOM
from unit.emulated import CLUSTER, IMAGE, OWNER, Bench, ids, iid, late, right_after

ORDER = ("StopInstances", "TagResources", "AddExistedNodes")
FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": None}
DOWN = {"code": "ServiceUnavailable", "status": 503, "times": None}
#: No list shows what is being attached until it is a node.
HIDDEN = {"task_listed": False, "nodes_listed": "at_end"}


def numbered(call, prefix):
    return sorted(v for k, v in call.params.items() if k.startswith(prefix))


# -- the order of the writes ---------------------------------------------------------------------


def test_it_is_stopped_then_tagged_then_sent_with_image_alias_and_queue():
    bench = Bench(3, instance_pace={"seconds": 60})
    bench.outside.start(iid(1))
    state = bench.up(1, 2, job_queue="gpu", stop_running=True)
    probe, *calls = bench.calls(*ORDER)
    assert [probe, *calls] == ["TagResources", "StopInstances", "TagResources", "AddExistedNodes"]
    (stopped,) = bench.journal.of("StopInstances")
    assert numbered(stopped, "InstanceId.") == ids(1)
    assert stopped.params["StoppedMode"] == "KeepCharging"
    (sent,) = bench.journal.of("AddExistedNodes")
    told = {k: sent.params[k] for k in ("ImageId", "ImageOwnerAlias", "JobQueue")}
    assert told == {"ImageId": IMAGE, "ImageOwnerAlias": "system", "JobQueue": "gpu"}
    assert bench.owners == dict.fromkeys(ids(1, 2), OWNER)
    assert {n.queue for n in state.nodes.values()} == {"gpu"}


@pytest.mark.slow
def test_201_instances_are_all_tagged_first_and_sent_in_three_calls():
    bench = Bench(201)
    bench.up(*range(1, 202))
    assert bench.calls(*ORDER) == ["TagResources"] * 5 + ["AddExistedNodes"] * 3
    assert bench.harm.disk_replacements == dict.fromkeys(ids(*range(1, 202)), 1)


def test_nothing_to_do_is_no_write():
    bench = Bench(3)
    state = bench.up(1, 2)
    bench.journal.entries.clear()
    assert bench.up(1, 2, before=state).nodes == state.nodes
    assert bench.calls(*ORDER, "UntagResources") == []


def test_what_never_stops_ends_it_before_anything_is_tagged():
    bench = Bench(3, instance_pace="held")
    bench.outside.start(iid(1))
    bench.instance(1).status = "Running"
    words = f"waiting for {iid(1)} .Stopping."
    bench.fails(IncompleteError, 1, 2, match=words, stop_running=True, seconds=100)
    assert bench.owners == {}
    assert bench.nodes == {}


def test_one_instance_that_ecs_refuses_to_stop_fails_alone(monkeypatch):
    bench = Bench(3)
    for n in (1, 2):
        bench.outside.start(iid(n))
    usual = ecs._why_not_stop

    def why_not(state, item):
        text = "The disk category is not supported."
        return ApiError(403, "OperationDenied", text) if item == iid(1) else usual(state, item)

    monkeypatch.setattr(ecs, "_why_not_stop", why_not)
    words = f"{iid(1)}: .*StopInstances: OperationDenied"
    bench.fails(IncompleteError, 1, 2, 3, match=words, stop_running=True)
    assert sorted(bench.nodes) == ids(2, 3)
    assert bench.owners.keys() == {*ids(2, 3)}
    stops = [entry.time for entry in bench.journal.of("StopInstances")]
    assert len(stops) == 3
    assert all(after - before >= 1.0 for before, after in pairwise(stops))


def test_a_second_hundred_to_attach_is_read_again_where_the_first_call_took_long():
    bench = Bench(150)
    bench.fault("slow", "AddExistedNodes", seconds=12)
    theirs = right_after(bench, "AddExistedNodes", lambda: bench.outside.attach(iid(150), CLUSTER))
    with theirs:
        bench.fails(IncompleteError, *range(1, 151), match=f"{iid(150)}.* it appeared in cluster")
    sent = [numbered(e, "Instance.") for e in bench.journal.of("AddExistedNodes")]
    assert iid(150) not in sent[1]
    assert bench.harm.double_attach == []


def test_a_second_batch_to_tag_is_read_again_where_the_first_call_took_long():
    """A tag of this run on an instance that runs would say that it was sent."""
    bench = Bench(60)
    bench.fault("slow", "TagResources", seconds=12)
    started = right_after(bench, "TagResources", lambda: bench.outside.start(iid(60)))
    with started:
        bench.fails(IncompleteError, *range(1, 61), match=f"{iid(60)}.* it became Running")
    tagged = [numbered(e, "ResourceId.") for e in bench.journal.of("TagResources")]
    assert all(iid(60) not in batch for batch in tagged)


# -- a call without an answer --------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("knobs", [{}, HIDDEN], ids=["shown", "hidden"])
def test_an_accepted_call_whose_answer_is_lost_is_not_sent_again(knobs):
    """The evidence of one instance stands for the whole call."""
    bench = Bench(3, pace={"seconds": 300}, **knobs)
    bench.fault("reset_after", "AddExistedNodes")
    assert bench.up(1, 2).instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert bench.writes() == ["AddExistedNodes"]
    assert "the call is repeated only if not" in bench.said.warnings[0]


def test_a_call_that_nothing_shows_for_the_grace_period_is_sent_again_three_times_at_most():
    bench = Bench(3)
    bench.fault("reset_before", "AddExistedNodes", times=1)
    began = bench.clock.now()
    state = bench.up(1)
    assert bench.clock.now() - began >= bench.grace
    bench.fault("reset_before", "AddExistedNodes", times=None)
    told = bench.fails(IncompleteError, 1, 2, before=state)
    assert told.state.instance_ids == ids(1)
    assert bench.calls("AddExistedNodes") == ["AddExistedNodes"] * 2 + ["AddExistedNodes"] * 3
    assert bench.owners.keys() == {*ids(1)}
    assert bench.harm.disk_replacements == {iid(1): 1}


def test_a_new_task_that_names_nobody_may_be_the_calls():
    """And one that ran before the call is not."""
    bench = Bench(
        4, pace={"seconds": 200}, nodes_listed="at_end", task_result_names_instances=False
    )
    bench.fails(IncompleteError, 1, seconds=5)
    bench.fault("reset_after", "AddExistedNodes")
    assert bench.up(2, 3).instance_ids == ids(2, 3)
    assert bench.harm.double_attach == []
    assert bench.calls("AddExistedNodes") == ["AddExistedNodes"] * 2


@pytest.mark.slow
def test_what_is_undecided_at_the_deadline_is_kept_as_being_attached_and_told():
    bench = Bench(3, pace={"seconds": 600}, **HIDDEN)
    bench.fault("reset_after", "AddExistedNodes")
    with right_after(bench, "AddExistedNodes", lambda: bench.fault("error", "ListTasks", **DOWN)):
        told = bench.fails(IncompleteError, 1, 2, match="E-HPC may continue to attach", seconds=60)
    assert {n.status for n in told.state.nodes.values()} == {"attaching"}
    bench.emulator.faults.clear()
    assert bench.up(1, 2, before=told.state).instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert bench.writes() == ["AddExistedNodes"]


# -- refusals and failures -----------------------------------------------------------------------


def test_a_refused_batch_is_told_and_the_others_go_on():
    bench = Bench(150)
    bench.fault("error", "AddExistedNodes", status=400, code="InvalidParams", message="No.")
    told = bench.fails(IncompleteError, *range(1, 151))
    assert told.state.instance_ids == sorted(bench.nodes) == ids(*range(101, 151))
    assert {f.code for f in told.state.failed.values()} == {"InvalidParams"}
    (reason,) = told.reasons  # above ten, a line a reason
    assert reason.startswith(f"100 instances ({iid(1)}, ")
    assert bench.owners.keys() == bench.nodes.keys()


def test_without_the_permission_to_attach_nothing_more_is_sent_and_nothing_stays_tagged():
    bench = Bench(150)
    bench.fault("error", "AddExistedNodes", **FORBIDDEN)
    bench.fails(AuthError, *range(1, 151), match="ehpc:AddExistedNodes")
    assert bench.calls("AddExistedNodes") == ["AddExistedNodes"]
    assert bench.owners == {}


# -- while it waits ------------------------------------------------------------------------------


def test_an_outage_is_waited_out_and_until_the_deadline_it_is_what_is_told():
    for seconds, ends in ((100, True), (2000, False)):
        bench = Bench(3, pace={"seconds": 60})
        with right_after(
            bench, "AddExistedNodes", lambda b=bench: b.fault("error", "ListTasks", **DOWN)
        ):
            bench.clock.at(seconds, bench.emulator.faults.clear)
            if ends:
                assert bench.up(1).instance_ids == ids(1)
                continue
            told = bench.fails(IncompleteError, 1, match="ServiceUnavailable", seconds=600)
        assert told.state.instance_ids == ids(1)


def test_ctrl_c_says_what_goes_on_and_keeps_it():
    bench = Bench(3, pace="held")
    bench.clock.cancel_at(20)
    told = bench.fails(IncompleteError, 1, 2)
    (sent,) = bench.journal.of("AddExistedNodes")
    (reason,) = told.reasons
    assert reason.startswith(
        f"Cancelled; waiting for {', '.join(ids(1, 2))}; task {sent.task_id} step "
    )
    assert reason.endswith(CONTINUES)
    assert told.state.instance_ids == ids(1, 2)
    assert told.state.task_id == sent.task_id


#: The list of nodes comes from another replica than the list of tasks.
NODES_LATE = {"pace": {"seconds": 100}, "tasks_lag": False, "nodes_listed": "at_end"}


def ended_tasks_are_listed(bench, patch):
    """ListTasks names tasks that have ended, too, without being asked for them."""
    call = bench.emulator.call

    def with_history(action, version, params):
        history = {"Archived": "true"} if action == "ListTasks" and "TaskId" not in params else {}
        return call(action, version, {**params, **history})

    patch.setattr(bench.emulator, "call", with_history)


@pytest.mark.parametrize("history", [False, True])
def test_a_node_that_is_listed_after_the_end_of_its_task_is_no_failure(history, monkeypatch):
    bench = Bench(2, list_lag={"seconds": 20}, **NODES_LATE)
    if history:
        ended_tasks_are_listed(bench, monkeypatch)
    state = bench.up(1)
    assert (state.nodes[iid(1)].status, state.failed) == ("running", {})
    assert bench.owners == {iid(1): OWNER}
    assert bench.calls("AddExistedNodes") == ["AddExistedNodes"]


def test_a_task_that_has_ended_holds_up_nothing_that_is_detached_since(monkeypatch):
    bench = Bench(2)
    ended_tasks_are_listed(bench, monkeypatch)
    state = bench.up(1, 2)
    bench.outside.detach(iid(1))
    state = bench.operations().refresh(state)
    assert state.instance_ids == ids(2)
    assert bench.up(1, 2, before=state, stop_running=True).instance_ids == ids(1, 2)


def test_a_node_that_stays_absent_for_the_grace_period_after_its_task_has_failed():
    bench = Bench(2, list_lag="never", **NODES_LATE)
    began = bench.clock.now()
    bench.fails(IncompleteError, 1, match=r"not attached, not among .* ended with Success")
    assert bench.clock.now() - began >= 100 + bench.grace
    assert bench.calls("AddExistedNodes") == ["AddExistedNodes"]


# -- DescribeInstances lags --------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["Stopped", "Running"])
def test_what_instances_do_not_show_yet_is_waited_for_and_done_once(status):
    """The tags that were written, the stop that was accepted: each is one call for both instances."""
    bench = Bench(2)
    for n in (1, 2):
        bench.instance(n).status = status
    began = bench.clock.now()
    with late(bench, 20):
        state = bench.up(1, 2, stop_running=True)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2)
    changes = bench.calls("StopInstances", "TagResources", "AddExistedNodes")
    stop = ["TagResources", "StopInstances"] if status == "Running" else []  # the first one probes
    assert changes == [*stop, "TagResources", "AddExistedNodes"]
    assert bench.clock.now() - began < 60


def test_tags_that_somebody_removes_before_they_are_read_are_written_again_after_the_grace_period():
    bench = Bench(2)
    tags = bench.instance(1).tags
    began = bench.clock.now()
    with right_after(bench, "TagResources", tags.clear):
        bench.up(1)
    assert bench.calls("TagResources", "AddExistedNodes") == [
        *["TagResources"] * 2,
        "AddExistedNodes",
    ]
    assert bench.clock.now() - began >= bench.grace


def test_an_instance_that_is_started_again_right_after_its_stop_is_not_sent():
    bench = Bench(2)
    it = bench.instance(1)
    it.status = "Running"
    words = f"waiting for {iid(1)} .Stopping."
    with right_after(bench, "StopInstances", lambda: bench.outside.start(iid(1))):
        bench.fails(EhpcError, 1, match=words, stop_running=True, seconds=20)
    assert bench.nodes == {}


# -- the scheduler's own word --------------------------------------------------------------------


def test_a_node_is_waited_for_until_it_is_active_in_the_scheduler():
    bench = Bench(3, pace={"seconds": 60}, scheduler_pace={"seconds": 90})
    before = bench.up(1)
    began = bench.clock.now()
    state = bench.up(2, before=before)
    assert bench.clock.now() - began >= 60 + 90
    assert state.nodes[iid(2)].scheduler_state == "active"
    assert bench.said.warnings == []
    assert any("in the scheduler" in text for text in bench.said.statuses)
    assert bench.writes() == ["AddExistedNodes", "AddExistedNodes", "DeleteNodes"]


def test_a_node_that_stays_inactive_is_a_warning_after_a_bounded_wait():
    bench = Bench(3, scheduler_pace="never")
    began = bench.clock.now()
    state = bench.up(1, 2)
    assert 120 <= bench.clock.now() - began < 140
    assert state.failed == {}
    assert {n.status for n in state.nodes.values()} == {"running"}
    word = bench.nodes[iid(1)].state_in_sched
    (told,) = bench.said.warnings
    assert told.startswith(
        f"Attached, but not active in the scheduler after 120 s: compute1 ({iid(1)}) is {word},"
    )
    began = bench.clock.now()
    assert bench.up(1, 2, before=state).instance_ids == ids(1, 2)
    assert bench.clock.now() - began < 10


def test_how_long_it_is_waited_for_is_a_setting():
    bench = Bench(3, scheduler_pace="never")
    began = bench.clock.now()
    bench.uid = "uid1"
    bench.operations(scheduler_seconds=10).converge(bench.inputs(1))
    assert bench.clock.now() - began < 20


def test_adopted_and_kept_nodes_are_not_waited_for():
    bench = Bench(3, attached=(1,))
    bench.outside.set_scheduler_state(iid(1), "down")
    began = bench.clock.now()
    state = bench.up(1)
    assert bench.clock.now() - began < 10
    assert state.nodes[iid(1)].scheduler_state == "down"
    assert bench.said.warnings == []


def test_a_node_is_ready_though_its_task_hangs_soon_after_the_nodes_were_read():
    """They are read seldom while a task runs, and once more when a node's status has lasted."""
    bench = Bench(2, pace="never")

    def ready():
        bench.nodes[iid(1)].status, bench.nodes[iid(1)].state_in_sched = "running", "active"

    bench.clock.at(65, ready)
    began = bench.clock.now()
    assert bench.up(1).instance_ids == sorted(bench.nodes) == ids(1)
    assert bench.clock.now() - began < (SELDOM + 2) * bench.grace


@pytest.mark.slow
def test_instances_whose_read_takes_longer_than_a_read_is_fresh_are_attached():
    bench = Bench(230)
    call = bench.emulator.call

    def slow(action, version, params):
        answer = call(action, version, params)
        if action == "DescribeInstances":
            bench.clock.advance(4)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.emulator, "call", slow)
        state = bench.up(*range(1, 231), seconds=3600)
    assert len(state.instance_ids) == 230
    assert bench.harm.double_attach == []


def test_a_node_of_the_state_that_is_attached_again_is_waited_for():
    bench = Bench(2, nodes_listed="at_acceptance", pace={"seconds": 40})
    state = bench.up(1)
    before = state.nodes[iid(1)].confirmed_at
    bench.outside.detach(iid(1))
    bench.clock.advance(3600)
    state = bench.up(1, before=state, stop_running=True)
    assert bench.nodes[iid(1)].status == state.nodes[iid(1)].status == "running"
    assert state.nodes[iid(1)].confirmed_at > before + 3600
    assert {task.status for task in state.tasks if task.action == "AddExistedNodes"} == {"Success"}


def test_what_was_sent_and_shows_nothing_yet_keeps_its_tags_where_a_later_batch_ends_the_run():
    bench = Bench(101, nodes_listed="at_end", task_listed=False, pace={"seconds": 300})
    bench.fault("error", "AddExistedNodes", code="Forbidden.RAM", status=403, after=1, times=1)
    state = bench.fails(IncompleteError, *range(1, 102)).state
    (sent,) = bench.emulator.journal.of("AddExistedNodes")[:1]
    first = {v for k, v in sent.params.items() if k.startswith("Instance.")}
    assert first == {*state.instance_ids} == {*bench.owners}
    state = bench.up(*range(1, 102), before=state, stop_running=True)
    assert bench.harm.double_attach == []
    assert state.failed == {}
