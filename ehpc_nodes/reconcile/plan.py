"""The second table: what to do about an instance, and what comes next. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ehpc_nodes.models import BusyNodes

from .facts import Call, EcsIs, Facts, Generation, NodeIs, Tag, TaskIs, Verdict, Word
from .phases import Owner, Phase, is_tagged_as_node, owner_of, phase_of

#: How often a write is tried; the next failure is the instance's.
TRIES = 3


class Action(Word):
    """What is done about an instance next."""

    KEEP = "keep"
    LEAVE = "leave alone"
    REFUSE = "refuse"
    FAIL = "fail"
    WAIT = "wait"
    ADOPT = "adopt"
    RENEW = "renew the tags"
    STOP = "stop"
    PREPARE = "prepare (tags)"
    ATTACH = "attach"
    MOVE = "move"
    DETACH = "detach"
    UNTAG = "untag"


class Kept(Word):
    """What the state keeps of an instance."""

    NOTHING = "nothing"
    NODE = "node"
    ATTACHING = "attaching"
    AS_IT_WAS = "as it was"


@dataclass(frozen=True)
class Row:
    """What is done in a phase where the program wants the instance, and where it does not; what the state keeps of it."""

    wanted: Action
    unwanted: Action
    kept: Kept


A, K = Action, Kept
TABLE: Mapping[Phase, Row] = {
    Phase.FAILED: Row(A.FAIL, A.FAIL, K.NODE),
    Phase.NOT_COMPUTE: Row(A.REFUSE, A.REFUSE, K.NOTHING),
    Phase.UNREADABLE: Row(A.REFUSE, A.REFUSE, K.AS_IT_WAS),
    Phase.DETACHING: Row(A.WAIT, A.WAIT, K.NODE),
    Phase.ATTACHED: Row(A.KEEP, A.DETACH, K.NODE),
    Phase.BROKEN: Row(A.FAIL, A.DETACH, K.NODE),
    Phase.OTHER_CLUSTER: Row(A.REFUSE, A.LEAVE, K.NOTHING),
    Phase.STUCK: Row(A.FAIL, A.LEAVE, K.ATTACHING),
    Phase.ATTACHING: Row(A.WAIT, A.WAIT, K.ATTACHING),
    Phase.RESULT_UNKNOWN: Row(A.WAIT, A.WAIT, K.ATTACHING),
    Phase.ABSENCE_UNCONFIRMED: Row(A.WAIT, A.WAIT, K.AS_IT_WAS),
    Phase.NOT_FOUND: Row(A.REFUSE, A.UNTAG, K.NOTHING),
    Phase.STARTING: Row(A.REFUSE, A.UNTAG, K.NOTHING),
    Phase.RUNNING: Row(A.STOP, A.UNTAG, K.NOTHING),
    Phase.STOPPING: Row(A.WAIT, A.UNTAG, K.NOTHING),
    Phase.STOPPED: Row(A.PREPARE, A.UNTAG, K.NOTHING),
    Phase.TAGGED: Row(A.WAIT, A.UNTAG, K.NOTHING),
    Phase.PREPARED: Row(A.ATTACH, A.UNTAG, K.ATTACHING),
}

#: What is done about a node to detach that runs jobs.
BUSY: Mapping[BusyNodes, Action] = {"refuse": A.REFUSE, "wait": A.WAIT, "detach": A.DETACH}
#: The phases in which a node that is not wanted is detached, or is being detached.
DETACHABLE = (Phase.DETACHING, Phase.ATTACHED, Phase.BROKEN)
#: The phases of a wanted instance that is attached to nothing: only what the first plan attaches is stopped, prepared
#: or attached.
FREE = frozenset(
    {
        Phase.STARTING,
        Phase.RUNNING,
        Phase.STOPPING,
        Phase.STOPPED,
        Phase.TAGGED,
        Phase.PREPARED,
    }
)
#: The phases of one that is attached to nothing, or may be soon.
TO_ATTACH = FREE | {Phase.RESULT_UNKNOWN, Phase.ABSENCE_UNCONFIRMED, Phase.DETACHING}


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all instances of an operation.

    Attributes:
        destroy: nothing is wanted, the resource goes.
        stop_running, busy_nodes: the program's arguments.
    """

    destroy: bool = False
    stop_running: bool = False
    busy_nodes: BusyNodes = "refuse"


