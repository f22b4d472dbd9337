"""Take nodes out of the cluster, and move nodes between queues. The instances always stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from .api import responses
from .api.paging import BATCH, chunks
from .clock import wait_until
from .errors import (
    ApiError,
    AuthError,
    CancelledError,
    ClusterNotFoundError,
    EhpcError,
    OutcomeUnknownError,
    RefusedError,
    WaitTimeoutError,
    counted,
    listed,
)
from .marks import disclaim, owner_of, unmark
from .models import TaskRecord
from .operation import UNSEEN, Operation, may_have_acted

SENDS = 3


def guard(nodes: Mapping[str, responses.Node], ids: Sequence[str], *, detach_busy: bool) -> None:
    """Refuse to detach managers and login nodes ever, and busy nodes without consent.

    Raises:
        RefusedError: names the nodes and their load.
    """
    others = [f"{i} ({', '.join(nodes[i].roles.role)})" for i in ids if not nodes[i].is_compute]
    if others:
        raise RefusedError("instance_ids", f"no compute nodes, never detached: {listed(others)}")
    busy = [
        f"{nodes[i].host_name} ({i}; used: {nodes[i].used_resources})" for i in ids if nodes[i].busy
    ]
    if busy and not detach_busy:
        raise RefusedError(
            "detach_busy",
            f"nodes that run jobs are not detached: {listed(busy)}."
            " Wait until their jobs end, or set detach_busy=True.",
        )


def detach(
    operation: Operation,
    ids: Sequence[str],
    *,
    detach_busy: bool,
    announced: Collection[str] = (),
) -> None:
    """DeleteNodes with ReleaseInstance=false, wait until the nodes are gone, take their marks away.

    Nodes that are gone already are no error, and those that E-HPC is taking away already are only waited for. What
    fails is noted in the operation.

    Args:
        announced: of these, the ones whose announcement stays until the call is accepted. From then on it would say
            of an instance that runs and is no node that it was sent.

    Raises:
        RefusedError: a call had to be repeated, and by then nodes were busy, or another resource's.
    """
    if not ids:
        return
    operation.reporter.status(f"detaching {counted(len(ids), 'node')}")
    nodes = operation.nodes
    due = [i for i in ids if i not in nodes or not nodes[i].in_status(responses.NODE_LEAVING)]
    for batch in chunks(due, BATCH):
        _delete(operation, batch, detach_busy=detach_busy)
    disclaim(operation, sorted({*announced} - operation.failed.keys()))
    left = {i for i in ids if i not in operation.failed}
    _watch(operation, left, {*ids}.difference(due), detach_busy=detach_busy)
    unmark(operation, sorted(operation.detached & set(ids)))


def _delete(operation: Operation, batch: list[str], *, detach_busy: bool) -> None:
    """One DeleteNodes; sent again only for nodes that stand untouched in the cluster, and may still go."""
    remaining = batch
    for turn in range(1, SENDS + 1):
        try:
            accepted = _send(operation, remaining, again=turn > 1, detach_busy=detach_busy)
        except (AuthError, ClusterNotFoundError, RefusedError):
            raise
        except EhpcError as error:
            if getattr(error, "action", "") != "DeleteNodes":
                raise  # a look before the attempt: nothing was sent
            ambiguous = may_have_acted(error)
            if not ambiguous and not isinstance(error, ApiError):
                raise
            untouched = _untouched(operation, remaining, wait=ambiguous)
            if len(untouched) < len(remaining):
                operation.record(
                    "DeleteNodes", sorted({*remaining} - {*untouched}), None, "Unknown"
                )
                remaining = untouched
            elif not ambiguous or turn == SENDS:
                operation.fail_by(remaining, error)
                return
            if not remaining:
                return
            continue
        operation.record("DeleteNodes", remaining, accepted, "Processing")
        return
    operation.fail(remaining, "NotDetached", "DeleteNodes was not accepted")


def _send(
    operation: Operation, ids: list[str], *, again: bool, detach_busy: bool
) -> responses.Accepted:
    """DeleteNodes, tried until it is accepted or has failed for good; before each repeat the nodes are guarded anew."""
    for attempt in operation.cloud.attempts():
        with attempt:
            if again:
                guard_anew(operation, ids, detach_busy=detach_busy)
            again = True
            return operation.cloud.delete_nodes(operation.cluster_id, ids)
    raise AssertionError("the last attempt returns or raises")


def guard_anew(operation: Operation, ids: Sequence[str], *, detach_busy: bool) -> None:
    """`guard` by a new look, which shows whose the nodes are, too.

    Raises:
        RefusedError: names the nodes.
    """
    nodes = operation.see_nodes()
    guard(nodes, [i for i in ids if i in nodes], detach_busy=detach_busy)
    seen: list[responses.Instance] = []
    with suppress(AuthError):  # marks can't be seen then, as when the operation began
        seen = operation.cloud.describe_instances(ids) if operation.name else []
    owners = {x.instance_id: owner_of(x, operation.name, operation.identity) for x in seen}
    theirs = [f"{i} ({owner})" for i, owner in owners.items() if owner]
    if theirs:
        text = f"not detached, since another resource's mark stands on it by now: {listed(theirs)}"
        raise RefusedError("instance_ids", text)


def _untouched(operation: Operation, ids: list[str], *, wait: bool) -> list[str]:
    """Of these, the nodes that still stand in the cluster as if nothing had been sent.

    After a lost answer (``wait``) that is said only after the grace period: a list may lag.
    """
    started = operation.deadline.clock.now()
    found: list[str] = []

    def verdict() -> bool | None:
        nonlocal found
        try:
            nodes = operation.see_compute_nodes()
        except UNSEEN:
            return None
        found = [i for i in ids if i in nodes and not nodes[i].in_status(responses.NODE_LEAVING)]
        waited = operation.deadline.clock.now() - started
        return True if not wait or len(found) < len(ids) or waited >= operation.grace else None

    if not wait_until(verdict, operation.deadline):
        raise OutcomeUnknownError("DeleteNodes", ids, "the nodes could not be listed")
    return found


def _watch(operation: Operation, pending: set[str], unsent: set[str], *, detach_busy: bool) -> None:
    """Wait until the nodes are gone from the whole list; those that nobody has sent and that come back are sent."""
    total = len(pending)
    over_since: dict[str, float] = {}
    last: dict[str, responses.Node] = {}

    def look() -> bool | None:
        try:
            nodes = operation.see_compute_nodes()
            operation.note_tasks("DeleteNodes")
        except ClusterNotFoundError:
            nodes = {}
        except UNSEEN as error:
            operation.reporter.status(f"waiting; the last look failed: {error}")
            return None
        gone = pending - nodes.keys()
        last.update({i: nodes[i] for i in pending - gone})
        operation.detached |= gone
        pending.difference_update(gone)
        back = {
            i
            for i in unsent & last.keys() & pending
            if not last[i].in_status(responses.NODE_LEAVING)
        }
        unsent.difference_update(back)
        for batch in chunks(sorted(back), BATCH):
            _delete(operation, batch, detach_busy=detach_busy)
        _give_up(operation, pending, nodes, over_since)
        if pending:
            operation.reporter.status(
                f"{total - len(pending)}/{total} nodes detached; waiting for {listed(sorted(pending), 3)}"
            )
        return True if not pending else None

    try:
        if wait_until(look, operation.deadline):
            return
    except CancelledError as error:
        raise CancelledError(f"{error} {_left(operation, pending, last)}.") from error
    raise WaitTimeoutError(_left(operation, pending, last), operation.deadline.elapsed)


def _left(operation: Operation, pending: set[str], nodes: Mapping[str, responses.Node]) -> str:
    """Who isn't detached yet, with the last status, and by which tasks."""
    names = [f"{i} ({nodes[i].status})" if i in nodes else i for i in sorted(pending)]
    deletes = [r for r in operation.records if r.action == "DeleteNodes" and not _over(r)]
    tasks = [r.task_id for r in deletes if r.task_id and pending.intersection(r.instance_ids)]
    return f"not detached yet: {listed(names)}" + (f"; task {listed(tasks)}" if tasks else "")


