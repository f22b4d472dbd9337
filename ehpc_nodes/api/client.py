"""One typed method for each API operation, each list read to its end. A read is repeated, a write is sent once.

E-HPC 2018-04-12 and the slice of ECS 2014-05-26 that attaching needs. A client lives as long as one
operation of a resource: its deadline limits every repeat.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_random_exponential

from ehpc_nodes.clock import Deadline
from ehpc_nodes.errors import (
    MAYBE_CONFLICT,
    ApiError,
    BackendError,
    CertificateError,
    ConflictError,
    LastingError,
    NotSentError,
    NotTheServiceError,
    ThrottledError,
    TransportError,
)

from . import responses
from .paging import BATCH, chunks, many, one, pages
from .transport import Exchange

log = logging.getLogger("ehpc_nodes.api.client")

#: Seconds for which a read is repeated before it counts as failed.
PATIENCE = 120.0
#: The same if there is no connection.
UNREACHABLE = 20.0
#: The same if something else than the service answers: usually only another setting helps.
STRANGER = 8.0

REPEAT_READ = (ThrottledError, ConflictError, BackendError, TransportError)

#: DescribeInstances finds at most so many instances by tags; if it finds so many, there may be more.
TAG_FILTER_LIMIT = 1000

W = TypeVar("W", bound=responses.Wire)


def numbered(template: str, values: Iterable[str]) -> dict[str, str]:
    """List parameters as the API writes them: ``Instance.{}.Id`` gives Instance.1.Id and so on."""
    return {template.format(n): value for n, value in enumerate(values, start=1)}


class Client:
    """E-HPC and ECS as this package needs them.

    Every method raises ApiError if the service answers with an error, TransportError if there is no usable answer
    (a read: after repeats), CancelledError if the user stopped the run.

    Args:
        notice: gets one line about why a call is repeated.
    """

    def __init__(
        self,
        ehpc: Exchange,
        ecs: Exchange,
        *,
        region: str,
        deadline: Deadline,
        notice: Callable[[str], None] = log.debug,
    ) -> None:
        self._ehpc = ehpc
        self._ecs = ecs
        self._region = region
        self._deadline = deadline
        self._notice = notice
        self._answered: set[Exchange] = set()

    # -- E-HPC: reading -------------------------------------------------------------------------

    def describe_cluster(self, cluster_id: str) -> responses.Cluster:
        """DescribeCluster."""
        answer = self._read("DescribeCluster", {"ClusterId": cluster_id})
        return one("DescribeCluster", responses.Cluster, answer.get("ClusterInfo"))

    def list_clusters(self) -> list[responses.ClusterSummary]:
        """ListClusters: the clusters of the region."""
        path = ("Clusters", "ClusterInfoSimple")
        return pages(self._read, "ListClusters", {}, path, responses.ClusterSummary, size=50)

    def list_nodes(self, cluster_id: str) -> list[responses.Node]:
        """ListNodes: every node of the cluster, with manager and login nodes."""
        params = {"ClusterId": cluster_id, "SortBy": "AddedTime"}
        return pages(
            self._read, "ListNodes", params, ("Nodes", "NodeInfo"), responses.Node, size=100
        )

    def list_queue_nodes(self, cluster_id: str, queue: str) -> list[responses.Node]:
        """ListNodesByQueue: no other call returns a node's queue."""
        params = {"ClusterId": cluster_id, "QueueName": queue}
        return pages(
            self._read, "ListNodesByQueue", params, ("Nodes", "NodeInfo"), responses.Node, size=50
        )

    def list_queues(self, cluster_id: str) -> list[responses.Queue]:
        """ListQueues."""
        answer = self._read("ListQueues", {"ClusterId": cluster_id})
        return many("ListQueues", responses.Queue, answer, ("Queues", "QueueInfo"))

    def list_jobs(self, cluster_id: str, host_names: Sequence[str]) -> list[responses.Job]:
        """ListJobsWithFilters: the jobs on these nodes that have not ended."""
        found: dict[str, responses.Job] = {}
        for names in chunks(host_names):
            nodes = numbered("Nodes.{}", names)
            params = {"ClusterId": cluster_id, "JobStatus": "notfinish", **nodes}
            jobs = pages(
                self._read, "ListJobsWithFilters", params, ("Jobs",), responses.Job, size=50
            )
            found |= {job.id: job for job in jobs}
        return list(found.values())

    def get_auto_scale_config(self, cluster_id: str) -> responses.AutoScaleConfig:
        """GetAutoScaleConfig: whether scale-in removes idle nodes."""
        answer = self._read("GetAutoScaleConfig", {"ClusterId": cluster_id})
        return one("GetAutoScaleConfig", responses.AutoScaleConfig, answer)

    def list_running_tasks(self, cluster_id: str) -> list[responses.Task]:
        """ListTasks without history: the tasks that have not ended."""
        params = {"ClusterId": cluster_id, "Archived": "false"}
        tasks = pages(self._read, "ListTasks", params, ("Tasks",), responses.Task, size=50)
        return [task for task in tasks if not task.over]

    def list_tasks(self, cluster_id: str) -> list[responses.Task]:
        """ListTasks with history: ended tasks too, as long as E-HPC keeps them."""
        params = {"ClusterId": cluster_id, "Archived": "true"}
        return pages(self._read, "ListTasks", params, ("Tasks",), responses.Task, size=50)

    def get_task(self, cluster_id: str, task_id: str) -> responses.Task | None:
        """ListTasks by id, ended or not; None if the service has no such task."""
        answer = self._read("ListTasks", {"ClusterId": cluster_id, "TaskId": task_id})
        tasks = many("ListTasks", responses.Task, answer, ("Tasks",))
        return next((task for task in tasks if task.task_id == task_id), None)

    def list_system_images(self) -> list[responses.SystemImage]:
        """ListImages: the public images that E-HPC offers in the region."""
        return many(
            "ListImages", responses.SystemImage, self._read("ListImages", {}), ("OsTags", "OsInfo")
        )

    def list_custom_images(self, owner_alias: str) -> list[responses.CustomImage]:
        """ListCustomImages of one owner alias, ``self`` or ``others``."""
        answer = self._read("ListCustomImages", {"ImageOwnerAlias": owner_alias})
        return many("ListCustomImages", responses.CustomImage, answer, ("Images", "ImageInfo"))

    # -- E-HPC: writing -------------------------------------------------------------------------

    def add_existed_nodes(
        self, cluster_id: str, instance_ids: Sequence[str], *, image: tuple[str, str], queue: str
    ) -> responses.Accepted:
        """AddExistedNodes: replaces the instances' system disks and attaches them; at most 100.

        Sent once: to be repeated only after a read that shows what happened.

        Args:
            image: image id and its owner alias.
            queue: the queue's name, or empty for the cluster's default.
        """
        params = {
            "ClusterId": cluster_id,
            "ImageId": image[0],
            "ImageOwnerAlias": image[1],
            **numbered("Instance.{}.Id", instance_ids),
            **({"JobQueue": queue} if queue else {}),
        }
        return one(
            "AddExistedNodes", responses.Accepted, self._once(self._ehpc, "AddExistedNodes", params)
        )

    def delete_nodes(self, cluster_id: str, instance_ids: Sequence[str]) -> responses.Accepted:
        """DeleteNodes, always with ReleaseInstance=false: the instances are kept; at most 100. Sent once."""
        params = {
            "ClusterId": cluster_id,
            "ReleaseInstance": "false",
            "Sync": "false",
            **numbered("Instance.{}.Id", instance_ids),
        }
        return one("DeleteNodes", responses.Accepted, self._once(self._ehpc, "DeleteNodes", params))

    def set_queue(
        self, cluster_id: str, queue: str, host_names: Sequence[str]
    ) -> responses.Accepted:
        """SetQueue: moves nodes, named by host name, to a queue; at most 100; done when answered. Sent once."""
        params = {
            "ClusterId": cluster_id,
            "QueueName": queue,
            **numbered("Node.{}.Name", host_names),
        }
        return one("SetQueue", responses.Accepted, self._once(self._ehpc, "SetQueue", params))

    # -- ECS ------------------------------------------------------------------------------------

    def describe_instances(self, instance_ids: Sequence[str]) -> list[responses.Instance]:
        """DescribeInstances of these ids, in as many calls as needed; unknown ids are absent."""
        found: list[responses.Instance] = []
        for ids in chunks(instance_ids):
            found += self._described({"InstanceIds": json.dumps(ids, separators=(",", ":"))})
        return found

    def instances_tagged(self, tags: Mapping[str, str]) -> list[responses.Instance]:
        """DescribeInstances: the instances that have all these tags. An empty value means any value.

        If it reaches its limit, ListTagResources finds the rest.
        """
        found = self._described(_wanted(tags))
        if len(found) < TAG_FILTER_LIMIT:
            return found
        known = {instance.instance_id for instance in found}
        tagged = dict.fromkeys(tag.resource_id for tag in self.list_tags(tags))
        rest = self.describe_instances([item for item in tagged if item not in known])
        return found + rest

    def list_tags(self, tags: Mapping[str, str]) -> list[responses.TaggedResource]:
        """ListTagResources of the instances that have these tags, as in `instances_tagged`."""
        params = {**self._resources([]), **_wanted(tags)}
        path = ("TagResources", "TagResource")
        return self._tokens("ListTagResources", params, responses.TaggedResource, path)

    def instances_in_vpc(self, vpc_id: str) -> list[responses.Instance]:
        """DescribeInstances by VPC: all of the account's instances in it."""
        return self._described({"VpcId": vpc_id})

    def stop_instances(self, instance_ids: Sequence[str]) -> responses.Stopped:
        """StopInstances, still charged, so that they keep capacity and address; at most 100. Sent once."""
        params = {
            "RegionId": self._region,
            "StoppedMode": "KeepCharging",
            "BatchOptimization": "SuccessFirst",
            **numbered("InstanceId.{}", instance_ids),
        }
        answer = self._once(self._ecs, "StopInstances", params)
        path = ("InstanceResponses", "InstanceResponse")
        instances = many("StopInstances", responses.Stopping, answer, path)
        return responses.Stopped(request_id=str(answer.get("RequestId") or ""), instances=instances)

    def tag_instances(self, instance_ids: Sequence[str], tags: Mapping[str, str]) -> None:
        """TagResources on at most 50 instances; sent once: the caller reads before it repeats."""
        pairs = numbered("Tag.{}.Key", tags) | numbered("Tag.{}.Value", tags.values())
        params = {**self._resources(instance_ids), **pairs}
        self._once(self._ecs, "TagResources", params)

    def untag_instances(self, instance_ids: Sequence[str], *keys: str) -> None:
        """UntagResources on at most 50 instances; sent once."""
        params = {**self._resources(instance_ids), **numbered("TagKey.{}", keys)}
        self._once(self._ecs, "UntagResources", params)

    # -- one call -------------------------------------------------------------------------------

    def _resources(self, ids: Sequence[str]) -> dict[str, str]:
        return {
            "RegionId": self._region,
            "ResourceType": "instance",
            **numbered("ResourceId.{}", ids),
        }

    def _read(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        return self._repeat(self._ehpc, action, params)

    def _once(self, exchange: Exchange, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """A call, unless the user stopped the run: nothing is written after that.

        If the same settings worked earlier in this operation, such as a host name, they are right: it may be repeated.
        """
        self._deadline.clock.sleep(0)
        try:
            answer = exchange(action, params)
        except ApiError:
            self._answered.add(exchange)
            raise
        except LastingError as error:
            if exchange in self._answered and not isinstance(error, CertificateError):
                raise NotSentError(action, error.reason) from error
            raise
        self._answered.add(exchange)
        return answer

    def _repeat(self, exchange: Exchange, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """A read, repeated after such errors: a conflict until the deadline, others for PATIENCE (InvalidOpt too).

        The time counts from the first error of its kind, and again from zero after a conflict, which the service sent.
        """
        limits: dict[float, Deadline] = {}
        growing = wait_random_exponential(multiplier=0.5, max=15)

        def give_up(state: RetryCallState) -> bool:
            error = _error(state)
            if isinstance(error, LastingError):
                return True
            if isinstance(error, ConflictError) and error.code != MAYBE_CONFLICT:
                limits.clear()
                return self._deadline.passed
            seconds = _patience(error)
            return limits.setdefault(seconds, self._deadline.at_most(seconds)).passed

        repeating = Retrying(
            retry=retry_if_exception_type(REPEAT_READ),
            wait=lambda state: min(growing(state), self._deadline.left),
            stop=give_up,
            sleep=self._deadline.clock.sleep,
            before_sleep=lambda state: self._notice(f"trying again: {_error(state)}"),
            reraise=True,
        )
        return repeating(self._once, exchange, action, params)

    # -- lists ----------------------------------------------------------------------------------

    def _described(self, params: Mapping[str, str]) -> list[responses.Instance]:
        query = {"RegionId": self._region, "MaxResults": str(BATCH), **params}
        path = ("Instances", "Instance")
        return self._tokens("DescribeInstances", query, responses.Instance, path)

    def _tokens(
        self, action: str, params: Mapping[str, str], model: type[W], path: tuple[str, ...]
    ) -> list[W]:
        """A list of ECS along its NextToken."""
        found: list[W] = []
        token = ""
        while True:
            query = {**params, **({"NextToken": token} if token else {})}
            answer = self._repeat(self._ecs, action, query)
            found += many(action, model, answer, path)
            token = str(answer.get("NextToken") or "")
            if not token:
                return found


def _wanted(tags: Mapping[str, str]) -> dict[str, str]:
    """A filter by tags; an empty value means any value."""
    values = {f"Tag.{n}.Value": value for n, value in enumerate(tags.values(), start=1) if value}
    return numbered("Tag.{}.Key", tags) | values


def _patience(error: BaseException | None) -> float:
    if isinstance(error, NotTheServiceError):
        return STRANGER
    return UNREACHABLE if isinstance(error, NotSentError) else PATIENCE


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
