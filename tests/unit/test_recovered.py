"""What an interrupted run leaves is found again, whatever E-HPC lists of it; what is others' is left alone."""

from contextlib import suppress
from functools import partial

import pytest

from ehpc_nodes.emulator.knobs import Pace
from ehpc_nodes.emulator.world import Cluster, Queue
from ehpc_nodes.errors import EhpcError
from ehpc_nodes.reconcile.operations import FindingsError, IncompleteError
from unit.emulated import (
    CLUSTER,
    IMAGE,
    OLD_IMAGE,
    OWNER,
    VPC,
    Bench,
    ids,
    iid,
    killed,
    right_after,
    theirs,
)

OTHER = "ehpc-hz-other"
RIVAL = "project/other/nodes"
#: The three ways in which E-HPC may hide what is being attached until it is done.
HIDDEN = {
    "unnamed": {"task_result_names_instances": False},
    "unlisted": {"task_listed": False},
    "both": {"task_result_names_instances": False, "task_listed": False},
}
FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": None}


def hidden(how, **knobs):
    return Bench(4, pace={"seconds": 300}, nodes_listed="at_end", **HIDDEN[how], **knobs)


def interrupted(bench, *numbers, before=None):
    """An up whose time is up while the task goes on; the state that it leaves."""
    told = bench.fails(IncompleteError, *numbers, before=before, seconds=60)
    return told.state


@pytest.mark.slow
@pytest.mark.parametrize("how", HIDDEN)
def test_a_refresh_keeps_what_is_still_being_attached(how):
    bench = hidden(how)
    state = interrupted(bench, 1)
    seen = bench.operations().refresh(state)
    assert {i: n.status for i, n in seen.nodes.items()} == {iid(1): "attaching"}
    after = bench.up(1, before=seen, stop_running=True)
    assert after.instance_ids == sorted(bench.nodes) == ids(1)
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []


@pytest.mark.slow
@pytest.mark.parametrize("how", HIDDEN)
def test_a_destroy_waits_for_what_is_still_being_attached(how):
    bench = hidden(how)
    state = interrupted(bench, 1, 2)
    bench.operations().destroy(state)
    bench.emulator.advance(600)
    assert bench.nodes == {}
    assert bench.writes() == ["AddExistedNodes", "DeleteNodes"]


@pytest.mark.slow
@pytest.mark.parametrize("how", HIDDEN)
def test_an_update_detaches_what_is_still_being_attached_and_not_wanted_any_more(how):
    bench = hidden(how)
    after = bench.up(2, before=interrupted(bench, 1, 2))
    assert after.instance_ids == sorted(bench.nodes) == ids(2)


@pytest.mark.slow
@pytest.mark.parametrize("refused", [1, 2])
def test_what_a_killed_run_sent_is_not_sent_again_where_a_look_at_the_tags_is_refused(refused):
    """By the tag first, by the ids second: the instances carry its tags whichever look shows them."""
    bench = hidden("both")
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.fault("error", "DescribeInstances", **{**FORBIDDEN, "times": refused})
    with suppress(EhpcError):
        bench.up(1, 2, 3, stop_running=True)
    assert bench.harm.double_attach == []
    assert not [e for e in bench.journal.of("StopInstances") if iid(1) in e.params.values()]
    bench.emulator.advance(600)
    bench.up(1, 2, 3, before=None)
    assert sorted(bench.nodes) == ids(1, 2, 3)
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)


def test_an_update_that_came_to_its_end_unsaved_is_known_by_its_uid():
    bench = Bench()
    saved = bench.up(1)
    bench.up(1, 2, 3, before=saved)  # the engine is killed before it saves what this returns
    after = bench.up(1, 3, before=saved)
    assert after.instance_ids == sorted(bench.nodes) == ids(1, 3)
    assert bench.owners.keys() == bench.nodes.keys()
    assert bench.writes() == ["AddExistedNodes", "AddExistedNodes", "DeleteNodes"]


def test_a_refresh_and_a_destroy_find_what_an_update_left_unsaved():
    bench = Bench()
    saved = bench.up(1)
    bench.up(1, 2, before=saved)  # not saved
    assert bench.operations().refresh(saved).instance_ids == ids(1, 2)
    bench.operations().destroy(saved)
    assert bench.nodes == {} == bench.owners


def with_another_cluster(bench):
    queues = {"workq": Queue("workq")}
    bench.world.clusters[OTHER] = Cluster(OTHER, VPC, IMAGE, "CentOS_7.6_64", queues=queues)
    return bench


def test_what_another_cluster_is_just_attaching_is_not_sent():
    bench = with_another_cluster(Bench(pace={"seconds": 300}, nodes_listed="at_end"))
    bench.operations().cloud.add_existed_nodes(OTHER, ids(1), image=(IMAGE, "system"), queue="")
    words = f"is a node of cluster {OTHER}, or is being attached to it"
    bench.fails(FindingsError, 1, match=words, stop_running=True)
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []


