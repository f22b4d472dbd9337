"""The first table: whose an instance is, and in which phase. Pure: no I/O, no clock, no numbers.

`OWNERS` and `PHASES` are read from the top; the first row that holds decides.
"""

from __future__ import annotations

from collections.abc import Callable

from .facts import Call, EcsIs, Facts, Generation, NodeIs, Tag, TaskIs, Word


class Owner(Word):
    """Whose an instance is."""

    MINE = "this resource's"
    NOBODY = "nobody's that this resource knows of"
    OTHER = "another resource's"


class Phase(Word):
    """What an instance is to the cluster, from this resource's point of view."""

    FAILED = "its task has ended, and it is not what it was to be"
    NOT_COMPUTE = "a manager or login node"
    UNREADABLE = "what decides may not be read"
    DETACHING = "being detached"
    ATTACHED = "a node"
    BROKEN = "a node that failed"
    OTHER_CLUSTER = "a node of another cluster, or being attached there"
    STUCK = "may have been sent; only runs, for ten minutes"
    ATTACHING = "being attached"
    RESULT_UNKNOWN = "may have been sent; nothing shows it yet"
    ABSENCE_UNCONFIRMED = "was a node; a list that may be out of date lacks it"
    NOT_FOUND = "no such instance"
    STARTING = "starting"
    RUNNING = "running, attached to nothing"
    STOPPING = "stopping"
    PREPARED = "Stopped, and tagged by this run"
    TAGGED = "the same; the tags are not read yet"
    STOPPED = "Stopped, attached to nothing"


OwnerRow = tuple[Owner, str, Callable[[Facts], bool]]
PhaseRow = tuple[Phase, str, Callable[[Facts], bool]]

OWNERS: tuple[OwnerRow, ...] = (
    (
        Owner.MINE,
        "the uid is mine, and a run of mine sent it (its generation is not 0)",
        lambda f: f.tag is Tag.MINE and f.generation is not Generation.ADOPTED,
    ),
    (
        Owner.MINE,
        "the state holds it, and its tags name this resource, nobody, or are missing",
        lambda f: f.is_saved and f.tag in {Tag.MINE, Tag.NONE, Tag.UNKNOWN},
    ),
    (
        Owner.OTHER,
        "they name another resource, or nobody: somebody else attached it; and the program does not take ownership of it",
        lambda f: f.tag in {Tag.OTHER, Tag.UNKNOWN} and not (f.wanted and f.take_ownership),
    ),
    (
        Owner.NOBODY,
        "anything else: no tags, or this name with another uid (a killed create's, a lost state's, another backend's)",
        lambda _: True,
    ),
)


def _shows(f: Facts) -> bool:
    """Whether there is evidence that a call for this instance was accepted, besides a node or a task: it runs.

    An instance is tagged and sent while it is Stopped. Another image is evidence of this run's own call only: an
    earlier run's attach may have failed after it.
    """
    return f.awake or (f.sent is not Call.NONE and f.image_changed)


def _task_is_over(f: Facts) -> bool:
    return f.task is TaskIs.OVER or f.sent is Call.OVER


def _is_gone_for_good(f: Facts) -> bool:
    """Whether its attach has failed: the task has ended, and lists have lacked the node for long since."""
    absent = f.node is NodeIs.ABSENT and f.absence_counts and f.steady
    return absent and _task_is_over(f)


def _may_have_been_sent(f: Facts) -> bool:
    return (f.sent is Call.UNANSWERED or f.pending) and not _is_gone_for_good(f)


def _only_runs(f: Facts) -> bool:
    """Pending, and the only evidence is that it runs."""
    unsent = f.sent is Call.NONE and f.pending
    return unsent and f.node is NodeIs.ABSENT and f.task is TaskIs.NONE and f.awake


def _is_final(f: Facts) -> bool:
    """Whether a node's status is its last: its task has ended, it has lasted, or nothing is known to be under way."""
    unsent = f.task is TaskIs.NONE and f.sent is Call.NONE
    return _task_is_over(f) or f.steady or unsent


def is_tagged_as_node(f: Facts) -> bool:
    """Whether its tags are those of a node, whoever's: a run whose outcome is known wrote them."""
    return f.generation in {Generation.ADOPTED, Generation.LEAVING, Generation.RESOLVED}


def _was_a_node(f: Facts) -> bool:
    return f.is_saved or f.seen_node or ((f.wanted or f.tag is Tag.MINE) and is_tagged_as_node(f))


def _result_is_unknown(f: Facts) -> bool:
    if not _may_have_been_sent(f):
        return False
    replaced = f.image_replaced and not f.quiet_for_minutes
    return not f.quiet or f.unnamed_task or replaced or f.ecs is EcsIs.STOPPING


