"""What an operation leaves: the state that holds now, and a reason for each instance that isn't as wanted."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from math import inf, nextafter

from .api import responses
from .clock import wait_until
from .errors import ApiError, CancelledError, EhpcError, TransportError, counted, listed
from .models import Failure, Inputs, NodeState, State
from .operation import UNSEEN, Operation

#: More failed nodes than this are told in groups.
BULLETS = 10
#: The status of a node that was sent and is not among the cluster's nodes yet.
PENDING = "attaching"


def pending_of(state: State | None) -> set[str]:
    """The instances that the state holds as being attached."""
    return {i for i, node in state.nodes.items() if node.status == PENDING} if state else set()


def state_after(operation: Operation, inputs: Inputs, before: State | None, *, look: bool) -> State:
    """What is attached now, as far as it can be told; never fails."""
    held = {*before.instance_ids} if before else set()
    begun = operation.begun - operation.awaited
    ours = ({*inputs.instance_ids, *operation.sent, *begun} - operation.taken) | held
    ours -= operation.detached
    nodes = {i: node for i, node in operation.nodes.items() if i in ours}
    queue_of: dict[str, str] = {}
    if look:
        nodes = _final_nodes(operation, ours)
        with suppress(CancelledError):
            queue_of = queues(operation, nodes, nextafter(operation.deadline.clock.now(), inf))
    known = {
        i: node_state(n, queue_of.get(i, ""), operation.addresses.get(i, ""))
        for i, n in nodes.items()
    }
    # without marks, only the state remembers those that nobody could find out about
    unsettled = set() if operation.mark else operation.unsettled
    for instance_id in (operation.sent | unsettled) - known.keys():
        # the image that it had before: another one shows that the call has reached it
        before_it = operation.images.get(instance_id, "")
        known[instance_id] = NodeState(status=PENDING, image_id=before_it)
    calls = [r for r in operation.records if r.action == "AddExistedNodes"]
    latest = calls[-1] if calls else before
    return State(
        **{**inputs.model_dump(), "instance_ids": sorted(known)},
        task_id=latest.task_id if latest else "",
        request_id=latest.request_id if latest else "",
        tasks=operation.records,
        nodes=known,
        failed={
            **exceptions({i: known[i] for i in inputs.instance_ids if i in known}),
            **operation.failed,
        },
    )


def _final_nodes(operation: Operation, ours: set[str]) -> dict[str, responses.Node]:
    """Our nodes with all their facts, waiting a little for a list that lags behind."""
    settled = {r for record in operation.records for r in record.instance_ids if r in ours}
    settled -= {*operation.failed, *operation.detached, *operation.sent}
    now = operation.deadline.clock.now
    # where all went well, the watch has just looked
    since = now() if operation.sent or operation.failed else operation.changed

    def look() -> bool | None:
        nonlocal since
        try:
            seen = operation.see_nodes_again(ours, since)
        except EhpcError as error:
            if isinstance(error, UNSEEN):
                return None
            return True
        since = now()
        return True if settled <= seen.keys() else None

    with suppress(CancelledError):  # what was seen so far has to do then
        wait_until(look, operation.deadline.at_most(operation.grace))
    return {i: node for i, node in operation.nodes.items() if i in ours}


def queues(operation: Operation, ids: Collection[str], since: float) -> dict[str, str]:
    """The queue of each node, as far as it can be learnt, by looks that were begun at ``since`` or later."""
    if not ids:
        return {}
    try:
        names = [queue.queue_name for queue in operation.see_queues(since)]
        if len(names) == 1:  # nothing to choose from, and a page for each 50 nodes saved
            return dict.fromkeys(ids, names[0])
        return {node.id: name for name in names for node in operation.see_queue(name, since)}
    except (ApiError, TransportError) as error:
        operation.reporter.warning(f"The nodes' queues could not be read: {error}")
        return {}


def node_state(node: responses.Node, queue: str, address: str = "") -> NodeState:
    """A node as the state keeps it; the address for a look that told none."""
    return NodeState(
        host_name=node.host_name,
        private_ip=node.ip_address or address,
        status=node.status,
        queue=queue,
        image_id=node.image_id,
        instance_type=node.instance_type,
    )


def exceptions(nodes: dict[str, NodeState]) -> dict[str, Failure]:
    """The nodes that the cluster itself calls failed."""
    return {
        i: Failure(code=node.status, reason=f"node status {node.status}: repair or detach it")
        for i, node in nodes.items()
        if node.status.lower() in responses.NODE_FAILED
    }


def ended_by(operation: Operation, error: EhpcError) -> str:
    """The error that ended an operation; a cancelled one with what goes on without it."""
    if not isinstance(error, CancelledError) or not operation.sent:
        return str(error)
    tasks = sorted(
        {r.task_id for r in operation.records if operation.sent & {*r.instance_ids}} - {""}
    )
    told = f" (task {listed(tasks)})" if tasks else ""
    return (
        f"{error} The attaching of {listed(sorted(operation.sent))}{told} goes on in E-HPC;"
        " pulumi up joins it."
    )


def reasons(operation: Operation, state: State) -> list[str]:
    """A line a failed node; above ten, a line a reason with the instances named."""
    failed = state.failed
    tasks = {i: r for r in operation.records for i in r.instance_ids}
    if len(failed) <= BULLETS:
        return [f"{called(i, state)}: {f.reason}{_ids(tasks.get(i), f)}" for i, f in failed.items()]
    groups: dict[str, list[str]] = {}
    for instance_id, failure in failed.items():
        text = f"{failure.reason}{_ids(tasks.get(instance_id), failure)}"
        groups.setdefault(text, []).append(called(instance_id, state))
    return [
        f"{counted(len(ids), 'instance')} ({listed(ids, 5)}): {text}"
        for text, ids in groups.items()
    ]


def called(instance_id: str, state: State) -> str:
    """A node for people: ``compute7 (i-…)`` where the state knows its host name."""
    node = state.nodes.get(instance_id)
    return f"{node.host_name} ({instance_id})" if node and node.host_name else instance_id


def _ids(record: object, failure: Failure) -> str:
    request_id = getattr(record, "request_id", "")
    return f" (RequestId {request_id})" if request_id and request_id not in failure.reason else ""
