"""Which owner tags stay when a run ends, and how: what is not positively free keeps them, what is another's gets others."""

from contextlib import suppress
from itertools import count

import pytest

from ehpc_nodes.emulator.world import Cluster, Queue
from ehpc_nodes.errors import EhpcError
from ehpc_nodes.reconcile.operations import IncompleteError
from ehpc_nodes.reconcile.ports import NoOtherResources
from unit.emulated import (
    CLUSTER,
    IMAGE,
    OLD_IMAGE,
    OWNER,
    VPC,
    Bench,
    ctrl_c_when,
    ids,
    iid,
    killed,
    lacking,
    lists_lack,
    right_after,
)

FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": 1}


def settled(instances=3, attached=()):
    """Nodes 1 and 2 that have been this resource's for hours: the bench and the state."""
    bench = Bench(instances, attached)
    state = bench.up(1, 2)
    bench.clock.advance(7200)
    return bench, state


def ended(bench, *numbers, before=None, **changes):
    """An up that fails: the state that holds then."""
    try:
        return bench.up(*numbers, before=before, **changes)
    except EhpcError as error:
        return getattr(error, "state", before)


@pytest.mark.parametrize("attached", [(), (1, 2)], ids=["sent", "adopted"])
def test_a_node_that_a_list_lacks_for_a_moment_keeps_its_tags_where_the_run_ends(attached):
    """It is in no state, since a refresh saw such a list: its tags alone keep the next run from sending it again."""
    bench, state = settled(attached=attached)
    bench.outside.start(iid(3))
    with pytest.MonkeyPatch.context() as patch:
        lacking(bench, patch, 28, 1)
        state = bench.operations().refresh(state)
        bench.fault("error", "StopInstances", **FORBIDDEN)
        ended(bench, 1, 2, 3, before=state, stop_running=True)
        assert bench.owners == dict.fromkeys(ids(1, 2), OWNER)
        bench.up(1, 2, 3, before=state, stop_running=True)
    assert bench.harm.double_attach == []


@pytest.mark.parametrize("times", [1, None], ids=["in mid-run", "throughout"])
def test_a_node_of_a_killed_run_keeps_its_tags_where_tasks_may_not_be_read(times):
    bench = Bench(4)
    state = bench.up(1)
    killed(bench, 1, 2, before=state, after="AddExistedNodes")
    bench.clock.advance(600)
    bench.fault("error", "DeleteNodes", code="ConflictOpt", status=403, times=1)
    if times is None:
        bench.fault("error", "ListTasks", **{**FORBIDDEN, "times": None})

    def meanwhile():
        lacking(bench, patch, 25 if times else 5, 2)
        if times:
            bench.fault("error", "ListTasks", **FORBIDDEN, after=2)

    with pytest.MonkeyPatch.context() as patch, right_after(bench, "DeleteNodes", meanwhile):
        state = ended(bench, 1, before=state)
    assert bench.owners == dict.fromkeys(sorted(bench.nodes), OWNER)


def test_what_is_seen_in_another_cluster_keeps_the_tags_that_tell_of_it():
    bench = Bench(4)
    for name in ("ehpc-hz-b", "ehpc-hz-c"):
        queues = {"workq": Queue("workq")}
        bench.world.clusters[name] = Cluster(name, VPC, IMAGE, "CentOS_7.6_64", queues=queues)
    state = bench.up(1)
    tags = {
        "ehpc-nodes": OWNER,
        "ehpc-nodes-ref": f"{bench.uid}/ehpc-hz-b/5-aaaa/{OLD_IMAGE}",
    }
    bench.instance(2).tags = dict(tags)
    call = bench.emulator.call

    def refused(action, version, params):
        if action == "ListNodes" and params["ClusterId"] == "ehpc-hz-c":
            bench.emulator.faults.clear()
            bench.fault("error", "ListNodes", **FORBIDDEN)
        return call(action, version, params)

    def appears():
        bench.outside.attach(iid(2), "ehpc-hz-b")
        patch.setattr(bench.emulator, "call", refused)

    bench.clock.at(20, appears)
    with pytest.MonkeyPatch.context() as patch:
        ended(bench, 1, 2, 3, before=state, stop_running=True)
    assert bench.instance(2).tags == tags


def test_an_own_node_that_a_refresh_dropped_and_that_is_listed_again_in_mid_run_is_kept():
    bench, state = settled()
    with pytest.MonkeyPatch.context() as patch:
        lacking(bench, patch, 25, 1)
        state = bench.operations().refresh(state)
        assert state.instance_ids == ids(2)
        state = bench.up(1, 2, before=state, stop_running=True)
    assert state.instance_ids == sorted(bench.owners) == ids(1, 2)
    assert bench.writes() == ["AddExistedNodes"]