@dataclass(frozen=True, slots=True)
class Decision:
    """What an instance is, and what is done about it."""

    facts: Facts
    owner: Owner
    phase: Phase
    action: Action

    @property
    def wanted(self) -> bool:
        return self.facts.wanted

    @property
    def planned(self) -> bool:
        """Whether the first plan attaches it; of one that is not wanted, whether it may be detached: the state has it, or
        reads show it.
        """
        absent = self.phase is Phase.ABSENCE_UNCONFIRMED and not self.facts.is_saved
        return self.to_attach if self.wanted else not absent

    @property
    def to_attach(self) -> bool:
        """Whether it is wanted, and this run attaches it, unless reads show that it is a node, or becomes one."""
        return self.wanted and self.phase in TO_ATTACH and self.owner is not Owner.OTHER


def decide(facts: Facts, rules: Rules) -> Decision:
    """The decision about one instance."""
    owner, phase = owner_of(facts), phase_of(facts)
    return Decision(facts, owner, phase, _action(facts, owner, phase, rules))


def _action(f: Facts, owner: Owner, phase: Phase, rules: Rules) -> Action:
    row = TABLE[phase]
    if f.verdict is not Verdict.NONE:
        return A.FAIL
    if owner is Owner.OTHER:
        return A.REFUSE if f.wanted else A.LEAVE
    if not f.wanted:
        return _of_unwanted(f, owner, phase, rules)
    if row.wanted is A.KEEP or (phase is Phase.BROKEN and owner is Owner.NOBODY):
        return _of_node(f, owner)
    if row.wanted is A.STOP and not rules.stop_running:
        return A.REFUSE
    return A.FAIL if row.wanted is A.ATTACH and f.tries >= TRIES else row.wanted


def _of_node(f: Facts, owner: Owner) -> Action:
    """A wanted node: its tags first, then its queue. What ECS does not know, or was not asked about, has no tags."""
    if owner is Owner.NOBODY:
        return A.REFUSE if f.ecs is EcsIs.NOT_FOUND else A.ADOPT
    unread = f.ecs in {EcsIs.NOT_FOUND, EcsIs.UNREAD}
    if (f.tag is not Tag.MINE or f.former_name) and not unread:
        return A.RENEW
    return A.MOVE if f.misplaced else A.KEEP


def _of_unwanted(f: Facts, owner: Owner, phase: Phase, rules: Rules) -> Action:
    row, action = TABLE[phase], TABLE[phase].unwanted
    gone = action is A.UNTAG or phase is Phase.ABSENCE_UNCONFIRMED
    if owner is Owner.NOBODY and not (gone and f.tag is Tag.MINE):
        return A.LEAVE
    if rules.destroy and action is A.LEAVE and row.kept is K.ATTACHING:
        return A.FAIL  # no state would remember that it may have been sent
    hangs = row.kept is K.ATTACHING and f.node is not NodeIs.ABSENT and f.steady
    if f.retained and (action is A.DETACH or hangs):
        return A.UNTAG if f.tag is Tag.MINE else A.LEAVE
    if f.claimed and f.detached not in {Call.ANSWERED, Call.OVER}:
        coming = {A.WAIT: A.REFUSE} if row.kept is K.ATTACHING and not f.retained else {}
        action = {A.UNTAG: A.LEAVE, A.DETACH: A.REFUSE, **coming}.get(action, action)
    if action is A.DETACH and f.tries >= TRIES:
        return A.FAIL
    if action is A.DETACH and f.busy:
        return BUSY[rules.busy_nodes]
    if action is A.UNTAG and f.tag is not Tag.MINE:
        return A.LEAVE
    return action