def _over(record: TaskRecord) -> bool:
    return record.status.lower() in responses.TASK_OVER


def _give_up(
    operation: Operation,
    pending: set[str],
    nodes: Mapping[str, responses.Node],
    over_since: dict[str, float],
) -> None:
    """Nodes that still stand there a grace period after their task has ended have failed."""
    now = operation.deadline.clock.now()
    for record in operation.records:
        if record.action != "DeleteNodes" or not _over(record):
            continue
        since = over_since.setdefault(record.task_id, now)
        if now - since < operation.grace:
            continue
        for instance_id in pending & set(record.instance_ids):
            pending.discard(instance_id)
            operation.fail(
                [instance_id],
                record.status,
                f"still a node ({nodes[instance_id].status}) after task {record.task_id}"
                f" {record.status} {record.error}".rstrip(),
            )


def move(operation: Operation, ids: Sequence[str], queue: str) -> None:
    """SetQueue by host names, then make sure by looking; repeating it changes nothing."""
    remaining = [i for i in ids if i in operation.nodes]  # what is gone by now is told as that
    for _ in range(SENDS):
        if not remaining:
            return
        operation.reporter.status(f"moving {counted(len(remaining), 'node')} to queue {queue}")
        for batch in chunks(remaining, BATCH):
            _set_queue(operation, batch, queue)
        remaining = not_in_queue(operation, remaining, queue)
    operation.fail(remaining, "QueueNotSet", f"not in queue {queue} after SetQueue")


def _set_queue(operation: Operation, batch: list[str], queue: str) -> None:
    hosts = [operation.nodes[i].host_name for i in batch]
    try:
        accepted = operation.cloud.set_queue(operation.cluster_id, queue, hosts)
    except EhpcError as error:
        if not may_have_acted(error):
            raise
        operation.reporter.warning(f"{error} Looking whether the nodes were moved.")
        return
    operation.record("SetQueue", batch, accepted, "Done")


def not_in_queue(operation: Operation, ids: list[str], queue: str) -> list[str]:
    """Of these, the nodes that are not in the queue even after the grace period."""
    missing = list(ids)

    def look() -> bool | None:
        nonlocal missing
        try:
            there = {n.id for n in operation.cloud.list_queue_nodes(operation.cluster_id, queue)}
        except UNSEEN:
            return None
        missing = [i for i in ids if i not in there]
        return True if not missing else None

    wait_until(look, operation.deadline.at_most(operation.grace))
    return missing