def test_a_node_of_the_state_that_somebody_starts_while_a_list_lacks_it_is_kept():
    bench, state = settled()
    bench.outside.stop(iid(1))
    with pytest.MonkeyPatch.context() as patch:
        lacking(bench, patch, 25, 1)
        bench.clock.at(8, lambda: bench.outside.start(iid(1)))
        state = bench.up(1, 2, 3, before=state, stop_running=True)
    assert state.instance_ids == sorted(bench.owners) == ids(1, 2, 3)


@pytest.mark.parametrize("verb", ["update", "destroy"])
def test_a_node_that_a_refresh_and_the_program_drop_while_a_list_lacks_it_is_not_lost(verb):
    """Its tags stay until its absence counts; listed again, it is detached by the next run, whose preview shows it."""
    bench, state = settled()
    with pytest.MonkeyPatch.context() as patch:
        lacking(bench, patch, 25, 1)
        state = bench.operations().refresh(state)
        run = bench.operations()
        again = {
            "update": lambda: run.converge(bench.inputs(2), state),
            "destroy": lambda: run.destroy(state),
        }
        with pytest.raises(IncompleteError, match="not detached: it was no node when this run"):
            again[verb]()
    assert bench.owners[iid(1)] == OWNER
    assert iid(1) in bench.nodes
    assert bench.preview(2, before=state).changes.detach == (iid(1),)
    bench.operations().destroy(state)
    assert bench.nodes == bench.owners == {}


def test_a_node_that_a_list_lacks_while_an_update_without_it_runs_is_not_sent_again():
    bench, state = settled()
    with pytest.MonkeyPatch.context() as patch:
        lacking(bench, patch, 28, 1)
        state = bench.operations().refresh(state)
        state = ended(bench, 2, before=state)
        ended(bench, 1, 2, before=state, stop_running=True)
    assert bench.harm.double_attach == []


def test_what_somebody_attaches_while_its_absence_is_awaited_is_not_detached_in_that_run():
    bench = Bench(4)
    state = bench.up(1, 2)
    bench.fault("error", "UntagResources", **FORBIDDEN)
    state = bench.up(2, before=state)
    bench.clock.advance(7200)
    bench.clock.at(10, lambda: bench.outside.attach(iid(1), CLUSTER))
    ended(bench, 2, 3, before=state)
    assert sorted(bench.nodes) == ids(1, 2, 3)


def after_detach(bench, holds):
    """For `lists_lack`: whether ``holds`` says so of the number of the list, counted from a DeleteNodes on."""
    lists = count(1)
    return lambda: "DeleteNodes" in bench.calls() and holds(next(lists))


def all_tasks_fail(bench):
    """Those that run; their nodes stay."""
    for task in [*bench.world.open_tasks.values()]:
        task.status = "Failed"
        del bench.world.open_tasks[task.id]
    for node in bench.nodes.values():
        node.status = "running"


@pytest.mark.parametrize("failed", [True, False], ids=["its task failed", "its task runs"])
@pytest.mark.parametrize("verb", ["update", "destroy"])
@pytest.mark.parametrize("first", [1, 2])
def test_a_detach_has_not_ended_where_a_list_lacks_the_node_once(verb, failed, first):
    bench, state = settled()
    bench.fault("task_never_ends", "DeleteNodes")
    if failed:
        bench.clock.at(5, lambda: all_tasks_fail(bench))
    with pytest.MonkeyPatch.context() as patch:
        lists_lack(bench, patch, 1, 2, when=after_detach(bench, lambda n: n == first))
        if verb == "update":
            state = ended(bench, 2, before=state, seconds=900)
            assert state.instance_ids == ids(1, 2)
        else:
            with pytest.raises(EhpcError):
                bench.operations(900).destroy(state)
    assert sorted(bench.owners) == sorted(bench.nodes) == ids(1, 2)


def test_a_node_that_leaves_is_not_sent_again_as_soon_as_a_list_lacks_it():
    """A killed run's detach is under way, and the program lists the node again."""
    bench, state = settled(4)
    bench.fault("task_never_ends", "DeleteNodes")
    killed(bench, 2, before=state, after="DeleteNodes")
    bench.clock.advance(60)
    with pytest.MonkeyPatch.context() as patch:
        lists_lack(bench, patch, 1, when=after_detach(bench, lambda n: n in range(2, 6)))
        ended(bench, 1, 2, before=state, stop_running=True, seconds=900)
    assert bench.harm.double_attach == []
    assert bench.writes().count("AddExistedNodes") == 1


