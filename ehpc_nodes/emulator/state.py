"""What the actions work on, and how instances get from one status to another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .answers import cluster_not_found
from .clock import Clock, timestamp
from .harm import Harm
from .lag import Lag
from .world import Cluster, Instance, Node, World


@dataclass
class NodeFaults:
    """What was scripted to go wrong with the nodes of the call at hand."""

    fail_nodes: list[dict[str, Any]] = field(default_factory=list)
    never_ends: bool = False


@dataclass
class State:
    """The world with everything that belongs to it while it is served.

    `request_id` and `node_faults` are those of the call at hand; `idle` tells since when nodes are, where scale-in
    minds it.
    """

    world: World
    clock: Clock
    new_id: Callable[[], str]
    harm: Harm = field(default_factory=Harm)
    lag: Lag = field(default_factory=Lag)
    request_id: str = ""
    node_faults: NodeFaults = field(default_factory=NodeFaults)
    idle: dict[str, float] = field(default_factory=dict)

    @property
    def now(self) -> str:
        return timestamp(self.clock.now())

    def cluster(self, cluster_id: str) -> Cluster:
        """The cluster of this id, or the refusal."""
        found = self.world.clusters.get(cluster_id)
        if found is None:
            raise cluster_not_found()
        return found

    def move(self, instance: Instance, via: str, target: str) -> None:
        """Send an instance towards a status, at the pace of the world."""
        instance.status, instance.heading = via, target
        instance.pace, instance.since, instance.looks = (
            self.world.knobs.instance_pace,
            self.clock.now(),
            0,
        )
        self.world.moving[instance.id] = instance
        self._arrive_if_done(instance)

    def arrive(self, instance: Instance, status: str) -> None:
        """Put an instance into a status at once; a member's node shows what that means."""
        instance.status, instance.heading = status, None
        self.world.moving.pop(instance.id, None)
        node = self.world.node(instance.id)
        if node is not None and status == "Stopped":
            self.world.clusters[self.world.member_of[node.id]].end_jobs_on(node)
            if node.status == "running":
                node.status, node.state_in_sched = "stopped", "down"
        if status == "Running":
            instance.stopped_mode = "Not-applicable"

    def look_at_instances(self) -> None:
        """DescribeInstances looked: instances that move by looks come nearer."""
        for instance in list(self.world.moving.values()):
            instance.looks += 1
            self._arrive_if_done(instance)

    def tick_instances(self) -> None:
        """Time went by: instances that move by seconds may have arrived."""
        for instance in list(self.world.moving.values()):
            self._arrive_if_done(instance)

    def join(self, node: Node) -> None:
        """Let the scheduler take a node in, at the pace of the world; until then it says `unknown`."""
        node.joins, node.since, node.looks = self.world.knobs.scheduler_pace, self.clock.now(), 0
        node.state_in_sched = "unknown"
        self.world.joining[node.id] = node
        self._active_if_done(node)

    def look_at_nodes(self, cluster: Cluster) -> None:
        """Somebody looked at a cluster's nodes: those that join by looks come nearer."""
        for node in list(self.world.joining.values()):
            if node.id in cluster.nodes:
                node.looks += 1
                self._active_if_done(node)

    def tick_nodes(self) -> None:
        """Time went by: nodes that join by seconds may be active."""
        for node in list(self.world.joining.values()):
            self._active_if_done(node)

    def _active_if_done(self, node: Node) -> None:
        elapsed = self.clock.now() - node.since
        if node.joins and node.joins.progress(node.looks, elapsed) >= 1:
            node.joins = None
            del self.world.joining[node.id]
            if node.status == "running":
                node.state_in_sched = "active"

    def _arrive_if_done(self, instance: Instance) -> None:
        elapsed = self.clock.now() - instance.since
        if instance.heading and instance.pace.progress(instance.looks, elapsed) >= 1:
            self.arrive(instance, instance.heading)
