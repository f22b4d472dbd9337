"""Attach instances: announce, stop, send once, watch until each is running.

AddExistedNodes has no idempotency token and replaces system disks. So a call whose answer is lost is never
simply sent again: `_resolve` looks at the nodes, at the tasks that weren't there before and at the
instances themselves, and only when all three say «not accepted» for the whole grace period it is sent anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from .api import responses
from .api.paging import BATCH, chunks
from .clock import wait_until
from .errors import (
    NOTHING_SENT,
    ApiError,
    AuthError,
    CancelledError,
    ConflictError,
    EhpcError,
    NotSentError,
    OutcomeUnknownError,
    ThrottledError,
    TransportError,
    WaitTimeoutError,
    counted,
    listed,
)
from .marks import TRIAL_KEY, announce, announced_image
from .models import Inputs
from .operation import TAKEN, UNSEEN, Operation, may_have_acted
from .vacancy import Vacancy
from .watching import Watch

#: How often one batch is sent at most (again only after it is known that it was not accepted).
SENDS = 3
#: Seconds for which an instance whose disk was replaced may stay Stopped before its attaching counts as failed.
REPLACING = 600.0


@dataclass
class Attaching:
    """One attach phase of an operation.

    Attributes:
        instances: what ECS said of the instances before, by id.
        begun: instances that an interrupted run announced, and may have sent.
        looked: when it was seen before this phase that nobody holds the instances.
        elsewhere: instances that an interrupted run announced for another cluster, which is named.
        vacancy: whether they are nobody's still.
    """

    operation: Operation
    inputs: Inputs
    instances: Mapping[str, responses.Instance]
    begun: Collection[str] = frozenset()
    looked: float = math.inf
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    vacancy: Vacancy = field(init=False)

    def __post_init__(self) -> None:
        self.vacancy = Vacancy(self.operation, self.instances, self.begun, self.looked)

    def run(self, ids: Sequence[str], joined: Collection[str], strays: Sequence[str]) -> set[str]:
        """Attach ``ids``, wait for them and for ``joined``; what fails is noted in the operation.

        Args:
            ids: no nodes, and named by no task; each is sent unless an interrupted run has sent it.
            joined: nodes or tasks' instances whose fate isn't known yet.
            strays: not wanted (any more), but perhaps sent by an interrupted run: waited for if so.

        Returns:
            Of the strays, those that were sent.

        Raises:
            WaitTimeoutError, CancelledError, OutcomeUnknownError, AuthError, …: nothing more is done.
        """
        # whoever sent them: no list shows them yet, and nothing else would remember them
        self.operation.sent |= {*joined} - self.operation.nodes.keys()
        self.vacancy.to_be_stopped = frozenset(self._running_of(ids))
        ids = self.vacancy.free(self._not_sent_elsewhere(ids))
        self._try_to_mark([i for i in self._running_of(ids) if i not in self.begun])
        taken = self._taken_up_before([*ids, *strays])
        rest = [i for i in ids if i not in taken]
        rest = self.vacancy.free(rest, marks_anew=bool(self._running_of(rest)))
        self._stop_running(rest)
        self.vacancy.to_be_stopped = frozenset()
        rest = self.vacancy.free(rest, marks_anew=True)
        images = {i: self.instances[i].image_id for i in rest if i in self.instances}
        self.operation.images |= images
        if not announce(self.operation, rest, images, partial(self.vacancy.free, marks_anew=True)):
            # nor could an earlier run: any of them may have been sent
            taken |= self._taken_up_before(rest)
            rest = [i for i in rest if i not in taken]
        self.vacancy.forget()  # two that announce at once see each other only afterwards
        rest = self.vacancy.free(rest)
        for batch in chunks(rest, BATCH):
            self._send(batch)
        self.instances = self.vacancy.instances = {}
        Watch(self.operation, strays).until_settled({*self.operation.sent, *joined})
        return (taken & set(strays)) - self.operation.unsettled

    # -- before the write -----------------------------------------------------------------------

    def _try_to_mark(self, running: Sequence[str]) -> None:
        """Find out whether marks can be set before anything is stopped.

        Where they can't, an earlier run may have sent what it could not announce, and what it sent runs.
        """
        operation = self.operation
        if not operation.mark or not running:
            return
        try:
            operation.cloud.tag_instances(running[:1], {TRIAL_KEY: operation.cluster_id})
        except AuthError as error:
            if not error.forbidden:
                raise
            operation.marks_refused(error)
            return
        with suppress(ApiError, TransportError):  # it is set anew in a moment
            operation.cloud.untag_instances(running[:1], TRIAL_KEY)

    def _not_sent_elsewhere(self, ids: Sequence[str]) -> list[str]:
        """Of these, the ones that are not on their way to another cluster by an interrupted run's call.

        They were Stopped when they were announced, and stay so where the call was not sent.
        """
        operation = self.operation
        doubtful = sorted({*ids} & self.elsewhere.keys())
        if not doubtful:
            return list(ids)
        operation.reporter.status("looking for what an interrupted run may have begun elsewhere")
        sent = self._found(doubtful, lambda _: self._awake(doubtful))
        self.vacancy.forget()
        for instance_id in sent:
            where = self.elsewhere[instance_id]
            operation.fail([instance_id], TAKEN, f"is on its way to {where}: run pulumi up again")
        return [i for i in ids if i not in sent]

    def _awake(self, ids: Sequence[str]) -> tuple[set[str], bool]:
        """The instances that aren't Stopped; nothing forbids to conclude from there being none."""
        seen = self.operation.cloud.describe_instances(ids)
        return {x.instance_id for x in seen if not x.stopped}, False

    def _running_of(self, ids: Sequence[str]) -> list[str]:
        """Of these, the instances that have to be stopped."""
        return [i for i in ids if i in self.instances and not self.instances[i].stopped]

    def _taken_up_before(self, ids: Sequence[str]) -> set[str]:
        """Of the instances that an earlier run may have sent, those that its call has reached.

        That run may have been killed between the call and the first sign of it, a moment ago. With marks,
        only instances that it had announced can have been sent; without, any can.
        """
        operation = self.operation
        doubtful = sorted(set(self.begun) & set(ids)) if operation.mark else list(ids)
        if not doubtful:
            return set()
        operation.reporter.status("looking for what an interrupted run may have begun")
        taken = self._look_for(doubtful, frozenset(), fresh=False)
        operation.sent |= taken
        return taken

    def _stop_running(self, ids: Sequence[str]) -> None:
        """ECS StopInstances for those that run (the inputs allow it: preflight saw to that)."""
        running = self._running_of(ids)
        if not running:
            return
        operation = self.operation
        operation.reporter.status(f"stopping {counted(len(running), 'instance')}")
        for batch in chunks(running, BATCH):
            self._stop(batch)
        self.vacancy.forget()  # it takes minutes
        running = [i for i in running if i not in operation.taken | operation.sent]

        def all_stopped() -> bool | None:
            try:
                seen = operation.cloud.describe_instances(running)
            except UNSEEN:
                return None
            return True if all(instance.stopped for instance in seen) else None

        if not wait_until(all_stopped, operation.deadline):
            raise WaitTimeoutError(
                f"instances are not Stopped yet: {listed(running)}", operation.deadline.elapsed
            )

    def _stop(self, batch: list[str]) -> None:
        """Stop one batch; after a lost answer, those that still run."""
        operation = self.operation
        for attempt in range(1, SENDS + 1):
            try:
                answer = self._stop_what_is_free(batch)
            except EhpcError as error:
                told = getattr(error, "action", "") == "StopInstances" and may_have_acted(error)
                if attempt == SENDS or not told:
                    raise
                batch = self._running(batch)
                continue
            if answer is None:
                return
            accepted = responses.Accepted(request_id=answer.request_id)
            operation.record("StopInstances", batch, accepted, "Done")
            refused = {a.instance_id: a for a in answer.instances if not a.accepted}
            for instance_id in self._running(list(refused)):
                why = refused[instance_id]
                text = f"{instance_id}: {why.message}"
                raise ApiError(
                    "StopInstances",
                    why.code,
                    text,
                    http_status=200,
                    request_id=answer.request_id,
                )
            return

    def _stop_what_is_free(self, batch: list[str]) -> responses.Stopped | None:
        """Stop those that nobody has taken by then; ``batch`` loses the others. None: there are none."""
        deadline = self.operation.deadline
        for attempt in self.operation.cloud.attempts():
            with attempt:
                if deadline.passed:
                    text = f"not stopped yet: {listed(batch, 3)}"
                    raise WaitTimeoutError(text, deadline.elapsed, NOTHING_SENT)
                batch[:] = self.vacancy.free(batch)
                try:
                    return self.operation.cloud.stop_instances(batch) if batch else None
                except EhpcError:
                    self.vacancy.forget()  # a conflict is what somebody's attaching looks like
                    raise
        return None

    def _running(self, ids: list[str]) -> list[str]:
        """Of these, the instances that neither are stopped nor stop."""
        seen = self.operation.cloud.describe_instances(ids) if ids else []
        return [i.instance_id for i in seen if i.status.lower() not in ("stopped", "stopping")]

    # -- the write ------------------------------------------------------------------------------

    def _send(self, batch: list[str]) -> None:
        """AddExistedNodes for one batch. A refusal is noted for its instances; others go on."""
        operation = self.operation
        for turn in range(1, SENDS + 1):
            before = self.vacancy.tasks()
            try:
                accepted = self._send_what_is_free(batch)
            except (AuthError, CancelledError):
                raise
            except EhpcError as error:
                if getattr(error, "action", "") != "AddExistedNodes":
                    raise  # a look before the attempt: nothing was sent
                if not may_have_acted(error):
                    operation.fail_by(batch, error)
                    return
                operation.reporter.warning(f"{error} Looking whether it was accepted.")
                self.vacancy.forget()
                if not self._was_accepted(batch, before):
                    if turn == SENDS:
                        operation.fail_by(batch, error)
                    continue
                accepted = None
            if batch:
                self._accepted(batch, accepted)
            return

    def _send_what_is_free(self, batch: list[str]) -> responses.Accepted | None:
        """Send those that nobody holds right before each attempt; ``batch`` loses the others. None: there are none."""
        operation, inputs = self.operation, self.inputs
        again, why = False, ""
        for attempt in operation.cloud.attempts():
            with attempt:
                if operation.deadline.passed:
                    text = f"not sent yet: {listed(batch, 3)}{why}"
                    raise WaitTimeoutError(text, operation.deadline.elapsed, NOTHING_SENT)
                batch[:] = self.vacancy.free(batch, marks_anew=again)
                again = True
                if not batch:
                    break
                operation.reporter.status(f"attaching {counted(len(batch), 'instance')}")
                try:
                    return operation.cloud.add_existed_nodes(
                        operation.cluster_id,
                        batch,
                        image=(inputs.image_id, inputs.image_owner_alias),
                        queue=inputs.job_queue,
                    )
                except (ThrottledError, ConflictError, NotSentError) as error:
                    why = f" ({getattr(error, 'code', error)})"
                    if not isinstance(error, ThrottledError):
                        self.vacancy.forget()  # it may take long, or somebody is at work there
                    raise
        return None

    def _was_accepted(self, batch: list[str], before: frozenset[str]) -> bool:
        """Whether a call without an answer was accepted; where that stays open, it is kept as perhaps so."""
        try:
            return bool(self._look_for(batch, before, fresh=True))
        except (OutcomeUnknownError, CancelledError) as error:
            self._accepted(batch, None)
            if isinstance(error, OutcomeUnknownError):
                self.operation.fail(batch, error.code, "AddExistedNodes got no answer")
            raise

    def _accepted(self, batch: list[str], accepted: responses.Accepted | None) -> None:
        status = "Processing" if accepted else "Unknown"
        self.operation.record("AddExistedNodes", batch, accepted, status)
        self.operation.sent.update(batch)

    def _look_for(self, ids: Sequence[str], before: frozenset[str], *, fresh: bool) -> set[str]:
        """Of these instances, those that show that a call for them was accepted; empty: it was not.

        Args:
            before: ids of the tasks that ran before the call.
            fresh: the ids are one call's, made just now on Stopped instances: one sign stands for all, and
                an instance that isn't Stopped on its old image any more is one.

        Raises:
            OutcomeUnknownError: undecided at the deadline, or ECS may not be asked.
        """
        return self._found(
            ids,
            lambda waited: self._signs({*ids}, before, waited, fresh=fresh),
            one_is_enough=fresh,
        )

    def _found(
        self,
        ids: Sequence[str],
        look: Callable[[float], tuple[set[str], bool]],
        *,
        one_is_enough: bool = False,
    ) -> set[str]:
        """What looks show of these instances within the grace period, and while something is undecided.

        Raises:
            OutcomeUnknownError: undecided at the deadline, or it may not be looked.
        """
        operation, started = self.operation, self.operation.deadline.clock.now()
        shown: set[str] = set()
        why = "nothing could be seen"

        def decided() -> bool | None:
            nonlocal why, shown
            try:
                waited = operation.deadline.clock.now() - started
                shown, undecided = look(waited)
            except UNSEEN as error:
                why = str(error)
                return None
            why = "another task is running that may hold these instances"
            enough = bool(shown) if one_is_enough else shown == {*ids}
            return True if enough or (waited >= operation.grace and not undecided) else None

        try:
            if wait_until(decided, operation.deadline):
                return shown
        except AuthError as error:
            why = str(error)
        raise OutcomeUnknownError("AddExistedNodes", list(ids), why)

    def _signs(
        self, ids: set[str], before: frozenset[str], waited: float, *, fresh: bool
    ) -> tuple[set[str], bool]:
        """The instances that show an accepted call, and whether something forbids to conclude from none.

        Signs are: a node, a task that names the instance, its status (announced instances were Stopped),
        and (fresh) its image.
        What forbids: a task that names no instances and may be the call's; an instance on its way; and, for
        a while, one whose disk was replaced, and that may be about to start.
        """
        cloud, cluster_id = self.operation.cloud, self.operation.cluster_id
        shown = ids & self.operation.see_compute_nodes().keys()
        tasks = [task for task in cloud.list_running_tasks(cluster_id) if task.may_attach]
        shown |= ids & responses.attached_by(tasks)
        known = before | {record.task_id for record in self.operation.records}
        undecided = any(not t.instance_ids and t.task_id not in known for t in tasks)
        for seen in cloud.describe_instances(sorted(ids)):
            begun = fresh or seen.instance_id in self.begun
            if (begun and seen.awake) or (fresh and self.vacancy.has_another_image(seen)):
                shown.add(seen.instance_id)
            undecided |= seen.status.lower() in {
                *responses.INSTANCE_COMING,
                responses.INSTANCE_STOPPING,
            }
            undecided |= begun and waited < REPLACING and self._was_replaced(seen)
        return shown, undecided

    def _was_replaced(self, seen: responses.Instance) -> bool:
        """Whether an instance that may have been sent has another image than before: it is yet to start, or failed."""
        before = announced_image(seen) or self.operation.images.get(seen.instance_id, "")
        return bool(before) and seen.image_id != before
