"""Which permissions the key has: found by reads, and by writes without effect.

A write is sent for a cluster and an instance that do not exist. If the permission is missing, the service answers
so; if it is there, the service answers that there is no such cluster or instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from ehpc_nodes.api.client import Client
from ehpc_nodes.errors import (
    ApiError,
    AuthError,
    BackendError,
    ThrottledError,
    TransportError,
    permission,
)
from ehpc_nodes.reconcile.owner_tags import NAME_KEY

from .advice import told

NO_CLUSTER, NO_INSTANCE = "ehpc-hz-0000000000", "i-00000000000000000000"
NO_IMAGE = ("none", "system")

Answer = tuple[Literal["ok", "warning", "failed"], str, str, str]


@dataclass(frozen=True)
class Need:
    """One permission: a call that needs it, and what is not possible without it.

    ``optional``: everything else works without it.
    """

    action: str
    call: Callable[[Client, str], object]
    without: str
    optional: bool = False


NEEDS = (
    Need(
        "DescribeCluster",
        lambda c, i: c.describe_cluster(i),
        "programs must set image_id",
        True,
    ),
    Need("ListNodes", lambda c, i: c.list_nodes(i), "nothing can be attached"),
    Need("ListTasks", lambda c, i: c.list_running_tasks(i), "nothing can be attached"),
    Need(
        "ListNodesByQueue",
        lambda c, i: c.list_queue_nodes(i, "workq"),
        "job_queue cannot be used",
        True,
    ),
    Need("ListQueues", lambda c, i: c.list_queues(i), "queues are not checked", True),
    Need("ListImages", lambda c, _: c.list_system_images(), "system images are not checked", True),
    Need(
        "ListCustomImages",
        lambda c, _: c.list_custom_images("self"),
        "own images are not checked",
        True,
    ),
    Need(
        "ListJobsWithFilters",
        lambda c, i: c.list_jobs(i, ["none"]),
        "the jobs of busy nodes are not shown",
        True,
    ),
    Need(
        "GetAutoScaleConfig",
        lambda c, i: c.get_auto_scale_config(i),
        "scale-in is not checked",
        True,
    ),
    Need(
        "DescribeInstances",
        lambda c, _: c.describe_instances([NO_INSTANCE]),
        "nothing can be attached",
    ),
    Need(
        "ListTagResources",
        lambda c, _: c.list_tags({f"{NAME_KEY}-doctor": ""}),
        "a stack with 1,000 nodes cannot attach more",
        True,
    ),
    Need(
        "AddExistedNodes",
        lambda c, _: c.add_existed_nodes(NO_CLUSTER, [NO_INSTANCE], image=NO_IMAGE, queue=""),
        "nothing can be attached",
    ),
    Need(
        "DeleteNodes",
        lambda c, _: c.delete_nodes(NO_CLUSTER, [NO_INSTANCE]),
        "nothing can be detached",
    ),
    Need(
        "SetQueue",
        lambda c, _: c.set_queue(NO_CLUSTER, "none", ["none"]),
        "nodes cannot be moved",
        True,
    ),
    Need(
        "StopInstances",
        lambda c, _: c.stop_instances([NO_INSTANCE]),
        "stop_running cannot be used",
        True,
    ),
    Need(
        "TagResources",
        lambda c, _: c.tag_instances([NO_INSTANCE], {NAME_KEY: "doctor"}),
        "nothing can be attached or adopted",
    ),
    Need(
        "UntagResources",
        lambda c, _: c.untag_instances([NO_INSTANCE], NAME_KEY),
        "owner tags are not removed from detached instances",
        True,
    ),
)


def asked(client: Client) -> Iterator[Answer]:
    """Each permission with what was found; ends after an access key that is rejected."""
    cluster_id = NO_CLUSTER
    listing = Need(
        "ListClusters",
        lambda c, _: c.list_clusters(),
        "nodes of other clusters are not checked",
        True,
    )
    for need in (listing, *NEEDS):
        try:
            answer = need.call(client, cluster_id)
        except AuthError as error:
            yield _refused(need, error)
            if not error.forbidden:
                return
        except (BackendError, ThrottledError, TransportError) as error:
            yield "warning", permission(need.action), f"not checked: {told(error)}", ""
        except ApiError as error:
            yield (
                "ok",
                permission(need.action),
                f"allowed (test call for an id that does not exist: {error.code})",
                "",
            )
        else:
            yield "ok", permission(need.action), "allowed", ""
            if need is listing and isinstance(answer, list) and answer:
                cluster_id = answer[0].id


def _refused(need: Need, error: AuthError) -> Answer:
    if not error.forbidden:
        return "failed", "access key", told(error), ""
    return (
        "warning" if need.optional else "failed",
        permission(need.action),
        f"missing: {need.without}",
        "give it to the access key's RAM user (docs/security.md has the policy)",
    )
