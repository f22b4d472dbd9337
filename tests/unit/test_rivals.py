"""Two resources, or two stacks, on one cluster at once."""

from contextlib import suppress

import pytest

from ehpc_nodes.api.cache import ReadCache
from ehpc_nodes.emulator.knobs import Pace
from ehpc_nodes.errors import EhpcError
from ehpc_nodes.models import State
from ehpc_nodes.reconcile.operations import FindingsError, IncompleteError
from ehpc_nodes.reconcile.ports import NoOtherResources
from unit.emulated import CLUSTER, IMAGE, OWNER, Bench, ids, iid, killed, right_after, theirs

HIDDEN = {
    "nodes_listed": "at_end",
    "task_result_names_instances": False,
    "task_listed": False,
}
RIVAL = "project/other/nodes"
THEIRS = theirs(RIVAL)
SENDING = theirs(RIVAL, pending=True)
LEFT = f"{iid(1)} stays attached: resource {RIVAL!r} has it now"
SECOND = "project/stack/second"


# -- a node that another resource tags, or is given ---------------------------------------------


def test_a_detach_that_is_repeated_leaves_what_another_resource_has_tagged():
    bench = Bench(3)
    state = bench.up(1, 2)
    bench.fault("error", "DeleteNodes", status=403, code="ConflictOpt", times=12)
    with right_after(bench, "DeleteNodes", lambda: bench.instance(1).tags.update(THEIRS)):
        assert bench.up(2, before=state).instance_ids == ids(2)
    assert LEFT in bench.said.warnings
    assert sorted(bench.nodes) == ids(1, 2)


@pytest.mark.parametrize("verb", ["update", "destroy"])
def test_what_has_become_anothers_while_others_were_waited_for_is_not_detached(verb):
    """Detached by hand, and attached by another stack, while this one waits for its own."""
    bench = Bench(3, pace={"seconds": 600})
    state = bench.up(1)
    if verb == "destroy":
        killed(bench, 1, 2, before=state, after="AddExistedNodes")

    def became_anothers():
        bench.outside.detach(iid(1))
        bench.instance(1).tags = dict(THEIRS)
        bench.outside.attach(iid(1), CLUSTER)

    bench.clock.at(300, became_anothers)
    if verb == "update":
        assert bench.up(2, before=state).instance_ids == ids(2)
    else:
        bench.operations().destroy(state)
    assert LEFT in bench.said.warnings
    assert iid(1) in bench.nodes


@pytest.mark.parametrize(("fault", "times"), [("throttle", 3), ("error", 6)])
def test_a_stop_that_is_repeated_leaves_what_somebody_has_attached(fault, times):
    """A conflict is what «somebody is attaching it» looks like."""
    bench = Bench(3)
    for n in (1, 2):
        bench.outside.start(iid(n))
    conflict = {"status": 403, "code": "OperationConflict"} if fault == "error" else {}
    bench.fault(fault, "StopInstances", times=times, **conflict)
    words = f"{iid(1)}: not attached: since this run first read it"
    with right_after(bench, "StopInstances", lambda: bench.outside.attach(iid(1), CLUSTER)):
        told = bench.fails(IncompleteError, 1, 2, match=words, stop_running=True)
    assert bench.nodes[iid(1)].status == "running"
    assert bench.instance(1).status == "Running"
    assert told.state.instance_ids == ids(2)


@pytest.mark.slow
def test_a_second_hundred_to_stop_is_looked_at_where_the_first_took_long():
    bench = Bench(150)
    for n in range(1, 151):
        bench.outside.start(iid(n))
    bench.fault("error", "StopInstances", status=403, code="OperationConflict", times=12)
    bench.clock.at(60, lambda: bench.outside.attach(iid(140), CLUSTER))
    with suppress(EhpcError):
        bench.up(*range(1, 151), stop_running=True)
    assert bench.instance(140).status == "Running"


def test_an_tag_that_is_repeated_leaves_anothers_tag():
    """Throttled, it waits; the other stack tags and sends meanwhile."""
    bench = Bench(3, pace={"seconds": 300})
    bench.fault("throttle", "TagResources", times=2)
    with right_after(bench, "TagResources", lambda: tagged_and_sent_by_another(bench)):
        bench.fails(EhpcError, 1, match="not attached: since this run first read it")
    assert bench.owners == {iid(1): RIVAL}
    assert bench.harm.double_attach == []


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 6])
def test_the_next_fifty_are_looked_at_where_the_first_took_several_tag(times):
    """Hidden from all lists, the rival's node would be taken for this resource's own by the tag."""
    bench = Bench(60, pace={"seconds": 300}, **HIDDEN)
    bench.fault("throttle", "TagResources", times=times)
    cloud = bench.operations().cloud

    def tagged_and_sent():
        bench.instance(55).tags |= SENDING
        cloud.add_existed_nodes(CLUSTER, [iid(55)], image=(IMAGE, "system"), queue="")

    with right_after(bench, "TagResources", tagged_and_sent):
        told = bench.fails(IncompleteError, *range(1, 61))
    assert bench.owners[iid(55)] == RIVAL
    bench.up(*range(1, 55), *range(56, 61), before=told.state)
    bench.emulator.advance(600)
    assert iid(55) in bench.nodes


