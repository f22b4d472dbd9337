"""Property maps: what the engine hands over and keeps, in and out of the models. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from pulumi.output import UNKNOWN, Unknown

from ehpc_nodes.api.responses import NODE_READY, NODE_STOPPED, SCHEDULER_ACTIVE
from ehpc_nodes.errors import listed
from ehpc_nodes.models import ATTACHING, STUCK, BusyNodes, Declared, Inputs, NodeState, State
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.facts import is_being_attached
from ehpc_nodes.reconcile.result import called

REPLACING = ("cluster_id", "region", "image_id", "image_owner_alias")
#: Stands for a generation that is not known: no reference is above it.
ALL_GENERATIONS = 10**9
#: The input that tells the resource from one of the same name in another backend; ``__``: never shown.
UID = "__uid"
#: What a program allows, where it says nothing, and where it says something that is not known yet: no refusal then.
CONSENTS = {
    "replace_system_disks": (False, True),
    "stop_running": (False, True),
    "busy_nodes": ("refuse", "wait"),
    "take_ownership": (False, True),
}

Properties = dict[str, Any]


def split_unknown(news: Mapping[str, Any]) -> tuple[Properties, set[str]]:
    """The arguments whose values are known, and the names of those that are not (all) known yet.

    What begins with ``__`` is the engine's or this package's own, which ``ignore_changes=["*"]`` hands back.
    A list with some unknown entries counts as unknown; its known entries are checked.
    """
    known: Properties = {}
    unknown: set[str] = set()
    for name, value in news.items():
        if name.startswith("__") or value is None:
            continue
        if isinstance(value, Unknown):
            unknown.add(name)
        elif isinstance(value, list) and any(isinstance(item, Unknown) for item in value):
            unknown.add(name)
            rest = [item for item in value if not isinstance(item, Unknown)]
            if rest:
                known[name] = rest
        else:
            known[name] = value
    return known, unknown


def ignored_set(news: Properties, olds: Properties) -> Properties:
    """The set as a program writes it, where ``ignore_changes`` puts the old inputs' map in its place.

    A program's own map is not taken, unless it is the very same.
    """
    given = news.get("instance_ids")
    same = isinstance(given, dict) and given == olds.get("instance_ids")
    return {"instance_ids": sorted(known_ids(olds))} if same else {}


def checked_inputs(
    declared: Declared, news: Properties, unknown: set[str], olds: Properties, uid: str = ""
) -> Properties:
    """The inputs as the engine keeps and shows them.

    The set is a map keyed by instance id (value: the host name where known), because the engine shows a
    map's added and removed entries exactly, and a list's by index. What the program leaves out keeps the
    value that it had (region and image of the same cluster), so that nothing is replaced by an omission.

    Args:
        uid: of the resource where the old inputs name none.
    """
    bag: Properties = {name: UNKNOWN for name in unknown if name != "instance_ids"}
    bag |= declared.model_dump(exclude_none=True, exclude={"instance_ids"})
    if bag.get("cluster_id") == olds.get("cluster_id"):
        for name in (
            "region",
            *(("image_id", "image_owner_alias") if "image_id" not in bag else ()),
        ):
            if name not in bag and olds.get(name):
                bag[name] = olds[name]
    if isinstance(bag.get("image_id"), str):
        bag.setdefault("image_owner_alias", "system")
    for name, (usual, _) in CONSENTS.items():
        bag.setdefault(name, usual)
    bag["instance_ids"] = _set_as_map(declared, news, olds)
    bag[UID] = olds.get(UID) or uid
    return bag


def _set_as_map(declared: Declared, news: Properties, olds: Properties) -> Any:
    raw = news.get("instance_ids")
    if isinstance(raw, Unknown):
        return raw
    hosts = hosts_of(olds)
    named: Properties = {i: hosts.get(i, "") for i in declared.instance_ids or ()}
    unknowns = [item for item in raw if isinstance(item, Unknown)] if isinstance(raw, list) else []
    named |= {f"(new instance {n})": item for n, item in enumerate(unknowns, start=1)}
    return named


def resource_name(urn: str) -> str:
    return urn.rpartition("::")[2]


def known_ids(bag: Mapping[str, Any]) -> set[str]:
    """The instance ids of a bag of checked inputs; placeholders of unknown ones left out."""
    ids = bag.get("instance_ids")
    named = ids if isinstance(ids, (dict, list)) else ()
    return {i for i in named if isinstance(i, str) and not i.startswith("(")}


def hosts_of(bag: Mapping[str, Any]) -> dict[str, str]:
    """Host names by instance id, as far as checked inputs or outputs know them."""
    nodes, ids = bag.get("nodes"), bag.get("instance_ids")
    if isinstance(nodes, dict):
        return {i: str(n.get("host_name", "")) for i, n in nodes.items() if isinstance(n, dict)}
    return (
        {i: str(ids[i]).partition(" (")[0] for i in known_ids(bag)} if isinstance(ids, dict) else {}
    )


def is_replacement(olds: Properties, news: Properties) -> bool:
    """Whether the change of inputs detaches all nodes and attaches them again."""
    return bool(olds) and any(changed(olds, news, name) for name in REPLACING)


def changed(olds: Properties, news: Properties, name: str) -> bool:
    """Whether a new value is given that differs; an unknown one may, so it does."""
    new = news.get(name)
    return (
        new is not None and bool(olds.get(name)) and (isinstance(new, Unknown) or new != olds[name])
    )


def needs_update(olds: Properties, news: Properties, owner: str = "") -> bool:
    """Whether the state (outputs) is not what the inputs want, for something that can be changed.

    Args:
        owner: the resource's present name on owner tags; empty: not known.
    """
    if lacks_name(olds, owner):
        return True
    if not isinstance(news.get("instance_ids"), dict) or set(news["instance_ids"]) != known_ids(
        olds
    ):
        return True
    queue = news.get("job_queue")
    saved = olds.get("nodes")
    nodes = [n for n in saved.values() if isinstance(n, dict)] if isinstance(saved, dict) else []
    if queue and (
        queue != olds.get("job_queue") or any(n.get("queue") not in ("", queue) for n in nodes)
    ):
        return True
    return bool(olds.get("failed")) or any(
        is_being_attached(n.get("status"), n.get("confirmed_at")) for n in nodes
    )


def lacks_name(olds: Properties, owner: str) -> bool:
    """Whether the nodes' owner tags have a former name of the resource, or it is imported and they have none."""
    return bool(owner) and olds.get("owner", owner) != owner


