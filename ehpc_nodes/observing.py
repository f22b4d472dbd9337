"""Look at what a resource has in the cluster: for a refresh, and for nodes that are only read."""

from __future__ import annotations

from .api import responses
from .errors import AuthError, ClusterNotFoundError, EhpcError, listed
from .marks import announced_for, begun_by
from .models import NodeState, State
from .operation import Operation
from .outcome import PENDING, exceptions, node_state, pending_of, queues


def observe(operation: Operation, state: State) -> State | None:
    """The set as the cluster has it now; None where it is positively gone.

    Nodes that carry this resource's mark and stand in no state are taken in. An absent node counts
    as gone only when whole lists have lacked it for the grace period, with no task attaching it.

    Raises:
        EhpcError: it could not be told; the state has to be kept.
    """
    try:
        nodes = operation.see_nodes()
        wanted = {*state.instance_ids, *(begun_by(operation) & nodes.keys())}
        attaching = operation.confirm(wanted)
    except ClusterNotFoundError as error:
        confirm_gone(operation, state.instance_ids, error)
        return None
    nodes = {i: n for i, n in operation.nodes.items() if i in wanted and n.is_compute}
    known = nodes.keys() | (attaching & wanted) | _perhaps_attaching(operation, state)
    if not known:
        return None
    queue_of = queues(operation, nodes, operation.changed)
    found = {i: node_state(n, queue_of.get(i, "")) for i, n in nodes.items()}
    for instance_id in known - nodes.keys():
        found[instance_id] = NodeState(status=PENDING, image_id=_image_before(state, instance_id))
    return state.model_copy(
        update={
            "instance_ids": sorted(found),
            "nodes": found,
            "failed": exceptions(found),
        }
    )


def confirm_gone(operation: Operation, ids: list[str], not_found: ClusterNotFoundError) -> None:
    """Return where a cluster that isn't found is gone, which is said: one of its instances can be seen.

    Another account's key, or another region's endpoint, finds neither.

    Raises:
        EhpcError: it could not be told; the state has to be kept.
    """
    cluster_id = operation.cluster_id
    if not ids:
        return
    try:
        seen = operation.cloud.describe_instances(ids)
    except AuthError as error:
        if not error.forbidden:
            raise
        raise EhpcError(
            f"{not_found.action}: {not_found.code}: whether {cluster_id} is gone, or belongs to another account,"
            f" can't be told. {error} Where it is gone: pulumi state delete takes the resource out."
        ) from error
    if not seen:
        raise EhpcError(
            f"Neither the cluster {cluster_id} nor any of its instances ({listed(ids, 3)}) can"
            " be seen: check that the access key is of the right account, and the region. Where all are gone:"
            " pulumi state delete takes the resource out."
        ) from not_found
    operation.reporter.info(f"the cluster {cluster_id} is gone, so nothing is attached to it")


def _perhaps_attaching(operation: Operation, state: State) -> set[str]:
    """Of the state's instances that were being attached and are no nodes, those that may still be.

    Their task goes on; or, where none is known, the instance doesn't show that nothing has come of it.
    """
    pending = pending_of(state) - operation.nodes.keys()
    known: dict[str, responses.Task | None] = {}
    for record in state.tasks:
        sent = record.action == "AddExistedNodes" and pending & {*record.instance_ids}
        if sent and record.task_id:
            task = operation.cloud.get_task(operation.cluster_id, record.task_id)
            known |= dict.fromkeys(record.instance_ids, task)
    kept = {i for i in pending if (task := known.get(i)) and not task.over}
    rest = sorted(i for i in pending if known.get(i) is None)
    if not rest:
        return kept
    try:
        seen = operation.cloud.describe_instances(rest)
    except AuthError:
        return kept | {*rest}
    return kept | {x.instance_id for x in seen if not _is_untouched(operation, state, x)}


def _is_untouched(operation: Operation, state: State, seen: responses.Instance) -> bool:
    """Whether an instance is as it was before it was sent, and no announcement tells the next change to look again.

    One that is Stopped on another image is about to start, or has failed: E-HPC replaces the disk first.
    """
    before = _image_before(state, seen.instance_id)
    announced = operation.mark and announced_for(seen) == operation.cluster_id
    return seen.stopped and before in ("", seen.image_id) and not announced


def _image_before(state: State, instance_id: str) -> str:
    """The image that an instance had when it was sent; empty: not known."""
    node = state.nodes.get(instance_id)
    return node.image_id if node else ""


def observe_all(operation: Operation, state: State) -> State:
    """The nodes of the state, or all compute nodes where it names none; for reading only.

    Raises:
        ClusterNotFoundError: there is no such cluster in the region.
        EhpcError: it could not be told.
    """
    nodes = operation.see_nodes()
    wanted = set(state.instance_ids) or {i for i, n in nodes.items() if n.is_compute}
    queue_of = queues(operation, wanted & nodes.keys(), operation.changed)
    found = {i: node_state(n, queue_of.get(i, "")) for i, n in nodes.items() if i in wanted}
    update = {"instance_ids": sorted(found), "nodes": found, "failed": exceptions(found)}
    return state.model_copy(update=update)