def test_what_was_taken_for_a_moment_is_not_sent_in_the_same_run():
    """It has been told as another's: the next run takes it, or leaves it."""
    bench = Bench(3, instance_pace={"seconds": 120})
    for n in (1, 2):
        bench.outside.start(iid(n))
    bench.fault("error", "StopInstances", status=403, code="OperationConflict", times=1)
    one = bench.instance(1)

    def rival_gives_up():
        one.tags = {}
        bench.outside.stop(iid(1))

    def rival_tags():
        one.tags = dict(THEIRS)
        bench.clock.at(60, rival_gives_up)

    with right_after(bench, "StopInstances", rival_tags):
        told = bench.fails(IncompleteError, 1, 2, stop_running=True)
    assert told.state.instance_ids == sorted(bench.nodes) == sorted(bench.owners) == ids(2)


def test_what_a_killed_run_sent_and_another_resource_comes_to_list_is_in_its_state_only():
    """The other one is checked while this one attaches."""
    bench = Bench(4, pace={"seconds": 60})
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.emulator.advance(120)
    other = Listing()
    bench.clock.at(30, lambda: other.ids.extend(ids(1)))
    bench.uid = "second create"
    lifecycle = bench.operations()
    lifecycle.others = other
    assert lifecycle.converge(bench.inputs(2, 3)).instance_ids == ids(2, 3)
    assert sorted(bench.nodes) == ids(1, 2, 3)


# -- a stack of the same names in another backend ------------------------------------------------


@pytest.mark.parametrize("verb", ["up", "refresh", "destroy"])
@pytest.mark.parametrize("listed", ["at_acceptance", "at_end"])
def test_what_a_namesake_in_another_backend_is_attaching_stays_its_own(listed, verb):
    bench = Bench(4, pace={"seconds": 300}, nodes_listed=listed)
    state = bench.up(2)
    ours = bench.uid
    killed(bench, 1, after="AddExistedNodes")  # the namesake, in the midst of its create
    bench.uid = ours
    if verb == "up":
        assert bench.up(2, 3, before=state).instance_ids == ids(2, 3)
    elif verb == "refresh":
        assert bench.operations().refresh(state).instance_ids == ids(2)
    else:
        bench.operations().destroy(state)
    bench.emulator.advance(600)
    assert iid(1) in bench.nodes
    assert bench.owners[iid(1)] == OWNER


@pytest.mark.slow
def test_what_a_namesake_is_attaching_and_this_program_lists_too_is_not_sent():
    bench = Bench(4, pace={"seconds": 300}, **HIDDEN)
    state = bench.up(2)
    ours = bench.uid
    killed(bench, 1, after="AddExistedNodes")
    bench.uid = ours
    with suppress(EhpcError):
        bench.up(1, 2, before=state, stop_running=True)
    assert bench.harm.double_attach == []


class Listing(NoOtherResources):
    """Another resource of the run lists these."""

    def __init__(self, *numbers):
        self.ids = ids(*numbers)

    def listed(self):
        return self.ids


@pytest.mark.slow
def test_a_node_that_is_given_away_while_it_is_being_attached_is_not_sent_again():
    """The first resource's time was up; the program then lists the instance in another one."""
    bench = Bench(4, pace={"seconds": 300}, **HIDDEN)
    told = bench.fails(IncompleteError, 1, 2, seconds=60)
    first, second = bench.operations(), bench.operations(name=SECOND, uid="second")
    first.others, second.others = Listing(2), Listing(1)
    with suppress(EhpcError):
        first.converge(bench.inputs(1), told.state)
    with suppress(EhpcError):
        second.converge(bench.inputs(2, stop_running=True))
    bench.emulator.advance(600)
    assert bench.writes() == ["AddExistedNodes"]
    assert sorted(bench.nodes) == ids(1, 2)


# -- what another stack does while a tag is on its way -----------------------------------------


def during(bench, monkeypatch, deed, *, announcing):
    """Do something while the first tags of that kind are on their way, which then replace what it tagged."""
    call, due = bench.emulator.call, [deed]

    def meanwhile(action, version, params):
        if action == "TagResources" and bool(params.get("Tag.2.Key")) == announcing and due:
            due.pop()()
        return call(action, version, params)

    monkeypatch.setattr(bench.emulator, "call", meanwhile)