def test_what_a_killed_run_sent_to_another_cluster_is_told_and_keeps_its_tags():
    bench = with_another_cluster(Bench(pace={"seconds": 300}))
    saved = bench.up(3)
    killed(bench, 1, 3, before=saved, after="AddExistedNodes")
    began = bench.clock.now()
    seen = None
    for _ in range(3):
        seen = bench.operations().converge(bench.inputs(2, cluster_id=OTHER), seen)
        assert seen.instance_ids == ids(2)
        found = bench.preview(2, before=seen, cluster_id=OTHER).findings
        assert any(f"of this resource sent it to {CLUSTER}" in f.reason for f in found if f.warning)
    assert bench.clock.now() - began < 700
    assert bench.owners[iid(1)] == OWNER
    bench.operations().destroy(seen)
    assert sorted(bench.nodes) == ids(1, 3)
    assert bench.up(1, 3, before=saved, stop_running=True).instance_ids == ids(1, 3)


@pytest.mark.slow
def test_a_second_killed_run_does_not_take_the_tags_of_what_the_first_one_sent():
    """The third one sent it again."""
    bench = hidden("both")
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.fault("slow", "*", seconds=0)
    bench.fails(EhpcError, 1, 2, stop_running=True, seconds=20)
    assert all(bench.owners[i] == OWNER for i in ids(1, 2))
    assert bench.up(1, 2, stop_running=True).instance_ids == ids(1, 2)
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []


@pytest.mark.parametrize(("seconds", "tagged"), [(2, False), (120, False), (120, True)])
def test_what_somebody_takes_while_others_are_being_stopped_is_not_sent(seconds, tagged):
    bench = Bench(3, instance_pace={"seconds": seconds})
    bench.instance(1).status = "Running"

    def taken():
        if tagged:
            bench.instance(2).tags["ehpc-nodes"] = RIVAL
        else:
            bench.outside.attach(iid(2), CLUSTER)

    with right_after(bench, "StopInstances", taken):
        told = bench.fails(IncompleteError, 1, 2, 3, stop_running=True)
    assert told.state.instance_ids == ids(1, 3)
    assert {i: f.code for i, f in told.state.failed.items()} == {iid(2): "ChangedByOther"}
    since = (
        f"resource {RIVAL!r} set its owner tag" if tagged else f"it appeared in cluster {CLUSTER}"
    )
    assert f"since this run first read it, {since}" in told.reasons[0]
    assert bench.harm.double_attach == []
    assert bench.owners.get(iid(2)) == (RIVAL if tagged else None)
    if not tagged:
        after = bench.up(1, 2, 3, before=told.state)
        assert (after.failed, after.instance_ids) == ({}, ids(1, 2, 3))


@pytest.mark.parametrize("others", [(), (2,)], ids=["alone", "beside another"])
def test_what_somebody_took_meanwhile_is_nobody_elses_node(others):
    """Taken out of the program, or destroyed, as the message about it says: it stays whose it is."""
    bench = Bench(3)
    with right_after(bench, "TagResources", lambda: bench.outside.attach(iid(1), CLUSTER)):
        told = bench.fails(EhpcError, 1, *others)
    assert bench.owners[iid(1)] == "unknown"
    state = getattr(told, "state", None)
    assert bool(state) == bool(others), "a create that wrote nothing leaves no state"
    if state:
        assert state.instance_ids == ids(2)
        bench.operations().destroy(bench.up(2, before=state))
    assert sorted(bench.nodes) == ids(1)


@pytest.mark.slow
def test_what_somebody_attaches_while_a_lost_answer_is_resolved_is_not_sent():
    bench = Bench(150)
    bench.fault("reset_before", "AddExistedNodes")
    with right_after(bench, "AddExistedNodes", lambda: bench.outside.attach(iid(150), CLUSTER)):
        bench.fails(IncompleteError, *range(1, 151))
    assert bench.harm.double_attach == []
    assert sorted(bench.nodes) == ids(*range(1, 151))


@pytest.mark.parametrize("action", ["AddExistedNodes", "ListTasks"])
def test_what_was_tagged_and_refused_is_untagged_where_a_look_shows_that_it_is_free(action):
    """Else that the tags stay is said, and they hold the next run up for no longer than the grace period."""
    bench = Bench()
    with right_after(bench, "TagResources", lambda: bench.fault("error", action, **FORBIDDEN)):
        bench.fails(EhpcError, 1, 2, match="403")
    assert any(x.tags for x in bench.world.instances.values()) == (action == "ListTasks")
    assert any("were not removed" in w for w in bench.said.warnings) == (action == "ListTasks")
    bench.emulator.faults.clear()
    began = bench.clock.now()
    assert bench.up(1, 2).instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert bench.clock.now() - began < 2 * bench.grace


@pytest.mark.parametrize("listed", ["at_acceptance", "at_end"])
def test_what_a_killed_create_sent_gets_the_uid_of_the_create_that_joins_it(listed):
    bench = Bench(pace={"seconds": 60}, nodes_listed=listed)
    killed(bench, 1, 2, after="AddExistedNodes")
    state = bench.up(1, 2)
    tags = [bench.world.instances[i].tags for i in state.instance_ids]
    assert [t.keys() for t in tags] == [{"ehpc-nodes", "ehpc-nodes-ref"}] * 2
    assert {t["ehpc-nodes-ref"].split("/")[0] for t in tags} == {bench.uid}
    bench.name = "project/stack/renamed"  # it stays its own under another name
    assert bench.up(2, before=state).instance_ids == sorted(bench.nodes) == ids(2)