# -- conclusions -------------------------------------------------------------------------------------------------


class Conclusion(Word):
    """Why nothing more is done about an instance in this run: its code in `failed`. FAILED has the code of its task or call."""

    NODE_DISAPPEARED = "NodeDisappeared"
    NODE_APPEARED = "NodeAppeared"
    CHANGED_BY_OTHER = "ChangedByOther"
    NOT_COMPUTE = "NotCompute"
    UNREADABLE = "Unreadable"
    LISTED_ELSEWHERE = "ListedElsewhere"
    BUSY = "Busy"
    STUCK = "Stuck"
    FAILED = ""


def conclusion(decision: Decision) -> Conclusion | None:
    """What a refusal or a failure is by; None: there is none, or it was drawn before.

    What the first plan does not attach may be attached to nothing later; what it attaches, only this run may change; and
    what it had for no node is not detached.
    """
    f, phase = decision.facts, decision.phase
    if f.verdict is not Verdict.NONE:
        return None
    if f.wanted and f.planned is False and phase in FREE:
        return Conclusion.NODE_DISAPPEARED
    if f.planned is False and decision.action is A.DETACH:
        return Conclusion.NODE_APPEARED
    if f.wanted and f.planned and _has_changed(decision):
        return Conclusion.CHANGED_BY_OTHER
    if decision.action is A.FAIL:
        return Conclusion.STUCK if phase is Phase.STUCK else Conclusion.FAILED
    return _why_refused(decision) if decision.action is A.REFUSE else None


def _why_refused(decision: Decision) -> Conclusion:
    if decision.phase is Phase.NOT_COMPUTE:
        return Conclusion.NOT_COMPUTE
    if decision.phase is Phase.UNREADABLE:
        return Conclusion.UNREADABLE
    if decision.wanted:  # by the first plan it was not
        return Conclusion.CHANGED_BY_OTHER
    return Conclusion.LISTED_ELSEWHERE if decision.facts.claimed else Conclusion.BUSY


def _has_changed(decision: Decision) -> bool:
    """Whether a planned instance is not as it was, and not by what this or an earlier run may have sent."""
    f, free = decision.facts, decision.phase in FREE
    if f.sent is not Call.NONE:
        return False
    if f.pending:  # by an earlier run's call, all but another image since this run tagged it
        return f.generation is Generation.THIS_RUN and f.image_changed and free
    ours = f.is_saved or (f.tag is Tag.MINE and is_tagged_as_node(f))
    new_node = f.node not in {NodeIs.ABSENT, NodeIs.RELEASING} and not ours
    new_task = f.task is TaskIs.RUNNING and not (ours and f.generation is not Generation.THIS_RUN)
    return new_node or new_task or (free and (f.woke or f.image_changed))


def _is_anothers(f: Facts) -> bool:
    """Whether somebody else attached, started or changed what this run has prepared, and not sent or in vain."""
    prepared = f.generation is Generation.THIS_RUN and f.sent is Call.NONE
    attached = f.node is not NodeIs.ABSENT or f.task is TaskIs.RUNNING or f.in_other_cluster
    if f.verdict is Verdict.CHANGED_BY_OTHER:
        return prepared and (attached or f.woke or f.image_changed)
    return prepared and attached and not f.is_saved


# -- what comes next ---------------------------------------------------------------------------------------------


class Step(Word):
    """One step of a run, in this order; the first that has instances is the next."""

    DISOWN = "write tags that name nobody on what somebody else has attached"
    ADOPT = "adopt, renew the tags"
    TAG_LEAVING = "write on the tags of what is to be detached that it leaves"
    CLEAR = "detach what has the host name of an instance to attach"
    AWAIT_CLEARED = "wait for these (busy ones too), for wanted nodes that are being detached, for results that are unknown"
    STOP = "stop"
    AWAIT_STOPPED = "wait until they are Stopped, until tags are read, and until absences count"
    PREPARE = "prepare (tags)"
    ATTACH = "attach"
    AWAIT_ATTACHED = "wait until they are nodes"
    MOVE = "move to the queue"
    DETACH = "detach"
    AWAIT_DETACHED = "wait until they are gone (what a list lacks, too), and until busy ones run no jobs: then detach these"


