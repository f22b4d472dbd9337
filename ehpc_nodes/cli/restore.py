"""``ehpc-nodes program --import-file``: resources whose state is lost, for ``pulumi import --file``."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ehpc_nodes import lookup
from ehpc_nodes.api.cache import ReadCache
from ehpc_nodes.api.client import Client
from ehpc_nodes.api.responses import Instance
from ehpc_nodes.api.settings import Settings
from ehpc_nodes.clock import Deadline, RealClock
from ehpc_nodes.errors import ConfigError, counted, listed
from ehpc_nodes.models import State, check_form
from ehpc_nodes.reconcile.operations import Operations
from ehpc_nodes.reconcile.owner_tags import UNKNOWN, new_uid, owner_name, parts_of, reference_of

from .program import (
    NOT_LISTED,
    ComputeNodes,
    Program,
    Resource,
    adopting,
    arguments,
    free_name,
    group_of,
    name_of_node,
    plain,
)
from .reach import ONE_LOOK

ONLY_LOST = "Import it only if its state is lost: two states with one uid detach each other's nodes. Pulumi 3.254 or newer."


@dataclass(frozen=True)
class Origin:
    """The resource that an instance's owner tags name: its uid (empty: not known), and ``project/stack/name``."""

    uid: str
    owner: str

    @property
    def stack(self) -> str:
        """``project/stack``."""
        return parts_of(self.owner)[0]

    @classmethod
    def of(cls, instance: Instance, cluster_id: str) -> Origin | None:
        """None without owner tags of a resource of this cluster."""
        owner, reference = owner_name(instance), reference_of(instance)
        if reference is None:
            return cls("", owner) if owner else None
        ours = reference.cluster_id == cluster_id and reference.uid != UNKNOWN
        return cls(reference.uid, owner) if owner and ours else None


@dataclass(frozen=True)
class Entry:
    """A resource to import.

    Attributes:
        origin: None if its nodes have no owner tags.
    """

    name: str
    origin: Origin | None
    uid: str
    state: State

    @property
    def line(self) -> str:
        """One line about it, for people."""
        nodes = f"{plain(self.name)}: {counted(len(self.state.instance_ids), 'node')}"
        if self.origin is None:
            return f"{nodes} without owner tags: the next pulumi up writes them"
        owner = f"{nodes} of {plain(self.origin.owner)}"
        if not self.origin.uid:
            return (
                f"{owner}, without a uid on their owner tags: the next pulumi up writes a new one"
            )
        return f"{owner}, with the uid on their owner tags"


@dataclass(frozen=True)
class Restored:
    """A program, and what to import for it."""

    program: Program
    entries: Sequence[Entry]

    @property
    def named(self) -> tuple[str, str] | None:
        """The project and the stack that had the resources; None: none had."""
        stacks = [e.origin.stack.split("/") for e in self.entries if e.origin]
        return (stacks[0][0], stacks[0][-1]) if stacks and all(stacks[0]) else None

    @property
    def summary(self) -> str:
        """What is restored, for people."""
        lines = "".join(f"{entry.line}\n" for entry in self.entries)
        if not any(entry.origin and entry.origin.uid for entry in self.entries):
            return lines
        return f"{lines}{ONLY_LOST}\n"

    @staticmethod
    def command(file: Path) -> str:
        """The command that imports the file."""
        return f"pulumi import --file {shlex.quote(str(file))} --generate-code=false --protect=false --yes"


class _ToStderr:
    """A `Reporter` that shows what a person must know."""

    def status(self, text: str) -> None:
        """Not shown: a read takes seconds."""

    def info(self, text: str) -> None:
        sys.stderr.write(f"{plain(text)}\n")

    warning = info


def restoring(cluster_id: str, owner: str, client: Client, settings: Settings) -> Restored:
    """The resources that the nodes' owner tags name; if no node has any, those that `adopting` makes.

    Args:
        owner: ``project/stack`` whose resources are restored; empty: the only one that owner tags name.

    Raises:
        ConfigError: there is nothing to restore, or nodes are of several stacks.
        ApiError, TransportError: the nodes or their owner tags could not be read.
    """
    found = ComputeNodes.of(cluster_id, "", client, settings)
    instances = client.describe_instances([node.instance_id for node in found.nodes])
    owners = {i.instance_id: name for i in instances if (name := owner_name(i))}
    origins = {i.instance_id: o for i in instances if (o := Origin.of(i, cluster_id))}
    owner = _only_stack({o.stack for o in origins.values()}, owner)
    look = _Look(found, client, settings)
    if not owner:
        program = adopting(found, "", owners, settings.region)
        return Restored(program, [look.entry(r, None) for r in program.resources])
    chosen = {i: o for i, o in origins.items() if o.stack == owner}
    resources: list[Resource] = []
    entries: list[Entry] = []
    for origin, nodes in _by_resource(found, chosen).items():
        name = free_name(parts_of(origin.owner)[1], {r.name for r in resources})
        hosts = {node.instance_id: node.host_name for node in nodes}
        resource = Resource(name, hosts, _arguments(nodes, found))
        entry = look.entry(resource, origin)
        hosts = {i: node.host_name for i, node in entry.state.nodes.items()}
        resources.append(replace(resource, hosts=hosts))
        entries.append(entry)
    held = {i for entry in entries for i in entry.state.instance_ids}
    notes = [
        f"{NOT_LISTED}{name_of_node(node)} {_why_not(owners.get(node.instance_id, ''))}"
        for node in found.nodes
        if node.instance_id not in held
    ]
    notes = [*found.notes, *notes]
    return Restored(Program(cluster_id, settings.region, "", resources, notes), entries)