def test_what_a_killed_create_sent_in_vain_is_retried_at_once():
    """The error asks for that; the tags are the killed create's."""
    bench = Bench(pace={"seconds": 60}, instances_start="at_acceptance")
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1), status="absent")
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.fails(IncompleteError, 1, 2, match="Run pulumi up again: it attaches the instance again")
    assert iid(1) not in bench.owners
    began = bench.clock.now()
    state = bench.up(1, 2, stop_running=True)
    assert (state.instance_ids, state.failed) == (ids(1, 2), {})
    assert bench.clock.now() - began < 60 + 2 * bench.grace


def test_a_failed_node_that_was_detached_by_hand_is_retried_at_once():
    bench = Bench(detached_instance_status="Running")
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1))
    told = bench.fails(IncompleteError, 1, 2)
    bench.outside.detach(iid(1))
    began = bench.clock.now()
    saved = bench.operations().refresh(told.state)
    after = bench.up(1, 2, before=saved, stop_running=True)
    assert (after.failed, sorted(bench.nodes)) == ({}, ids(1, 2))
    assert bench.clock.now() - began < 3 * bench.grace  # the refresh, and before it is stopped


def test_a_kept_node_in_an_unheard_of_status_holds_nothing_up():
    bench = Bench(attached=(1,))
    saved = bench.up(1)
    bench.nodes[iid(1)].status = "upgrading"
    assert bench.up(1, 2, before=saved, seconds=60).instance_ids == ids(1, 2)


def test_what_a_killed_create_attached_stays_this_resources_under_another_name():
    bench = Bench()
    bench.up(1, 2)  # not saved
    saved = bench.up(1, 2)
    bench.name = "project/stack/renamed"
    saved = bench.up(1, before=saved)
    assert sorted(bench.nodes) == ids(1)
    bench.operations().destroy(saved)
    assert bench.nodes == {} == bench.owners


def test_without_the_permission_to_list_tasks_a_vanished_node_is_no_endless_look():
    bench = Bench(3, attached=(1, 2))
    saved = bench.up(1, 2)
    bench.outside.detach(iid(2))
    bench.fault("error", "ListTasks", **FORBIDDEN)
    bench.fails(EhpcError, 1, 2, 3, before=saved)
    assert len(bench.calls()) < 60
    assert bench.writes() == []


@pytest.mark.parametrize("action", ["SetQueue", "DescribeInstances"])
def test_what_was_joined_keeps_its_tags_where_the_run_then_fails(action):
    """The look from before it was a node said that it is none; what was adopted by then is in the state."""
    bench = Bench(3, pace={"seconds": 60}, nodes_listed="at_end")
    killed(bench, 1, after="AddExistedNodes")

    def forbidden():
        bench.fault("error", "SetQueue", **FORBIDDEN)
        if action != "SetQueue":
            bench.fault("error", action, **FORBIDDEN)

    bench.outside.attach(iid(2), CLUSTER)
    with (
        right_after(bench, "ListNodes", forbidden),
        pytest.raises(IncompleteError if action == "SetQueue" else EhpcError) as told,
    ):
        bench.up(1, 2, job_queue="gpu")
    assert sorted(bench.nodes) == ids(1, 2)
    bench.emulator.faults.clear()
    state = getattr(told.value, "state", None)
    assert bench.owners == dict.fromkeys(ids(1, 2) if state else ids(1), OWNER)
    assert bench.up(2, before=state, job_queue="gpu").instance_ids == ids(2)
    assert sorted(bench.nodes) == (ids(2) if state else ids(1, 2))


@pytest.mark.slow
def test_a_rename_after_a_killed_update_sends_nothing_twice():
    bench = hidden("both")
    saved = bench.up(1)
    killed(bench, 1, 2, before=saved, after="AddExistedNodes")
    bench.name = "project/stack/renamed"
    after = bench.up(1, 2, before=saved, stop_running=True)
    assert after.instance_ids == ids(1, 2)
    assert bench.harm.double_attach == []
    assert bench.writes() == ["AddExistedNodes", "AddExistedNodes"]


def test_a_new_resource_of_a_former_name_leaves_the_tags_of_the_renamed_one():
    bench = with_another_cluster(Bench(3))
    saved = bench.up(1, 2)
    bench.up(3, cluster_id=OTHER)  # the same name: created for another cluster
    assert {iid(1), iid(2)} <= bench.owners.keys()
    assert saved.instance_ids == ids(1, 2)


def test_what_another_resource_tags_in_a_race_keeps_its_tags():
    bench = Bench(2)

    def tagged_by_another():
        bench.instance(2).tags |= theirs(RIVAL)
        bench.fault("error", "AddExistedNodes", status=400, code="InvalidParams")

    with right_after(bench, "TagResources", tagged_by_another):
        bench.fails(EhpcError, 1, 2)
    assert bench.owners == {iid(2): RIVAL}


