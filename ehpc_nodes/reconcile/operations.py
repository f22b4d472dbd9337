"""The operations on one resource: plan changes, converge, refresh, destroy. Each is the same loop."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ehpc_nodes.api import responses
from ehpc_nodes.api.cache import ReadCache
from ehpc_nodes.api.settings import SCHEDULER_SECONDS
from ehpc_nodes.clock import Deadline
from ehpc_nodes.errors import (
    DESTROY_CONTINUES,
    NOTHING_DETACHED,
    ApiError,
    AuthError,
    CancelledError,
    ClusterNotFoundError,
    EhpcError,
    RefusedError,
    TransportError,
    WaitTimeoutError,
    counted,
    listed,
)
from ehpc_nodes.models import Finding, Inputs, State
from ehpc_nodes.preflight import findings as api_findings
from ehpc_nodes.preflight import of_instances
from ehpc_nodes.preflight.images import ImageFacts, image_facts
from ehpc_nodes.preflight.snapshot import Changes, Desired, Snapshot, describe

from .actuator import Actuator
from .changes import LISTED_ELSEWHERE, changes_of, owner_findings
from .ledger import Ledger
from .observer import FRESH, Identity, Observer, Wanted
from .owner_tags import NAME_KEY, new_run, new_uid, owner_name, reference_of
from .phases import Owner, Phase
from .plan import (
    Conclusion,
    Decision,
    Kept,
    LastTags,
    Plan,
    Rules,
    conclusion,
    kept_as,
    last_tags,
)
from .ports import Cloud, NoOtherResources, OtherResources, Reporter
from .reconciler import Reconciler, not_listed
from .result import (
    STUCK_UNWANTED_TEXT,
    build_state,
    called,
    ended_by,
    exceptions,
    node_state,
    queues_of,
    reasons,
)

#: For what is only planned.
NO_INPUTS = Inputs.model_construct(cluster_id="", region="", instance_ids=[])
#: An id that no instance has: for a call that shows only whether it is permitted.
NO_INSTANCE = "i-00000000000000000000"


class IncompleteError(EhpcError):
    """Something was done, but not all: the state that holds now, and a reason a failure."""

    def __init__(self, state: State, reasons: list[str]) -> None:
        self.state = state
        self.reasons = reasons
        super().__init__("; ".join(reasons))


class FindingsError(EhpcError):
    """The first plan may not be carried out: the findings, all at once. Nothing was written."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("\n".join(f"{f.property}: {f.reason}" for f in findings))


@dataclass(frozen=True)
class Planned:
    """What would happen, and what is wrong with it.

    Attributes:
        desired: with the image resolved.
        snapshot: what was read.
    """

    desired: Desired
    snapshot: Snapshot
    changes: Changes
    findings: list[Finding]

    @property
    def line(self) -> str:
        """The plan in one line, for people."""
        names = {i: self.snapshot.host(i) for i in self.changes.all}
        instances = self.snapshot.instances or {}
        return describe(
            self.changes,
            names,
            self.desired.image,
            later=self.desired.later,
            queue=self.desired.job_queue,
            owners={i: owner_name(instances[i]) for i in self.changes.take},
        )


