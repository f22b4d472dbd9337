"""What a run leaves: the state that holds now, and a reason for each instance that failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ehpc_nodes.api import responses
from ehpc_nodes.errors import (
    CONTINUES,
    CancelledError,
    EhpcError,
    WaitTimeoutError,
    counted,
    listed,
)
from ehpc_nodes.models import ATTACHING, STUCK, Failure, Inputs, NodeState, State

from .changes import LISTED_ELSEWHERE
from .facts import Call, EcsIs, NodeIs, Tag, TaskIs
from .ledger import failure_by
from .observer import Observer
from .owner_tags import owner_name, reference_of
from .phases import Owner, Phase
from .plan import Conclusion, Decision, Kept, is_resolved, kept_as
from .ports import Reporter

#: More failed nodes than this are reported in groups.
BULLETS = 10


def build_state(
    observer: Observer,
    decisions: Mapping[str, Decision],
    inputs: Inputs,
    queues: Mapping[str, str],
    *,
    generation: int,
) -> State:
    """The state that holds now; a function of what was read and written.

    Args:
        decisions: the latest about each instance.
        queues: the queue of each node, as far as it was read.
        generation: of this run, or where it sent nothing, the highest that it saw; kept only where every pending instance is resolved.
    """
    saved, ledger = observer.saved, observer.ledger
    nodes = {}
    for instance_id, decision in sorted(decisions.items()):
        kept = _node_state(observer, instance_id, decision, queues.get(instance_id, ""))
        if kept is not None:
            nodes[instance_id] = kept
    calls = [w.record for w in ledger.writes if w.action == "AddExistedNodes"]
    latest = calls[-1] if calls else saved
    known = saved.generation if saved else 0
    return State(
        **{**inputs.model_dump(include={*Inputs.model_fields}), "instance_ids": sorted(nodes)},
        task_id=latest.task_id if latest else "",
        request_id=latest.request_id if latest else "",
        tasks=[write.record for write in ledger.writes],
        nodes=nodes,
        failed={**exceptions(nodes, inputs.instance_ids), **ledger.failed},
        owner=observer.identity.name,
        generation=max(known, generation) if _all_is_known(observer, decisions) else known,
    )


def _all_is_known(observer: Observer, decisions: Mapping[str, Decision]) -> bool:
    """Whether the outcome of every earlier run is known."""
    needed = {"ListNodes", "ListTasks", "DescribeInstances"}
    if not observer.tags_read or observer.denied.keys() & needed:
        return False
    return all(map(is_resolved, decisions.values()))


def _node_state(
    observer: Observer, instance_id: str, decision: Decision, queue: str
) -> NodeState | None:
    """What the state keeps of one instance; None: nothing."""
    kept = kept_as(decision)
    before = observer.saved.nodes.get(instance_id) if observer.saved else None
    node = observer.nodes.get(instance_id)
    instance = observer.instances.get(instance_id)
    if kept is Kept.NOTHING:
        return None
    if kept is Kept.AS_IT_WAS or (kept is Kept.NODE and node is None):
        last = observer.records[instance_id].node
        if last is None or before is not None:
            return before or NodeState()
        node = last
    if node is None:
        status = STUCK if decision.phase is Phase.STUCK else ATTACHING
        return NodeState(status=status, image_id=_image_before(instance, before))
    address = instance.private_ip if instance else ""
    settled = decision.phase is Phase.ATTACHED
    confirmed_at = before.confirmed_at if before and decision.facts.confirmed else 0
    now = max(1, int(observer.clock.wall()))
    moved = observer.ledger.latest("SetQueue", instance_id)  # its answer is newer than any list
    queue = observer.wanted.queue if moved else queue or (before.queue if before else "")
    return node_state(node, queue, address, confirmed_at=(confirmed_at or now) if settled else 0)


def _image_before(instance: responses.Instance | None, before: NodeState | None) -> str:
    """The image that an instance had when it was sent; empty: not known."""
    reference = reference_of(instance) if instance else None
    if reference is not None:
        return reference.image
    return before.image_id if before and before.status in {ATTACHING, STUCK} else ""


def node_state(
    node: responses.Node, queue: str, address: str = "", *, confirmed_at: int = 0
) -> NodeState:
    """A node as the state keeps it; the address for a list that has none."""
    return NodeState(
        host_name=node.host_name,
        private_ip=node.ip_address or address,
        status=node.status,
        queue=queue,
        image_id=node.image_id,
        instance_type=node.instance_type,
        scheduler_state=node.state_in_sched,
        confirmed_at=confirmed_at,
    )


def queues_of(observer: Observer, ids: Collection[str], reporter: Reporter) -> dict[str, str]:
    """The queue of each node, as far as it can be read.

    Raises:
        CancelledError: the user cancelled the run.
    """
    if not ids:
        return {}
    try:
        return observer.read_queues(ids)
    except CancelledError:
        raise
    except EhpcError as error:  # whatever it is: what was written has to get into the state
        reporter.warning(f"The nodes' queues were not read: {error}")
        return {}


def exceptions(nodes: Mapping[str, NodeState], ids: Collection[str]) -> dict[str, Failure]:
    """The nodes that the cluster itself reports as failed."""
    return {
        i: Failure(
            code=node.status, reason=f"the node has status {node.status}: repair or detach it"
        )
        for i, node in nodes.items()
        if node.status.lower() in responses.NODE_FAILED and i in ids
    }


def ended_by(observer: Observer, decisions: Mapping[str, Decision], error: EhpcError) -> str:
    """The error that ended a run, with what continues without it."""
    if isinstance(error, CancelledError):
        return f"{error} {CONTINUES}"
    if isinstance(error, WaitTimeoutError):
        return str(error)
    going = sorted(
        i
        for i, d in decisions.items()
        if d.phase in {Phase.ATTACHING, Phase.RESULT_UNKNOWN}
        and observer.ledger.latest("AddExistedNodes", i)
    )
    if not going:
        return str(error)
    writes = (observer.ledger.latest("AddExistedNodes", i) for i in going)
    tasks = sorted({write.task_id for write in writes if write} - {""})
    if not tasks:
        return f"{error} E-HPC may continue to attach {listed(going)}. Run pulumi up again: it checks this first."
    return (
        f"{error} E-HPC continues to attach {listed(going)} (task {listed(tasks)})."
        " Run pulumi up again: it waits for this task."
    )


# -- why an instance failed --------------------------------------------------------------------------------------

#: Of an instance that may have been sent, and of which nothing else shows it than that it runs.
STUCK_TEXT = (
    "may have been sent by an interrupted run, and runs, though neither a node nor a task shows it. If the console shows"
    " no task for it, stop the instance; the next pulumi up attaches it"
)
STUCK_UNWANTED_TEXT = (
    "may have been sent by an interrupted run, and runs, though neither a node nor a task shows it. If the console shows"
    " no task for it, remove its ECS tags 'ehpc-nodes' and 'ehpc-nodes-ref'"
)


def failure_of(
    observer: Observer, instance_id: str, decision: Decision, why: Conclusion
) -> Failure:
    """A conclusion for people."""
    if why is Conclusion.FAILED:
        return _of_call(observer, instance_id, decision)
    if why is Conclusion.CHANGED_BY_OTHER:
        text = (
            f"not attached: since this run first read it, {_change(observer, instance_id, decision)}. If the console"
            " shows a task for it, wait until that task ends; then run pulumi up again, or remove it from instance_ids"
        )
    elif why is Conclusion.NODE_DISAPPEARED:
        text = (
            "not attached: the preview did not show that it would be, because it was a node or was being attached when"
            " this run began. Run pulumi up again and check its preview"
        )
    elif why is Conclusion.NODE_APPEARED:
        text = (
            "not detached: it was no node when this run began, and is one by now. Run the command again and check its"
            " preview: it is detached"
        )
    elif why is Conclusion.NOT_COMPUTE:
        text = "it is no compute node by now: not changed"
    elif why is Conclusion.UNREADABLE:
        text = str(next(iter(observer.denied.values()), "it may not be read"))
    elif why is Conclusion.LISTED_ELSEWHERE:
        text = f"not detached: it {LISTED_ELSEWHERE}"
    elif why is Conclusion.BUSY:
        text = (
            f"not detached: by now it {observer.runs(instance_id)}. Wait until its jobs end, or set"
            ' busy_nodes="wait" or "detach" (the jobs are lost)'
        )
    else:
        text = STUCK_TEXT if decision.wanted else STUCK_UNWANTED_TEXT
    return Failure(code=why.value, reason=text)


def _change(observer: Observer, instance_id: str, decision: Decision) -> str:
    """What somebody else did to a planned instance."""
    facts, instance = decision.facts, observer.instances.get(instance_id)
    if facts.node is not NodeIs.ABSENT or facts.task is TaskIs.RUNNING:
        return f"it appeared in cluster {observer.identity.cluster_id}"
    if facts.in_other_cluster:
        return f"it appeared in cluster {observer.elsewhere[instance_id]}"
    if facts.tag is Tag.UNKNOWN:
        return "another run found it attached by somebody else"
    if decision.owner is Owner.OTHER and instance:
        return f"resource {owner_name(instance)!r} set its owner tag"
    if facts.image_changed:
        return "it got another image"
    if facts.ecs is EcsIs.NOT_FOUND:
        return "it was released"
    return f"it became {instance.status if instance else 'another'}"


def _of_call(observer: Observer, instance_id: str, decision: Decision) -> Failure:
    """Why it failed: by its node, its task, or the call."""
    node, task = observer.nodes.get(instance_id), observer.task_about(instance_id)
    action = "DeleteNodes" if node else "AddExistedNodes"
    if errors := observer.ledger.errors(action, instance_id):
        return failure_by(errors[-1])
    ended = f"task {task.task_id} ended with {task.status}: {task.reason}" if task else ""
    code = task.status if task and task.over else "exception"
    if node and decision.facts.detached is not Call.NONE:
        text = f"still a node ({node.status}) after its detach; {ended or 'its task ended'}"
    elif node:
        fix = "repair it in the console, or remove it from instance_ids to detach it"
        text = f"the node has status {node.status}{'; ' + ended if ended else ''}: {fix}"
    else:
        again = "Run pulumi up again: it attaches the instance again, and its system disk will be replaced again"
        text = f"not attached, not among the cluster's nodes; {ended}. {again}"
    return Failure(code=code, reason=text)


def reasons(observer: Observer, state: State) -> list[str]:
    """A line a failed node; above ten, a line a reason with the instances named."""
    failed = state.failed
    if len(failed) <= BULLETS:
        return [
            f"{called(i, state)}: {f.reason}{_request(observer, i, f)}" for i, f in failed.items()
        ]
    groups: dict[str, list[str]] = {}
    for instance_id, failure in failed.items():
        text = f"{failure.reason}{_request(observer, instance_id, failure)}"
        groups.setdefault(text, []).append(called(instance_id, state))
    return [
        f"{counted(len(ids), 'instance')} ({listed(ids, 5)}): {text}"
        for text, ids in groups.items()
    ]


def called(instance_id: str, state: State) -> str:
    """A node for people: ``compute7 (i-…)`` where the state knows its host name."""
    node = state.nodes.get(instance_id)
    return f"{node.host_name} ({instance_id})" if node and node.host_name else instance_id


def _request(observer: Observer, instance_id: str, failure: Failure) -> str:
    """The request that the failure is about: of the attach or the detach, whichever came last."""
    calls = [
        write
        for action in ("AddExistedNodes", "DeleteNodes")
        if (write := observer.ledger.latest(action, instance_id)) and write.request_id
    ]
    if not calls or "RequestId" in failure.reason:
        return ""
    return f" (RequestId {max(calls, key=lambda write: write.at).request_id})"