@pytest.mark.parametrize("hidden", [{"list_lag": {"seconds": 20}}, *HIDDEN.values()])
def test_what_is_being_attached_to_another_cluster_is_not_stopped_and_sent_again(hidden):
    """Killed, and called off at once: the other cluster's lists don't show it yet."""
    bench = with_another_cluster(Bench(pace={"seconds": 300}, nodes_listed="at_end", **hidden))
    killed(bench, 1, after="AddExistedNodes", cluster_id=OTHER)
    words = f"may be attaching it to {OTHER}|is in cluster {OTHER}"
    bench.fails(EhpcError, 1, match=words, stop_running=True)
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []


def test_what_was_tagged_for_another_cluster_and_not_sent_is_attached_after_a_look():
    bench = with_another_cluster(Bench())
    killed(bench, 1, after="TagResources", cluster_id=OTHER)
    assert bench.up(1).instance_ids == sorted(bench.nodes) == ids(1)
    assert sum(bench.clock.slept) >= bench.grace


def test_killed_when_all_was_attached_and_again_while_that_was_being_detached():
    bench = Bench(5)
    saved = bench.up(1)
    killed(bench, 1, 2, before=saved, after="ListQueues")
    killed(bench, 1, 4, before=saved, after="DeleteNodes")
    assert not bench.instance(2).tags.get("ehpc-nodes-attaching")
    after = bench.up(1, 5, before=saved)
    assert after.instance_ids == sorted(bench.nodes) == ids(1, 5)
    assert bench.owners.keys() == bench.nodes.keys()
    assert bench.harm.double_attach == []


@pytest.mark.parametrize("ended", ["time", "Ctrl-C"])
def test_an_update_that_is_ended_while_it_detaches_holds_no_later_run_up(ended):
    """What a killed run sent is to go; the program then lists it again."""
    bench = Bench(3, pace={"seconds": 60})
    saved = bench.up(3)
    killed(bench, 1, 2, 3, before=saved, after="AddExistedNodes")
    bench.emulator.advance(120)
    if ended == "Ctrl-C":
        bench.clock.cancel_at(30)
    told = bench.fails(
        IncompleteError,
        2,
        3,
        before=saved,
        seconds=30 if ended == "time" else 3600,
        stop_running=True,
    )
    bench.emulator.advance(120)
    assert sorted(bench.nodes) == ids(2, 3)
    state = bench.operations().refresh(told.state)
    began = bench.clock.now()
    bench.up(1, 2, 3, before=state, stop_running=True)
    assert bench.clock.now() - began < 300
    assert sorted(bench.nodes) == ids(1, 2, 3)


def test_what_a_killed_update_left_is_in_the_state_of_the_next_one_where_that_fails():
    """An attach fails, so nothing is detached; the next update knows what is to go."""
    bench = Bench(4)
    saved = bench.up(2)
    killed(bench, 1, 2, before=saved, after="AddExistedNodes")
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(3), status="absent")
    told = bench.fails(IncompleteError, 2, 3, before=saved)
    assert told.state.instance_ids == ids(1, 2)
    bench.up(2, 3, before=told.state, stop_running=True)
    assert sorted(bench.nodes) == ids(2, 3)


def joined_in_vain(*, ended="time"):
    """A killed update sent 1 and 2; the next one wants 1 and 3, and is ended: a bench, and the state that it leaves."""
    bench = Bench(4, nodes_listed="at_end")
    saved = bench.up(4)
    bench.world.knobs.task_pace = Pace.parse({"seconds": 300})
    killed(bench, 1, 2, 4, before=saved, after="AddExistedNodes")
    if ended == "Ctrl-C":
        bench.clock.cancel_at(60)
    told = bench.fails(
        IncompleteError, 1, 3, 4, before=saved, seconds=60 if ended == "time" else 3600
    )
    bench.emulator.advance(600)
    return bench, told.state


@pytest.mark.parametrize("refreshed", [False, True])
@pytest.mark.parametrize("ended", ["time", "Ctrl-C"])
def test_what_an_update_joined_is_in_its_state_where_it_is_ended(ended, refreshed):
    bench, state = joined_in_vain(ended=ended)
    if refreshed:
        state = bench.operations().refresh(state)
    assert bench.up(1, 3, 4, before=state).instance_ids == sorted(bench.nodes) == ids(1, 3, 4)


def test_what_an_update_joined_goes_where_the_program_drops_it_or_all():
    bench, state = joined_in_vain()
    assert bench.up(3, 4, before=state).instance_ids == sorted(bench.nodes) == ids(3, 4)
    bench, state = joined_in_vain()
    bench.operations().destroy(state)
    assert bench.nodes == {}


def test_what_is_joined_again_stays_in_the_state():
    bench = Bench(4, pace={"seconds": 300}, nodes_listed="at_end")
    state = interrupted(bench, 1)
    state = interrupted(bench, 1, 3, before=state)
    bench.emulator.advance(600)
    assert bench.up(3, before=state).instance_ids == sorted(bench.nodes) == ids(3)


