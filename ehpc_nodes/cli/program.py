"""``ehpc-nodes program``: a Pulumi program that adopts what is attached."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ehpc_nodes import lookup
from ehpc_nodes.api import responses
from ehpc_nodes.api.client import Client
from ehpc_nodes.api.settings import Settings
from ehpc_nodes.errors import AuthError, ConfigError
from ehpc_nodes.models import check_form
from ehpc_nodes.reconcile.owner_tags import NAME_KEY

from .reach import refuse_other_region

NOT_LISTED = "not listed: "
#: What one resource declares: nodes with the same queue, image and owner alias.
Group = tuple[str, str, str]

HEAD = '''"""The compute nodes of {cluster}{part}, adopted as they are: no disk is replaced.

Made by `ehpc-nodes program`. A node that you remove from a list is detached. An instance that you add is attached:
this replaces its system disk, and needs replace_system_disks=True.
"""

from ehpc_nodes import AttachedNodes
'''


@dataclass(frozen=True)
class Resource:
    """One resource of the program.

    Attributes:
        hosts: host names by instance id, in the order of the program.
        arguments: queue and image, if the program must set them.
    """

    name: str
    hosts: Mapping[str, str]
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Program:
    """What the program declares.

    Attributes:
        queue: only its nodes are listed; empty: all are.
        notes: which nodes are not listed and why, and what a run would refuse.
    """

    cluster_id: str
    region: str
    queue: str
    resources: Sequence[Resource]
    notes: Sequence[str]

    @property
    def text(self) -> str:
        """The text of the program's file."""
        blocks = [HEAD.format(cluster=self.cluster_id, part=_part(self.queue))]
        blocks += [self._resource(resource) for resource in self.resources]
        notes = [f"# {note}" for note in self.notes]
        return "\n".join([*blocks, *(["\n".join([*notes, ""])] if notes else [])])

    def _resource(self, resource: Resource) -> str:
        hosts, arguments = resource.hosts.items(), resource.arguments.items()
        return "\n".join(
            [
                "AttachedNodes(",
                f"    {_text(resource.name)},",
                f"    cluster_id={_text(self.cluster_id)},",
                f"    region={_text(self.region)},",
                "    instance_ids=[",
                *(f"        {_text(i)},  # {plain(host)}" for i, host in hosts),
                "    ],",
                *(f"    {argument}={_text(value)}," for argument, value in arguments),
                ")",
                "",
            ]
        )


@dataclass(frozen=True)
class ComputeNodes:
    """The cluster and its compute nodes."""

    cluster: responses.Cluster
    nodes: Sequence[lookup.Node]

    @classmethod
    def of(cls, cluster_id: str, queue: str, client: Client, settings: Settings) -> ComputeNodes:
        """Read them.

        Raises:
            ConfigError: the cluster is of another region, or has no such queue.
            ApiError, TransportError: the nodes cannot be read.
        """
        cluster = client.describe_cluster(cluster_id)
        refuse_other_region(settings, cluster.region_id)
        found = lookup.nodes(cluster_id, queue=queue, compute_only=False, client=client)
        return cls(cluster, [n for n in found if _is(n, responses.COMPUTE_ROLE) or not n.roles])

    @property
    def notes(self) -> list[str]:
        """What a run of the program would refuse."""
        if self.cluster.status.lower() in ("", "running"):
            return []
        status = f"{self.cluster.id} is {plain(self.cluster.status)}, not running"
        return [f"{status}: pulumi up fails until it is running"]


def adopting(found: ComputeNodes, queue: str, owners: Mapping[str, str], region: str) -> Program:
    """A program that adopts the nodes without an owner. Other nodes are noted with the reason.

    Args:
        owners: the resources that manage nodes, by instance id.

    Raises:
        ConfigError: there is no node to adopt.
    """
    groups: dict[Group, list[lookup.Node]] = {}
    notes = found.notes
    for node in found.nodes:
        group = group_of(node, found.cluster)
        if why := _why_not(node, group, owners):
            notes.append(f"{NOT_LISTED}{name_of_node(node)} {why}")
        else:
            groups.setdefault(group, []).append(node)
    if not groups:
        reasons = [note.removeprefix(NOT_LISTED) for note in notes]
        why = f": {'; '.join(reasons)}" if reasons else ""
        raise ConfigError(f"{found.cluster.id}{_part(queue)} has no compute node to adopt{why}.")
    names = _names(list(groups))
    resources = [
        Resource(names[group], {n.instance_id: n.host_name for n in nodes}, arguments(group))
        for group, nodes in sorted(groups.items())
    ]
    return Program(found.cluster.id, region, queue, resources, notes)


