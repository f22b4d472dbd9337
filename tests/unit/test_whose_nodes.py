"""Whose a node is: by the owner tags on the instance, and by what the program says of nodes that change hands."""

import re
from contextlib import suppress

import pytest

from ehpc_nodes.errors import EhpcError, WaitTimeoutError
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.observer import Wanted
from ehpc_nodes.reconcile.operations import FindingsError, IncompleteError
from ehpc_nodes.reconcile.ports import NoOtherResources
from unit.emulated import (
    CLUSTER,
    IMAGE,
    OWNER,
    WRITES,
    Bench,
    ids,
    iid,
    killed,
    lacking,
    right_after,
    theirs,
)

SECOND = "project/stack/second"


def second(bench):
    """Another resource of the program."""
    return bench.operations(name=SECOND, uid="second")


def tags(bench, number):
    return bench.instance(number).tags


def attached(bench, *numbers):
    """A state with these nodes; what was called until then is forgotten."""
    state = bench.up(*numbers)
    bench.journal.entries.clear()
    return state


# -- adopting ------------------------------------------------------------------------------------


def test_adopting_writes_both_tags_by_one_call():
    bench = Bench(60, attached=range(1, 52))
    state = bench.up(*range(1, 52), replace_system_disks=False)
    assert (state.task_id, state.request_id, state.tasks) == ("", "", [])
    assert state.instance_ids == sorted(bench.owners) == ids(*range(1, 52))
    calls = bench.journal.of("TagResources")
    assert [sum(k.startswith("ResourceId.") for k in c.params) for c in calls] == [50, 1]
    for n in (1, 51):
        assert tags(bench, n) == {
            "ehpc-nodes": OWNER,
            "ehpc-nodes-ref": f"{bench.uid}/{CLUSTER}/0/",
        }
    assert bench.writes() == []
    assert bench.harm.disk_replacements == {}


@pytest.mark.parametrize("again", [False, True])
def test_what_a_killed_create_attached_is_told_and_left_alone_unless_it_is_listed(again):
    bench = Bench(4)
    killed(bench, 1, 2, after="AddExistedNodes")
    planned = bench.preview(*((2, 3) if again else (3,)))
    assert any(
        f.warning and "attached by a create that was killed" in f.reason for f in planned.findings
    )
    saved = bench.up(*((2, 3) if again else (3,)))
    bench.operations().destroy(saved)
    assert sorted(bench.nodes) == (ids(1) if again else ids(1, 2))
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)


# -- one node, two resources ---------------------------------------------------------------------


def test_two_stacks_cannot_hold_one_node():
    """Not even one that both adopt."""
    bench = Bench(3, attached=(1,))
    state = bench.up(1)
    with pytest.raises(FindingsError, match=f"belongs to another resource, '{OWNER}'") as told:
        second(bench).converge(bench.inputs(1, 2))
    assert "take_ownership=True" in str(told.value)
    assert "retain_ids" in str(told.value)
    assert bench.writes() == []
    assert bench.owners == {iid(1): OWNER}
    assert bench.up(1, before=state).instance_ids == ids(1)


def test_of_two_stacks_that_adopt_one_node_at_once_the_last_tag_counts_and_the_other_lets_go():
    bench = Bench(3, attached=(1,))
    state = bench.up(1)
    tags(bench, 1).update(theirs(SECOND))
    seen = bench.operations().refresh(state)
    assert seen.instance_ids == []
    bench.fails(EhpcError, 1, match=f"belongs to another resource, '{SECOND}'", before=state)
    bench.operations().destroy(state)
    assert sorted(bench.nodes) == ids(1)


def test_taking_ownership_is_shown_and_touches_no_disk():
    bench = Bench(3)
    state = attached(bench, 1, 2)
    taking = {"take_ownership": True, "replace_system_disks": False}
    name, uid, bench.name = bench.name, bench.uid, SECOND
    assert bench.preview(1, **taking).changes.take == (iid(1),)
    bench.name, bench.uid = name, uid
    taken = second(bench).converge(bench.inputs(1, **taking))
    assert taken.instance_ids == ids(1)
    assert bench.owners == {iid(1): SECOND, iid(2): OWNER}
    assert bench.up(2, before=state).instance_ids == ids(2)
    second(bench).destroy(taken)
    assert sorted(bench.nodes) == ids(2)
    assert bench.writes() == ["DeleteNodes"]


