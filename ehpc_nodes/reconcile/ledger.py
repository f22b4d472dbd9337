"""What this run has written, and what it has concluded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ehpc_nodes.api import responses
from ehpc_nodes.errors import ApiError, EhpcError
from ehpc_nodes.models import Failure, TaskRecord

from .facts import Verdict
from .plan import Conclusion

#: The status of a task that has done what it was to do.
SUCCESS = "Success"


@dataclass
class Write:
    """One call.

    Attributes:
        at: when it ended.
        task_id, request_id: empty where there was no answer.
        answered: whether it is known to be accepted.
        before: the tasks that ran before it: none of them is its own.
        task: as last read; None: not read, or not known to the service.
        over_at: when its task was first read as ended; None: it was not.
        shown: an instance of it has shown that it was accepted (where it got no answer).
    """

    action: str
    ids: tuple[str, ...]
    at: float
    task_id: str = ""
    request_id: str = ""
    answered: bool = True
    before: frozenset[str] = frozenset()
    task: responses.Task | None = None
    over_at: float | None = None
    shown: bool = False

    @property
    def has_succeeded(self) -> bool:
        """Whether it was answered, and its task, if it has one, has ended well."""
        ended_well = self.task is not None and self.task.status == SUCCESS
        return self.answered and (ended_well or not self.task_id)

    @property
    def record(self) -> TaskRecord:
        """As the state keeps it."""
        task = self.task
        status = "Processing" if self.task_id else "Done"
        if not self.request_id:
            status = "Unknown"
        elif task:
            status = task.status
        ended_badly = task is not None and task.over and task.status != SUCCESS
        return TaskRecord(
            action=self.action,
            task_id=self.task_id,
            request_id=self.request_id,
            instance_ids=list(self.ids),
            status=status,
            error=task.reason if task and ended_badly else "",
        )


def failure_by(error: EhpcError) -> Failure:
    """A failure by the error of a call."""
    code = error.code if isinstance(error, ApiError) else type(error).__name__
    return Failure(code=code, reason=str(error))


@dataclass
class Ledger:
    """The writes of one run in order, and its verdicts.

    Attributes:
        tagged: instances whose owner tags were written, or may have been, and when that was answered (never: minus infinity).
        adopted: nodes that this run has adopted.
        task_ids: the tasks of its calls.
    """

    writes: list[Write] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    adopted: set[str] = field(default_factory=set)
    tagged: dict[str, float] = field(default_factory=dict)
    task_ids: set[str] = field(default_factory=set)
    _latest: dict[tuple[str, str], Write] = field(default_factory=dict)
    _errors: dict[tuple[str, str], list[EhpcError]] = field(default_factory=dict)

    def note(self, write: Write) -> None:
        """A call that was accepted, or whose result is unknown."""
        self.writes.append(write)
        self.task_ids |= {write.task_id} - {""}
        self._latest |= {(write.action, i): write for i in write.ids}

    def note_error(self, action: str, ids: Iterable[str], error: EhpcError) -> None:
        """A call that failed; it may have had its effect."""
        for instance_id in ids:
            self._errors.setdefault((action, instance_id), []).append(error)

    def latest(self, action: str, instance_id: str) -> Write | None:
        """The latest call of this action in this run about the instance."""
        return self._latest.get((action, instance_id))

    def errors(self, action: str, instance_id: str) -> Sequence[EhpcError]:
        """How the calls of this action about the instance failed, each try in order."""
        return self._errors.get((action, instance_id), ())

    def fail(self, ids: Collection[str], failure: Failure) -> None:
        """Conclude that these failed; the first conclusion stays."""
        for instance_id in ids:
            self.failed.setdefault(instance_id, failure)

    def fail_by(self, ids: Collection[str], error: EhpcError) -> None:
        """The same, by an error."""
        self.fail(ids, failure_by(error))

    def verdict(self, instance_id: str) -> Verdict:
        """What was concluded about the instance."""
        failure = self.failed.get(instance_id)
        if failure is None:
            return Verdict.NONE
        return (
            Verdict.CHANGED_BY_OTHER
            if failure.code == Conclusion.CHANGED_BY_OTHER.value
            else Verdict.FAILED
        )

    @property
    def has_called(self) -> bool:
        """Whether anything but tags was written, so that there is a state to keep."""
        return bool(self.writes)