def make_project(directory: Path, name: str, program: str) -> None:
    """A Pulumi project with this program, in a folder that has none.

    Raises:
        ConfigError: there is one already, or the folder is not writable.
    """
    files = {
        directory / "Pulumi.yaml": f"name: {name}\nruntime: python\n",
        directory / "__main__.py": program,
    }
    for path in files:
        if path.exists():
            raise ConfigError(f"{path} already exists. Use another folder, or remove it.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{directory} cannot be written to: {error.strerror}.") from error


def _part(queue: str) -> str:
    return f"'s queue {plain(queue)}" if queue else ""


def _is(node: lookup.Node, role: str) -> bool:
    return role in {word.lower() for word in node.roles}


def owners_of(client: Client, instance_ids: Sequence[str]) -> dict[str, str]:
    """The resources that manage the instances, by their owner tags; none without the permission to read them."""
    try:
        found = client.describe_instances(instance_ids)
    except AuthError as error:
        if not error.forbidden:
            raise
        return {}
    return {i.instance_id: i.tag(NAME_KEY) for i in found if i.tag(NAME_KEY)}


def _why_not(node: lookup.Node, group: Group, owners: Mapping[str, str]) -> str:
    if node.instance_id in owners:
        owner = plain(owners[node.instance_id])
        return (
            f"is managed by {owner}. If the state of that resource is lost, restore it with --import-file; to move the node,"
            " use retain_ids there and take_ownership=True here"
        )
    if any(role.lower() != responses.COMPUTE_ROLE for role in node.roles):
        return f"is not only a compute node, and is never changed. Its roles are {plain(', '.join(node.roles))}"
    if node.status.lower() not in responses.NODE_READY:
        return f"is {plain(node.status)}"
    declared = {"instance_ids": [node.instance_id], **arguments(group)}
    _, findings = check_form(declared, unknown=["cluster_id"])
    return f"cannot be declared: {plain(findings[0].reason)}" if findings else ""


def group_of(node: lookup.Node, cluster: responses.Cluster) -> Group:
    """Image and alias are empty if they are the cluster's own."""
    image = (node.image_id, node.image_owner_alias or "system")
    own = (cluster.image_id, cluster.image_owner_alias or "system")
    return (node.queue, "", "") if image == own or not node.image_id else (node.queue, *image)


def arguments(group: Group) -> dict[str, str]:
    """The arguments that the resource must set; an empty one is left to the cluster."""
    named = zip(("job_queue", "image_id", "image_owner_alias"), group, strict=True)
    return {argument: value for argument, value in named if value}


def _names(groups: Sequence[Group]) -> dict[Group, str]:
    """A different resource name for each: the queue's name for one of its groups, others with a number."""
    first = {group[0]: group for group in sorted(groups, reverse=True)}
    names = {group: queue for queue, group in first.items() if queue}
    for group in sorted(groups):
        if group not in names:
            names[group] = free_name(group[0] or "nodes", names.values())
    return names


def free_name(base: str, taken: Container[str]) -> str:
    """The base name; if it is taken, with the lowest free number."""
    return next(name for n in count(1) if (name := f"{base}-{n}" if n > 1 else base) not in taken)


def name_of_node(node: lookup.Node) -> str:
    """For people: ``compute7 (i-…)``."""
    return f"{plain(node.host_name)} ({plain(node.instance_id)})"


def _text(value: str) -> str:
    """A Python literal."""
    return json.dumps(value, ensure_ascii=False)


def plain(value: str) -> str:
    """The value without characters that could end a comment or a docstring."""
    return re.sub(r"[^\w.:;,/@+()' -]", "?", value)
