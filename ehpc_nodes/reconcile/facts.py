"""What is known of one instance: the one record from which everything about it is decided."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from ehpc_nodes.api.responses import NODE_INITIAL
from ehpc_nodes.models import ATTACHING, STUCK


def is_being_attached(status: object, confirmed_at: object) -> bool:
    """Whether a node of the state is still being attached, or may be: by its status, unless it was confirmed before."""
    word = str(status).lower()
    return word in {ATTACHING, STUCK} or (word in NODE_INITIAL and not confirmed_at)


class Word(Enum):
    """One of a few meanings. Sets ask for its hash often: it is that of the one object that it is."""

    __hash__ = object.__hash__


class Tag(Word):
    """Whom the owner tags name."""

    NONE = "no owner reference, and no other name"
    MINE = "this resource's uid"
    SAME_NAME = "another uid, and no other name"
    OTHER = "another resource"
    UNKNOWN = "nobody: a run of some resource prepared it, and somebody else attached it"


class Generation(Word):
    """By which run the owner reference was written."""

    NONE = "no reference"
    ADOPTED = "0: adopted, never sent"
    LEAVING = "written before the detach of what a run may have sent"
    RESOLVED = "a run whose outcome the state knows"
    PENDING = "a run whose outcome the state does not know"
    THIS_RUN = "this run, and read after it was written"


class NodeIs(Word):
    """The cluster's status of the node, by what it means."""

    ABSENT = "no node"
    READY = "running or stopped"
    INITIAL = "uninit, initing"
    EXCEPTION = "exception"
    RELEASING = "releasing"
    OTHER = "any other status"


class TaskIs(Word):
    """The task that names the instance and may attach it."""

    NONE = "none"
    RUNNING = "running"
    OVER = "ended in this run"


class EcsIs(Word):
    """ECS's status of the instance."""

    UNREAD = "not read"
    NOT_FOUND = "no such instance, twice"
    STARTING = "Pending, Starting"
    RUNNING = "Running, or any other status"
    STOPPING = (
        "Stopping; or still Running less than the grace after this run's StopInstances was answered"
    )
    STOPPED = "Stopped"


class Call(Word):
    """The latest AddExistedNodes (or DeleteNodes) of this run about the instance."""

    NONE = "none"
    ANSWERED = "answered; its task is not known to have ended"
    OVER = "answered, and its task has ended (of DeleteNodes: a grace period ago)"
    UNANSWERED = "without an answer"
    EXPIRED = "of DeleteNodes: without an answer, a grace period ago"


class Saved(Word):
    """The instance in the state."""

    NO = "not in the state"
    ATTACHING = "attaching"
    NODE = "a node (or this run has adopted it)"


class Verdict(Word):
    """What this run has concluded."""

    NONE = "none"
    FAILED = "failed"
    CHANGED_BY_OTHER = "attached, started or tagged by somebody else meanwhile"


# of all immutable kinds, a named tuple is made, hashed and compared fastest
class Facts(NamedTuple):
    """One instance as it is known now. *For long* is for the grace period, for which a list may be out of date.

    Attributes:
        wanted: the program lists it.
        retained: the program lets it leave and stay attached (`retain_ids`).
        take_ownership: the program takes what another resource's tag is on.
        claimed: another resource of this run lists it.
        planned: the first plan of this run attaches it, or if it is not wanted, may detach it; None before there is one.
        tag, generation: by its owner tags.
        former_name: its name tag names this resource, not under its present name.
        for_other_cluster: its reference names another cluster.
        node, is_compute, busy, misplaced: of the node; misplaced: known to be in another queue than the wanted one.
        steady: for long, the node has had this status (or been absent); of a task that has ended, since its end.
        joining: this run attached it, it runs, and the scheduler does not use it yet; not for longer than ehpc:schedulerSeconds.
        confirmed: the state has the node as attached, and no run has sent it since.
        seen_node: it was a node in this run.
        absence_counts: whole lists have lacked the node for long, or for a report long enough.
        task: the task that names it.
        unnamed_task: a task runs that names nobody, may attach, and is not known to be another call's.
        in_other_cluster: a node of another cluster, or being attached to it.
        ecs: the instance's status.
        image_changed: another image than when this run first read it.
        image_replaced: another image than before the attach, by its reference (or the state).
        known_stuck: by the state, a run has waited for it in vain.
        tagged: this run's TagResources about it was answered less than the grace ago.
        woke: it was Stopped in this run, and is not any more.
        awake_for_minutes: it has been running for ten minutes, without a node or a task.
        quiet: for long, whole reads have shown no evidence of an attach.
        quiet_for_minutes: the same, for ten minutes.
        sent, detached: this run's latest calls about it.
        mate_shows: an instance of the same unanswered call shows that it was accepted.
        verdict: what this run has concluded about it.
        tries: how often this run's AddExistedNodes (of a node: DeleteNodes) was tried in vain.
        unreadable: what decides may not be read.
    """

    wanted: bool = True
    retained: bool = False
    take_ownership: bool = False
    claimed: bool = False
    planned: bool | None = None
    tag: Tag = Tag.NONE
    generation: Generation = Generation.NONE
    former_name: bool = False
    for_other_cluster: bool = False
    saved: Saved = Saved.NO
    confirmed: bool = False
    node: NodeIs = NodeIs.ABSENT
    is_compute: bool = True
    busy: bool = False
    joining: bool = False
    misplaced: bool = False
    steady: bool = False
    seen_node: bool = False
    absence_counts: bool = False
    task: TaskIs = TaskIs.NONE
    unnamed_task: bool = False
    in_other_cluster: bool = False
    ecs: EcsIs = EcsIs.UNREAD
    image_changed: bool = False
    image_replaced: bool = False
    known_stuck: bool = False
    tagged: bool = False
    woke: bool = False
    awake_for_minutes: bool = False
    quiet: bool = False
    quiet_for_minutes: bool = False
    sent: Call = Call.NONE
    detached: Call = Call.NONE
    mate_shows: bool = False
    verdict: Verdict = Verdict.NONE
    tries: int = 0
    unreadable: bool = False

    @property
    def awake(self) -> bool:
        """Whether it is neither Stopped nor Stopping, by ECS."""
        return self.ecs in {EcsIs.STARTING, EcsIs.RUNNING}

    @property
    def is_saved(self) -> bool:
        """Whether the state has it."""
        return self.saved is not Saved.NO

    @property
    def pending(self) -> bool:
        """Whether an earlier run may have sent it, as far as the state knows: also after this run has tagged it again."""
        if self.generation is Generation.PENDING:
            return True
        if self.saved is not Saved.ATTACHING or self.generation is Generation.LEAVING:
            return False
        # its failure asks a person to remove the tags
        return not (self.known_stuck and self.tag is Tag.NONE)