def saved_state(olds: Properties, outputs: Properties) -> State:
    """The state of a resource while its new inputs are checked.

    Args:
        olds: its inputs so far.
        outputs: its outputs, where the engine sends them with a check (from SDK and engine 3.261 on). Else every
            reference of the resource counts as known, and every node as confirmed, so that a preview shows "attach" for
            what may have been sent: the update waits for it instead.
    """
    if outputs.get("nodes") is not None:
        return State.model_validate(outputs)
    pending, hosts = pending_ids(olds), hosts_of(olds)
    nodes = {
        i: NodeState(host_name=host, status=ATTACHING)
        if i in pending
        else NodeState(host_name=host, status="running", confirmed_at=1)
        for i in known_ids(olds)
        for host in (hosts.get(i, ""),)
    }
    return State.model_construct(
        cluster_id=str(olds.get("cluster_id") or ""),
        region=str(olds.get("region") or ""),
        job_queue=str(olds.get("job_queue") or ""),
        instance_ids=sorted(nodes),
        nodes=nodes,
        generation=ALL_GENERATIONS,
    )


def removed_state(bag: Properties, ids: Collection[str], busy_nodes: BusyNodes) -> State:
    """The state of these instances, which a replacement removes, from the inputs or outputs of the old resource."""
    state = saved_state(bag, bag)
    left = state.without({*state.instance_ids} - {*ids})
    return left.model_copy(update={"busy_nodes": busy_nodes})


def why_due(olds: Properties, news: Properties, owner: str = "") -> str:
    """Why the state is to be updated though nothing has changed in the program; empty: for no such reason."""
    wanted, held, failed = known_ids(news), known_ids(olds), olds.get("failed")
    former = olds.get("owner")
    reasons = {
        "still in the state": held - wanted,
        "not in the state": wanted - held,
        "failed before": {*failed} & wanted if isinstance(failed, dict) else (),
        "still being attached": _pending(olds) & wanted,
        f"owner tags name {former}" if former else "without owner tags": held & wanted
        if lacks_name(olds, owner)
        else (),
    }
    hosts = hosts_of(olds)
    told = [
        f"{reason}: {listed(sorted(hosts.get(i) or i for i in ids))}"
        for reason, ids in reasons.items()
        if ids
    ]
    return "; ".join(told)