@pytest.mark.parametrize("fault", [("error", FORBIDDEN), ("reset_before", {"times": None})])
def test_tags_that_cannot_be_removed_cost_a_grace_period_and_keep_no_destroy_from_ending(fault):
    kind, options = fault
    bench = Bench(3)
    bench.fault(kind, "UntagResources", **options)
    state = bench.up(1, 2)
    state = bench.up(2, before=state)
    began = bench.clock.now()
    state = bench.up(2, 3, before=state)
    bench.operations().destroy(state)
    assert bench.nodes == {}
    assert bench.clock.now() - began < 30 + 2 * bench.grace
    told = "The tags ehpc-nodes and ehpc-nodes-ref were not removed"
    assert all(text.startswith(told) for text in bench.said.warnings)
    assert len(bench.said.warnings) == 3


@pytest.mark.parametrize("kind", ["ResetComputes", "StartComputes"])
@pytest.mark.parametrize("how", ["killed", "lost"])
def test_a_running_task_that_names_an_instance_forbids_to_send_it_whatever_it_is_called(
    how, kind, monkeypatch
):
    bench = with_old_images(task_type=kind)
    knobs = bench.world.knobs
    knobs.task_listed = knobs.task_result_names_instances = True
    accepted_slowly(bench, monkeypatch, image_at=200, starts_at=250)
    if how == "killed":
        killed(bench, 1, after="AddExistedNodes")
    else:
        bench.fault("reset_after", "AddExistedNodes")
    with suppress(EhpcError):
        bench.up(1, stop_running=True)
    assert_sent_once(bench, 1)


def left_tagged(bench):
    """An instance that was tagged and never sent, and that its owner has started; the saved state."""
    saved = bench.up(3)
    killed(bench, 1, 3, before=saved, after="TagResources")
    bench.outside.start(iid(1))
    return saved


def test_an_instance_that_was_tagged_and_that_nothing_shows_holds_an_up_up_for_ten_minutes_only():
    bench = Bench()
    saved = left_tagged(bench)
    after = bench.up(2, 3, before=saved)
    assert after.instance_ids == ids(1, 2, 3)  # it is looked at again
    assert sorted(bench.nodes) == ids(2, 3)
    assert 600 <= sum(bench.clock.slept) < 700
    assert any(
        "remove its ECS tags 'ehpc-nodes' and 'ehpc-nodes-ref'" in w for w in bench.said.warnings
    )
    assert bench.owners.keys() == {*ids(1, 2, 3)}
    assert after.nodes[iid(1)].status == "stuck"


@pytest.mark.slow
def test_the_runs_after_it_do_not_wait_for_it_again():
    bench = Bench(4)
    state = bench.up(2, 3, before=left_tagged(bench))
    before = sum(bench.clock.slept)
    state = bench.operations().refresh(state)
    state = bench.up(2, 3, 4, before=state)
    bench.fails(IncompleteError, 1, 2, 3, 4, match="stop the instance", before=state)
    assert sum(bench.clock.slept) - before < 60
    bench.outside.stop(iid(1))
    assert bench.up(1, 2, 3, 4, before=state).instance_ids == ids(1, 2, 3, 4)
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3, 4), 1)


@pytest.mark.slow
def test_removing_its_tags_ends_it_as_the_message_says():
    """With others' attach in between; in the program or not."""
    for numbers in ((2, 3), (1, 2, 3)):
        bench = Bench(4)
        state = bench.up(2, 3, before=left_tagged(bench))
        assert state.nodes[iid(1)].status == "stuck"
        for key in ("ehpc-nodes", "ehpc-nodes-ref"):
            del bench.instance(1).tags[key]
        state = bench.operations().refresh(state)
        began = bench.clock.now()
        state = bench.up(*numbers, before=state, stop_running=True)
        assert state.instance_ids == sorted(bench.nodes) == ids(*numbers)
        assert bench.clock.now() - began < 2 * bench.grace
        assert bench.harm.disk_replacements == dict.fromkeys(ids(*numbers), 1)


def test_what_an_interrupted_run_may_have_sent_and_the_program_lacks_is_named_in_the_preview():
    bench = Bench(4)
    state = bench.up(3)
    killed(bench, 1, 3, before=state, after="TagResources")
    planned = bench.preview(3, before=state)
    (found,) = [f for f in planned.findings if iid(1) in f.reason]
    assert found.warning
    assert "may have been sent by an interrupted run" in found.reason
    assert "and detaches it if it becomes a node" in found.reason
    state = bench.up(3, before=state)
    assert state.instance_ids == sorted(bench.nodes) == ids(3)


def test_an_instance_whose_image_changes_in_mid_run_is_not_tagged_again_and_again():
    """The state says that an earlier run may have sent it; by now it is free, on another image than it was read with."""
    bench = Bench(4, task_listed=False, nodes_listed="at_end")
    state = bench.up(3)
    bench.fault("reset_before", "AddExistedNodes", times=None)
    told = bench.fails(IncompleteError, 1, 3, before=state, seconds=10)
    state = told.state
    assert state.nodes[iid(1)].status == "attaching"
    bench.emulator.faults.clear()
    bench.emulator.advance(100)

    def colleague():
        bench.instance(1).image_id = IMAGE

    bench.clock.at(10, colleague)
    began = bench.clock.now()
    bench.fails(IncompleteError, 1, 3, match="it got another image", before=state)
    assert bench.clock.now() - began < 1000
    assert sorted(bench.nodes) == ids(3)