def tagged_and_sent_by_another(bench):
    cloud = bench.operations().cloud
    bench.instance(1).tags |= SENDING
    cloud.add_existed_nodes(CLUSTER, ids(1), image=(IMAGE, "system"), queue="")


@pytest.mark.slow
@pytest.mark.parametrize(
    "knobs", [{"list_lag": {"seconds": 20}}, HIDDEN], ids=["listed late", "hidden"]
)
def test_what_another_stack_has_tagged_and_sent_while_it_was_being_tagged_is_not_sent(
    knobs, monkeypatch
):
    """Its status and its image tell: the other tag is replaced. Nor does the next run send it."""
    bench = Bench(3, pace={"seconds": 300}, instance_pace={"seconds": 5}, **knobs)
    during(bench, monkeypatch, lambda: tagged_and_sent_by_another(bench), announcing=True)
    words = f"{iid(1)}: not attached: since this run first read it"
    bench.fails(EhpcError, 1, match=words, stop_running=True)
    bench.emulator.advance(10)
    with suppress(EhpcError):
        bench.up(1, stop_running=True)
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []
    assert bench.harm.disk_replacements == {iid(1): 1}


def test_what_another_stack_has_tagged_and_sent_while_it_was_tried_whether_tags_can_be_set(
    monkeypatch,
):
    """The trial's tag is another one, and is then taken away: the other tag stays."""
    bench = Bench(3, pace={"seconds": 300}, **HIDDEN)
    bench.outside.start(iid(1))

    def stopped_and_sent():
        bench.outside.stop(iid(1))
        tagged_and_sent_by_another(bench)

    during(bench, monkeypatch, stopped_and_sent, announcing=False)
    bench.fails(EhpcError, 1, match=f"resource '{RIVAL}' set its owner tag", stop_running=True)
    assert bench.writes() == ["AddExistedNodes"]
    assert bench.harm.double_attach == []
    assert bench.owners == {iid(1): RIVAL}


@pytest.mark.slow
def test_what_another_stack_sent_at_the_same_moment_is_neither_adopted_unasked_nor_detached(
    monkeypatch,
):
    """Nobody knows whose it is: our tags replaced the other ones, and are replaced by tags that name nobody."""
    bench = Bench(3, pace={"seconds": 300}, **HIDDEN)
    saved = bench.up(2)
    during(bench, monkeypatch, lambda: tagged_and_sent_by_another(bench), announcing=True)
    state = bench.fails(IncompleteError, 1, 2, before=saved).state
    assert state.instance_ids == ids(2)
    assert bench.owners == {iid(1): "unknown", iid(2): OWNER}
    words = f"{iid(1)}.* was attached by somebody else while a run prepared it"
    bench.fails(FindingsError, 1, 2, match=words, before=state)
    bench.emulator.advance(600)
    state = bench.up(2, before=state)
    assert sorted(bench.nodes) == ids(1, 2)
    state = bench.up(1, 2, before=state, take_ownership=True)
    assert bench.owners == dict.fromkeys(ids(1, 2), OWNER)
    assert "DeleteNodes" not in bench.writes()
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)


@pytest.mark.parametrize("ends", ["timeout", "cancelled"])
def test_what_another_stack_sent_is_disowned_at_once_though_the_run_ends_before_its_end(
    monkeypatch, ends
):
    bench = Bench(3, pace={"seconds": 300})
    during(bench, monkeypatch, lambda: tagged_and_sent_by_another(bench), announcing=True)
    if ends == "cancelled":
        bench.clock.cancel_at(90)
    told = bench.fails(IncompleteError, 1, 3, seconds=60 if ends == "timeout" else 3600)
    assert told.state.instance_ids == ids(3)
    assert bench.owners == {iid(1): "unknown", iid(3): OWNER}


@pytest.mark.slow
@pytest.mark.parametrize("left", [(), (1,)], ids=["destroyed", "one less"])
def test_of_two_stacks_that_race_for_instances_the_one_that_sent_keeps_them(monkeypatch, left):
    bench = Bench(3, pace={"seconds": 300})
    came: dict[str, State] = {}

    def sent_by_another():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bench.emulator, "call", call)
            came["winner"] = bench.operations(name=SECOND, uid="second").converge(
                bench.inputs(1, 2)
            )

    call = bench.emulator.call
    during(bench, monkeypatch, sent_by_another, announcing=True)
    bench.fails(EhpcError, 1, 2, match="not attached: since this run first read it")
    bench.fails(FindingsError, 1, 2, match="was attached by somebody else")
    assert came["winner"].instance_ids == ids(1, 2)
    winner = bench.operations(name=SECOND, uid="second")
    if left:
        after = winner.converge(bench.inputs(*left), came["winner"])
        assert after.instance_ids == ids(*left)
        assert bench.owners == dict.fromkeys(ids(*left), SECOND)
    else:
        winner.destroy(came["winner"])
    assert sorted(bench.nodes) == ids(*left)
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)


