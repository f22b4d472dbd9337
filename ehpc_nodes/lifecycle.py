"""The life of a set of attached nodes: converge to the wanted set, observe it, remove it.

Convergent and resumable: each operation looks first and does only what is missing, whatever an earlier one
left. Knows nothing of Pulumi.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from .api import responses
from .api.cache import Looks
from .attaching import Attaching
from .clock import Deadline, wait_until
from .detaching import detach, guard, guard_anew, move, not_in_queue
from .errors import (
    DESTROY_GOES_ON,
    AuthError,
    CancelledError,
    ClusterNotFoundError,
    EhpcError,
    WaitTimeoutError,
    counted,
    listed,
)
from .marks import ATTACHING_KEY, begun_by, disclaim, renew, settle, take_over, unmark
from .models import Failure, Finding, Inputs, State
from .observing import confirm_gone, observe, observe_all
from .operation import UNSEEN, Cloud, NoOthers, Operation, Others, Reporter
from .outcome import ended_by, pending_of, reasons, state_after
from .sight import Sight, Wish
from .survey import Survey, survey, survey_instances, survey_removal


class IncompleteError(EhpcError):
    """Something was done, but not all: the state that holds now, and a reason a failure."""

    def __init__(self, state: State, reasons: list[str]) -> None:
        self.state = state
        self.reasons = reasons
        super().__init__("; ".join(reasons))


class FindingsError(EhpcError):
    """Preflight forbids the writes: the findings, all at once. Nothing was written."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(f"{f.property}: {f.reason}" for f in findings))


#: Of an instance that an interrupted run announced, that isn't Stopped and that nothing shows.
UNSETTLED = (
    "may have been sent by an interrupted run, though neither a node nor a task shows it: it is looked at again"
    " in the next change. Where the console shows nothing either, "
)


