"""Scale-in removes idle compute nodes from a cluster, without a call.

Documented: a node is removed after ShrinkIdleTimes x ShrinkIntervalInMinutes idle, unless it is in
ExcludeNodes; a queue's setting overrides the cluster's. Guessed: attached nodes too, and their instances stay (knob
`scale_in_releases`).
"""

from __future__ import annotations

from . import tasks
from .answers import Body
from .params import Args
from .state import State
from .world import Cluster, Node, Queue


def tick(state: State) -> None:
    """After time passed: remove nodes that were idle for so long."""
    now = state.clock.now()
    for cluster in state.world.clusters.values():
        if not cluster.scales_in:
            continue
        scaling = cluster.auto_scale
        seconds = scaling.idle_times * scaling.interval_minutes * 60
        for node in list(cluster.nodes.values()):
            if not _may_go(cluster, node):
                state.idle.pop(node.id, None)
            elif now - state.idle.setdefault(node.id, now) >= seconds:
                del state.idle[node.id]
                release = node.created_by_ehpc or state.world.knobs.scale_in_releases
                tasks.leave(state, node.id, release=release)


def get_auto_scale_config(state: State, args: Args) -> Body:
    cluster = state.cluster(args.text("ClusterId"))
    scaling = cluster.auto_scale
    return {
        "ClusterId": cluster.id,
        "ClusterType": cluster.scheduler,
        "EnableAutoGrow": scaling.grow,
        "EnableAutoShrink": scaling.shrink,
        "ShrinkIdleTimes": scaling.idle_times,
        "ShrinkIntervalInMinutes": scaling.interval_minutes,
        "MaxNodesInCluster": scaling.max_nodes,
        "ExcludeNodes": ",".join(scaling.exclude_nodes),
        "SpotStrategy": "NoSpot",
        "Uid": state.world.account_uid,
        "Queues": {"QueueInfo": [_queue(cluster, queue) for queue in cluster.queues.values()]},
    }


def _may_go(cluster: Cluster, node: Node) -> bool:
    queue = cluster.queues.get(node.queue)
    return (
        queue is not None
        and cluster.shrinks(queue)
        and node.is_compute
        and node.status == "running"
        and not cluster.is_busy(node)
        and node.id not in cluster.auto_scale.exclude_nodes
    )


def _queue(cluster: Cluster, queue: Queue) -> Body:
    return {
        "QueueName": queue.name,
        "EnableAutoGrow": queue.auto_grow,
        "EnableAutoShrink": cluster.shrinks(queue),
        "MinNodesInQueue": 0,
        "MaxNodesInQueue": 100,
        "SpotStrategy": "NoSpot",
    }