PHASES: tuple[PhaseRow, ...] = (
    (
        Phase.FAILED,
        "wanted, and no node for the grace period, though the task that attached it has ended",
        lambda f: f.wanted and _is_gone_for_good(f),
    ),
    (
        Phase.FAILED,
        "still a node a grace period after the task that was to detach it",
        lambda f: f.node is not NodeIs.ABSENT and f.detached is Call.OVER,
    ),
    (
        Phase.NOT_COMPUTE,
        "a node with another role than compute",
        lambda f: f.node is not NodeIs.ABSENT and not f.is_compute,
    ),
    (Phase.UNREADABLE, "a permission to read is missing", lambda f: f.unreadable),
    (
        Phase.DETACHING,
        "the node is releasing; or this run's DeleteNodes was answered, or got no answer less than the grace ago",
        lambda f: (
            f.node is NodeIs.RELEASING
            or (f.node is not NodeIs.ABSENT and f.detached in {Call.ANSWERED, Call.UNANSWERED})
        ),
    ),
    (
        Phase.ATTACHING,
        "this run attached it and it runs, but it is not active in the scheduler, for less than ehpc:schedulerSeconds",
        lambda f: f.joining,
    ),
    (
        Phase.ATTACHED,
        "the state has the node as confirmed, and its status is not exception",
        lambda f: f.node not in {NodeIs.ABSENT, NodeIs.EXCEPTION} and f.confirmed,
    ),
    (
        Phase.ATTACHED,
        "the node is running or stopped; its task has ended, or the status has lasted for the grace, or nobody sent it",
        lambda f: f.node is NodeIs.READY and _is_final(f),
    ),
    (
        Phase.BROKEN,
        "the node's status is exception, in the same way; or uninit or initing a grace period after its task's end",
        lambda f: (
            (f.node is NodeIs.EXCEPTION and _is_final(f))
            or (f.node is NodeIs.INITIAL and _task_is_over(f) and f.steady)
        ),
    ),
    (
        Phase.OTHER_CLUSTER,
        "a node of another cluster of the VPC, or being attached to it; or pending for another cluster, not Stopped",
        lambda f: (
            f.node is NodeIs.ABSENT
            and (
                f.in_other_cluster
                or (f.generation is Generation.PENDING and f.for_other_cluster and f.awake)
            )
        ),
    ),
    (
        Phase.STUCK,
        "pending, and the only evidence is that it runs: for ten minutes, or a run has waited for it in vain, by the state",
        lambda f: _only_runs(f) and (f.awake_for_minutes or f.known_stuck) and not f.unnamed_task,
    ),
    (
        Phase.ATTACHING,
        "any other node; a task names it, or did less than the grace ago; this run's call was answered; or a pending call shows evidence",
        lambda f: (
            f.node is not NodeIs.ABSENT
            or f.task is TaskIs.RUNNING
            or (f.task is TaskIs.OVER and f.detached is Call.NONE and not f.steady)
            or f.sent in {Call.ANSWERED, Call.OVER}
            or (_may_have_been_sent(f) and (_shows(f) or f.mate_shows))
        ),
    ),
    (
        Phase.RESULT_UNKNOWN,
        "pending, without evidence; for less than the grace, or an unnamed task runs, or on another image for less than 600 s",
        _result_is_unknown,
    ),
    (
        Phase.ABSENCE_UNCONFIRMED,
        "in the state, a node in this run, or tagged as one (by this resource, or wanted); its absence does not count yet",
        lambda f: not f.absence_counts and _was_a_node(f),
    ),
    (Phase.NOT_FOUND, "ECS does not know it", lambda f: f.ecs is EcsIs.NOT_FOUND),
    (Phase.STARTING, "Pending or Starting", lambda f: f.ecs is EcsIs.STARTING),
    (
        Phase.STOPPING,
        "Stopping; or still Running less than the grace after this run's StopInstances",
        lambda f: f.ecs is EcsIs.STOPPING,
    ),
    (
        Phase.PREPARED,
        "Stopped on the image that it first had, with this run's reference, for this cluster",
        lambda f: (
            f.ecs is EcsIs.STOPPED
            and f.tag is Tag.MINE
            and f.generation is Generation.THIS_RUN
            and not f.for_other_cluster
            and not f.image_changed
        ),
    ),
    (
        Phase.TAGGED,
        "Stopped, and this run's TagResources was answered less than the grace ago",
        lambda f: f.ecs is EcsIs.STOPPED and f.tagged,
    ),
    (Phase.STOPPED, "Stopped", lambda f: f.ecs is EcsIs.STOPPED),
    (Phase.RUNNING, "Running, or any other status", lambda f: f.ecs is EcsIs.RUNNING),
    (Phase.UNREADABLE, "anything else: ECS was not asked", lambda _: True),
)


def owner_of(facts: Facts) -> Owner:
    """Whose the instance is: the first row of `OWNERS` that holds."""
    return next(owner for owner, _, holds in OWNERS if holds(facts))


def phase_of(facts: Facts) -> Phase:
    """The phase that the instance is in: the first row of `PHASES` that holds."""
    return next(phase for phase, _, holds in PHASES if holds(facts))