# -- looks at queues that two resources share ----------------------------------------------------


def two_that_share_looks(bench):
    first, second = bench.operations(), bench.operations(name=SECOND, uid="second")
    first.reads = second.reads = ReadCache()
    return first, second


def assert_queues(state, bench, *numbers):
    assert {i: n.queue for i, n in state.nodes.items()} == {
        i: bench.nodes[i].queue for i in ids(*numbers)
    }


@pytest.mark.parametrize("listed", ["at_acceptance", "at_end"])
@pytest.mark.parametrize("queue", ["", "gpu"])
def test_a_look_at_queues_from_before_the_nodes_were_ready_is_not_what_the_state_says(
    listed, queue
):
    """The second resource is done a minute after the first one's call was accepted."""
    bench = Bench(4, attached=(3,), pace={"seconds": 300}, nodes_listed=listed)
    first, second = two_that_share_looks(bench)
    bench.clock.at(60, lambda: second.converge(bench.inputs(3)))
    state = first.converge(bench.inputs(1, **({"job_queue": queue} if queue else {})))
    assert_queues(state, bench, 1)


def test_nor_is_one_from_before_a_task_has_ended_that_a_killed_run_began():
    bench = Bench(4, attached=(3,), pace={"seconds": 300}, nodes_listed="at_end")
    killed(bench, 1, after="AddExistedNodes")
    first, second = two_that_share_looks(bench)
    bench.clock.at(60, lambda: second.converge(bench.inputs(3)))
    assert_queues(first.converge(bench.inputs(1)), bench, 1)


def test_nor_is_one_from_before_a_move_whose_answer_was_lost(monkeypatch):
    """The second resource is done while the call is on its way."""
    bench = Bench(4, attached=(1, 3))
    first, second = two_that_share_looks(bench)
    bench.fault("reset_after", "SetQueue")
    call, due = bench.emulator.call, [lambda: second.converge(bench.inputs(3))]

    def meanwhile(action, *rest):
        if action == "SetQueue" and due:
            due.pop()()
        return call(action, *rest)

    monkeypatch.setattr(bench.emulator, "call", meanwhile)
    state = first.converge(bench.inputs(1, job_queue="gpu"))
    assert {i: n.queue for i, n in state.nodes.items()} == {iid(1): "gpu"}


def test_a_run_that_sends_nothing_knows_nothing_of_what_another_one_sends_meanwhile():
    """Somebody runs `pulumi cancel` too early: the second run of the stack is killed, the first one saves its state."""
    bench = Bench(4, **HIDDEN)
    state = bench.up(1, 2)

    def meanwhile():
        bench.world.knobs.task_pace = Pace.parse({"seconds": 300})
        killed(bench, 1, 3, before=state, after="AddExistedNodes")

    with right_after(bench, "DeleteNodes", meanwhile):
        state = bench.up(1, before=state)
    state = bench.up(1, 3, before=state, stop_running=True)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 3)
    assert bench.harm.disk_replacements[iid(3)] == 1
    assert bench.harm.double_attach == []


@pytest.mark.parametrize("cluster", [CLUSTER, "ehpc-hz-other"])
def test_a_node_with_tags_that_name_nobody_is_gone_when_it_is_detached_by_hand(cluster):
    """They tell nothing of a run that may be attaching it, nor of a cluster."""
    bench = Bench(3)
    state = bench.up(1, 2)
    tags = {"ehpc-nodes": "unknown", "ehpc-nodes-ref": f"unknown/{cluster}/7-ab/"}
    bench.instance(1).tags |= tags
    bench.outside.detach(iid(1))
    bench.clock.advance(60)
    assert bench.operations().refresh(state).instance_ids == ids(2)
    assert bench.preview(1, 2, before=state, stop_running=True).changes.attach == (iid(1),)


def test_an_update_that_lost_its_last_node_to_another_stack_does_not_keep_it(monkeypatch):
    bench = Bench(3, pace={"seconds": 300})
    state = bench.up(1)
    bench.outside.detach(iid(1))
    bench.instance(1).tags.clear()
    bench.instance(1).status = "Stopped"
    bench.clock.advance(60)
    during(bench, monkeypatch, lambda: tagged_and_sent_by_another(bench), announcing=True)
    told = bench.fails(IncompleteError, 1, before=state)
    assert told.state.instance_ids == []
    bench.clock.advance(600)
    bench.operations().destroy(told.state)
    assert sorted(bench.nodes) == ids(1)
