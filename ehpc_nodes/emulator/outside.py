"""Changes that people make in the console, without the program. They take effect at once, and count as no harm."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Concatenate, ParamSpec

from . import attach
from .codec import WorldError
from .state import State
from .world import Cluster, Instance, Job, Node

_P = ParamSpec("_P")


def _alone(
    deed: Callable[Concatenate[Outside, _P], None],
) -> Callable[Concatenate[Outside, _P], None]:
    """Not during a call."""

    @functools.wraps(deed)
    def locked(self: Outside, /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        with self._turn():
            deed(self, *args, **kwargs)

    return locked


class Outside:
    """Changes of the world without an API call. Unknown ids raise `WorldError`."""

    def __init__(self, state: State, turn: Callable[[], AbstractContextManager[None]]) -> None:
        self._state = state
        self._turn = turn

    @_alone
    def stop(self, instance_id: str) -> None:
        """Stop an instance; its node shows it."""
        self._state.arrive(self._instance(instance_id), "Stopped")

    @_alone
    def start(self, instance_id: str) -> None:
        """Start an instance; its node runs again."""
        self._state.arrive(self._instance(instance_id), "Running")
        node = self._state.world.node(instance_id)
        if node is not None and node.status == "stopped":
            node.status, node.state_in_sched = "running", "active"

    @_alone
    def attach(self, instance_id: str, cluster_id: str, queue: str = "") -> None:
        """Make an instance a running node of a cluster, with the cluster's image, as the console does."""
        world, instance = self._state.world, self._instance(instance_id)
        cluster = self._cluster(cluster_id)
        if instance_id in world.member_of:
            raise WorldError(f"{instance_id} is a node of {world.member_of[instance_id]} already")
        if queue and queue not in cluster.queues:
            raise WorldError(f"no queue {queue}")
        if cluster.image_id in world.images:
            attach.set_image(instance, world.images[cluster.image_id])
        node = attach.member(
            self._state, instance, cluster.image_owner_alias, queue or cluster.default_queue
        )
        world.add_node(cluster, node)
        self._state.arrive(instance, "Running")

    @_alone
    def detach(self, instance_id: str) -> None:
        """Remove a node from its cluster; the instance stays."""
        self._node(instance_id)
        self._state.world.remove_node(instance_id)

    @_alone
    def move(self, instance_id: str, queue: str) -> None:
        """Put a node into another queue of its cluster."""
        node = self._node(instance_id)
        if queue not in self._cluster(self._state.world.member_of[instance_id]).queues:
            raise WorldError(f"no queue {queue}")
        node.queue = queue

    @_alone
    def remove_instance(self, instance_id: str) -> None:
        """Delete an ECS instance; a node of it stays in exception."""
        self._instance(instance_id)
        self._state.world.remove_instance(instance_id)
        node = self._state.world.node(instance_id)
        if node is not None:
            node.status, node.state_in_sched = "exception", "down"

    @_alone
    def set_node_status(self, instance_id: str, status: str) -> None:
        """Force the status of a node in lists."""
        self._node(instance_id).status = status

    @_alone
    def set_cluster_status(self, cluster_id: str, status: str) -> None:
        """Force a cluster's status."""
        self._cluster(cluster_id).status = status

    @_alone
    def use(self, instance_id: str, cpu: int) -> None:
        """Use so many cores of a node without a job in a list; 0 ends that."""
        self._node(instance_id).used.cpu = cpu

    @_alone
    def set_scheduler_state(self, instance_id: str, state: str) -> None:
        """Force the scheduler's status of a node, such as drain."""
        node = self._node(instance_id)
        node.active_pace, node.state_in_sched = None, state
        self._state.world.joining.pop(instance_id, None)

    @_alone
    def start_job(
        self,
        instance_id: str,
        job_id: str = "",
        owner: str = "",
        cores: int = 1,
        seconds: float | None = None,
    ) -> None:
        """Run a job on a node, for so many seconds or until it is ended: a new job, or an existing one."""
        node = self._node(instance_id)
        jobs = self._cluster(self._state.world.member_of[instance_id]).jobs
        job_id = job_id or f"{len(jobs) + 1}.scheduler"
        job = jobs.setdefault(job_id, Job(job_id, state="QUEUED"))
        if job.state != "RUNNING":
            job.host_names, job.cores, job.seconds = [], cores, seconds
            job.since = self._state.clock.now()
        job.host_names = sorted({*job.host_names, node.host_name})
        job.owner, job.state = owner or job.owner, "RUNNING"

    @_alone
    def end_job(self, cluster_id: str, job_id: str) -> None:
        """End a job."""
        job = self._cluster(cluster_id).jobs.get(job_id)
        if job is None:
            raise WorldError(f"no job {job_id}")
        job.state = "FINISHED"

    def _instance(self, instance_id: str) -> Instance:
        found = self._state.world.instances.get(instance_id)
        if found is None:
            raise WorldError(f"no instance {instance_id}")
        return found

    def _node(self, instance_id: str) -> Node:
        found = self._state.world.node(instance_id)
        if found is None:
            raise WorldError(f"{instance_id} is a node of no cluster")
        return found

    def _cluster(self, cluster_id: str) -> Cluster:
        found = self._state.world.clusters.get(cluster_id)
        if found is None:
            raise WorldError(f"no cluster {cluster_id}")
        return found