@pytest.mark.parametrize("sent", [True, False])
def test_what_another_resource_may_just_be_attaching_is_waited_for_before_it_is_taken(sent):
    bench = Bench(3, pace={"seconds": 120}, nodes_listed="at_end", task_listed=False)
    cloud = bench.operations().cloud
    tags(bench, 1).update(theirs(SECOND, pending=True))
    tags(bench, 1)["ehpc-nodes-ref"] += bench.instance(1).image_id
    if sent:
        bench.clock.at(
            9, lambda: cloud.add_existed_nodes(CLUSTER, ids(1), image=(IMAGE, "system"), queue="")
        )
    bench.fails(FindingsError, 1, match="belongs to another resource")
    state = bench.up(1, take_ownership=True)
    assert state.instance_ids == sorted(bench.nodes) == ids(1)
    assert bench.owners == {iid(1): OWNER}
    assert bench.harm.disk_replacements == {iid(1): 1}
    assert bench.harm.double_attach == []


def test_a_list_that_lacks_anothers_node_for_seconds_does_not_let_it_be_wiped_when_it_is_taken(
    monkeypatch,
):
    """Its tags say that it is a node: it was adopted there."""
    bench = Bench(3, attached=(1,))
    second(bench).converge(bench.inputs(1))
    lacking(bench, monkeypatch, 25, 1)
    with suppress(EhpcError):
        bench.up(1, take_ownership=True, stop_running=True)
    assert bench.writes() == []
    state = bench.up(1, take_ownership=True, stop_running=True)
    assert state.instance_ids == sorted(bench.owners) == ids(1)
    assert bench.harm.disk_replacements == {}


# -- from one resource to another ----------------------------------------------------------------


@pytest.mark.parametrize("order", ["giver first", "taker first", "taker within", "giver within"])
def test_a_node_moves_from_one_resource_to_another_in_any_order(order):
    bench = Bench(4)
    state = attached(bench, 1, 2)
    came = {}

    def give():
        came["giver"] = bench.up(2, before=state, retain_ids=ids(1))

    def take():
        inputs = bench.inputs(1, 3, take_ownership=True)
        came["taker"] = second(bench).converge(inputs)

    deeds = [give, take] if order.startswith("giver") else [take, give]
    if order.endswith("within"):
        outer, inner = (give, take) if order == "taker within" else (take, give)
        with right_after(bench, "DescribeInstances", inner):
            outer()
    else:
        for deed in deeds:
            deed()
    assert {who: s.instance_ids for who, s in came.items()} == {"giver": ids(2), "taker": ids(1, 3)}
    assert bench.owners == {iid(1): SECOND, iid(2): OWNER, iid(3): SECOND}
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)


def test_what_is_retained_is_shown_leaves_the_state_and_stays_attached_untagged():
    bench = Bench(3)
    state = attached(bench, 1, 2)
    assert bench.preview(2, before=state, retain_ids=ids(1)).changes.retain == (iid(1),)
    state = bench.up(2, before=state, retain_ids=ids(1))
    assert state.instance_ids == ids(2)
    assert bench.owners == {iid(2): OWNER}
    bench.operations().destroy(state)
    assert sorted(bench.nodes) == ids(1)


@pytest.mark.parametrize("gone", [True, False], ids=["gone", "the call is under way"])
def test_what_another_resource_detaches_in_this_run_is_neither_attached_nor_adopted_in_it(gone):
    """A program that moves an instance without saying so: its disk is not replaced behind the preview's back."""
    bench = Bench(3)
    state = attached(bench, 1, 2)
    if gone:
        bench.up(2, before=state)
    bench.journal.entries.clear()

    class Others(NoOtherResources):
        def detached(self):
            return {iid(1): "nodes"}

    inputs = bench.inputs(1, stop_running=True, take_ownership=not gone)
    with pytest.raises(FindingsError, match="is detached in this run by resource 'nodes'"):
        bench.operations(name=SECOND, uid="second", others=Others()).converge(inputs)
    assert bench.calls(*WRITES, "TagResources") == []


def test_a_rename_renews_the_tags_by_one_call_and_changes_nothing_else():
    bench = Bench(3)
    state = attached(bench, 1, 2)
    references = [tags(bench, n)["ehpc-nodes-ref"] for n in (1, 2)]
    bench.name = "project/stack/renamed"
    assert bench.preview(1, 2, before=state).changes.renew == tuple(ids(1, 2))
    after = bench.up(1, 2, before=state)
    assert (state.owner, after.owner) == (OWNER, "project/stack/renamed")
    assert bench.owners == dict.fromkeys(ids(1, 2), "project/stack/renamed")
    assert [tags(bench, n)["ehpc-nodes-ref"] for n in (1, 2)] == references
    assert bench.writes() == []
    bench.operations().destroy(after)
    assert bench.nodes == {}


