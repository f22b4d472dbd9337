"""What the reconciler stands on: the cloud, the reporter and the other resources of the run, as protocols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from ehpc_nodes.api import responses


class Cloud(Protocol):
    """E-HPC and ECS as the reconciler needs them; `api.client.Client` is one.

    A read is repeated by it and raises when that was in vain. A write is sent once.
    """

    def describe_cluster(self, cluster_id: str) -> responses.Cluster: ...
    def list_clusters(self) -> list[responses.ClusterSummary]: ...
    def list_nodes(self, cluster_id: str) -> list[responses.Node]: ...
    def list_queue_nodes(self, cluster_id: str, queue: str) -> list[responses.Node]: ...
    def list_jobs(self, cluster_id: str, host_names: Sequence[str]) -> list[responses.Job]: ...
    def get_auto_scale_config(self, cluster_id: str) -> responses.AutoScaleConfig: ...
    def list_queues(self, cluster_id: str) -> list[responses.Queue]: ...
    def list_running_tasks(self, cluster_id: str) -> list[responses.Task]: ...
    def get_task(self, cluster_id: str, task_id: str) -> responses.Task | None: ...
    def list_system_images(self) -> list[responses.SystemImage]: ...
    def list_custom_images(self, owner_alias: str) -> list[responses.CustomImage]: ...
    def describe_instances(self, instance_ids: Sequence[str]) -> list[responses.Instance]: ...
    def instances_tagged(self, tags: Mapping[str, str]) -> list[responses.Instance]: ...
    def add_existed_nodes(
        self, cluster_id: str, instance_ids: Sequence[str], *, image: tuple[str, str], queue: str
    ) -> responses.Accepted: ...
    def delete_nodes(self, cluster_id: str, instance_ids: Sequence[str]) -> responses.Accepted: ...
    def set_queue(
        self, cluster_id: str, queue: str, host_names: Sequence[str]
    ) -> responses.Accepted: ...
    def stop_instances(self, instance_ids: Sequence[str]) -> responses.Stopped: ...
    def tag_instances(self, instance_ids: Sequence[str], tags: Mapping[str, str]) -> None: ...
    def untag_instances(self, instance_ids: Sequence[str], *keys: str) -> None: ...


class Reporter(Protocol):
    """Where an operation reports what it does."""

    def status(self, text: str) -> None:
        """What the run does now; replaces what was reported before."""

    def info(self, text: str) -> None:
        """Worth keeping in the output."""

    def warning(self, text: str) -> None:
        """Something the user should know, though the run continues."""


class OtherResources(Protocol):
    """The other resources of the run."""

    def listed(self) -> Collection[str]:
        """The instances that the program lists in them, as far as it has come."""

    def detached(self) -> Mapping[str, str]:
        """The instances that they have detached in this run, with the resource's name."""

    def detaching(self, instance_ids: Collection[str]) -> None:
        """Note that this resource is about to detach these."""


class NoOtherResources:
    """A resource that is alone in its run."""

    def listed(self) -> Collection[str]:
        """None."""
        return ()

    def detached(self) -> Mapping[str, str]:
        """None."""
        return {}

    def detaching(self, _instance_ids: Collection[str]) -> None:
        """Nobody asks."""