def _only_stack(stacks: Collection[str], named: str) -> str:
    """The stack to restore; empty: no node has owner tags."""
    names = listed(sorted(stacks))
    if named and named not in stacks:
        raise ConfigError(
            f"No node has owner tags of {named}. The nodes' owner tags name {names or 'no stack'}."
        )
    if len(stacks) > 1 and not named:
        raise ConfigError(
            f"Nodes have owner tags of several stacks: {names}. Choose the one whose state is lost:"
            f" --owner {min(stacks)}."
        )
    return named or "".join(stacks)


def _by_resource(
    found: ComputeNodes, origins: Mapping[str, Origin]
) -> dict[Origin, list[lookup.Node]]:
    """The nodes of each uid, with any name (a rename may have been interrupted); without a uid, of each name."""
    first: dict[Origin | str, Origin] = {}
    nodes: dict[Origin, list[lookup.Node]] = {}
    for node in found.nodes:
        if origin := origins.get(node.instance_id):
            origin = first.setdefault(origin.uid or origin, origin)
            nodes.setdefault(origin, []).append(node)
    return nodes


def _arguments(nodes: Collection[lookup.Node], found: ComputeNodes) -> dict[str, str]:
    """Queue and image, if all nodes have the same, and the program can declare it."""
    groups = [group_of(node, found.cluster) for node in nodes]
    queue = groups[0][0] if len({g[0] for g in groups}) == 1 else ""
    image = groups[0][1:] if len({g[1:] for g in groups}) == 1 else ("", "")
    named = arguments((queue, *image))
    _, findings = check_form(named, unknown=["cluster_id", "instance_ids"])
    return {} if findings else named


def _why_not(owner: str) -> str:
    return (
        f"is managed by {plain(owner)}"
        if owner
        else "has no owner tags. To adopt it, add it to a list"
    )


class _Look:
    """Reads each resource's state as a refresh does; reads are shared."""

    def __init__(self, found: ComputeNodes, client: Client, settings: Settings) -> None:
        self._found, self._client, self._settings = found, client, settings
        self._deadline = Deadline.after(RealClock(), ONE_LOOK)
        self._reads = ReadCache()

    def entry(self, resource: Resource, origin: Origin | None) -> Entry:
        """The resource with its state, which also has what an interrupted run sent."""
        known = origin is not None and bool(origin.uid)
        uid = origin.uid if origin and known else new_uid()
        owner = origin.owner if origin and known else ""
        operations = Operations(
            self._client,
            self._deadline,
            _ToStderr(),
            self._settings.grace_seconds,
            origin.owner if origin else "",
            uid,
            self._reads,
        )
        state = operations.refresh(self._saved(resource, owner))
        if state is None:
            ids = listed(sorted(resource.hosts))
            raise ConfigError(f"{ids} left {self._found.cluster.id} during this read. Try again.")
        return Entry(resource.name, origin, uid, state)

    def _saved(self, resource: Resource, owner: str) -> State:
        images = {
            (node.image_id, node.image_owner_alias or "system")
            for node in self._found.nodes
            if node.instance_id in resource.hosts
        }
        image_id, alias = images.pop() if len(images) == 1 else ("", "")
        return State(
            cluster_id=self._found.cluster.id,
            region=self._settings.region,
            instance_ids=sorted(resource.hosts),
            image_id=image_id,
            image_owner_alias=alias if image_id else "",
            job_queue=resource.arguments.get("job_queue", ""),
            owner=owner,
        )


def write_import_file(file: Path, restored: Restored) -> None:
    """Write the file for ``pulumi import --file``.

    Raises:
        ConfigError: the file already exists, or cannot be written.
    """
    # late: it loads Pulumi
    from ehpc_nodes.resource import import_entry

    resources = [import_entry(e.name, e.state, e.uid) for e in restored.entries]
    try:
        with file.open("x", encoding="utf-8") as stream:
            json.dump({"resources": resources}, stream, indent=2)
            stream.write("\n")
    except FileExistsError as error:
        raise ConfigError(f"{file} already exists. Use another file name, or remove it.") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be written to: {error.strerror}.") from error
