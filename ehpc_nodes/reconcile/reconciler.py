"""The loop: observe, decide, take the next step, observe again. It is the only place that waits and tries again."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from ehpc_nodes.api import responses
from ehpc_nodes.clock import FIRST_PAUSE, LONGEST_PAUSE, Deadline, jittered
from ehpc_nodes.errors import (
    CONTINUES,
    MAYBE_CONFLICT,
    NOTHING_SENT,
    STILL_BUSY,
    BackendError,
    CancelledError,
    ConflictError,
    EhpcError,
    NotSentError,
    NotTheServiceError,
    ThrottledError,
    TransportError,
    WaitTimeoutError,
    counted,
    listed,
)

from .actuator import Actuator, TroubleError, may_have_acted
from .evidence import facts_of
from .facts import Call, NodeIs, TaskIs
from .ledger import Ledger
from .observer import REPORTED_AFTER, Observer, is_awake
from .phases import Phase
from .plan import (
    TABLE,
    WAITS,
    Action,
    Conclusion,
    Decision,
    LastTags,
    Next,
    Plan,
    Rules,
    Step,
    conclusion,
    decide,
    last_tags,
    next_step,
)
from .ports import Reporter
from .result import failure_of

#: A read that ended with one of these told nothing: read again.
UNREAD = (TransportError, BackendError, ThrottledError)
#: Seconds for which a write that had no effect is tried again, by the kind of error; a conflict: until the deadline.
PATIENCE: tuple[tuple[type[EhpcError], float], ...] = (
    (ConflictError, math.inf),
    (NotTheServiceError, 4.0),
    (NotSentError, 20.0),
    (EhpcError, 120.0),
)
#: The part of the wait so far that a pause may last, where the tasks' steps don't say that it takes longer.
LATENESS = 0.025
#: Grace periods between two reads of the nodes, which take a call for each 100, while their tasks run.
SELDOM = 10
#: The part of a pause for which a read of another operation in this process does as well.
SHARED = 0.9
#: The part of a pause that it lasts at least (`jittered`).
EARLIEST = 0.9
#: Steps before which nobody else may have taken the instance.
BEFORE_ATTACH = frozenset({Step.STOP, Step.PREPARE, Step.ATTACH})
#: Actions after which nothing is decided about an instance for the rest of the run.
FINAL = frozenset({Action.KEEP, Action.LEAVE, Action.FAIL, Action.UNTAG})


@dataclass
class Pacing:
    """How long to wait until the next read, and for how long a failing write is tried again."""

    deadline: Deadline
    began: float = 0.0
    pause: float = 0.0
    slept: float = 0.0
    troubled: dict[type[EhpcError], float] = field(default_factory=dict)

    def restart(self) -> None:
        """Something was done: read soon."""
        self.began, self.pause = self.deadline.clock.now(), 0.0

    def sleep(self, seconds: float) -> None:
        """Wait so long, and no longer than the deadline."""
        self.slept = min(jittered(seconds), self.deadline.left)
        self.deadline.clock.sleep(self.slept)

    def grown(self) -> float:
        """The next pause: longer by half than the last one."""
        self.pause = min(max(FIRST_PAUSE, self.pause * 1.5), LONGEST_PAUSE)
        return self.pause

    def even(self, left: float) -> float:
        """The next pause while tasks run: a part of the wait so far, or as long as they last at least."""
        now = self.deadline.clock.now()
        self.pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, LATENESS * (now - self.began), left))
        return self.pause

    def after(self, error: EhpcError, longest: float = math.inf) -> None:
        """Wait before a write is tried again.

        Args:
            longest: seconds, where less than the patience with such an error.

        Raises:
            EhpcError: the error, where patience is over.
        """
        kind, patience = next((k, s) for k, s in PATIENCE if isinstance(error, k))
        if isinstance(error, ConflictError) and error.code == MAYBE_CONFLICT:
            kind, patience = PATIENCE[-1]
        now = self.deadline.clock.now()
        if kind is ConflictError:
            self.troubled.clear()
        since = self.troubled.setdefault(kind, now)
        if now - since >= min(patience, longest) or self.deadline.passed:
            raise error
        self.sleep(self.grown())


@dataclass
class Reconciler:
    """One run of the loop.

    Attributes:
        check: called with the first plan, before the first write; raises what forbids it.
        decisions: the latest about each instance.
    """

    observer: Observer
    actuator: Actuator
    deadline: Deadline
    reporter: Reporter
    rules: Rules
    check: Callable[[Plan], None]
    decisions: dict[str, Decision] = field(default_factory=dict)
    _active: set[str] = field(default_factory=set)
    _failed: bool = False
    _step: Step | None = None
    _read_at: float = -math.inf

    def __post_init__(self) -> None:
        self.pacing = Pacing(self.deadline)
        # of ten thousand instances, most are alike
        self._decided = lru_cache(maxsize=1000)(decide)

    def _decision(self, instance_id: str) -> Decision:
        return self._decided(facts_of(self.observer, instance_id), self.rules)

    @property
    def ledger(self) -> Ledger:
        return self.observer.ledger

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take step after step until nothing is left to do, after the first reading.

        Raises:
            EhpcError: nothing more is done; what holds now is in `decisions`.
        """
        plan = self.plan()
        self.check(plan)
        self.observer.planned = frozenset(i for i, d in plan.decisions.items() if d.planned)
        self.pacing.restart()
        while following := next_step(self.plan()):
            try:
                self._advance(following)
            except CancelledError as error:
                raise CancelledError(
                    f"Cancelled; {self.waiting_for(following.ids, jobs=True)}."
                ) from error

    def wait_for_absences(self) -> Plan:
        """Without writes: read again until each absence counts, or the node is back; the plan that holds then.

        Raises:
            EhpcError: a read failed, or the time was up.
        """
        self.pacing.restart()
        while ids := _absent(plan := self.plan()):
            if self.deadline.passed:
                what = f"a list that may be out of date lacks {listed(ids)}"
                raise WaitTimeoutError(what, self.deadline.elapsed, NOTHING_SENT)
            self.reporter.status(
                f"reading again: {listed(ids)} may be missing because the list is late"
            )
            self.pacing.sleep(max(REPORTED_AFTER / EARLIEST, self.pacing.grown()))
            self.observer.read_whole(ids)
        return plan

    def untag(self, ids: Collection[str]) -> None:
        """Remove the owner tags of these, where reads just before show that they are this resource's and attached to nothing.

        Raises:
            EhpcError: some tags stay.
        """
        left = {*ids}
        self.pacing.restart()
        while left:
            self.observer.read_whole(left)
            self.observer.begin_pass()
            self.decisions |= {i: self._decision(i) for i in left}
            last = {i: last_tags(self.decisions[i]) for i in sorted(left)}
            try:
                self.actuator.disown([i for i in last if last[i] is LastTags.DISOWN])
                self.actuator.untag([i for i in last if last[i] is LastTags.REMOVE])
            except TroubleError as trouble:
                self.pacing.after(trouble.error, longest=PATIENCE[-1][1])
            else:
                unclear = [i for i in last if last[i] in {LastTags.UNREAD, LastTags.LEAVING}]
                if unclear and self.deadline.passed:
                    raise WaitTimeoutError(f"waiting for {listed(unclear)}", self.deadline.elapsed)
                if unclear:
                    self.pacing.sleep(self.pacing.grown())
            done = self.actuator.tags_done
            left = {i for i in left if last[i] is not LastTags.STAY and i not in done}

    def plan(self) -> Plan:
        """Decide again about all whose decision is not final."""
        observer = self.observer
        observer.begin_pass()
        if not self.decisions:
            self._active = observer.known
        for instance_id in sorted(self._active):
            self.decisions[instance_id] = self._decide(instance_id)
        late = [i for i in sorted(self._active) if self._is_in_unknown_queue(i)]
        if late:
            observer.read_queue()
            self.decisions |= {i: self._decide(i) for i in late}
        decisions = {i: self.decisions[i] for i in self._active}
        self._failed |= Plan(decisions).has_failed
        if observer.planned is not None:
            decisions = {i: d for i, d in decisions.items() if not is_final(d)}
            self._active = {*decisions}
        return Plan(decisions, self._hosts(decisions), failed=self._failed)

    def decide_again(self) -> None:
        """Decide about all whose decision is not final, and about what leaves the resource: the run ends here."""
        self.observer.begin_pass()
        retained = {i for i, d in self.decisions.items() if d.facts.retained}
        for instance_id in sorted(self._active | retained):
            self.decisions[instance_id] = self._decision(instance_id)

    def _is_in_unknown_queue(self, instance_id: str) -> bool:
        decision = self.decisions[instance_id]
        attached = decision.wanted and decision.phase is Phase.ATTACHED
        return attached and self.observer.has_unknown_queue(instance_id)

    def _decide(self, instance_id: str) -> Decision:
        decision = self._decision(instance_id)
        why = None if self.observer.planned is None else conclusion(decision)
        if why is None:
            return decision
        if why is Conclusion.BUSY:
            self.observer.read_jobs(i for i in self._active if not self.decisions[i].wanted)
        self.ledger.fail([instance_id], failure_of(self.observer, instance_id, decision, why))
        return self._decision(instance_id)

    def _hosts(self, ids: Iterable[str]) -> dict[str, str]:
        return {i: self.host(i).lower() for i in ids}

    def host(self, instance_id: str) -> str:
        """The host name, as far as it was read."""
        node = self.observer.records[instance_id].node
        instance = self.observer.instances.get(instance_id)
        return (node.host_name if node else "") or (instance.host_name if instance else "")

    # -- one step --------------------------------------------------------------------------------------------------

    def _advance(self, following: Next) -> None:
        if following.step is not self._step:
            self._step = following.step
            self.pacing.restart()
        before = following.step in BEFORE_ATTACH  # then the next step's are read with it
        writes = following.step not in WAITS
        if writes and self.observer.is_fresh(following.ids, elsewhere=before):
            self._write(following)
            return
        try:
            if not writes:
                self._wait(following)
                return
            if self.deadline.passed:
                raise WaitTimeoutError(self.waiting_for(following.ids), self.deadline.elapsed)
            new = [i for i in self._active if before and self.decisions[i].to_attach]
            self.read_whole({*following.ids, *new}, elsewhere=before)
            if following.step is Step.MOVE:
                # without an answer, the queue tells whether it was accepted
                self.observer.read_queue()
        except UNREAD as error:
            if not self.ledger.has_called or self.deadline.passed:
                raise
            self.reporter.status(f"waiting; the last read failed: {error}")
            self.pacing.sleep(self.pacing.grown())

    def read_whole(self, ids: Collection[str], *, elsewhere: bool) -> None:
        """Read all about these instances.

        Raises:
            EhpcError: the nodes of another cluster of the VPC cannot be listed: a system disk of theirs could be replaced.
        """
        self.observer.read_whole(ids, elsewhere=elsewhere)
        self._read_at = self.deadline.clock.now()
        if elsewhere and self.observer.unlisted:
            raise EhpcError(f"Nothing more is attached: {not_listed(self.observer.unlisted)}")

    def _write(self, following: Next) -> None:
        try:
            self.actuator.do(following.step, following.ids)
        except TroubleError as trouble:
            self._read_at = -math.inf
            if may_have_acted(trouble.error):
                self.reporter.status(f"reading the cluster again: {trouble.error}")
                self.pacing.sleep(self.pacing.grown())
            else:
                self.reporter.status(f"trying again: {trouble.error}")
                self.pacing.after(trouble.error)
            return
        self.pacing.troubled.clear()
        self.pacing.restart()
        self._read_at = -math.inf

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _wait(self, following: Next) -> None:
        """Sleep, unless nothing was read since the last write, and read what is due."""
        ids, deadline = following.ids, self.deadline
        if self._read_at > -math.inf:
            self.reporter.status(self.progress(ids))
            if deadline.passed:
                busy = all(waits_for_jobs(self.decisions[i]) for i in ids)
                then = STILL_BUSY if busy else CONTINUES
                raise WaitTimeoutError(self.waiting_for(ids, jobs=True), deadline.elapsed, then)
            self.pacing.sleep(self._pause(ids))
        self._read(ids)
        self._read_at = deadline.clock.now()

    def _pause(self, ids: Collection[str]) -> float:
        decisions = [self.decisions[i] for i in ids]
        if all(d.phase in {Phase.ATTACHING, Phase.DETACHING} for d in decisions):
            waited = self.deadline.clock.now() - self.pacing.began
            tasks = [self.observer.task_about(i) for i in ids]
            return self.pacing.even(waited * min(map(steps_left, tasks)))
        return self.pacing.grown()

    def _read(self, ids: Collection[str]) -> None:
        observer, decisions = self.observer, self.decisions
        whole = [i for i in ids if self._needs_whole_reading(decisions[i])]
        since = max(
            self.observer.cache.next_after_writes,
            self.deadline.clock.now() - SHARED * self.pacing.slept,
        )
        if whole:  # what is TAGGED is sent next
            about = [decisions[i] for i in whole]
            elsewhere = any(d.phase is Phase.TAGGED or d.facts.for_other_cluster for d in about)
            self.read_whole(whole, elsewhere=elsewhere)
            return
        stopping = [i for i in ids if decisions[i].phase is Phase.STOPPING]
        if stopping:
            observer.read_instances(stopping)
        moving = [i for i in ids if decisions[i].phase in {Phase.ATTACHING, Phase.DETACHING}]
        if moving:
            observer.read_tasks(since)
            if self._nodes_are_due(moving):
                observer.read_nodes(since)
        busy = [i for i in ids if waits_for_jobs(decisions[i])]
        if busy:
            observer.read_nodes(since)
            observer.read_jobs(busy, since)

    @staticmethod
    def _needs_whole_reading(decision: Decision) -> bool:
        facts = decision.facts
        unsure = {Phase.RESULT_UNKNOWN, Phase.ABSENCE_UNCONFIRMED, Phase.TAGGED}
        if decision.phase in unsure:
            return True
        shown = facts.node is not NodeIs.ABSENT or facts.task is not TaskIs.NONE
        return decision.phase is Phase.ATTACHING and not shown and facts.sent is Call.NONE

    def _nodes_are_due(self, ids: Collection[str]) -> bool:
        """Where a task runs for each instance, only the task is read, and the nodes seldom: it may hang. One whose status
        is running or stopped, or that is retained, is read again after the grace.
        """
        facts = [self.decisions[i].facts for i in ids]
        soon = any(f.node is NodeIs.READY or f.retained for f in facts)
        pause = self.observer.grace * (1 if soon else SELDOM)
        if self.deadline.clock.now() - self.observer.nodes_ended >= pause:
            return True
        tasks = (self.observer.task_about(i) for i in ids)
        return any(task is None or task.over for task in tasks)

    # -- what is reported ------------------------------------------------------------------------------------------

    def progress(self, ids: Collection[str]) -> str:
        """How far the run is, for people."""
        about = {
            i for i, d in self.decisions.items() if d.wanted or d.facts.detached is not Call.NONE
        }
        about |= {*ids}
        done = [i for i in about if self.decisions[i].action in FINAL]
        return f"{len(done)}/{len(about)} nodes done; {self.waiting_for(ids)}"

    def waiting_for(self, ids: Collection[str], *, jobs: bool = False) -> str:
        """Who is waited for, with the last status (if it was read since) and the tasks: ``waiting for i-1 (uninit); …``.

        Args:
            jobs: name the jobs of busy nodes, too.
        """
        read = self.observer.nodes_begun > self.pacing.began
        busy = sorted(i for i in ids if waits_for_jobs(self.decisions[i]))
        known = {*busy, *(i for i in ids if self.decisions[i].phase is Phase.STOPPING)}
        names = [f"{i} ({self._status(i)})" if read or i in known else i for i in sorted(ids)]
        tasks = {t.task_id: t for i in ids if (t := self.observer.task_about(i)) and not t.over}
        ids_of = {
            write.task_id
            for write in self.ledger.writes
            if write.task_id and write.over_at is None and {*write.ids} & {*ids}
        }
        told = [
            f"task {t.task_id} step {t.current_step} of {t.total_steps}" for t in tasks.values()
        ]
        told += [f"task {task_id}" for task_id in sorted(ids_of - tasks.keys())]
        told = told[:3]
        if jobs:
            told += [f"{self.host(i)} {self.observer.runs(i)}" for i in busy[:10]]
        return "; ".join([f"waiting for {listed(names, 3)}", *told])

    def _status(self, instance_id: str) -> str:
        node = self.observer.nodes.get(instance_id)
        if node and waits_for_jobs(self.decisions[instance_id]):
            number = sum(job.runs_on(node.host_name) for job in self.observer.jobs or ())
            return counted(number, "job") if number else "runs jobs"
        if node and self.decisions[instance_id].facts.joining:
            return f"{node.state_in_sched} in the scheduler"
        if node:
            detaching = self.decisions[instance_id].phase is Phase.DETACHING
            return "being detached" if detaching else node.status
        if self.decisions[instance_id].phase is Phase.STOPPING:
            return "Stopping"
        awake = is_awake(self.observer.instances.get(instance_id))
        return "no node yet, runs" if awake else "no node yet"