@pytest.mark.slow
def test_a_destroy_does_not_leave_it_behind_untold():
    bench = Bench()
    saved = left_tagged(bench)
    with pytest.raises(
        IncompleteError, match="remove its ECS tags 'ehpc-nodes' and 'ehpc-nodes-ref'"
    ):
        bench.operations().destroy(saved)
    assert bench.nodes == {}
    bench.instance(1).tags.clear()
    bench.operations().destroy(saved)


@pytest.mark.parametrize("place", [CLUSTER, OTHER, "another stack's tag"])
def test_what_somebody_takes_right_before_the_call_is_not_sent(place):
    """Of two stacks that tag at once, one sends."""
    bench = with_another_cluster(Bench())

    def take():
        if place in {CLUSTER, OTHER}:
            bench.outside.attach(iid(1), place)
        else:
            bench.instance(1).tags |= theirs(RIVAL)

    told = (
        f"resource {RIVAL!r} set its owner tag"
        if "tag" in place
        else f"it appeared in cluster {place}"
    )
    with right_after(bench, "TagResources", take):
        bench.fails(EhpcError, 1, match=told)
    assert bench.writes() == []
    assert bench.harm.double_attach == []
    assert place in {CLUSTER, OTHER} or bench.owners == {iid(1): RIVAL}


@pytest.mark.slow
def test_an_instance_that_is_just_being_stopped_as_the_error_asks_is_sent_anew():
    """Its task failed and left no node, unseen; «stop the instance; the next pulumi up attaches it»."""
    bench = Bench(3, instance_pace={"seconds": 50}, nodes_listed="at_end", **HIDDEN["unlisted"])
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1), status="absent")
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.emulator.advance(600)
    told = bench.fails(IncompleteError, 1, 2, 3)
    assert "stop the instance; the next pulumi up attaches it" in str(told)
    bench.outside.stop(iid(1))
    state = bench.up(1, 2, 3, before=told.state)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2, 3)


def test_an_update_that_is_killed_right_before_it_detaches_loses_no_node():
    bench = Bench(3)
    saved = bench.up(3)
    killed(bench, 1, 2, 3, before=saved, after="AddExistedNodes")
    bench.fault("error", "DeleteNodes", status=403, code="ConflictOpt")
    killed(bench, 2, 3, before=saved, after="DeleteNodes")
    assert sorted(bench.nodes) == ids(1, 2, 3)
    assert bench.up(2, 3, before=saved).instance_ids == sorted(bench.nodes) == ids(2, 3)


def test_what_a_create_adopted_before_it_failed_is_in_its_state():
    """A killed create had attached it."""
    bench = Bench(3)
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.fault("error", "SetQueue", **FORBIDDEN)
    told = bench.fails(IncompleteError, 1, 2, job_queue="gpu")
    bench.emulator.faults.clear()
    state = bench.up(2, before=told.state, job_queue="gpu")
    assert state.instance_ids == sorted(bench.nodes) == ids(2)


def test_without_the_permission_to_tag_a_run_sees_what_a_killed_one_sent():
    bench = hidden("both")
    killed(bench, 1, after="AddExistedNodes")
    bench.fault("error", "TagResources", **FORBIDDEN)
    bench.fails(EhpcError, 1, match="ecs:TagResources", stop_running=True)
    assert bench.writes() == ["AddExistedNodes"]
    bench.emulator.faults.clear()
    assert bench.up(1).instance_ids == sorted(bench.nodes) == ids(1)
    assert bench.harm.disk_replacements == {iid(1): 1}


@pytest.mark.slow
def test_what_takes_longer_than_a_run_waits_to_detach_it_stays_in_the_state():
    """E-HPC lists nothing of it, and the program doesn't want it any more."""
    bench = hidden("both")
    bench.world.knobs.task_pace = Pace.parse({"seconds": 3000})
    state = interrupted(bench, 1)
    bench.world.knobs.task_pace = Pace()
    state = bench.up(3, before=state)
    assert state.instance_ids == ids(1, 3)
    bench.emulator.advance(4000)
    state = bench.up(3, 4, before=state)
    assert state.instance_ids == sorted(bench.nodes) == ids(3, 4)


@pytest.mark.long
@pytest.mark.slow
def test_of_more_than_a_thousand_tagged_instances_none_is_lost():
    """A tag filter finds a thousand at most."""
    bench = Bench(1003)
    saved = bench.up(*range(1, 1002))
    killed(bench, *range(1, 1003), before=saved, after="AddExistedNodes")
    state = bench.up(*range(1, 1001), before=saved)
    assert state.instance_ids == sorted(bench.nodes) == ids(*range(1, 1001))


