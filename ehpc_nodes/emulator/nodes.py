"""The other writing actions of E-HPC: DeleteNodes, SetQueue, StopNodes, StartNodes.

Guessed: ComputeNotFound for an id or host name that is not a node of the cluster (or, by the knob
`absent_nodes_refused`, DeleteNodes ignores it); ConflictOpt for a node that is being attached or
deleted; InvalidNodeStatus if a node's status forbids the action; InvalidParams for deleting a
node that is not a compute node.
"""

from __future__ import annotations

from . import tasks
from .answers import ApiError, Body, invalid
from .attach import check_writable, conflict
from .knobs import INSTANT
from .params import Args
from .state import State
from .world import Cluster, Node, Task, TaskKind

_BUSY = ("uninit", "initing", "releasing")
_MANAGER_ROLES = {"Scheduler", "SchedulerBackup", "Account", "AccountBackup"}


def delete_nodes(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    chosen = _members(state, cluster, args, "DeleteNodes")
    check_writable(state, cluster)
    for node in chosen:
        if not node.is_compute:
            raise invalid("Instance.N.Id", f"{node.id} is not a compute node.")
        if node.status in _BUSY:
            raise conflict()
    release = args.flag("ReleaseInstance", default=True)
    if release:
        state.harm.releases.extend(node.id for node in chosen)
    for node in chosen:
        node.status = "releasing"
    synchronous = args.flag("Sync")
    task = _task(state, cluster, chosen, "detach", "DeleteComputes")
    task.release = release
    task.listed = not synchronous
    tasks.start(state, task, pace=INSTANT if synchronous else None)
    return {"TaskId": "Not Available" if synchronous else task.id}


def set_queue(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    by_name = {node.host_name: node for node in cluster.nodes.values() if node.listed}
    names = args.items("Node.N.Name")
    _note_touched(state, cluster, "SetQueue", [by_name[n] for n in names if n in by_name])
    check_writable(state, cluster)
    if args.text("QueueName") not in cluster.queues:
        raise invalid("QueueName")
    for name in names:
        if name not in by_name:
            raise _no_such_node(name)
        if by_name[name].status in _BUSY or not by_name[name].is_compute:
            raise _wrong_status(by_name[name])
    for name in names:
        by_name[name].queue = args.text("QueueName")
    return {}


def stop_nodes(state: State, args: Args) -> Body:
    return _switch(state, args, "StopNodes", "running")


def start_nodes(state: State, args: Args) -> Body:
    return _switch(state, args, "StartNodes", "stopped")


def has_role(node: Node, role: str) -> bool:
    """Whether a node counts as Manager, Login or Compute."""
    if role == "Manager":
        return not _MANAGER_ROLES.isdisjoint(node.roles)
    return role in node.roles


def _switch(state: State, args: Args, action: str, wanted: str) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    chosen = _members(state, cluster, args, action)
    check_writable(state, cluster)
    for node in chosen:
        if not has_role(node, args.text("Role", "Compute")):
            raise invalid("Role", f"{node.id} has another role.")
        if node.status != wanted:
            raise _wrong_status(node)
    stop = action == "StopNodes"
    for node in chosen:
        instance = state.world.instances.get(node.id)
        if instance is not None:
            state.arrive(instance, "Stopping" if stop else "Starting")
    if stop:
        task = _task(state, cluster, chosen, "stop", "StopComputes")
    else:
        task = _task(state, cluster, chosen, "start", "StartComputes")
    return {"TaskId": tasks.start(state, task).id}


def _members(state: State, cluster: Cluster, args: Args, action: str) -> list[Node]:
    """The nodes that the call names; `Harm` counts them first."""
    ids = args.items("Instance.N.Id")
    found = [cluster.nodes[item] for item in ids if item in cluster.nodes]
    if action != "StartNodes":
        _note_touched(state, cluster, action, found)
    absent = [item for item in ids if item not in cluster.nodes]
    if absent and (action != "DeleteNodes" or state.world.knobs.absent_nodes_refused):
        raise _no_such_node(absent[0])
    return found


def _note_touched(state: State, cluster: Cluster, action: str, found: list[Node]) -> None:
    for node in found:
        if not node.is_compute:
            state.harm.touched.append(
                {
                    "cluster_id": cluster.id,
                    "instance_id": node.id,
                    "roles": list(node.roles),
                    "action": action,
                    "request_id": state.request_id,
                    "time": state.now,
                }
            )


def _task(state: State, cluster: Cluster, chosen: list[Node], kind: TaskKind, type_: str) -> Task:
    ids = [node.id for node in chosen]
    return Task(tasks.task_id(state), cluster.id, kind, type_, ids)


def _no_such_node(name: str) -> ApiError:
    return ApiError(404, "ComputeNotFound", f"The compute node {name} does not exist.")


def _wrong_status(node: Node) -> ApiError:
    text = f"The status of the node {node.host_name} ({node.status}) does not support this."
    return ApiError(403, "InvalidNodeStatus", text)
