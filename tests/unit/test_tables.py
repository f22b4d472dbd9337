"""The two tables: what they say of named facts, and what must hold of all facts of one instance."""

import random

import pytest

from ehpc_nodes.reconcile import plan
from ehpc_nodes.reconcile.facts import Call, EcsIs, Generation, NodeIs, Saved, Tag, TaskIs, Verdict
from ehpc_nodes.reconcile.phases import OWNERS, PHASES, Owner, Phase
from ehpc_nodes.reconcile.plan import TABLE, Action, Decision, Step
from unit import golden
from unit.tables import ALL, PROMISES, broken_rule, each, is_possible, judge, some, violations

#: What is being attached, or is about to be: looked at without gaps each time.
PLAIN = {"claimed": False, "retained": False, "destroy": False, "verdict": Verdict.NONE}
CORNERS = {
    "tagged by this run": {
        **PLAIN,
        "tag": Tag.MINE,
        "generation": Generation.THIS_RUN,
        "wanted": True,
        "node": NodeIs.ABSENT,
        "task": TaskIs.NONE,
    },
    "pending, and wanted": {
        **PLAIN,
        "tag": Tag.MINE,
        "generation": Generation.PENDING,
        "wanted": True,
        "sent": Call.NONE,
        "node": NodeIs.ABSENT,
        "task": TaskIs.NONE,
    },
    "in the state, and not wanted": {
        **PLAIN,
        "tag": Tag.MINE,
        "saved": Saved.NODE,
        "wanted": False,
        "sent": Call.NONE,
        "generation": Generation.RESOLVED,
        "node": NodeIs.READY,
    },
}


@pytest.mark.parametrize(
    ("said", "facts"),
    [pytest.param(said, facts, id=about) for said, about, facts in golden.CASES],
)
def test_what_the_tables_say_of(said, facts):
    assert golden.said_of(facts) == said


@pytest.mark.parametrize(("following", "instances"), golden.PLANS)
def test_the_next_step_of(following, instances):
    assert golden.next_of(instances) == following


@pytest.mark.parametrize(
    ("said", "facts"),
    [pytest.param(said, facts, id=about) for said, about, facts in golden.LAST_TAGS],
)
def test_what_becomes_of_the_tags_of(said, facts):
    assert golden.last_of(facts) == said


@pytest.mark.parametrize(
    ("planned", "facts"),
    [pytest.param(planned, facts, id=about) for planned, about, facts in golden.FIRST_PLAN],
)
def test_whether_the_first_plan_attaches_or_may_detach(planned, facts):
    assert golden.decided(facts).planned == planned


@pytest.mark.parametrize(
    ("resolved", "facts"),
    [pytest.param(resolved, facts, id=about) for resolved, about, facts in golden.RESOLVED],
)
def test_whether_all_is_known_of_earlier_runs_about(resolved, facts):
    assert plan.is_resolved(golden.decided(facts)) == resolved


def test_a_failure_earlier_in_the_run_keeps_what_is_left_in_the_cluster():
    assert golden.next_of({"a": golden.GOES}, failed=True) == ""
    assert golden.next_of({"a": golden.COMES, "b": golden.GOES}, failed=True) == "AWAIT_ATTACHED a"