#: Steps that write nothing.
WAITS = frozenset(
    {Step.AWAIT_CLEARED, Step.AWAIT_STOPPED, Step.AWAIT_ATTACHED, Step.AWAIT_DETACHED}
)


@dataclass(frozen=True, slots=True)
class Next:
    """The next step, and the instances that it is for."""

    step: Step
    ids: tuple[str, ...]


@dataclass
class Plan:
    """All decisions of a moment, by instance id, and what they need together.

    Attributes:
        hosts: host names by instance id, lower case.
        failed: a wanted instance failed earlier in this run.
    """

    decisions: Mapping[str, Decision]
    hosts: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False

    @property
    def in_the_way(self) -> list[str]:
        """Nodes that are not wanted and have the host name of an instance to attach."""
        new = {i for i, d in self.decisions.items() if d.to_attach}
        names = {self.hosts.get(i, "") for i in new} - {""}
        unwanted = [i for i, d in self.decisions.items() if not d.wanted and d.phase in DETACHABLE]
        return sorted(i for i in unwanted if self.hosts.get(i, "") in names)

    @property
    def has_failed(self) -> bool:
        """Whether a wanted instance has failed: what is left in the cluster stays as it is then.

        A node that was broken before this run is none of these.
        """
        return self.failed or any(
            d.wanted and d.action is A.FAIL and not _was_broken(d.facts)
            for d in self.decisions.values()
        )


def _was_broken(f: Facts) -> bool:
    """Of a node that failed: whether nobody in this run attached it."""
    there = f.node is not NodeIs.ABSENT
    return there and f.sent is Call.NONE and f.verdict is not Verdict.CHANGED_BY_OTHER


def next_step(plan: Plan) -> Next | None:
    """The first step that has something to do; None: all is done. The tags of what is free are removed after that."""
    return next((Next(step, ids) for step, ids in _steps(plan) if ids), None)


def _steps(plan: Plan) -> Iterable[tuple[Step, tuple[str, ...]]]:
    decisions = plan.decisions

    def where(
        *actions: Action, phases: Iterable[Phase] = Phase, ids: Iterable[str] = decisions
    ) -> tuple[str, ...]:
        return tuple(
            sorted(
                i for i in ids if decisions[i].action in actions and decisions[i].phase in {*phases}
            )
        )

    going = where(A.DETACH)
    failed = where(A.FAIL)
    yield Step.DISOWN, tuple(i for i in failed if last_tags(decisions[i]) is LastTags.DISOWN)
    yield Step.ADOPT, where(A.ADOPT, A.RENEW)
    yield (
        Step.TAG_LEAVING,
        tuple(
            i
            for i in going
            if decisions[i].facts.pending and decisions[i].facts.ecs is not EcsIs.NOT_FOUND
        ),
    )
    if any(d.to_attach for d in decisions.values()):
        clearing = plan.in_the_way
        yield Step.CLEAR, where(A.DETACH, ids=clearing)
        wanted = [i for i, d in decisions.items() if d.wanted]
        yield (
            Step.AWAIT_CLEARED,
            tuple(
                sorted(
                    {
                        *where(A.WAIT, phases=DETACHABLE, ids=[*clearing, *wanted]),
                        *where(A.WAIT, phases=(Phase.RESULT_UNKNOWN,)),
                    }
                )
            ),
        )
        yield Step.STOP, where(A.STOP)
        arriving = (Phase.STOPPING, Phase.TAGGED, Phase.ABSENCE_UNCONFIRMED)
        yield Step.AWAIT_STOPPED, where(A.WAIT, phases=arriving)
        yield Step.PREPARE, where(A.PREPARE)
        yield Step.ATTACH, where(A.ATTACH)
    yield Step.AWAIT_ATTACHED, where(A.WAIT, phases=(Phase.ATTACHING, Phase.RESULT_UNKNOWN))
    if plan.has_failed:
        return
    yield Step.MOVE, where(A.MOVE)
    yield Step.DETACH, going
    yield Step.AWAIT_DETACHED, where(A.WAIT, phases=(*DETACHABLE, Phase.ABSENCE_UNCONFIRMED))


