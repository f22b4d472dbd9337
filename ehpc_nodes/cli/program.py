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
#: What one resource declares: nodes of one queue, of one image and owner alias.
Group = tuple[str, str, str]

HEAD = '''"""The compute nodes of {cluster}{part}, adopted as they are: no disk is replaced.

Made by `ehpc-nodes program`. A node taken out of a list is detached, an instance added is attached; attaching
replaces its system disk, which needs replace_system_disks=True.
"""

from ehpc_nodes import AttachedNodes
'''


@dataclass(frozen=True)
class Resource:
    """One resource of the program.

    Attributes:
        hosts: host names by instance id, in the order in which they are listed.
        arguments: queue and image, where the program has to name them.
    """

    name: str
    hosts: Mapping[str, str]
    arguments: Mapping[str, str]


@dataclass(frozen=True)
class Program:
    """What the program declares.

    Attributes:
        queue: the only one whose nodes are listed; empty: all are.
        notes: what isn't listed and why, and what keeps the program from running.
    """

    cluster_id: str
    region: str
    queue: str
    resources: Sequence[Resource]
    notes: Sequence[str]

    @property
    def text(self) -> str:
        """As a file holds it."""
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
    """The cluster, and those of its nodes that a program may be about."""

    cluster: responses.Cluster
    nodes: Sequence[lookup.Node]

    @classmethod
    def of(cls, cluster_id: str, queue: str, client: Client, settings: Settings) -> ComputeNodes:
        """Read them.

        Raises:
            ConfigError: the cluster is of another region, or has no such queue.
            ApiError, TransportError: the nodes can't be seen.
        """
        cluster = client.describe_cluster(cluster_id)
        refuse_other_region(settings, cluster.region_id)
        found = lookup.nodes(cluster_id, queue=queue, compute_only=False, client=client)
        return cls(cluster, [n for n in found if _is(n, responses.COMPUTE_ROLE) or not n.roles])

    @property
    def notes(self) -> list[str]:
        """What keeps a program from running."""
        if self.cluster.status.lower() in ("", "running"):
            return []
        told = f"{self.cluster.id} is {plain(self.cluster.status)}, not running"
        return [f"{told}: pulumi up is refused until it is"]


def adopting(found: ComputeNodes, queue: str, owners: Mapping[str, str], region: str) -> Program:
    """A program that adopts what has no owner. Nodes that can't be adopted are noted, with the reasons.

    Args:
        owners: the resources that manage nodes, by instance id.

    Raises:
        ConfigError: there is no node that could be adopted.
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
        told = f": {'; '.join(reasons)}" if reasons else ""
        raise ConfigError(f"{found.cluster.id}{_part(queue)} has no compute node to adopt{told}.")
    names = _names(list(groups))
    resources = [
        Resource(names[group], {n.instance_id: n.host_name for n in nodes}, arguments(group))
        for group, nodes in sorted(groups.items())
    ]
    return Program(found.cluster.id, region, queue, resources, notes)


def make_project(directory: Path, name: str, program: str) -> None:
    """A Pulumi project with this program, in a folder that has none.

    Raises:
        ConfigError: there is one already, or the folder can't be written to.
    """
    files = {
        directory / "Pulumi.yaml": f"name: {name}\nruntime: python\n",
        directory / "__main__.py": program,
    }
    for path in files:
        if path.exists():
            raise ConfigError(f"{path} is there already: name another folder, or take it away.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{directory} can't be written to: {error.strerror}.") from error


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
        return f"is managed by {owner}: to take it over, list it with take_ownership=True, and in retain_ids there"
    if any(role.lower() != responses.COMPUTE_ROLE for role in node.roles):
        return f"is never managed, for its roles: {plain(', '.join(node.roles))}"
    if node.status.lower() not in responses.NODE_READY:
        return f"is {plain(node.status)}"
    declared = {"instance_ids": [node.instance_id], **arguments(group)}
    _, findings = check_form(declared, unknown=["cluster_id"])
    return f"can't be declared: {plain(findings[0].reason)}" if findings else ""


def group_of(node: lookup.Node, cluster: responses.Cluster) -> Group:
    """Image and alias are left to the cluster where they are its own."""
    image = (node.image_id, node.image_owner_alias or "system")
    own = (cluster.image_id, cluster.image_owner_alias or "system")
    return (node.queue, "", "") if image == own or not node.image_id else (node.queue, *image)


def arguments(group: Group) -> dict[str, str]:
    """What the resource has to say; what is empty is left to the cluster."""
    named = zip(("job_queue", "image_id", "image_owner_alias"), group, strict=True)
    return {argument: value for argument, value in named if value}


def _names(groups: Sequence[Group]) -> dict[Group, str]:
    """A resource's name for each, no two alike: a queue's name for one of its own, others with a number."""
    first = {group[0]: group for group in sorted(groups, reverse=True)}
    names = {group: queue for queue, group in first.items() if queue}
    for group in sorted(groups):
        if group not in names:
            names[group] = free_name(group[0] or "nodes", names.values())
    return names


def free_name(base: str, taken: Container[str]) -> str:
    """The base, with the lowest number that makes it free where it is taken."""
    return next(name for n in count(1) if (name := f"{base}-{n}" if n > 1 else base) not in taken)


def name_of_node(node: lookup.Node) -> str:
    """For people: ``compute7 (i-…)``."""
    return f"{plain(node.host_name)} ({plain(node.instance_id)})"


def _text(value: str) -> str:
    """A Python literal."""
    return json.dumps(value, ensure_ascii=False)


def plain(value: str) -> str:
    """Fit for a comment and a docstring, whatever the service sent."""
    return re.sub(r"[^\w.:;,/@+()' -]", "?", value)