@dataclass
class Operations:
    """The operations on one resource.

    Attributes:
        grace: seconds for which lists may be out of date.
        name: the resource's, on owner tags.
        uid: the resource's.
        reads: shared with the other operations of the process.
        others: the other resources of the run.
        scheduler_seconds: for how long a node that was attached may take to be active in the scheduler.
    """

    cloud: Cloud
    deadline: Deadline
    reporter: Reporter
    grace: float
    name: str = ""
    uid: str = ""
    reads: ReadCache = field(default_factory=ReadCache)
    others: OtherResources = field(default_factory=NoOtherResources)
    scheduler_seconds: float = SCHEDULER_SECONDS

    def _observer(self, cluster_id: str, wanted: Wanted, saved: State | None) -> Observer:
        identity = Identity(self.name, self.uid or new_uid(), cluster_id, new_run())
        clock = self.deadline.clock
        return Observer(
            self.cloud,
            clock,
            self.reads,
            self.grace,
            identity,
            Ledger(),
            self.others,
            self.scheduler_seconds,
            wanted,
            saved,
        )

    def _reconciler(
        self,
        observer: Observer,
        inputs: Inputs,
        check: Callable[[Plan], None],
        *,
        destroy: bool = False,
    ) -> Reconciler:
        actuator = Actuator(
            observer, self.deadline, self.reporter, inputs, highest_generation(observer) + 1
        )
        rules = Rules(
            destroy=destroy,
            stop_running=inputs.stop_running,
            busy_nodes=inputs.busy_nodes,
        )
        return Reconciler(observer, actuator, self.deadline, self.reporter, rules, check)

    # -- the first reading -----------------------------------------------------------------------------------------

    @property
    def _fresh_since(self) -> float:
        """What this process has begun to read since then does for a first reading."""
        return max(self.deadline.clock.now() - FRESH, self.reads.next_after_writes)

    def _first_reading(self, observer: Observer, desired: Desired) -> None:
        """Read all that the plan depends on; what this process has read does as well while it is fresh."""
        self.reporter.status("reading the cluster")
        since = self._fresh_since
        try:
            observer.read_cluster(since)
            if snapshot_of(observer).is_wrong_region(desired):
                return  # its instances can't be asked for in the region that is set
            self._read_all(observer, since)
        except ClusterNotFoundError as error:
            observer.notes.append(Finding("cluster_id", str(error)))
            return
        observer.note_replaced()
        self._read_for_findings(observer, desired, since)

    def _read_all(self, observer: Observer, since: float) -> None:
        """Tasks, nodes, and the instances that this run is about.

        Raises:
            ClusterNotFoundError: there is no such cluster in the region.
        """
        observer.begin_reading()
        observer.read_tasks(since)
        observer.read_nodes(since)
        observer.read_tagged(self.name, observer.saved.owner if observer.saved else "", since=since)
        missing = observer.known - observer.instances.keys()
        observer.read_instances(missing | (observer.wanted.ids & observer.detached_first), since)
        observer.note_reading(observer.known)
        observer.complete = True

    def _read_for_findings(self, observer: Observer, desired: Desired, since: float) -> None:
        """What only preflight needs, and only where something would be attached or moved."""
        cloud, wanted = self.cloud, observer.wanted.ids
        new = wanted - observer.nodes.keys() | (wanted & observer.detached_first)
        if desired.job_queue:
            observer.queues = observer.read("queues", "job_queue", cloud.list_queues)
            if observer.queue_exists and wanted & observer.nodes.keys():
                observer.read_queue(since)
        if new or desired.later:
            image = snapshot_of(observer).image_of(desired)
            observer.images = observer.read(
                "images", "image_id", lambda _: list_images(cloud, *image), *image
            )
        if new:
            observer.read_other_clusters(since)
            if observer.unlisted:
                observer.notes.append(Finding("instance_ids", not_listed(observer.unlisted)))

    # -- preview ---------------------------------------------------------------------------------------------------

    def plan_changes(
        self,
        desired: Desired,
        wanted: Wanted,
        saved: State | None,
        *,
        replaced: Collection[str] = (),
        replaced_uid: str = "",
    ) -> Planned:
        """What a converge would do, found out with read-only calls.

        Args:
            saved: the state; None where there is none (create).
            replaced: nodes, of this cluster or another, that are detached before (by a replacement).
            replaced_uid: of the replaced resource; what another uid's reference is on, an interrupted run has made.

        Raises:
            EhpcError: a read failed.
        """
        observer = self._observer(desired.cluster_id, wanted, saved)
        observer.reporting, observer.detached_first = True, frozenset(replaced)
        observer.replaced_uid = replaced_uid
        self._first_reading(observer, desired)
        opt_in = {"stop_running": desired.stop_running, "busy_nodes": desired.busy_nodes}
        inputs = NO_INPUTS.model_copy(update=opt_in)
        reconciler = self._reconciler(observer, inputs, lambda _: None)
        if not observer.complete:
            return planned_by(observer, Plan({}), desired)
        plan = reconciler.wait_for_absences()
        changes = changes_of(plan)
        observer.read_jobs(changes.detach)
        if changes.attach or changes.adopt:
            observer.scaling = observer.read_scaling()
        return planned_by(observer, plan, desired)

    def _probe_tags(self) -> None:
        """Whether owner tags may be written, by a call about an instance that does not exist: before anything is stopped.

        Raises:
            AuthError: they may not.
        """
        try:
            self.cloud.tag_instances([NO_INSTANCE], {NAME_KEY: "probe"})
        except AuthError:
            raise
        except (ApiError, TransportError):
            return  # permitted, or the call that matters shows it

    def plan_instances(self, desired: Desired, wanted: Collection[str]) -> Planned:
        """What can be known of instances whose cluster is not known yet: as if all were to be attached.

        Raises:
            EhpcError: the read failed.
        """
        observer = self._observer("", Wanted(frozenset(wanted)), None)
        observer.read_instances(wanted)
        observer.complete = True  # nothing else can be read
        snapshot = snapshot_of(observer)
        stop = [i for i in sorted(wanted) if i in observer.instances and not snapshot.is_stopped(i)]
        changes = Changes(attach=tuple(sorted(wanted)), stop=tuple(stop))
        return Planned(desired, snapshot, changes, of_instances(snapshot, desired, changes))

    def plan_removal(self, saved: State) -> Planned:
        """What a destroy would do, found out with read-only calls.

        Raises:
            EhpcError: the cluster's nodes could not be read.
        """
        observer = self._observer(saved.cluster_id, Wanted(), saved)
        self._read_all(observer, self._fresh_since)
        if "ListNodes" in observer.denied:
            raise observer.denied["ListNodes"]
        observer.reporting = True
        reconciler = self._reconciler(observer, saved, lambda _: None, destroy=True)
        plan = reconciler.wait_for_absences()
        observer.read_jobs(changes_of(plan).detach)
        return planned_by(
            observer, plan, Desired(cluster_id=saved.cluster_id, busy_nodes=saved.busy_nodes)
        )

    # -- create and update -----------------------------------------------------------------------------------------

    def converge(self, inputs: Inputs, saved: State | None = None) -> State:
        """Bring the cluster to what the inputs want, and return the state.

        Args:
            saved: the state so far; None where there is none (create).

        Raises:
            FindingsError, RefusedError: nothing was written.
            IncompleteError: something was written; it carries the state.
            EhpcError: nothing was written, for another reason.
        """
        desired = Desired(**inputs.model_dump(include={*Desired.__annotations__}))
        wanted = wanted_of(inputs)
        observer = self._observer(inputs.cluster_id, wanted, saved)
        self._first_reading(observer, desired)
        first = frozenset(observer.nodes)

        def check(plan: Plan) -> None:
            planned = planned_by(observer, plan, desired)
            stop_at(planned.findings)
            refuse_before_writes(observer, plan)
            if planned.changes.stop:
                self._probe_tags()
                observer.forget_readings()
            resolved = planned.desired
            reconciler.actuator.inputs = inputs.model_copy(
                update={
                    "image_id": resolved.image_id,
                    "image_owner_alias": resolved.image_owner_alias,
                }
            )

        reconciler = self._reconciler(observer, inputs, check)
        try:
            reconciler.run()
        except (FindingsError, RefusedError):
            raise
        except EhpcError as error:
            cancelled = isinstance(error, CancelledError)
            self._untag(reconciler, cancelled=cancelled)
            if not observer.ledger.has_called and not observer.ledger.adopted:
                raise
            state = self._state(reconciler, read=not cancelled)
            told = ended_by(observer, reconciler.decisions, error)
            raise IncompleteError(state, [*reasons(observer, state), told]) from error
        self._untag(reconciler)  # first: what is retained leaves the state with its tags
        state = self._state(reconciler, read=True)
        self._report_left(observer, reconciler.decisions)
        self._report_image(reconciler, first)
        self._report_inactive(reconciler)
        if not state.failed:
            self.reporter.status(f"done: {counted(len(state.nodes), 'node')} in the resource")
            return state
        if saved or observer.ledger.has_called or state.nodes:
            raise IncompleteError(state, reasons(observer, state))
        raise EhpcError("\n".join(reasons(observer, state)))

    def _state(self, reconciler: Reconciler, *, read: bool) -> State:
        observer, actuator = reconciler.observer, reconciler.actuator
        reconciler.decide_again()
        queues: Mapping[str, str] = {}
        sent = any(write.action == "AddExistedNodes" for write in observer.ledger.writes)
        ids = reconciler.decisions.keys() & observer.nodes.keys()
        if read:
            with suppress(CancelledError):
                queues = queues_of(observer, ids, self.reporter)
        return build_state(
            observer,
            reconciler.decisions,
            actuator.inputs,
            queues,
            generation=actuator.generation if sent else actuator.generation - 1,
        )

    def _untag(self, reconciler: Reconciler, *, cancelled: bool = False) -> None:
        """Remove the owner tags of what is free, after they were read again; if they stay, that is a warning."""
        reconciler.decide_again()
        while ids := self._to_untag(reconciler):  # the reads for some may show that others are gone
            try:
                if cancelled:
                    raise CancelledError("Cancelled.")
                reconciler.untag(ids)
            except EhpcError as error:
                self._tags_stay(self._to_untag(reconciler) or ids, error)
                return
            reconciler.decide_again()

    @staticmethod
    def _to_untag(reconciler: Reconciler) -> list[str]:
        stay, done = {LastTags.STAY, LastTags.LEAVING}, reconciler.actuator.tags_done
        last = {i: last_tags(d) for i, d in reconciler.decisions.items() if i not in done}
        return [i for i, tags in last.items() if tags not in stay]

    def _tags_stay(self, ids: Collection[str], error: EhpcError) -> None:
        told = listed(sorted(ids))
        self.reporter.warning(
            f"The tags ehpc-nodes and ehpc-nodes-ref were not removed from {told}; the next pulumi up does it, after a"
            f" destroy do it in the ECS console: {error}"
        )

    def _report_left(self, observer: Observer, decisions: Mapping[str, Decision]) -> None:
        """Report what stays attached though the state held it, and what may have been sent and stays."""
        saved = {*observer.saved.instance_ids} if observer.saved else set()
        for instance_id, decision in sorted(decisions.items()):
            instance = observer.instances.get(instance_id)
            if decision.wanted or decision.facts.retained:
                continue
            if decision.owner is not Owner.MINE and instance_id in saved:
                owner = owner_name(instance) if instance else ""
                same = " with another uid" if owner == self.name else ""
                owner = f"resource {owner!r}{same}" if owner else "another resource"
                report = self.reporter.info if decision.facts.claimed else self.reporter.warning
                report(f"{instance_id} stays attached: {owner} has it now")
            elif decision.owner is Owner.MINE and decision.phase is Phase.STUCK:
                self.reporter.warning(f"{instance_id} {STUCK_UNWANTED_TEXT}.")

    def _report_image(self, reconciler: Reconciler, first: frozenset[str]) -> None:
        """Report which nodes an interrupted run has attached meanwhile with another image.

        Args:
            first: the nodes that the preview has read, and reported.
        """
        nodes, ledger = reconciler.observer.nodes, reconciler.ledger
        image = reconciler.actuator.inputs.image_id
        new = sorted(nodes.keys() - first)
        told = [
            f"{i} (image {nodes[i].image_id})"
            for i in new
            if i in reconciler.decisions and reconciler.decisions[i].wanted
            if not ledger.latest("AddExistedNodes", i) and nodes[i].image_id not in {"", image}
        ]
        if told:
            self.reporter.warning(
                f"Attached by an interrupted run, and not with image {image}: {listed(told)}."
            )

    def _report_inactive(self, reconciler: Reconciler) -> None:
        """Report nodes that this run attached and the scheduler does not use."""
        nodes, ledger = reconciler.observer.nodes, reconciler.ledger
        told = [
            f"{nodes[i].host_name} ({i}) is {nodes[i].state_in_sched}"
            for i in sorted(reconciler.decisions.keys() & nodes.keys())
            if reconciler.decisions[i].phase is Phase.ATTACHED
            if ledger.latest("AddExistedNodes", i) and not nodes[i].active
        ]
        if told:
            self.reporter.warning(
                f"Attached, but not active in the scheduler after {self.scheduler_seconds:.0f} s: {listed(told)}. Check"
                " them in the scheduler; to wait longer, set ehpc:schedulerSeconds."
            )

    # -- read ------------------------------------------------------------------------------------------------------

    def refresh(self, saved: State) -> State | None:
        """The set as the cluster has it now; None where the cluster is positively gone.

        Nodes that a run of this resource attached and that are in no state are added. An absent node counts as
        gone only when whole lists have lacked it for long enough.

        Raises:
            EhpcError: it could not be read; the state has to be kept.
        """
        observer = self._observer(saved.cluster_id, Wanted(queue=saved.job_queue), saved)
        observer.reporting = True
        try:
            self._read_all(observer, self.reads.next_after_writes)
        except ClusterNotFoundError as error:
            self._confirm_gone(saved, error)
            return None
        if "ListNodes" in observer.denied:
            raise observer.denied["ListNodes"]
        reconciler = self._reconciler(observer, saved, lambda _: None)
        reconciler.wait_for_absences()
        for note in observer.notes:
            self.reporter.warning(note.reason)
        state = self._state(reconciler, read=True)
        self._report_scaled_in(observer, saved)
        kept = {"task_id": saved.task_id, "request_id": saved.request_id, "tasks": saved.tasks}
        return state.model_copy(
            update={
                **kept,
                "owner": saved.owner,
                "failed": exceptions(state.nodes, state.instance_ids),
            }
        )

    def _report_scaled_in(self, observer: Observer, saved: State) -> None:
        """Report nodes that are gone, and that scale-in may have removed."""
        nodes = saved.nodes.items()
        lost = {i: n for i, n in nodes if i not in observer.nodes and n.confirmed_at}
        scaling = observer.read_scaling() if lost else None
        if scaling is None:
            return
        gone = [
            called(i, saved)
            for i, n in lost.items()
            if scaling.shrinks(n.queue) and i not in scaling.excluded
        ]
        if gone:
            self.reporter.info(
                f"scale-in may have removed {listed(gone)}: in this queue it takes nodes that are idle for"
                f" {scaling.idle_minutes} minutes, unless ExcludeNodes names them"
            )

    def read_nodes(self, wanted: State) -> State:
        """The nodes of the state, or all compute nodes where it names none; for reading only.

        Raises:
            ClusterNotFoundError: there is no such cluster in the region.
            EhpcError: it could not be read.
        """
        observer = self._observer(wanted.cluster_id, Wanted(), wanted)
        observer.read_nodes()
        if "ListNodes" in observer.denied:
            raise observer.denied["ListNodes"]
        nodes = observer.nodes
        ids = {*wanted.instance_ids} or {i for i, n in nodes.items() if n.is_compute}
        queues = queues_of(observer, ids & nodes.keys(), self.reporter)
        found = {i: node_state(n, queues.get(i, "")) for i, n in nodes.items() if i in ids}
        update = {
            "instance_ids": sorted(found),
            "nodes": found,
            "failed": exceptions(found, [*found]),
        }
        return wanted.model_copy(update=update)

    def _confirm_gone(self, saved: State, not_found: ClusterNotFoundError) -> None:
        """Return where a cluster that is not found is gone, and report that: one of its instances can be read.

        Another account's key, or another region's endpoint, finds neither.

        Raises:
            EhpcError: it is not known; the state has to be kept.
        """
        cluster_id, ids = saved.cluster_id, saved.instance_ids
        if not ids:
            return
        try:
            seen = self.cloud.describe_instances(ids)
        except AuthError as error:
            if not error.forbidden:
                raise
            raise EhpcError(
                f"{not_found.action}: {not_found.code}: whether {cluster_id} is gone, or belongs to another account,"
                f" is not known. {error} If it is gone, run pulumi state delete with the resource's URN."
            ) from error
        if not seen:
            raise EhpcError(
                f"Cluster {cluster_id} and its instances ({listed(ids, 3)}) were not found with this access key; the"
                " state is unchanged. Check the account of the key, and the region; if they no longer exist, run"
                " pulumi state delete with the resource's URN."
            ) from not_found
        self.reporter.info(f"the cluster {cluster_id} is gone, so nothing is attached to it")

    # -- delete ----------------------------------------------------------------------------------------------------

    def destroy(self, saved: State) -> None:
        """Detach what is this resource's and still a node; the instances stay.

        Raises:
            FindingsError, RefusedError: nothing was written.
            EhpcError: not all could be detached; a later try does the rest.
        """
        observer = self._observer(saved.cluster_id, Wanted(), saved)

        def then() -> str:
            return DESTROY_CONTINUES if observer.ledger.has_called else NOTHING_DETACHED

        try:
            self._destroy(observer, saved)
        except ClusterNotFoundError as error:
            self._confirm_gone(saved, error)
        except WaitTimeoutError as error:
            raise WaitTimeoutError(error.what, error.elapsed, then()) from error
        except CancelledError as error:
            raise CancelledError(f"{error} {then()}") from error
        except (IncompleteError, RefusedError):
            raise
        except EhpcError as error:
            if not observer.ledger.has_called:
                raise
            raise EhpcError(f"{error} {DESTROY_CONTINUES}") from error

    def _destroy(self, observer: Observer, saved: State) -> None:
        self._read_all(observer, self.reads.next_after_writes)
        reconciler = self._reconciler(
            observer,
            saved,
            lambda plan: refuse_before_writes(observer, plan, destroy=True),
            destroy=True,
        )
        reconciler.run()
        self._untag(reconciler)
        self._report_left(observer, reconciler.decisions)
        kept = {i for i, d in reconciler.decisions.items() if kept_as(d) is not Kept.NOTHING}
        if again := sorted(kept - observer.ledger.failed.keys()):
            raise EhpcError(f"{listed(again)} is listed as a node again after its detach.")
        if observer.ledger.failed:
            state = saved.model_copy(update={"failed": observer.ledger.failed})
            raise IncompleteError(state, reasons(observer, state))
        gone = [i for i in reconciler.decisions if observer.ledger.latest("DeleteNodes", i)]
        self.reporter.status(f"{counted(len(gone), 'node')} detached")


