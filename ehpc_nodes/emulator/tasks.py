"""Tasks: how they start, proceed and end."""

from __future__ import annotations

import json

from .knobs import Pace
from .state import State
from .world import Node, Task, World


def start(state: State, task: Task, pace: Pace | None = None) -> Task:
    """Start a task, at the given pace or the world's; an `instant` one has ended when this
    returns.
    """
    never = Pace("never") if state.node_faults.never_ends else None
    task.pace = pace or never or state.world.knobs.task_pace
    task.since = state.clock.now()
    task.request_id = state.request_id
    _choose_outcomes(state, task)
    state.world.tasks[task.id] = task
    state.world.open_tasks[task.id] = task
    _step(state, task)
    return task


def task_id(state: State) -> str:
    """The id of the task that the present call starts."""
    return state.request_id if state.world.knobs.task_id_is_request_id else state.new_id()


def tick(state: State) -> None:
    """After time passed."""
    for task in list(state.world.open_tasks.values()):
        if task.pace.kind == "seconds":
            _step(state, task)


def look(state: State, cluster_id: str) -> None:
    """After a read of the cluster's nodes or tasks."""
    for task in list(state.world.open_tasks.values()):
        if task.cluster_id == cluster_id and task.pace.kind == "reads":
            task.reads += 1
            _step(state, task)


def release(state: State, which: str) -> list[str]:
    """End a task by its id, or `all` except those that never end; returns which ended."""
    chosen = [
        task
        for task in state.world.open_tasks.values()
        if task.id == which or (which == "all" and task.pace.kind != "never")
    ]
    for task in chosen:
        _end(state, task)
    return [task.id for task in chosen]


def leave(state: State, instance_id: str, *, release: bool) -> None:
    """Remove a node; its instance is released, or stays, as the world has it."""
    world = state.world
    world.remove_node(instance_id)
    instance = world.instances.get(instance_id)
    if instance is None:
        return
    if release:
        world.remove_instance(instance_id)
    elif instance.status != "Stopped" and world.knobs.detached_instance_status == "Stopped":
        state.move(instance, "Stopping", "Stopped")


def result(world: World, task: Task) -> str:
    """The Result text: the instances of the task, if the world shows them."""
    if task.kind != "attach" or not task.names_instances:
        return "{}"
    rows = []
    for instance_id in task.instance_ids:
        instance = world.instances.get(instance_id)
        rows.append(
            {
                "InstanceId": instance_id,
                "Ip": instance.private_ip if instance else "",
                "Hostname": instance.host_name if instance else "",
                "role": "compute",
            }
        )
    return json.dumps({"Instances": rows})


def errors(task: Task) -> str:
    """The Errors text; the form of its elements is a guess."""
    if task.is_open:
        return "[]"
    failed = [item for item in task.instance_ids if item in task.outcomes]
    return json.dumps([{"InstanceId": item, "Message": task.failure_text} for item in failed])


def _choose_outcomes(state: State, task: Task) -> None:
    for fault in state.node_faults.fail_nodes:
        named = fault.get("instances")
        chosen = [item for item in task.instance_ids if named is None or item in named]
        outcome = fault.get("status", "exception")
        task.outcomes.update((item, outcome) for item in chosen[: fault.get("count")])
        task.failed_status = fault.get("task_status", task.failed_status)
        task.failure_text = fault.get("errors", "The node could not be initialised.")


def _step(state: State, task: Task) -> None:
    progress = task.pace.progress(task.reads, state.clock.now() - task.since)
    if progress >= 1:
        _end(state, task)
        return
    task.current_step = max(1, int(progress * task.total_steps))
    if task.kind == "attach" and progress >= 0.5:
        for node in _nodes(state, task):
            if node.status == "uninit":
                node.status = "initing"


def _nodes(state: State, task: Task) -> list[Node]:
    """The task's nodes that are still in its cluster."""
    cluster = state.world.clusters.get(task.cluster_id)
    members = cluster.nodes if cluster else {}
    return [members[item] for item in task.instance_ids if item in members]


def _end(state: State, task: Task) -> None:
    state.world.open_tasks.pop(task.id, None)
    task.current_step = task.total_steps
    failures = len(task.outcomes)
    if failures == 0:
        task.status = "Success"
    elif task.failed_status:
        task.status = task.failed_status
    else:
        whole = failures >= len(task.instance_ids)
        task.status = state.world.knobs.failed_word if whole else "PartialFail"
    finish = _ENDINGS[task.kind]
    for node in _nodes(state, task):
        finish(state, task, node)


def _attached(state: State, task: Task, node: Node) -> None:
    outcome = task.outcomes.get(node.id)
    instance = state.world.instances.get(node.id)
    if instance is not None:
        state.arrive(instance, "Running")
    if outcome == "absent":
        state.world.remove_node(node.id)
        return
    node.listed = True
    node.status = outcome or "running"
    node.queue = task.queue
    if outcome:
        node.state_in_sched = "down"
    else:
        state.join(node)


def _detached(state: State, task: Task, node: Node) -> None:
    outcome = task.outcomes.get(node.id)
    if outcome:
        node.status = "exception" if outcome == "exception" else "running"
        return
    leave(state, node.id, release=task.release)


def _stopped(state: State, task: Task, node: Node) -> None:
    _switched(state, task, node, "stopped", "Stopped")


def _started(state: State, task: Task, node: Node) -> None:
    _switched(state, task, node, "running", "Running")


def _switched(state: State, task: Task, node: Node, status: str, instance_status: str) -> None:
    outcome = task.outcomes.get(node.id)
    instance = state.world.instances.get(node.id)
    if instance is not None and not outcome:
        state.arrive(instance, instance_status)
    node.status = "exception" if outcome else status
    node.state_in_sched = "active" if node.status == "running" else "down"


_ENDINGS = {"attach": _attached, "detach": _detached, "stop": _stopped, "start": _started}