@dataclass
class Lifecycle:
    """The operations on one resource.

    Attributes:
        grace: seconds for which lists may lag, and a lost answer is looked after.
        mark: the ownership mark's value; empty: none is set.
        name: the same, whether it is set or not.
        identity: of the resource, as its state keeps it; empty: a run that was not saved can't be told.
        looks: shared with the other operations of the process.
        others: the other resources of the run.
    """

    cloud: Cloud
    deadline: Deadline
    reporter: Reporter
    grace: float
    mark: str = ""
    identity: str = ""
    looks: Looks = field(default_factory=Looks)
    others: Others = field(default_factory=NoOthers)
    name: str = ""

    # -- create and update ----------------------------------------------------------------------

    def converge(self, inputs: Inputs, before: State | None = None) -> State:
        """Bring the cluster to what the inputs want, and return the state.

        Args:
            before: the state so far; None where there is none (create).

        Raises:
            FindingsError, RefusedError: nothing was written.
            IncompleteError: something was written; it carries the state.
            EhpcError: nothing was written, for another reason.
        """
        operation = self._operation(inputs.cluster_id)
        try:
            resolved, before = self._converge(operation, inputs, before)
        except EhpcError as error:
            look = not isinstance(error, CancelledError)
            if not operation.records and not operation.sent:
                if look:
                    saved = before.instance_ids if before else ()
                    settle(operation, operation.nodes, {*saved} & operation.nodes.keys())
                raise
            state = state_after(operation, inputs, before, look=look)
            if look:
                settle(operation, state.nodes, state.nodes)
            raise IncompleteError(
                state, [*reasons(operation, state), ended_by(operation, error)]
            ) from error
        state = state_after(operation, resolved, before, look=True)
        settle(operation, state.nodes, state.nodes)
        for instance_id in {*inputs.instance_ids} - {*state.instance_ids, *state.failed}:
            state.failed[instance_id] = Failure(
                code="Vanished", reason="was a node, and is none any more: run pulumi up again"
            )
        if not state.failed:
            self.reporter.status(f"{counted(len(state.nodes), 'node')} attached")
            return state
        if operation.records or state.nodes:
            raise IncompleteError(state, reasons(operation, state))
        raise EhpcError("\n".join(reasons(operation, state)))

    def _operation(self, cluster_id: str) -> Operation:
        return Operation(
            self.cloud,
            self.deadline,
            self.reporter,
            cluster_id,
            self.grace,
            self.mark,
            self.identity,
            looks=self.looks,
            others=self.others,
            name=self.name,
        )

    def _converge(
        self, operation: Operation, inputs: Inputs, before: State | None
    ) -> tuple[Inputs, State | None]:
        operation.see_awaited()  # at once, too: who lists them now may be refused by then
        owned = set(before.instance_ids) if before else set()
        wish = Wish(**inputs.model_dump(include=set(Wish.__annotations__)))
        wanted = set(inputs.instance_ids)
        pending = pending_of(before)
        operation.images |= {i: before.nodes[i].image_id for i in pending} if before else {}
        looking = partial(survey, pending=pending, is_saved=before is not None)
        seen = looking(operation, wish, wanted, owned)
        if self._awaited_leaving(operation, wanted):
            seen = looking(operation, wish, wanted, owned)
        stop_at(seen.findings)
        operation.begun = {*seen.sight.begun}
        operation.addresses = {i: x.private_ip for i, x in (seen.sight.instances or {}).items()}
        plan, wish = seen.plan, seen.wish
        members = {*plan.detach} & operation.nodes.keys() - operation.see_awaited()
        guard(operation.nodes, sorted(members), detach_busy=inputs.detach_busy)
        inputs = inputs.model_copy(
            update={"image_id": wish.image_id, "image_owner_alias": wish.image_owner_alias}
        )
        theirs = {
            i: o for i, o in seen.sight.of_others(operation.name).items() if i in owned - wanted
        }
        before = self._without(before, theirs) if before else None
        self._apply(operation, inputs, seen, is_saved=before is not None)
        take_over(operation, plan.adopt)
        if (
            before and not operation.mark
        ):  # nothing would tell a later run that they are another's by then
            before = before.without((owned - wanted).intersection(operation.see_awaited()))
        return inputs, before

    # -- looking --------------------------------------------------------------------------------

    def survey(
        self,
        wish: Wish,
        wanted: set[str],
        owned: set[str],
        *,
        anew: Collection[str] = (),
        pending: Collection[str] = (),
        is_made: Callable[[responses.Node], bool] = lambda _: False,
    ) -> Survey:
        """What a converge would do, found out with read-only calls; see `survey.survey`."""
        operation = self._operation(wish.cluster_id)
        return survey(
            operation,
            wish,
            wanted,
            owned,
            anew=anew,
            pending=pending,
            is_saved=bool(owned),
            is_made=is_made,
        )

    def survey_instances(self, wish: Wish, wanted: Collection[str]) -> Survey:
        """What can be said while the cluster isn't known yet; see `survey.survey_instances`."""
        return survey_instances(self._operation(""), wish, wanted)

    def survey_removal(self, cluster_id: str, ids: Collection[str], *, detach_busy: bool) -> Survey:
        """What a remove would do, found out with read-only calls; see `survey.survey_removal`."""
        return survey_removal(self._operation(cluster_id), ids, detach_busy=detach_busy)

    def _awaited_leaving(self, operation: Operation, wanted: Collection[str]) -> bool:
        """Wait for wanted nodes that are being detached (by an interrupted run, say); False: there are none."""

        def leaving(nodes: Mapping[str, responses.Node]) -> list[str]:
            return [i for i in wanted if i in nodes and nodes[i].in_status(responses.NODE_LEAVING)]

        def gone() -> bool | None:
            try:
                still = leaving(operation.see_compute_nodes())
            except UNSEEN:
                return None
            if still:
                self.reporter.status(f"waiting until {listed(still, 3)} is detached")
            return None if still else True

        if not leaving(operation.nodes):
            return False
        if not wait_until(gone, self.deadline):
            raise WaitTimeoutError("nodes are still being detached", self.deadline.elapsed)
        return True

    # -- doing ----------------------------------------------------------------------------------

    def _apply(self, operation: Operation, inputs: Inputs, seen: Survey, *, is_saved: bool) -> None:
        """Attach, move, detach: in this order, so that capacity never dips without need.

        Args:
            is_saved: whether a state knows this resource, and so its identity.
        """
        plan, sight, members = seen.plan, seen.sight, operation.nodes
        first = operation.let_go(seen.in_the_way)
        detach(operation, first, detach_busy=inputs.detach_busy)
        if operation.failed:
            return
        settled = {*plan.keep} - sight.begun  # of the state: an unheard-of status holds nothing up
        unsettled = [
            i
            for i in (*plan.keep, *plan.adopt)
            if i in members
            and (
                members[i].in_status(responses.NODE_INITIAL)
                if i in settled
                else _pending(members[i])
            )
        ]
        leaving = [i for i in plan.detach if i in sight.attaching]
        strays = sight.begun - {*inputs.instance_ids, *members, *leaving}
        # handed over, so that ten thousand of them don't stay until the end
        instances, sight.instances = sight.instances or {}, None
        attaching = Attaching(
            operation, inputs, instances, sight.begun, seen.began, sight.begun_elsewhere
        )
        taken = attaching.run(plan.attach, [*plan.join, *unsettled, *leaving], sorted(strays))
        operation.announced |= sight.begun & {*inputs.instance_ids}  # their fate is known now
        renew(operation, sorted(sight.estranged & {*inputs.instance_ids} & operation.nodes.keys()))
        for instance_id in {*plan.detach, *taken}:
            operation.failed.pop(instance_id, None)
        if operation.failed:
            return
        found = sight.begun.union(plan.join) & {*inputs.instance_ids} & operation.nodes.keys()
        moved = {*plan.move, *self._misplaced(operation, found, inputs)}
        move(operation, sorted(moved), inputs.job_queue)
        last = [i for i in (*plan.detach, *sorted(taken)) if i not in first]
        self._detach(
            operation,
            operation.let_go(last),
            sight.begun,
            detach_busy=inputs.detach_busy,
            is_saved=is_saved,
        )
        stale = sight.marked - {*inputs.instance_ids, *members, *leaving, *taken}
        stale -= (
            sight.begun_elsewhere.keys() | (sight.estranged - sight.begun) | operation.unsettled
        )
        unmark(operation, sorted(stale))
        if operation.unsettled:
            self.reporter.warning(f"{listed(sorted(operation.unsettled))} {_unsettled(operation)}")

    def _misplaced(
        self, operation: Operation, found: Collection[str], inputs: Inputs
    ) -> Collection[str]:
        """Of the nodes that an interrupted run has sent, those that it sent to another queue; another image is said."""
        nodes = operation.nodes
        other = [i for i in found if nodes[i].image_id not in ("", inputs.image_id)]
        if other and inputs.image_id:
            told = [f"{i} (image {nodes[i].image_id})" for i in sorted(other)]
            self.reporter.warning(
                f"Attached by an interrupted run, and not with image {inputs.image_id}: {listed(told)}."
            )
        if not found or not inputs.job_queue:
            return ()
        with suppress(AuthError):  # preflight has told that the queue can't be seen
            return not_in_queue(operation, sorted(found), inputs.job_queue)
        return ()

    def _detach(
        self,
        operation: Operation,
        ids: Sequence[str],
        announced: Collection[str],
        *,
        detach_busy: bool,
        is_saved: bool = True,
    ) -> None:
        """Detach nodes; not those that jobs came to, or that became another's, while others were being attached.

        Args:
            announced: those that an interrupted run announced.
            is_saved: whether the identity tells a later run whose the announced ones are; else only that does.
        """
        if not ids:
            return
        guard_anew(operation, ids, detach_busy=detach_busy)
        begun = [i for i in ids if i in announced]
        if is_saved:
            disclaim(operation, begun)
        detach(operation, ids, detach_busy=detach_busy, announced=() if is_saved else begun)

    # -- read -----------------------------------------------------------------------------------

    def observe(self, state: State) -> State | None:
        """The set as the cluster has it now; see `observing.observe`."""
        return observe(self._operation(state.cluster_id), state)

    def observe_all(self, state: State) -> State:
        """The nodes of the state, or all compute nodes; see `observing.observe_all`."""
        return observe_all(self._operation(state.cluster_id), state)

    # -- delete ---------------------------------------------------------------------------------

    def remove(self, state: State, spared: Collection[str] = ()) -> None:
        """Detach what is in the state, or carries the mark, and is still a node; the instances stay.

        Args:
            spared: stay attached whatever their marks say.

        Raises:
            RefusedError: busy nodes, or nodes that are no compute nodes; nothing was written.
            EhpcError: not all could be detached; a later try does the rest.
        """
        operation = self._operation(state.cluster_id)
        try:
            operation.see_nodes()
            operation.confirm({*state.instance_ids})  # a list may lag behind a fresh attach
            nodes = operation.nodes
            state = self._without_others_nodes(operation, state)
            operation.images |= {i: state.nodes[i].image_id for i in pending_of(state)}
            begun = begun_by(operation) | (pending_of(state) - nodes.keys())
            begun -= set(spared)
            ours = {*state.instance_ids, *(begun & nodes.keys())}
            guard(nodes, sorted(ours & nodes.keys()), detach_busy=state.detach_busy)
            pending = self._confirm_attaching(operation, ours)
            strays = sorted(begun - nodes.keys())
            ours |= Attaching(operation, state, {}, begun).run((), pending, strays)
            operation.failed.clear()
            operation.fail(operation.unsettled, "Unsettled", _unsettled(operation))
            # a list may go backwards; what it shows no more is no error to detach
            left = operation.let_go(sorted(ours & {*nodes, *operation.see_nodes()}))
            operation.fail(operation.awaited & ours, "Awaited", "another resource lists it")
            self._detach(operation, left, operation.announced, detach_busy=state.detach_busy)
            unmark(operation, sorted((begun | ours) - operation.detached - operation.failed.keys()))
        except ClusterNotFoundError as error:
            confirm_gone(operation, state.instance_ids, error)
            return
        except WaitTimeoutError as error:
            raise WaitTimeoutError(error.what, error.elapsed, DESTROY_GOES_ON) from error
        except CancelledError as error:
            raise CancelledError(f"{error} {DESTROY_GOES_ON}.") from error
        if operation.failed:
            state = state.model_copy(update={"failed": operation.failed})
            raise IncompleteError(state, reasons(operation, state))
        self.reporter.status(f"{counted(len(operation.detached), 'node')} detached")

    def _without_others_nodes(self, operation: Operation, state: State) -> State:
        """The state without nodes that carry another resource's mark by now; those stay attached."""
        if not operation.name or not state.instance_ids:
            return state
        try:
            seen = self.cloud.describe_instances(state.instance_ids)
        except AuthError:
            return state
        instances = {i.instance_id: i for i in seen}
        theirs = Sight(operation.identity, instances=instances).of_others(operation.name)
        return self._without(state, theirs)

    def _without(self, state: State, theirs: Mapping[str, str]) -> State:
        """The state without nodes that are others' now, which is said."""
        if not theirs:
            return state
        told = [f"{i} ({owner})" for i, owner in sorted(theirs.items())]
        self.reporter.warning(
            f"Left attached, since another resource's mark stands on it: {listed(told)}."
        )
        return state.without(theirs)

    def _confirm_attaching(self, operation: Operation, ours: set[str]) -> set[str]:
        """Of ours, those that a task is still attaching: DeleteNodes would be refused for them."""
        if ours <= {i for i, n in operation.nodes.items() if not _pending(n)}:
            return set()
        return ours & responses.attached_by(self.cloud.list_running_tasks(operation.cluster_id))


#: Gives a lifecycle in a region.
LifecycleIn = Callable[[str], Lifecycle]


def stop_at(findings: list[Finding]) -> None:
    """Raise FindingsError where one of the findings is an error."""
    errors = [finding for finding in findings if not finding.warning]
    if errors:
        raise FindingsError(errors)


def _unsettled(operation: Operation) -> str:
    mend = f"remove its ECS tag {ATTACHING_KEY!r}." if operation.mark else "stop the instance."
    return UNSETTLED + mend


def _pending(node: responses.Node) -> bool:
    return not node.in_status(
        responses.NODE_READY
        | responses.NODE_STOPPED
        | responses.NODE_FAILED
        | responses.NODE_LEAVING
    )
