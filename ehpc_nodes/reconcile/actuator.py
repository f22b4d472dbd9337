"""The writes, each for the instances of one step. The result of a call is noted in the ledger.

What comes next is not decided here: the reconciler reads and decides right before, and again after each failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ehpc_nodes.api import responses
from ehpc_nodes.api.paging import BATCH, TAG_BATCH, chunks
from ehpc_nodes.clock import Deadline
from ehpc_nodes.errors import (
    NOTHING_SENT,
    ApiError,
    AuthError,
    BackendError,
    ClusterNotFoundError,
    ConflictError,
    EhpcError,
    LastingError,
    NotSentError,
    ThrottledError,
    TransportError,
    WaitTimeoutError,
    counted,
    listed,
)
from ehpc_nodes.models import Inputs

from .ledger import Write
from .observer import Observer
from .owner_tags import LEAVING, NAME_KEY, REFERENCE_KEY, UNKNOWN, Reference, reference_of
from .plan import TRIES, Step
from .ports import Cloud, Reporter

#: A write that ended with one of these had no effect.
HARMLESS = (ThrottledError, ConflictError, NotSentError)

#: E-HPC's code for a node that is none: it may be detached already.
NO_SUCH_NODE = "ComputeNotFound"


def may_have_acted(error: EhpcError) -> bool:
    """Whether a write that ended with this error may have had an effect."""
    sent = not isinstance(error, NotSentError)
    return isinstance(error, (TransportError, BackendError)) and sent


class TroubleError(Exception):
    """A write failed in a way that may pass: read again, then try again.

    Attributes:
        error: what happened.
    """

    def __init__(self, error: EhpcError) -> None:
        self.error = error
        super().__init__(str(error))


@dataclass
class Actuator:
    """The calls that change something.

    Attributes:
        generation: of this run: above every one that was read.
        tags_done: instances whose tags were removed, or disowned, at the end.
    """

    observer: Observer
    deadline: Deadline
    reporter: Reporter
    inputs: Inputs
    generation: int = 1
    tags_done: set[str] = field(default_factory=set)

    @property
    def cloud(self) -> Cloud:
        return self.observer.cloud

    def do(self, step: Step, ids: Sequence[str]) -> None:
        """Take one step for these instances, in batches, as long as the reads that allow it are fresh.

        Raises:
            TroubleError: read, and try again.
            EhpcError: nothing more is done.
        """
        write = {
            Step.DISOWN: self.disown,
            Step.ADOPT: self._adopt,
            Step.TAG_LEAVING: self._tag_leaving,
            Step.CLEAR: self._detach,
            Step.STOP: self._stop,
            Step.PREPARE: self._prepare,
            Step.ATTACH: self._attach,
            Step.MOVE: self._move,
            Step.DETACH: self._detach,
        }[step]
        write(ids)

    def _batches(
        self,
        action: str,
        ids: Sequence[str],
        size: int,
        call: Callable[[list[str]], None],
        *,
        resolved: bool = False,
        elsewhere: bool = False,
    ) -> None:
        """Call for each batch while the reads are fresh; the rest comes again.

        Args:
            elsewhere: those of the other clusters, too.
            resolved: the next reads show whether a call without an answer was accepted; else the third one raises.
        """
        ledger = self.observer.ledger
        for batch in chunks(ids, size):
            if not self.observer.is_fresh(batch, elsewhere=elsewhere):
                return
            if self.deadline.passed:
                text = f"{action} not sent yet for {listed(batch, 3)}"
                raise WaitTimeoutError(text, self.deadline.elapsed, NOTHING_SENT)
            try:
                call(batch)
            except EhpcError as error:
                self.observer.written(batch)
                self.observer.forget_readings()
                if isinstance(error, HARMLESS) and not isinstance(error, LastingError):
                    raise TroubleError(error) from error
                if not may_have_acted(error):
                    raise
                ledger.note_error(action, batch, error)
                if not resolved and any(len(ledger.errors(action, i)) >= TRIES for i in batch):
                    raise
                raise TroubleError(error) from error

    # -- owner tags ------------------------------------------------------------------------------------------------

    def _tag(
        self, ids: Sequence[str], value: Callable[[str], str], *, name: str = "", known: bool = True
    ) -> None:
        """Write both owner tags.

        Args:
            value: the reference of each instance.
            name: other than this resource's.
            known: an answered call counts as read; else the tags have to be read.
        """
        name = name or self.observer.identity.name
        groups: dict[str, list[str]] = {}
        for instance_id in ids:
            groups.setdefault(value(instance_id), []).append(instance_id)
        for text, same in sorted(groups.items()):
            tags = {NAME_KEY: name, REFERENCE_KEY: text}
            self._batches(
                "TagResources", same, TAG_BATCH, partial(self._tag_batch, tags, known=known)
            )

    def _tag_batch(self, tags: Mapping[str, str], batch: list[str], *, known: bool) -> None:
        tagged = self.observer.ledger.tagged
        tagged |= {i: tagged.get(i, -math.inf) for i in batch}
        self.cloud.tag_instances(batch, tags)
        tagged |= dict.fromkeys(batch, self.deadline.clock.now())
        self.observer.written(batch, tags if known else None)

    def _adopt(self, ids: Sequence[str]) -> None:
        self.reporter.status(f"tagging {counted(len(ids), 'node')}")
        uid = self.observer.identity.uid
        self._tag(ids, self._adopted_reference)
        self.observer.ledger.adopted.update(
            i for i in ids if (r := self._reference(i)) and r.uid == uid
        )

    def _reference(self, instance_id: str) -> Reference | None:
        instance = self.observer.instances.get(instance_id)
        return reference_of(instance) if instance else None

    def _adopted_reference(self, instance_id: str) -> str:
        """Generation 0, or this resource's own reference as it is (under a former name)."""
        identity, reference = self.observer.identity, self._reference(instance_id)
        if reference and reference.uid == identity.uid:
            return str(reference)
        return str(Reference(identity.uid, identity.cluster_id))

    def _tag_leaving(self, ids: Sequence[str]) -> None:
        """Write `leaving` into the reference of nodes that are to be detached. A run that is killed after the detach
        would leave a reference by which the instance, which runs and is no node, counts as sent.
        """
        identity = self.observer.identity
        saved = self.observer.saved
        known = max(1, saved.generation if saved else 0)
        reference = Reference(identity.uid, identity.cluster_id, known, LEAVING)
        self._tag(ids, lambda _: str(reference))

    def _prepare(self, ids: Sequence[str]) -> None:
        """Tag what is about to be sent. It is Stopped: an instance with this reference that runs was sent."""
        identity, instances = self.observer.identity, self.observer.instances

        def reference(instance_id: str) -> str:
            image = instances[instance_id].image_id if instance_id in instances else ""
            return str(
                Reference(identity.uid, identity.cluster_id, self.generation, identity.run, image)
            )

        self._tag(ids, reference, known=False)

    def disown(self, ids: Sequence[str]) -> None:
        """Write `unknown` as name and uid: somebody else attached these, whose tags this run may have overwritten.

        Raises:
            TroubleError, EhpcError: the tags stay as they are.
        """
        identity = self.observer.identity
        reference = Reference(UNKNOWN, identity.cluster_id, self.generation, identity.run)
        self._tag(ids, lambda _: str(reference), name=UNKNOWN)
        written = ((i, self._reference(i)) for i in ids)
        self.tags_done.update(i for i, read in written if read and read.uid == UNKNOWN)

    def untag(self, ids: Sequence[str]) -> None:
        """Remove both owner tags, which were read right before.

        Raises:
            TroubleError, EhpcError: they stay.
        """

        def untag(batch: list[str]) -> None:
            self.cloud.untag_instances(batch, NAME_KEY, REFERENCE_KEY)
            self.tags_done.update(batch)
            self.observer.written(batch, {NAME_KEY: "", REFERENCE_KEY: ""})

        self._batches("UntagResources", ids, TAG_BATCH, untag)

    # -- instances and nodes ---------------------------------------------------------------------------------------

    def _stop(self, ids: Sequence[str]) -> None:
        self.reporter.status(f"stopping {counted(len(ids), 'instance')}")
        self._batches("StopInstances", ids, BATCH, self._stop_batch)

    def _stop_batch(self, batch: list[str]) -> None:
        ledger = self.observer.ledger
        answer = self.cloud.stop_instances(batch)
        refused = [part for part in answer.instances if not part.accepted]
        done = [i for i in batch if i not in {part.instance_id for part in refused}]
        if done:
            self._note("StopInstances", done, responses.Accepted(request_id=answer.request_id))
        self.observer.written(batch)
        again: EhpcError | None = None
        for part in refused:
            error = ApiError(
                "StopInstances",
                part.code,
                f"{part.instance_id}: {part.message}",
                http_status=200,
                request_id=answer.request_id,
            )
            ledger.note_error("StopInstances", [part.instance_id], error)
            if len(ledger.errors("StopInstances", part.instance_id)) < TRIES:
                again = error
            else:
                ledger.fail_by([part.instance_id], error)
        if again:
            raise TroubleError(again)

    def _attach(self, ids: Sequence[str]) -> None:
        self.reporter.status(f"attaching {counted(len(ids), 'instance')}")
        self._batches(
            "AddExistedNodes", ids, BATCH, self._attach_batch, resolved=True, elsewhere=True
        )

    def _attach_batch(self, batch: list[str]) -> None:
        inputs, ledger = self.inputs, self.observer.ledger
        before = frozenset(task.task_id for task in self.observer.tasks)
        try:
            accepted = self.cloud.add_existed_nodes(
                inputs.cluster_id,
                batch,
                image=(inputs.image_id, inputs.image_owner_alias),
                queue=inputs.job_queue,
            )
        except EhpcError as error:
            if may_have_acted(error):
                self._unanswered("AddExistedNodes", batch, error, before)
            elif _is_rejection(error) and not any(map(self._had_no_answer, batch)):
                ledger.fail_by(batch, error)
                return
            raise
        self._note("AddExistedNodes", batch, accepted, before=before)

    def _had_no_answer(self, instance_id: str) -> bool:
        """Whether an earlier call of this run got no answer: the refusal of a later one shows nothing about it."""
        earlier = self.observer.ledger.latest("AddExistedNodes", instance_id)
        return earlier is not None and not earlier.answered

    def _detach(self, ids: Sequence[str]) -> None:
        self.reporter.status(f"detaching {counted(len(ids), 'node')}")
        self._batches("DeleteNodes", ids, BATCH, self._detach_batch, resolved=True)

    def _detach_batch(self, batch: list[str]) -> None:
        self.observer.others.detaching(batch)
        try:
            accepted = self.cloud.delete_nodes(self.inputs.cluster_id, batch)
        except EhpcError as error:
            if may_have_acted(error):
                self._unanswered("DeleteNodes", batch, error)
            elif _is_rejection(error):
                self._refused_detach(batch, error)
                return
            raise
        self._note("DeleteNodes", batch, accepted)

    def _refused_detach(self, batch: list[str], error: EhpcError) -> None:
        """One instance that went meanwhile lets the whole call be refused: the others are sent again. If the list still
        shows all of them, it may be late: they are read again until the grace is over.
        """
        observer = self.observer
        observer.read_nodes()
        in_list = observer.nodes.keys() >= {*batch}
        if in_list and not (isinstance(error, ApiError) and error.code == NO_SUCH_NODE):
            observer.ledger.fail_by(batch, error)
            return
        observer.ledger.note_error("DeleteNodes", batch, error)
        observer.forget_readings()
        if in_list:
            now = self.deadline.clock.now()
            observer.ledger.note(Write("DeleteNodes", tuple(batch), now, answered=False))
            return
        raise TroubleError(error) from error

    def _move(self, ids: Sequence[str]) -> None:
        queue = self.inputs.job_queue
        self.reporter.status(f"moving {counted(len(ids), 'node')} to queue {queue}")
        hosts = {i: self.observer.nodes[i].host_name for i in ids if i in self.observer.nodes}

        def move(batch: list[str]) -> None:
            names = [hosts[i] for i in batch if i in hosts]
            self._note(
                "SetQueue", batch, self.cloud.set_queue(self.inputs.cluster_id, queue, names)
            )

        self._batches("SetQueue", ids, BATCH, move)

    # -- notes -----------------------------------------------------------------------------------------------------

    def _note(
        self,
        action: str,
        batch: Collection[str],
        accepted: responses.Accepted,
        *,
        before: frozenset[str] = frozenset(),
    ) -> None:
        now = self.deadline.clock.now()
        self.observer.ledger.note(
            Write(action, tuple(batch), now, accepted.task_id, accepted.request_id, before=before)
        )
        self.observer.written(batch)

    def _unanswered(
        self,
        action: str,
        batch: Collection[str],
        error: EhpcError,
        before: frozenset[str] = frozenset(),
    ) -> None:
        self.reporter.warning(
            f"{error} Checking whether it was accepted; the call is repeated only if not."
        )
        now = self.deadline.clock.now()
        self.observer.ledger.note(Write(action, tuple(batch), now, answered=False, before=before))


def _is_rejection(error: EhpcError) -> bool:
    """Whether the service refused the call because of these instances: nothing was done, and others continue."""
    lasting = (AuthError, ClusterNotFoundError, *HARMLESS)
    return isinstance(error, ApiError) and not isinstance(error, (*lasting, BackendError))