@pytest.mark.slow
@pytest.mark.parametrize("known", CORNERS.values(), ids=CORNERS)
def test_no_facts_break_a_rule_in_a_corner_that_matters(known):
    assert violations(each(**known)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("known", [{}, {"wanted": False, "tag": Tag.MINE}], ids=["any", "mine"])
def test_no_facts_of_a_sample_break_a_rule(known):
    assert violations(some(8_000, **known)) == {}


@pytest.mark.slow
@pytest.mark.timeout(0)  # all of them: as long as the machine takes
def test_no_facts_at_all_allow_an_unsafe_attach_or_detach():
    """P1 and P2, exhaustively: a run stands for all combinations of what the decision and these rules do not read."""
    combinations = 0
    for f in each():
        rule = broken_rule(f, judge(f), PROMISES)
        assert not (rule and is_possible(f)), f"{rule}: {f}"
        combinations += f.count
    assert combinations == ALL


@pytest.mark.long
def test_no_facts_of_a_large_sample_break_a_rule():
    assert violations(some(300_000, seed=2)) == {}


def test_every_row_of_the_tables_is_somebodys():
    met = {words.split()[1] for words, _, _ in golden.CASES}
    assert met == {phase.name for phase in Phase} == {phase.name for phase in TABLE}
    assert {owner for owner, _, _ in OWNERS} == {*Owner}
    assert {phase for phase, _, _ in PHASES} == {*Phase}


def test_attach_stands_in_one_cell_and_detach_in_two():
    cells = {
        (phase.name, column): getattr(row, column)
        for phase, row in TABLE.items()
        for column in ("wanted", "unwanted")
    }
    assert [c for c, a in cells.items() if a is Action.ATTACH] == [("PREPARED", "wanted")]
    assert [c for c, a in cells.items() if a is Action.DETACH] == [
        ("ATTACHED", "unwanted"),
        ("BROKEN", "unwanted"),
    ]


# -- the order of steps ------------------------------------------------------------------------------------------

ACTIONS = {
    Step.DISOWN: {Action.FAIL},
    Step.ADOPT: {Action.ADOPT, Action.RENEW},
    Step.TAG_LEAVING: {Action.DETACH},
    Step.CLEAR: {Action.DETACH},
    Step.AWAIT_CLEARED: {Action.WAIT},
    Step.STOP: {Action.STOP},
    Step.AWAIT_STOPPED: {Action.WAIT},
    Step.PREPARE: {Action.PREPARE},
    Step.ATTACH: {Action.ATTACH},
    Step.AWAIT_ATTACHED: {Action.WAIT},
    Step.MOVE: {Action.MOVE},
    Step.DETACH: {Action.DETACH},
    Step.AWAIT_DETACHED: {Action.WAIT},
}


def is_disowned(d):
    return d.action is Action.FAIL and plan.last_tags(d) is plan.LastTags.DISOWN


def decisions_met():
    """Decisions that occur, each kind once: in a sample, and of the named facts."""
    met = {}
    named = [golden.decided(facts) for _, _, facts in golden.CASES]
    for d in [*named, *(judge(f).decision for f in some(3_000, seed=5, verdict=Verdict.NONE))]:
        f = d.facts
        kind = (
            *(d.owner, d.phase, d.action, f.wanted, f.pending, f.sent, f.ecs is EcsIs.NOT_FOUND),
            is_disowned(d),
        )
        if kind not in met:
            met[kind] = d
    return [*met.values()]


KINDS = decisions_met()


def is_pending(d):
    """Whether its tags have to be written before it is detached; what ECS does not know has none."""
    return d.facts.pending and d.facts.ecs is not EcsIs.NOT_FOUND


def step_is_right(decisions, hosts, failed, following):
    """What must hold of the next step, whatever the plan."""
    if following is None:
        return True
    step, those = following.step, [decisions[i] for i in following.ids]
    every = [*decisions.values()]

    def is_there(*actions, phases=Phase):
        return any(d.action in actions and d.phase in phases for d in every)

    unclear = is_there(Action.WAIT, phases=[Phase.RESULT_UNKNOWN])
    arriving = is_there(
        Action.WAIT, phases=[Phase.STOPPING, Phase.TAGGED, Phase.ABSENCE_UNCONFIRMED]
    )
    leaving = any(
        d.wanted and d.phase is Phase.DETACHING and d.action is Action.WAIT for d in every
    )
    going = {i for i, d in decisions.items() if d.action is Action.DETACH}
    names = {hosts[i] for i, d in decisions.items() if d.wanted and d.action is Action.ATTACH}
    first = {i for i in going if hosts[i] and hosts[i] in names}
    earlier = {
        "what somebody else attached": any(map(is_disowned, every)),
        "adopting": is_there(Action.ADOPT, Action.RENEW),
        "pending ones to detach": any(is_pending(decisions[i]) for i in going),
        "a host name": bool(first),
        "a result that is unknown": unclear or leaving,
        "stopping": is_there(Action.STOP),
        "what is not Stopped yet": arriving,
        "preparing": is_there(Action.PREPARE),
        "attaching": is_there(Action.ATTACH),
        "a move": is_there(Action.MOVE),
    }
    nothing_of = {
        Step.ADOPT: 1,
        Step.TAG_LEAVING: 2,
        Step.CLEAR: 3,
        Step.STOP: 5,
        Step.PREPARE: 7,
        Step.ATTACH: 8,
    }
    too_early = any([*earlier.values()][: nothing_of.get(step, 0)])
    fits = all(d.action in ACTIONS[step] for d in those)
    has_failed = failed or any(
        d.wanted
        and d.action is Action.FAIL
        and (
            d.facts.node is NodeIs.ABSENT
            or d.facts.sent is not Call.NONE
            or d.facts.verdict is Verdict.CHANGED_BY_OTHER
        )
        for d in every
    )
    last = step in {Step.MOVE, Step.DETACH, Step.AWAIT_DETACHED}
    coming = is_there(Action.WAIT, phases=[Phase.ATTACHING, Phase.RESULT_UNKNOWN])
    moves_first = step not in {Step.DETACH, Step.AWAIT_DETACHED} or not earlier["a move"]
    late = not last or not (
        has_failed or coming or is_there(Action.ATTACH, Action.PREPARE, Action.STOP)
    )
    settled = step not in {Step.CLEAR, Step.DETACH} or not any(map(is_pending, those))
    return fits and not too_early and late and moves_first and settled


@pytest.mark.slow
def test_the_order_of_steps_holds_in_any_plan():
    assert len(KINDS) > 100
    chance = random.Random(3)
    steps = set()
    for _ in range(8_000):
        ids = "abc"[: chance.randint(1, 3)]
        decisions = {i: chance.choice(KINDS) for i in ids}
        hosts = {i: chance.choice(["", "x", "y"]) for i in ids}
        failed = chance.random() < 0.1
        following = plan.next_step(plan.Plan(decisions, hosts, failed=failed))
        steps.add(following.step if following else None)
        assert step_is_right(decisions, hosts, failed, following), (decisions, hosts, following)
    assert steps == {*Step, None}


def test_a_run_ends_only_where_nothing_is_left_or_something_failed():
    left = {Action.ADOPT, Action.RENEW, Action.STOP, Action.PREPARE, Action.ATTACH, Action.MOVE}
    left |= {Action.DETACH, Action.WAIT}
    for d in KINDS:
        assert isinstance(d, Decision)
        following = plan.next_step(plan.Plan({"a": d}, {"a": ""}))
        assert (following is not None) == (d.action in left or is_disowned(d)), d
