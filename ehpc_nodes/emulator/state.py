"""The data of the actions, and how instances change their status."""

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
    """The faults of the nodes of the present call."""

    fail_nodes: list[dict[str, Any]] = field(default_factory=list)
    never_ends: bool = False


@dataclass
class State:
    """The world, and what belongs to it while it is served.

    `request_id` and `node_faults` are those of the present call; `idle`: since when nodes are idle, for scale-in.
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
        """The cluster of this id, or the error."""
        found = self.world.clusters.get(cluster_id)
        if found is None:
            raise cluster_not_found()
        return found

    def move(self, instance: Instance, via: str, target: str) -> None:
        """Start an instance's change to a status, at the pace of the world."""
        instance.status, instance.heading = via, target
        instance.pace, instance.since, instance.reads = (
            self.world.knobs.instance_pace,
            self.clock.now(),
            0,
        )
        self.world.moving[instance.id] = instance
        self._arrive_if_done(instance)

    def arrive(self, instance: Instance, status: str) -> None:
        """Put an instance into a status at once; its node shows it."""
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
        """After a DescribeInstances call: counts for instances whose pace is reads."""
        for instance in list(self.world.moving.values()):
            instance.reads += 1
            self._arrive_if_done(instance)

    def tick_instances(self) -> None:
        """After time passed: instances whose pace is seconds may have their status."""
        for instance in list(self.world.moving.values()):
            self._arrive_if_done(instance)

    def join(self, node: Node) -> None:
        """Add a node to the scheduler, at the pace of the world; until then its status there is `unknown`."""
        node.active_pace, node.since, node.reads = (
            self.world.knobs.scheduler_pace,
            self.clock.now(),
            0,
        )
        node.state_in_sched = "unknown"
        self.world.joining[node.id] = node
        self._active_if_done(node)

    def look_at_nodes(self, cluster: Cluster) -> None:
        """After a read of a cluster's nodes: counts for nodes whose pace is reads."""
        for node in list(self.world.joining.values()):
            if node.id in cluster.nodes:
                node.reads += 1
                self._active_if_done(node)

    def tick_nodes(self) -> None:
        """After time passed: nodes whose pace is seconds may be active."""
        for node in list(self.world.joining.values()):
            self._active_if_done(node)

    def _active_if_done(self, node: Node) -> None:
        elapsed = self.clock.now() - node.since
        if node.active_pace and node.active_pace.progress(node.reads, elapsed) >= 1:
            node.active_pace = None
            del self.world.joining[node.id]
            if node.status == "running":
                node.state_in_sched = "active"

    def _arrive_if_done(self, instance: Instance) -> None:
        elapsed = self.clock.now() - instance.since
        if instance.heading and instance.pace.progress(instance.reads, elapsed) >= 1:
            self.arrive(instance, instance.heading)