def planned_by(observer: Observer, plan: Plan, desired: Desired) -> Planned:
    """A plan with its findings, by what was read so far."""
    snapshot = snapshot_of(observer)
    image_id, alias = snapshot.image_of(desired)
    desired = replace(desired, image_id=image_id, image_owner_alias=alias)
    changes = changes_of(plan)
    found = [
        *api_findings(snapshot, desired, changes),
        *owner_findings(observer, plan, snapshot, changes),
    ]
    return Planned(desired, snapshot, changes, found)


def snapshot_of(observer: Observer) -> Snapshot:
    """What was read so far, for preflight."""
    read = Snapshot(
        cluster=observer.cluster,
        queues=observer.queues,
        in_queue=observer.in_queue,
        images=observer.images,
        jobs=observer.jobs,
        scaling=observer.scaling,
        read_at=observer.clock.wall(),
        notes=observer.notes,
    )
    if not observer.complete:
        return read
    gone, denied = observer.detached_first, observer.denied
    nodes = {i: n for i, n in observer.nodes.items() if i not in gone} if gone else observer.nodes
    return replace(
        read,
        nodes=None if "ListNodes" in denied else nodes,
        tasks=None if "ListTasks" in denied else observer.tasks,
        instances=None if "DescribeInstances" in denied else observer.instances,
        elsewhere={i: c for i, c in observer.elsewhere.items() if i not in gone},
    )