@pytest.mark.parametrize("listed", ["at_end", "at_acceptance"])
def test_what_a_killed_run_sent_to_another_queue_is_moved(listed):
    bench = Bench(3, pace={"seconds": 60}, nodes_listed=listed)
    killed(bench, 1, 2, after="AddExistedNodes", job_queue="workq")
    state = bench.up(1, 2, job_queue="gpu")
    assert {node.queue for node in bench.nodes.values()} == {"gpu"}
    assert {node.queue for node in state.nodes.values()} == {"gpu"}


@pytest.mark.slow
def test_what_a_killed_run_sent_with_another_image_is_told():
    """In the preview where it has arrived, and at the latest by the run that waits for it."""
    own = {"image_id": "m-bp1own", "image_owner_alias": "self"}
    arrived, hidden = (
        Bench(3, pace={"seconds": 60}, nodes_listed=listed)
        for listed in ("at_acceptance", "at_end")
    )
    for bench in (arrived, hidden):
        killed(bench, 1, after="AddExistedNodes")
        found = bench.preview(1, **own).findings
        told = (
            f"compute1 ({iid(1)}) was attached with image {IMAGE}, not m-bp1own. It is adopted as it is: its"
            " system disk is kept"
        )
        assert (told in [f.reason for f in found]) == (bench is arrived)
        bench.up(1, **own)
        assert bench.nodes[iid(1)].image_id == IMAGE
    told = f"Attached by an interrupted run, and not with image m-bp1own: {iid(1)} (image {IMAGE})."
    assert told in hidden.said.warnings


# -- disks that are replaced slowly --------------------------------------------------------------


def slow_disk(bench, *numbers, image_at=10, starts_at=90):
    """What was just accepted is Stopped for a while, and has another image sooner."""
    for n in numbers:
        it = bench.instance(n)
        bench.world.moving.pop(it.id, None)
        bench.clock.at(image_at, partial(setattr, it, "image_id", it.image_id))
        bench.clock.at(starts_at, partial(setattr, it, "status", "Running"))
        it.status, it.heading, it.image_id = "Stopped", None, OLD_IMAGE


def with_old_images(**knobs):
    """All that E-HPC may hide is hidden; the image of what is attached is another one then."""
    bench = hidden("both", **knobs)
    for n in (1, 2):
        bench.instance(n).image_id = OLD_IMAGE
    return bench


def accepted_slowly(bench, patch, **when):
    """From now on disks are replaced slowly."""
    call = bench.emulator.call

    def slowly(action, version, params):
        answer = call(action, version, params)
        if action == "AddExistedNodes" and answer.status == 200:
            slow_disk(bench, *(n for n in (1, 2) if iid(n) in params.values()), **when)
        return answer

    patch.setattr(bench.emulator, "call", slowly)


def assert_sent_once(bench, *numbers):
    """And attached in the end."""
    bench.emulator.advance(600)
    assert bench.harm.double_attach == []
    assert bench.harm.disk_replacements == dict.fromkeys(ids(*numbers), 1)
    assert {*ids(*numbers)} <= bench.nodes.keys()


@pytest.mark.parametrize("seconds", [0, 20])
def test_what_a_killed_run_sent_is_not_sent_again_while_its_disk_is_replaced(seconds):
    """The next run sees its image change, sends nothing, and leaves the tags for the one after."""
    bench = with_old_images()
    killed(bench, 1, 2, after="AddExistedNodes")
    slow_disk(bench, 1, 2)
    bench.clock.sleep(seconds)
    for _ in range(2):
        with suppress(EhpcError):
            bench.up(1, 2, stop_running=True)
    assert bench.writes() == ["AddExistedNodes"]
    assert_sent_once(bench, 1, 2)


@pytest.mark.slow
def test_what_starts_while_another_instance_is_being_stopped_keeps_its_tags():
    """After the time in which a killed run's call would have been seen."""
    bench = hidden("both", instance_pace={"seconds": 60})
    killed(bench, 1, after="AddExistedNodes")
    slow_disk(bench, 1, image_at=35, starts_at=50)
    bench.outside.start(iid(2))
    for _ in range(2):
        with suppress(EhpcError):
            bench.up(1, 2, stop_running=True)
    assert_sent_once(bench, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["unnamed", "both"])
def test_what_a_timed_out_run_sent_is_not_sent_again_while_its_disk_is_replaced(how, monkeypatch):
    """The state says that it is being attached; it has its new image, and is Stopped yet."""
    bench = with_old_images()
    bench.world.knobs.task_listed = how == "unnamed"
    accepted_slowly(bench, monkeypatch)
    told = bench.fails(IncompleteError, 1, 2, seconds=20)
    with suppress(EhpcError):
        bench.up(1, 2, before=told.state, stop_running=True)
    assert_sent_once(bench, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("others", [(), (3,)], ids=["alone", "beside a node"])
def test_the_refresh_before_an_update_forgets_nothing_whose_disk_is_being_replaced(
    others, monkeypatch
):
    bench = with_old_images()
    state = bench.up(*others) if others else None
    accepted_slowly(bench, monkeypatch, starts_at=200)
    told = bench.fails(IncompleteError, 1, 2, *others, before=state, seconds=20)
    state = bench.operations().refresh(told.state)
    assert {*ids(1, 2)} <= {*state.instance_ids}
    with suppress(EhpcError):
        bench.up(1, 2, *others, before=state, stop_running=True)
    assert_sent_once(bench, 1, 2, *others)


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["destroy", "up"])
def test_what_is_in_mid_attach_when_a_refresh_looks_is_detached_where_it_is_not_wanted(
    verb, monkeypatch
):
    """Ctrl-C, a refresh, and a destroy, or the program as it was before."""
    bench = with_old_images()
    saved = bench.up(3)
    accepted_slowly(bench, monkeypatch)
    bench.clock.cancel_at(15)
    told = bench.fails(IncompleteError, 1, 2, 3, before=saved)
    state = bench.operations().refresh(told.state)
    assert state.instance_ids == ids(1, 2, 3)
    if verb == "destroy":
        bench.operations().destroy(state)
    else:
        bench.up(3, before=state)
    bench.emulator.advance(600)
    assert sorted(bench.nodes) == (ids(3) if verb == "up" else [])


