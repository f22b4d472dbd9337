"""All facts of one instance, and what must hold of the decision about each: in words of its own, not in the tables'.

A decision reads few of some thirty facts. `each` runs it on facts that are chosen only when they are read, and goes
through all choices: a run stands for all combinations of what it did not read. So all combinations are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any, cast, get_type_hints

from ehpc_nodes.reconcile import plan
from ehpc_nodes.reconcile.facts import (
    Call,
    EcsIs,
    Facts,
    Generation,
    NodeIs,
    Saved,
    Tag,
    TaskIs,
    Verdict,
)
from ehpc_nodes.reconcile.phases import Owner, Phase
from ehpc_nodes.reconcile.plan import Action, Conclusion, Decision, Kept, LastTags, Rules

YES_NO = (True, False)
#: The values of each fact that make a difference; of the rules, too.
VALUES: dict[str, tuple[Any, ...]] = {
    **{name: YES_NO for name, kind in get_type_hints(Facts).items() if kind is bool},
    "planned": (None, *YES_NO),
    "tries": (0, 3),
    "tag": tuple(Tag),
    "generation": tuple(Generation),
    "saved": tuple(Saved),
    "node": tuple(NodeIs),
    "task": tuple(TaskIs),
    "ecs": tuple(EcsIs),
    "sent": tuple(Call),
    "detached": tuple(Call),
    "verdict": tuple(Verdict),
    "destroy": YES_NO,
    "stop_running": YES_NO,
    "busy_nodes": ("refuse", "wait", "detach"),
}
NOTHING = Facts()
ALL = prod(len(values) for values in VALUES.values())


class Open:
    """Facts and rules that are chosen when they are read: those of the trail first, then the first value of each."""

    def __init__(self, trail: list[list[Any]], **known: Any) -> None:
        self.trail = trail
        self.read = 0
        self.__dict__.update(known)

    def __getattr__(self, name: str) -> Any:
        if name in {"awake", "is_saved", "pending"}:
            value = getattr(Facts, name).fget(self)
        else:
            if self.read == len(self.trail):
                self.trail.append([name, self.choose(name)])
            value = VALUES[name][self.trail[self.read][1]]
            self.read += 1
        self.__dict__[name] = value
        return value

    def choose(self, _name: str) -> int:
        return 0

    @property
    def count(self) -> int:
        """How many combinations it stands for."""
        return ALL // prod(len(VALUES[name]) for name, _ in self.trail)

    def __repr__(self) -> str:
        read = {name: VALUES[name][index] for name, index in self.trail}
        return ", ".join(f"{name}={value}" for name, value in read.items())


def each(**known: Any) -> Iterator[Open]:
    """All facts and rules with these values: whoever takes one reads it before he takes the next."""
    trail: list[list[Any]] = []
    while True:
        yield Open(trail, **known)
        while trail and trail[-1][1] + 1 == len(VALUES[trail[-1][0]]):
            trail.pop()
        if not trail:
            return
        trail[-1][1] += 1


def some(count: int, seed: int = 1, **known: Any) -> Iterator[Open]:
    """Random ones; half of what is read is as in facts about which nothing is known."""
    random = Random(seed)  # no secret

    class Some(Open):
        def choose(self, name: str) -> int:
            values = VALUES[name]
            usual = getattr(NOTHING, name, None)
            if usual in values and random.random() < 0.5:
                return values.index(usual)
            return random.randrange(len(values))

    for _ in range(count):
        yield Some([], **known)


# -- what cannot be ----------------------------------------------------------------------------------------------


def is_possible(f: Any) -> bool:
    """Whether the observer can make these facts; asked only of those that break a rule."""
    return not any(
        (
            f.destroy and (f.wanted or f.retained),  # a destroy has no program
            f.wanted and f.retained,  # `wanted_of` takes the wanted ones out
            f.wanted and f.detached is not Call.NONE,  # only what is not wanted is detached
            not f.wanted and f.sent is not Call.NONE,  # and only what is wanted is sent
            f.wanted and f.claimed,  # an instance that two resources list is refused before
            f.generation is Generation.THIS_RUN and f.tag is not Tag.MINE,  # the run is part of it
            f.tag is Tag.MINE
            and f.generation is Generation.NONE,  # the uid stands in the reference
            f.tag is Tag.NONE and f.generation is not Generation.NONE,
            f.tag is Tag.UNKNOWN  # no run knows it
            and (f.generation is not Generation.RESOLVED or f.node is not NodeIs.ABSENT)
            and f.generation is not Generation.PENDING,
            f.generation is Generation.NONE and f.for_other_cluster,
            f.node is not NodeIs.ABSENT and f.absence_counts,
            f.node is not NodeIs.ABSENT and not f.seen_node,
            f.node is NodeIs.ABSENT and (f.busy or f.misplaced or not f.is_compute),
            f.joining and (f.node is not NodeIs.READY or f.sent is Call.NONE),
            f.ecs in {EcsIs.UNREAD, EcsIs.NOT_FOUND} and f.image_changed,
            f.ecs in {EcsIs.STOPPED, EcsIs.STOPPING} and f.woke,  # woke: it is awake now
            f.saved is Saved.NO and f.confirmed,
            f.known_stuck and f.saved is not Saved.ATTACHING,
            f.mate_shows and f.sent is not Call.UNANSWERED,
            f.quiet and (f.awake_for_minutes or f.task is TaskIs.RUNNING),
            f.sent is Call.EXPIRED,  # the reads tell whether it was accepted
        )
    )


# -- what must hold ----------------------------------------------------------------------------------------------

WRITES = {
    *(Action.ADOPT, Action.RENEW, Action.STOP, Action.PREPARE, Action.ATTACH, Action.MOVE),
    *(Action.DETACH, Action.UNTAG),
}


def may_be_an_earlier_runs(f: Any) -> bool:
    """Whether an earlier run may have sent it."""
    if f.generation is Generation.PENDING:
        return True
    if f.saved is not Saved.ATTACHING or f.generation is Generation.LEAVING:
        return False
    return not (f.known_stuck and f.tag is Tag.NONE)  # a person has removed the tags, as asked


def is_anothers(f: Any) -> bool:
    """Whether another resource has it, or may have it."""
    known = f.tag is Tag.UNKNOWN and f.saved is not Saved.NO
    if f.tag not in {Tag.OTHER, Tag.UNKNOWN} or known:
        return False
    return not (f.wanted and f.take_ownership)


def is_tagged_as_a_node(f: Any) -> bool:
    """Whether a run has made it a node, as its tags say: this resource's, or where the program wants it, anybody's."""
    named = f.tag is Tag.MINE or (f.wanted and f.tag is not Tag.NONE)
    return named and f.generation not in {
        Generation.NONE,
        Generation.PENDING,
        Generation.THIS_RUN,
    }


def is_positively_free(f: Any) -> bool:
    """Whether nothing is attached, being attached or perhaps sent, and this is known for long enough."""
    if f.node is not NodeIs.ABSENT or f.task is TaskIs.RUNNING or f.in_other_cluster:
        return False
    if f.sent in {Call.ANSWERED, Call.OVER}:
        return False
    if f.task is TaskIs.OVER and f.detached is Call.NONE and not f.steady:
        return False
    known = f.saved is not Saved.NO or f.seen_node or is_tagged_as_a_node(f)
    if known and not f.absence_counts:
        return False
    over = f.task is TaskIs.OVER and f.steady and f.absence_counts
    if f.sent is Call.UNANSWERED or (may_be_an_earlier_runs(f) and not over):
        if not f.quiet or f.unnamed_task or (f.image_replaced and not f.quiet_for_minutes):
            return False
        if f.ecs not in {EcsIs.STOPPED, EcsIs.NOT_FOUND, EcsIs.UNREAD}:
            return False
    if f.sent is Call.UNANSWERED:
        return not (f.mate_shows or f.image_changed)
    return True


def attach_is_safe(f: Any) -> bool:
    """P1: the only instances that may be attached."""
    return (
        f.wanted
        and f.verdict is Verdict.NONE
        and not f.unreadable
        and f.tag is Tag.MINE
        and f.generation is Generation.THIS_RUN
        and not f.for_other_cluster
        and f.ecs is EcsIs.STOPPED
        and not f.image_changed
        and is_positively_free(f)
        and f.tries < 3
    )


def detach_is_safe(f: Any) -> bool:
    """P2: the only nodes that may be detached."""
    mine = f.tag is Tag.MINE and (f.saved is not Saved.NO or f.generation is not Generation.ADOPTED)
    known = f.tag in {Tag.NONE, Tag.UNKNOWN} and f.saved is not Saved.NO
    over = f.task is TaskIs.OVER or f.sent is Call.OVER
    unsent = f.task is TaskIs.NONE and f.sent is Call.NONE
    settled = f.confirmed or over or unsent or f.steady
    return (
        (mine or known)
        and f.node in {NodeIs.READY, NodeIs.INITIAL, NodeIs.EXCEPTION, NodeIs.OTHER}
        and f.is_compute
        and not (f.wanted or f.retained or f.claimed or f.unreadable)
        and (f.busy_nodes == "detach" or not f.busy)
        and f.verdict is Verdict.NONE
        and f.detached in {Call.NONE, Call.EXPIRED}
        and f.tries < 3
        and settled
    )


@dataclass(frozen=True)
class Judged:
    """What the tables say of one instance; asked only where a rule wants to know."""

    decision: Decision

    @property
    def conclusion(self) -> Conclusion | None:
        return plan.conclusion(self.decision)

    @property
    def kept(self) -> Kept:
        return plan.kept_as(self.decision)

    @property
    def last(self) -> LastTags:
        return plan.last_tags(self.decision)


def judge(f: Any) -> Judged:
    """Ask the tables."""
    return Judged(plan.decide(cast("Facts", f), cast("Rules", f)))


def broken_rule(f: Any, said: Judged, rules: tuple[Rule, ...] | None = None) -> str:
    """The first of these rules (of all) that the decision breaks; empty: none."""
    action = said.decision.action
    for name, applies, holds in RULES if rules is None else rules:
        if action in applies and not holds(f, said):
            return name
    return ""


def _of_planned(f: Any, said: Judged) -> bool:
    """What the first plan did not attach, or somebody else changed meanwhile, is not touched."""
    if f.planned is None:
        return True
    if not f.planned:
        return said.conclusion is not None
    theirs = f.task is TaskIs.RUNNING or f.woke or f.image_changed
    known = f.sent is not Call.NONE or may_be_an_earlier_runs(f)
    return not (theirs and not known) or said.conclusion is not None


def _of_last_tags(f: Any, said: Judged) -> bool:
    """Tags are removed of what is free, retained, or another's, and never of what the state keeps; what this run has
    prepared, and somebody else attached, gets others.
    """
    if said.last is LastTags.REMOVE:
        leaves = f.retained and not f.wanted
        theirs = f.verdict is Verdict.CHANGED_BY_OTHER and f.generation is not Generation.PENDING
        free = is_positively_free(f) and said.kept is Kept.NOTHING
        in_vain = f.task is TaskIs.OVER or f.sent is Call.OVER
        return leaves or theirs or free or (in_vain and said.decision.phase is Phase.FAILED)
    if said.last is LastTags.DISOWN:
        return f.generation is Generation.THIS_RUN and f.sent is Call.NONE
    return True


Rule = tuple[str, set[Action], Callable[[Any, Judged], bool]]
RULES: tuple[Rule, ...] = (
    ("P1: only a safe attach", {Action.ATTACH}, lambda f, _: attach_is_safe(f)),
    (
        "P1: attach stands in one cell",
        {Action.ATTACH},
        lambda _, s: s.decision.phase is Phase.PREPARED and s.decision.owner is not Owner.OTHER,
    ),
    ("P2: only a safe detach", {Action.DETACH}, lambda f, _: detach_is_safe(f)),
    (
        "P2: detach stands in two cells of mine",
        {Action.DETACH},
        lambda _, s: (
            s.decision.owner is Owner.MINE and s.decision.phase in {Phase.ATTACHED, Phase.BROKEN}
        ),
    ),
    ("another's is not written to", WRITES, lambda f, _: not is_anothers(f)),
    ("what may not be read is not written to", WRITES, lambda f, _: not f.unreadable),
    (
        "what has failed or was taken is not written to",
        WRITES,
        lambda f, _: f.verdict is Verdict.NONE,
    ),
    ("managers and login nodes are not written to", WRITES, lambda f, _: f.is_compute),
    (
        "what is wanted is neither detached nor untagged",
        {Action.DETACH, Action.UNTAG},
        lambda f, _: not f.wanted,
    ),
    (
        "only what is wanted is tagged, stopped, attached or moved",
        WRITES - {Action.DETACH, Action.UNTAG},
        lambda f, _: f.wanted,
    ),
    (
        "only what is free is stopped or prepared, with consent",
        {Action.STOP, Action.PREPARE},
        lambda f, s: (
            is_positively_free(f)
            and (f.stop_running or s.decision.action is not Action.STOP)
            and f.ecs
            in (
                {EcsIs.RUNNING, EcsIs.UNREAD}
                if s.decision.action is Action.STOP
                else {EcsIs.STOPPED}
            )
        ),
    ),
    (
        "only as the first plan said",
        {Action.STOP, Action.PREPARE, Action.ATTACH},
        _of_planned,
    ),
    (
        "only nodes are adopted, renewed or moved",
        {Action.ADOPT, Action.RENEW, Action.MOVE},
        lambda f, _: f.node not in {NodeIs.ABSENT, NodeIs.RELEASING},
    ),
    (
        "a node that is this resource's is not adopted",
        {Action.ADOPT},
        lambda f, _: (
            not (f.tag is Tag.MINE and f.generation is not Generation.ADOPTED)
            and not (f.tag in {Tag.NONE, Tag.UNKNOWN} and f.saved is not Saved.NO)
        ),
    ),
    (
        "only this resource's tags are removed, of what is free or retained",
        {Action.UNTAG},
        lambda f, _: (
            f.tag is Tag.MINE
            and (f.retained or is_positively_free(f))
            and (f.retained or not f.claimed or f.detached in {Call.ANSWERED, Call.OVER})
        ),
    ),
    ("the last tags are right", {*Action}, _of_last_tags),
    (
        "of nodes to detach, only busy ones are waited for, and only if the program says so",
        {Action.WAIT},
        lambda f, s: (
            s.decision.phase not in {Phase.ATTACHED, Phase.BROKEN}
            or (f.busy and f.busy_nodes == "wait" and not f.wanted and not f.retained)
        ),
    ),
    (
        "nothing is waited for that may never end",
        {Action.WAIT},
        lambda f, _: (
            f.verdict is Verdict.NONE
            and (
                f.node is not NodeIs.ABSENT
                or f.task is TaskIs.RUNNING
                or not is_positively_free(f)
                or f.ecs is EcsIs.STOPPING
                or f.tagged  # for less than the grace period
            )
        ),
    ),
)


#: The rules whose breach costs a disk or a node.
PROMISES = tuple(rule for rule in RULES if rule[0].startswith(("P1", "P2")))


def violations(made: Iterable[Any]) -> dict[str, list[str]]:
    """The possible facts that break each rule, a few of each."""
    found: dict[str, list[str]] = {}
    for f in made:
        rule = broken_rule(f, judge(f))
        if rule and len(found.get(rule, ())) < 3 and is_possible(f):
            found.setdefault(rule, []).append(repr(f))
    return found