def kept_as(decision: Decision) -> Kept:
    """What the state keeps of the instance: nothing of what is not this resource's; else by the last column of the table.

    A retained one is this resource's until its tags are removed.
    """
    f = decision.facts
    theirs = f.verdict is Verdict.CHANGED_BY_OTHER or _is_anothers(f)
    if decision.owner is not Owner.MINE or theirs:
        return Kept.NOTHING
    if f.retained and f.tag is not Tag.MINE:
        return Kept.NOTHING
    kept, no_node = TABLE[decision.phase].kept, f.node is NodeIs.ABSENT
    unsent = f.sent is Call.NONE or f.verdict is not Verdict.NONE
    nothing = (
        (decision.phase is Phase.FAILED and no_node)
        or (decision.phase is Phase.PREPARED and unsent)
        or (kept is Kept.AS_IT_WAS and not f.is_saved)
    )
    return Kept.NOTHING if nothing else kept


def is_resolved(decision: Decision) -> bool:
    """Whether nothing is unknown any more of an earlier run of this resource: the instance was not sent by one, is a
    node, in the state as attaching, or positively nothing.

    One that is being attached, and was not in the state before, may have mates that the list of tags lacks.
    """
    f, phase = decision.facts, decision.phase
    if not f.pending or f.tag in {Tag.SAME_NAME, Tag.OTHER, Tag.UNKNOWN}:
        return True
    if phase in {Phase.UNREADABLE, Phase.ABSENCE_UNCONFIRMED, Phase.OTHER_CLUSTER}:
        return False
    in_state = f.is_saved and kept_as(decision) is Kept.ATTACHING
    open_ = {Phase.ATTACHING, Phase.RESULT_UNKNOWN, Phase.STUCK, Phase.PREPARED}
    return phase not in open_ or in_state


# -- the end of a run --------------------------------------------------------------------------------------------


class LastTags(Word):
    """Whether the owner tags of an instance are removed when the run ends."""

    STAY = "they stay"
    REMOVE = "they are removed"
    DISOWN = "at once, they name nobody: somebody else attached it, whose tags may be overwritten"
    UNREAD = "this run has written them, and they are not read yet"
    LEAVING = "not known while a list shows the node that is being detached"


def last_tags(decision: Decision) -> LastTags:
    """Whether the owner tags of an instance are removed that the state does not keep, or that leaves the resource."""
    f, phase = decision.facts, decision.phase
    in_vain = phase is Phase.FAILED and decision.owner is Owner.NOBODY  # a killed create's
    if f.tag is not Tag.MINE and not (in_vain and f.tag is not Tag.NONE):
        return LastTags.UNREAD if f.tagged else LastTags.STAY
    if f.ecs is EcsIs.NOT_FOUND or decision.action is A.LEAVE:
        return LastTags.STAY
    if _is_anothers(f):
        return LastTags.DISOWN
    if f.verdict is Verdict.CHANGED_BY_OTHER:
        return LastTags.STAY if f.generation is Generation.PENDING else LastTags.REMOVE
    if decision.action is A.UNTAG:
        return LastTags.REMOVE
    if phase is Phase.DETACHING:
        return LastTags.LEAVING
    free = phase in FREE | {Phase.FAILED} and kept_as(decision) is Kept.NOTHING
    return LastTags.REMOVE if free else LastTags.STAY