def _pending(olds: Properties) -> set[str]:
    nodes = olds.get("nodes")
    known = nodes.items() if isinstance(nodes, dict) else ()
    return {i for i, n in known if isinstance(n, dict) and n.get("status") in (ATTACHING, STUCK)}


def inputs_of(state: State, old_inputs: Properties) -> Properties:
    """The inputs that fit what was read, so that the next preview shows what has drifted.

    Behind the host name of a node that is not as wanted, its status: ``compute3 (stopped)``.
    """
    kept = {k: v for k, v in old_inputs.items() if k in {UID, *Inputs.model_fields}} or {
        k: v
        for k, v in state.model_dump().items()
        if k in Inputs.model_fields and (k in CONSENTS or v)
    }
    queue = kept.get("job_queue", "")
    hosts = {i: _host_with_drift(node, queue) for i, node in state.nodes.items()}
    return {**kept, "instance_ids": hosts}


def _host_with_drift(node: NodeState, queue: str) -> str:
    if node.status.lower() not in NODE_READY:
        return f"{node.host_name} ({node.status})"
    if queue and node.queue and node.queue != queue:
        return f"{node.host_name} (queue {node.queue})"
    return node.host_name


def drift_messages(before: State, state: State, queue: str) -> list[str]:
    """What a refresh reports of nodes that are not as wanted: ``compute3 (i-…) is stopped``; the scheduler's state
    of the others is no drift.

    Args:
        before: the state that was refreshed.
    """
    gone = [i for i, n in before.nodes.items() if n.confirmed_at and i not in state.nodes]
    told = [f"{called(i, before)} is no longer a node of this resource" for i in gone]
    for instance_id, node in state.nodes.items():
        name = called(instance_id, state)
        if node.status.lower() not in NODE_READY:
            told.append(f"{name} is {node.status}")
        elif queue and node.queue not in ("", queue):
            told.append(f"{name} is in queue {node.queue}, not in {queue}")
        elif node.scheduler_state.lower() not in SCHEDULER_ACTIVE:
            told.append(f"{name} is {node.scheduler_state} in the scheduler")
    return told


def pending_ids(olds: Properties) -> set[str]:
    """The instances that were still being attached when the cluster was read last."""
    return {i for i, what in _drift(olds).items() if what in (ATTACHING, STUCK)}


def has_drifted(olds: Properties) -> bool:
    """Whether a refresh has found something that an up changes or fails at (a stopped node is left alone)."""
    return any(what not in NODE_STOPPED for what in _drift(olds).values())


def _drift(olds: Properties) -> dict[str, str]:
    """What is written behind the host names of nodes that were not as wanted (see `inputs_of`)."""
    ids = olds.get("instance_ids")
    hosts = ids.items() if isinstance(ids, dict) else ()
    behind = {i: str(host).partition(" (")[2] for i, host in hosts}
    return {i: what.removesuffix(")") for i, what in behind.items() if what}


def desired_from(bag: Properties) -> Desired:
    """What preflight needs of checked inputs. replace_system_disks may come later: no refusal yet."""
    known = {
        name: CONSENTS[name][1] if name in CONSENTS and isinstance(value, Unknown) else value
        for name, value in bag.items()
        if name in Desired.__annotations__
    }
    plain: Properties = {
        name: value for name, value in known.items() if isinstance(value, (str, bool))
    }
    return Desired(
        **plain,
        image_known=not isinstance(bag.get("image_id"), Unknown),
        later=_unknown_ids(bag),
    )


def _unknown_ids(bag: Properties) -> int:
    """How many instances are wanted that are not known yet; one of a set that is not known at all."""
    ids = bag.get("instance_ids")
    named = sum(i.startswith("(") for i in ids) if isinstance(ids, dict) else 0
    return 1 if isinstance(ids, Unknown) else named
