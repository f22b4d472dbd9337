"""ListNodes, ListNodesByQueue and ListNodesNoPaging: three views of a cluster's nodes.

Guessed: without Role, ListNodes names the nodes of every role; ListNodesByQueue has the status
`init` if ListNodes has `initing`, as its own list of values shows.
"""

from __future__ import annotations

import re
import warnings

from . import tasks
from .answers import Body, invalid
from .nodes import has_role
from .params import Args, from_json
from .reads import page, total
from .state import State
from .world import Cluster, Instance, Node


def list_nodes(state: State, args: Args) -> Body:
    cluster = _look(state, args)
    prefix, suffix = args.text("HostNamePrefix"), args.text("HostNameSuffix")
    address = args.text("PrivateIpAddress") if args.has("PrivateIpAddress") else None
    found = [
        node
        for node in _nodes(state, cluster)
        if node.host_name.startswith(prefix)
        and node.host_name.endswith(suffix)
        and address in (None, node.ip)
    ]
    found = _filtered(_by_role(_by_host_name(found, args), args.text("Role")), args)
    if args.text("SortBy") == "HostName":
        found.sort(key=lambda node: node.host_name)
    if args.text("Sequence") == "Backward":
        found.reverse()
    rows, fields = page(args, found)
    infos = [{**_info(state, cluster, node), **_extra(node)} for node in rows]
    return {"Nodes": {"NodeInfo": infos}, **fields}


def list_nodes_by_queue(state: State, args: Args) -> Body:
    cluster = _look(state, args)
    name = args.text("QueueName")
    if name not in cluster.queues:
        raise invalid("QueueName")
    found = [node for node in _nodes(state, cluster) if node.queue == name]
    rows, fields = page(args, found)
    infos = [_info(state, cluster, node) for node in rows]
    for info in infos:
        if info["Status"] == "initing":
            info["Status"] = "init"
    return {"Nodes": {"NodeInfo": infos}, **fields}


def list_nodes_no_paging(state: State, args: Args) -> Body:
    cluster = _look(state, args)
    found = _by_host_name(_nodes(state, cluster), args)
    found = _by_role(found, args.text("Role", "Compute"))
    if args.text("Sequence") == "Backward":
        found.reverse()
    names = ("HostName", "Id", "ImageId", "InstanceType", "Status")
    infos = [{**_info(state, cluster, node), **_extra(node)} for node in found]
    return {"Nodes": {"NodeInfo": [{name: info[name] for name in names} for info in infos]}}


def _look(state: State, args: Args) -> Cluster:
    cluster = state.cluster(args.text("ClusterId"))
    tasks.look(state, cluster.id)
    state.look_at_nodes(cluster)
    return cluster


def _nodes(state: State, cluster: Cluster) -> list[Node]:
    lag = state.world.knobs.list_lag
    view = state.lag.view(cluster.id, lag, state.clock.now()) if lag else None
    known = view.nodes if view else cluster.nodes
    return [node for node in known.values() if node.listed]


def _by_host_name(found: list[Node], args: Args) -> list[Node]:
    if not args.has("HostName"):
        return found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # for what a later Python may read differently
            pattern = re.compile(args.text("HostName"))
    except (re.error, OverflowError, RecursionError) as error:
        raise invalid("HostName") from error
    return [node for node in found if pattern.search(node.host_name)]


def _by_role(found: list[Node], role: str) -> list[Node]:
    return [node for node in found if not role or has_role(node, role)]


def _filtered(found: list[Node], args: Args) -> list[Node]:
    wanted = from_json(args.text("Filter", "{}"))
    if not isinstance(wanted, dict) or set(wanted) - {"status"}:
        raise invalid("Filter")
    return [node for node in found if wanted.get("status", node.status) == node.status]


def _info(state: State, cluster: Cluster, node: Node) -> Body:
    instance = state.world.instances.get(node.id)
    return {
        "Id": node.id,
        "HostName": node.host_name,
        "IpAddress": node.ip,
        "PublicIpAddress": "",
        "Status": node.status,
        "StateInSched": node.state_in_sched,
        "ImageId": node.image_id,
        "ImageOwnerAlias": node.image_owner_alias,
        "CreateMode": node.create_mode,
        "CreatedByEhpc": node.created_by_ehpc,
        "AddTime": node.add_time,
        "ExpiredTime": "2099-12-31T15:59:59.000Z",
        "Expired": False,
        "HtEnabled": True,
        "LockReason": node.lock_reason,
        "Location": cluster.location,
        "TotalResources": total([node.total]),
        "UsedResources": total([cluster.used(node)]),
        "RegionId": state.world.region,
        "ZoneId": _zone(state, cluster, instance),
        "VpcId": cluster.vpc_id,
        "VSwitchId": instance.vswitch_id if instance else cluster.vswitch_id,
        "SpotStrategy": instance.spot_strategy if instance else "NoSpot",
        "Version": "1.0.78",
    }


def _zone(state: State, cluster: Cluster, instance: Instance | None) -> str:
    own = instance.zone_id if instance else ""
    return own or cluster.zone_id or f"{state.world.region}-a"


def _extra(node: Node) -> Body:
    """The fields that ListNodesByQueue does not have."""
    return {"InstanceType": node.instance_type, "Roles": {"Role": list(node.roles)}}