def not_listed(clusters: list[str]) -> str:
    """Of other clusters in the same VPC: a stopped node is like any stopped instance."""
    return (
        f"the nodes of {listed(clusters)} in the same VPC cannot be listed, and an instance may already be a node there."
        " Run again when ehpc-nodes nodes works for it, or delete that cluster if it is permanently broken."
    )


def is_final(decision: Decision) -> bool:
    """Whether nothing more is decided about the instance, and nothing more is done before the end of the run."""
    return decision.action in FINAL and last_tags(decision) is not LastTags.DISOWN


def waits_for_jobs(decision: Decision) -> bool:
    """Whether a node is detached as soon as it runs no jobs."""
    return decision.action is Action.WAIT and TABLE[decision.phase].unwanted is Action.DETACH


def _absent(plan: Plan) -> list[str]:
    waiting = {i: d for i, d in plan.decisions.items() if d.action is Action.WAIT}
    return sorted(i for i, d in waiting.items() if d.phase is Phase.ABSENCE_UNCONFIRMED)


def steps_left(task: responses.Task | None) -> float:
    """For how much longer a task lasts at least if it steps evenly, as a multiple of the time so far."""
    if task is None or task.over or not 0 <= task.current_step < task.total_steps:
        return 0.0
    return task.total_steps / (task.current_step + 1) - 1