# -- a note of work in progress ends without anybody writing -------------------------------------


def joined(bench, *numbers, before=None):
    """An up whose time is up while E-HPC works, and the next one, which joins it: the state."""
    told = bench.fails(IncompleteError, *numbers, before=before, seconds=30)
    return bench.up(*numbers, before=told.state)


def test_what_was_joined_and_then_detached_by_hand_holds_nobody_up():
    """Weeks later somebody detaches it in the console; the program then drops it, or attaches it anew."""
    for numbers in ((1, 3), (1, 2)):
        bench = Bench(4, pace={"seconds": 60}, detached_instance_status="Running")
        state = joined(bench, 1, 2, before=bench.up(1))
        bench.outside.detach(iid(2))
        bench.emulator.advance(7 * 24 * 3600)
        began = bench.clock.now()
        state = bench.operations().refresh(state)
        assert state.instance_ids == ids(1)
        assert bench.clock.now() - began <= 12
        began = bench.clock.now()
        state = bench.up(*numbers, before=state, stop_running=True)
        assert state.instance_ids == sorted(bench.nodes) == ids(*numbers)
        assert bench.clock.now() - began < 60 + 2 * bench.grace  # it still has the tags of a node
        assert sorted(bench.owners) == ids(*numbers)


def test_a_namesake_in_another_backend_leaves_what_was_joined_alone():
    bench = Bench(4, pace={"seconds": 60})
    joined(bench, 1, 2)
    assert bench.up(3).instance_ids == ids(3)  # a stack of the same names, with a state of its own
    assert sorted(bench.nodes) == ids(1, 2, 3)
    assert "DeleteNodes" not in bench.writes()


@pytest.mark.parametrize("attached", [(), (1,)], ids=["to attach", "to adopt"])
def test_an_instance_whose_tags_leave_no_room_is_refused_before_the_first_write(attached):
    bench = Bench(2, attached=attached)
    tags(bench, 1).update({f"cost-{n}": "x" for n in range(19)})
    told = f"compute1 ({iid(1)}) has 19 tags, and an instance takes 20. Remove 1 of them"
    bench.fails(FindingsError, 1, 2, match=re.escape(told))
    assert bench.calls("TagResources") == [] == bench.writes()
    del tags(bench, 1)["cost-0"]
    assert bench.up(1, 2).instance_ids == ids(1, 2)


def test_a_preview_shows_what_is_retained_also_where_the_taker_was_checked_before():
    bench = Bench(3)
    state = attached(bench, 1, 2)

    class Taker(NoOtherResources):
        def listed(self):
            return {iid(2)}

    wanted = Wanted(frozenset(ids(1)), frozenset(ids(2)))
    desired = Desired(CLUSTER, "cn-hangzhou")
    planned = bench.operations(others=Taker()).plan_changes(desired, wanted, state)
    assert (
        planned.line == "keep 1; retain 1 (stay attached, leave this resource): compute2; no call"
    )


def test_a_node_whose_attach_never_ends_can_be_left_and_the_rest_destroyed():
    bench = Bench(3, attached=(1,))
    state = bench.up(1)
    bench.fault("task_never_ends", "AddExistedNodes")
    with pytest.raises(IncompleteError) as ended:
        bench.up(1, 2, before=state)
    hanging = ended.value.state
    with pytest.raises(WaitTimeoutError):
        bench.operations().destroy(hanging)
    began = bench.clock.now()
    state = bench.up(1, before=hanging, retain_ids=ids(2))
    assert bench.clock.now() - began < 3 * bench.grace
    assert state.instance_ids == ids(1)
    assert iid(2) not in bench.owners
    bench.operations().destroy(state)
    assert sorted(bench.nodes) == ids(2)
    assert bench.harm.releases == bench.harm.double_attach == []


def test_what_was_never_this_resources_is_not_shown_as_retained():
    """Of each of two resources that retain what the other one lists."""
    bench = Bench(4, attached=(1, 2))
    state = bench.up(1)
    second(bench).converge(bench.inputs(2))
    planned = bench.preview(1, before=state, retain_ids=ids(2), take_ownership=True)
    assert planned.line == "keep 1; no call"