def refuse_before_writes(observer: Observer, plan: Plan, *, destroy: bool = False) -> None:
    """Refuse to detach managers and login nodes ever, busy nodes without opt-in, what another resource of the program
    lists, and what was not read.

    Raises:
        RefusedError: names the nodes and their jobs.
        EhpcError: something was not read.
    """
    nodes = observer.nodes
    refused: dict[Conclusion | None, list[str]] = {}
    for instance_id, decision in sorted(plan.decisions.items()):
        if not decision.wanted:
            refused.setdefault(conclusion(decision), []).append(instance_id)
    if others := refused.get(Conclusion.NOT_COMPUTE):
        told = listed([f"{i} ({', '.join(nodes[i].roles.role)})" for i in others])
        raise RefusedError("instance_ids", f"no compute nodes, never detached: {told}")
    if unread := refused.get(Conclusion.UNREADABLE):
        unknown = EhpcError(f"{listed(unread)} could not be read. Run the command again.")
        raise next(iter(observer.denied.values()), unknown)
    if elsewhere := refused.get(Conclusion.LISTED_ELSEWHERE):
        told = listed([f"{i} {LISTED_ELSEWHERE}" for i in elsewhere], 3, between=". ")
        raise RefusedError("instance_ids", f"{told}.")
    if busy := refused.get(Conclusion.BUSY):
        then = ", run pulumi up, then destroy again" if destroy else ""
        observer.read_jobs(busy)
        told = listed(
            [f"{nodes[i].host_name} ({i}) {observer.runs(i)}" for i in busy], between="; "
        )
        raise RefusedError(
            "busy_nodes",
            f"nodes that run jobs are not detached: {told}. Wait until their jobs end, or set"
            f' busy_nodes="wait" (the run waits for them) or "detach" (the jobs are lost){then}.',
        )