@pytest.mark.slow
def test_what_nothing_came_of_is_kept_by_a_refresh_and_resolved_by_the_next_run():
    """Stopped on the image that it had: only time shows that it was not just accepted."""
    for wanted in (1, 2):
        bench = with_old_images()
        bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1), status="absent")
        state = interrupted(bench, 1, 2)
        bench.emulator.advance(600)
        instance = bench.instance(1)
        instance.image_id, instance.status = OLD_IMAGE, "Stopped"
        state = bench.operations().refresh(state)
        assert state.instance_ids == ids(1, 2)
        bench.emulator.faults.clear()
        numbers = {wanted, 2}
        assert bench.up(*numbers, before=state).instance_ids == ids(*numbers)
        assert sorted(bench.nodes) == sorted(bench.owners) == ids(*numbers)


def test_the_other_clusters_are_read_again_before_a_call_that_was_waited_for():
    """What a killed run has prepared is waited for; meanwhile a colleague attaches it to another cluster."""
    bench = Bench(3)
    killed(bench, 1, after="TagResources")
    other = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64", status="running")
    bench.world.clusters[other.id] = other

    def colleague():
        bench.outside.attach(iid(1), other.id)
        bench.outside.stop(iid(1))

    bench.clock.at(20, colleague)
    bench.fails(EhpcError, 1, match=r"it appeared in cluster ehpc-hz-other")
    assert bench.writes() == []
    assert bench.harm.double_attach == []


def test_a_stuck_instance_stays_in_the_state_when_others_were_attached():
    """Stopped by the next run, it would be attached a second time while its first attach goes on."""
    bench = Bench(4, task_listed=False, nodes_listed="at_end")
    state = bench.up(3)
    bench.world.knobs.task_pace = Pace("never")
    killed(bench, 1, 3, before=state, after="AddExistedNodes")
    bench.world.knobs.task_pace = Pace()
    words = "may have been sent by an interrupted run"
    told = bench.fails(IncompleteError, 1, 2, 3, match=words, before=state, stop_running=True)
    state = told.state
    known = {i: node.status for i, node in state.nodes.items()}
    assert known == {iid(1): "stuck", iid(2): "running", iid(3): "running"}
    words = "stop the instance"
    bench.fails(IncompleteError, 1, 2, 3, match=words, before=state, stop_running=True)
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)
    assert bench.calls("StopInstances") == []


def test_a_refused_repeat_says_nothing_about_the_call_before_it():
    """The first call got no answer, and nothing shows it for the grace period: it may have been accepted."""
    bench = Bench(3)
    state = bench.up(3)
    bench.fault("reset_before", "AddExistedNodes")
    bench.fault("error", "AddExistedNodes", status=400, code="InvalidParams", times=None)
    told = bench.fails(IncompleteError, 1, 3, match="InvalidParams", before=state)
    assert told.state.nodes[iid(1)].status == "attaching"
    assert bench.owners == dict.fromkeys(ids(1, 3), OWNER)


def test_a_list_of_tags_that_lacks_what_a_killed_run_sent_last_does_not_let_it_be_sent_again(
    monkeypatch,
):
    """A refresh sees one of two that were sent by one call; the other's tags are not listed for a minute."""
    bench = Bench(3, pace={"seconds": 300}, task_listed=False, nodes_listed="at_end")
    state = bench.up(1)
    killed(bench, 1, 2, 3, before=state, after="AddExistedNodes")
    call, began = bench.emulator.call, bench.clock.now()
    world = bench.world
    listed = {i: x for i, x in world.instances.items() if i != iid(3)}

    def lagging(action, version, params):
        with monkeypatch.context() as patch:
            by_tag = action == "DescribeInstances" and "InstanceIds" not in params
            if by_tag and bench.clock.now() - began < 60:
                patch.setattr(world, "instances", listed)
            return call(action, version, params)

    monkeypatch.setattr(bench.emulator, "call", lagging)
    state = bench.operations().refresh(state)
    assert state.instance_ids == ids(1, 2)
    state = bench.up(1, 2, 3, before=state, stop_running=True)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2, 3)
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)
    assert bench.harm.double_attach == []
    assert bench.operations().refresh(state).generation == state.generation
