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

from .facts import Saved, Tag
from .observer import Observer
from .owner_tags import reference_of
from .phases import Phase
from .plan import Decision, Kept, kept_as
from .ports import Reporter

#: More failed nodes than this are reported in groups.
BULLETS = 10
#: What these tags are on, no run of this resource has sent: its outcome is none of this resource's generations.
_OF_OTHERS = frozenset({Tag.SAME_NAME, Tag.OTHER})


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
        generation=max(known, generation) if is_resolved(observer, decisions) else known,
    )


def is_resolved(observer: Observer, decisions: Mapping[str, Decision]) -> bool:
    """Whether the outcome of every earlier run is known: each pending instance is a node, in the state as attaching,
    or positively nothing. One that is being attached and in no state may have mates that the list of tags lacks.
    """
    if not observer.tags_read or observer.denied.keys() & {
        "ListNodes",
        "ListTasks",
        "DescribeInstances",
    }:
        return False
    sent = (d for d in decisions.values() if d.facts.pending and d.facts.tag not in _OF_OTHERS)
    return all(_is_resolved(d) for d in sent)


def _is_resolved(decision: Decision) -> bool:
    unresolved = {Phase.UNREADABLE, Phase.ABSENCE_UNCONFIRMED, Phase.OTHER_CLUSTER}
    if decision.phase in unresolved:
        return False
    open_ = {Phase.ATTACHING, Phase.RESULT_UNKNOWN, Phase.STUCK, Phase.PREPARED}
    in_state = decision.facts.saved is not Saved.NO and kept_as(decision) is Kept.ATTACHING
    return decision.phase not in open_ or in_state


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
        stuck = decision.phase in {Phase.STUCK, Phase.FAILED}
        status = STUCK if stuck else ATTACHING
        return NodeState(status=status, image_id=_image_before(instance, before))
    address = instance.private_ip if instance else ""
    settled = decision.phase is Phase.ATTACHED
    confirmed_at = before.confirmed_at if before and decision.facts.saved is not Saved.NO else 0
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