#: Gives the operations in a region.
OperationsIn = Callable[[str], Operations]


def wanted_of(inputs: Inputs) -> Wanted:
    """What the inputs want of the instances."""
    return Wanted(
        frozenset(inputs.instance_ids),
        frozenset(inputs.retain_ids),
        inputs.take_ownership,
        inputs.job_queue,
    )


def stop_at(findings: list[Finding]) -> None:
    """Raise FindingsError where one of the findings is an error."""
    errors = [finding for finding in findings if not finding.warning]
    if errors:
        raise FindingsError(errors)


def highest_generation(observer: Observer) -> int:
    """The highest generation of this resource's runs that the state or a reference knows."""
    seen = (reference_of(x) for x in observer.instances.values())
    uid = observer.identity.uid
    found = [r.generation for r in seen if r and r.uid == uid]
    return max([*found, observer.saved.generation if observer.saved else 0])


def list_images(cloud: Cloud, image_id: str, alias: str) -> dict[str, ImageFacts] | None:
    """The images of an owner alias; None where they cannot be listed."""
    if not image_id or alias in {"marketplace", ""}:
        return None
    images: list[responses.SystemImage] | list[responses.CustomImage]
    images = cloud.list_system_images() if alias == "system" else cloud.list_custom_images(alias)
    return {image.image_id: image_facts(image) for image in images}