def test_tags_that_another_run_left_do_not_hold_up_a_detach():
    bench = Bench(4)
    state = bench.up(1, 2)
    bench.fault("error", "UntagResources", **FORBIDDEN)
    state = bench.up(2, before=state)
    bench.clock.advance(3600)
    with suppress(EhpcError):
        bench.operations(20).destroy(state)
    assert bench.nodes == {}


def test_an_own_node_whose_task_is_listed_before_it_is_kept():
    bench = Bench(3)
    bench.fault("task_never_ends", "AddExistedNodes")
    bench.clock.at(20, lambda: bench.outside.set_node_status(iid(1), "running"))
    state = bench.up(1)
    bench.clock.advance(7200)
    call, over = bench.emulator.call, bench.clock.now() + 6

    def hidden(action, version, params):
        answer = call(action, version, params)
        if action == "ListTasks" and "TaskId" not in params and bench.clock.now() < over:
            answer.body |= {"Tasks": [], "TotalCount": 0}
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench.emulator, "call", hidden)
        lacking(bench, patch, 20, 1)
        state = bench.up(1, 2, before=state, stop_running=True)
    assert state.instance_ids == sorted(bench.owners) == ids(1, 2)
    assert bench.harm.double_attach == []


def test_ctrl_c_warns_of_the_tags_that_stay_on_what_was_not_sent():
    bench = Bench(120)
    with pytest.MonkeyPatch.context() as patch:
        ctrl_c_when(bench, patch, lambda: bench.calls("AddExistedNodes"))
        state = bench.fails(IncompleteError, *range(1, 121)).state
    assert len(state.instance_ids) == 100
    (warning,) = [w for w in bench.said.warnings if "were not removed from" in w]
    assert iid(101) in warning


PERSON = {
    "the call is rejected": {"code": "InvalidStatus", "status": 400, "times": 1},
    "the run ends": FORBIDDEN,
}


@pytest.mark.parametrize("fault", PERSON.values(), ids=PERSON)
def test_what_somebody_attaches_after_a_call_that_failed_is_never_detached(fault):
    bench = Bench(4)
    state = bench.up(1)
    bench.fault("error", "AddExistedNodes", **fault)
    with right_after(bench, "AddExistedNodes", lambda: bench.outside.attach(iid(2), CLUSTER)):
        state = ended(bench, 1, 2, before=state)
    assert state.instance_ids == ids(1)
    bench.clock.advance(100)
    bench.up(1, before=state)
    assert iid(2) in bench.nodes


def test_what_somebody_attaches_of_a_batch_that_was_never_sent_is_never_detached():
    bench = Bench(120)
    bench.fault("error", "AddExistedNodes", **FORBIDDEN, after=1)
    with right_after(bench, "AddExistedNodes", lambda: bench.outside.attach(iid(120), CLUSTER)):
        state = bench.fails(IncompleteError, *range(1, 121)).state
    assert iid(120) not in state.instance_ids
    bench.clock.advance(100)
    bench.up(*range(1, 101), before=state)
    assert iid(120) in bench.nodes


def test_a_node_that_a_run_drops_at_its_end_loses_its_tags():
    bench = Bench(4)
    state = bench.up(1, 2, 3)
    bench.fault("error", "ListNodes", **FORBIDDEN, after=1)
    state = ended(bench, 1, before=state, retain_ids=ids(3))
    assert sorted(bench.owners) == state.instance_ids


def test_an_adopted_node_whose_detach_was_killed_loses_its_tags_in_the_next_run():
    bench = Bench(4, attached=(1, 2))
    state = bench.up(1, 2)
    killed(bench, 2, before=state, after="DeleteNodes")
    bench.clock.advance(4000)
    state = bench.operations().refresh(state)
    bench.up(2, before=state)
    assert bench.owners == {iid(2): OWNER}


def test_a_hanging_attach_can_be_handed_over():
    """It is in retain_ids, as the error asks where another resource lists it."""
    bench = Bench(4, attached=(1,))
    state = bench.up(1)
    bench.fault("task_never_ends", "AddExistedNodes")
    state = bench.fails(IncompleteError, 1, 2, before=state, seconds=300).state

    class Others(NoOtherResources):
        def listed(self):
            return ids(2)

    bench.others = Others()
    with suppress(EhpcError):
        bench.up(1, before=state)
    state = bench.up(1, before=state, retain_ids=ids(2))
    assert state.instance_ids == sorted(bench.owners) == ids(1)
