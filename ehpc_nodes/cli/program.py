"""``ehpc-nodes program``: a Pulumi program that adopts what is attached."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Sequence
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

#: What one resource declares: nodes of one queue, of one image and owner alias.
Group = tuple[str, str, str]

HEAD = '''"""The compute nodes of {cluster}{part}, adopted as they are: no disk is replaced.

Made by `ehpc-nodes program`. A node taken out of a list is detached, an instance added is attached; attaching
replaces its system disk, which needs replace_system_disks=True.
"""

from ehpc_nodes import AttachedNodes
'''


def adopting(cluster_id: str, queue: str, client: Client, settings: Settings) -> str:
    """The program's text. Nodes that can't be adopted are named in comments, with the reasons.

    Raises:
        ConfigError: there is no node that could be adopted; the cluster is of another region.
        ApiError, TransportError: the nodes can't be seen.
    """
    cluster = client.describe_cluster(cluster_id)
    refuse_other_region(settings, cluster.region_id)
    found = lookup.nodes(cluster_id, queue=queue, compute_only=False, client=client)
    nodes = [node for node in found if _is(node, responses.COMPUTE_ROLE) or not node.roles]
    owners = _owners(client, [node.instance_id for node in nodes])
    groups: dict[Group, list[lookup.Node]] = {}
    notes: list[str] = []
    if cluster.status.lower() not in ("", "running"):
        told = f"{cluster_id} is {_plain(cluster.status)}, not running"
        notes.append(f"# {told}: pulumi up is refused until it is")
    for node in nodes:
        group = _group(node, cluster)
        if why := _why_not(node, group, owners):
            notes.append(f"# not listed: {_name(node)} {why}")
        else:
            groups.setdefault(group, []).append(node)
    part = f"'s queue {_plain(queue)}" if queue else ""
    if not groups:
        reasons = [note.removeprefix("# ").removeprefix("not listed: ") for note in notes]
        told = f": {'; '.join(reasons)}" if reasons else ""
        raise ConfigError(f"{cluster_id}{part} has no compute node to adopt{told}.")
    names = _names(list(groups))
    blocks = [HEAD.format(cluster=cluster_id, part=part)]
    blocks += [
        _resource(names[group], cluster_id, settings.region, group, listed)
        for group, listed in sorted(groups.items())
    ]
    return "\n".join([*blocks, *(["\n".join([*notes, ""])] if notes else [])])


def make_project(directory: Path, cluster_id: str, program: str) -> None:
    """A Pulumi project with this program, in a folder that has none.

    Raises:
        ConfigError: there is one already, or the folder can't be written to.
    """
    files = {
        directory / "Pulumi.yaml": f"name: {cluster_id}\nruntime: python\n",
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


def _is(node: lookup.Node, role: str) -> bool:
    return role in {word.lower() for word in node.roles}


def _owners(client: Client, instance_ids: Sequence[str]) -> dict[str, str]:
    """The resources that manage the instances, by their owner tags; none without the permission to read them."""
    try:
        found = client.describe_instances(instance_ids)
    except AuthError as error:
        if not error.forbidden:
            raise
        return {}
    return {i.instance_id: i.tag(NAME_KEY) for i in found if i.tag(NAME_KEY)}


def _why_not(node: lookup.Node, group: Group, owners: dict[str, str]) -> str:
    if node.instance_id in owners:
        owner = _plain(owners[node.instance_id])
        return f"is managed by {owner}: to take it over, list it with take_ownership=True, and in retain_ids there"
    if any(role.lower() != responses.COMPUTE_ROLE for role in node.roles):
        return f"is never managed, for its roles: {_plain(', '.join(node.roles))}"
    if node.status.lower() not in responses.NODE_READY:
        return f"is {_plain(node.status)}"
    declared = {"instance_ids": [node.instance_id], **_arguments(group)}
    _, findings = check_form(declared, unknown=["cluster_id"])
    return f"can't be declared: {_plain(findings[0].reason)}" if findings else ""


def _group(node: lookup.Node, cluster: responses.Cluster) -> Group:
    """Image and alias are left to the cluster where they are its own."""
    image = (node.image_id, node.image_owner_alias or "system")
    own = (cluster.image_id, cluster.image_owner_alias or "system")
    return (node.queue, "", "") if image == own or not node.image_id else (node.queue, *image)


def _arguments(group: Group) -> dict[str, str]:
    """What the resource has to say; what is empty is left to the cluster."""
    named = zip(("job_queue", "image_id", "image_owner_alias"), group, strict=True)
    return {argument: value for argument, value in named if value}


def _names(groups: Sequence[Group]) -> dict[Group, str]:
    """A resource's name for each, no two alike: a queue's name for one of its own, others with a number."""
    first = {group[0]: group for group in sorted(groups, reverse=True)}
    names = {group: queue for queue, group in first.items() if queue}
    for group in sorted(groups):
        if group not in names:
            names[group] = _free(group[0] or "nodes", names.values())
    return names


def _free(base: str, taken: Container[str]) -> str:
    """The base, with the lowest number that makes it free where it is taken."""
    return next(name for n in count(1) if (name := f"{base}-{n}" if n > 1 else base) not in taken)


def _resource(
    name: str, cluster_id: str, region: str, group: Group, nodes: Sequence[lookup.Node]
) -> str:
    ids = [f"        {_text(node.instance_id)},  # {_plain(node.host_name)}" for node in nodes]
    return "\n".join(
        [
            "AttachedNodes(",
            f"    {_text(name)},",
            f"    cluster_id={_text(cluster_id)},",
            f"    region={_text(region)},",
            "    instance_ids=[",
            *ids,
            "    ],",
            *(f"    {argument}={_text(value)}," for argument, value in _arguments(group).items()),
            ")",
            "",
        ]
    )


def _name(node: lookup.Node) -> str:
    return f"{_plain(node.host_name)} ({_plain(node.instance_id)})"


def _text(value: str) -> str:
    """A Python literal."""
    return json.dumps(value, ensure_ascii=False)


def _plain(value: str) -> str:
    """Fit for a comment and a docstring, whatever the service sent."""
    return re.sub(r"[^\w.:;,/@+()' -]", "?", value)
