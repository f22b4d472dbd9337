"""What one process remembers of a run: which resource lists which instance, what was detached, what is replaced.

The calls of one run share the plugin's process. Resources are named by URN; without a URN nothing is remembered. Safe
to use from several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ehpc_nodes.errors import ClusterNotFoundError, RefusedError, listed
from ehpc_nodes.models import Inputs
from ehpc_nodes.reconcile.operations import OperationsIn

from .properties import UID, Properties, is_replacement, known_ids, removed_state, resource_name


@dataclass(frozen=True)
class Replacement:
    """One that diff asked for: the inputs (or outputs) that are replaced."""

    olds: Properties

    @property
    def uid(self) -> str:
        """The replaced resource's."""
        return str(self.olds.get(UID) or "")


class RunRegistry:
    """What is known of the run's resources, by URN."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listed: dict[str, str] = {}  # instance id to URN
        self._accepted: set[str] = set()  # URNs whose check found nothing wrong
        self._hosts: dict[tuple[str, str], tuple[str, str]] = {}  # cluster, host to URN, instance
        self._detached: dict[str, str] = {}  # instance id to URN
        self._replacements: dict[str, Replacement] = {}
        self._deleted: dict[str, set[str]] = {}

    # -- which resource lists which instance -----------------------------------------------------------------------

    def list(self, urn: str, instance_ids: Collection[str]) -> dict[str, str]:
        """Note that the program lists these instances in this resource, and no others.

        Returns:
            Those that another resource lists: instance id to that resource's URN.
        """
        wanted = sorted(instance_ids) if urn else ()
        with self._lock:
            self._forget(urn)
            others = {i: self._listed[i] for i in wanted if i in self._listed}
            self._listed |= {i: urn for i in wanted if i not in others}
        return others

    def list_hosts(
        self, urn: str, cluster_id: str, hosts: Mapping[str, str]
    ) -> dict[str, tuple[str, str]]:
        """Note the host names, by instance id, that this resource's instances have in the cluster.

        Returns:
            Those whose host name another resource's instance has: instance id to that instance and URN.
        """
        others: dict[str, tuple[str, str]] = {}
        with self._lock:
            for instance_id, host in sorted(hosts.items()) if urn else ():
                key = (cluster_id, host.lower())
                owner, other = (
                    self._hosts.setdefault(key, (urn, instance_id)) if host else (urn, "")
                )
                if owner != urn:
                    others[instance_id] = (other, owner)
        return others

    def withdraw(self, urn: str) -> None:
        """Note that what the program lists in this resource was refused."""
        with self._lock:
            self._forget(urn)

    def accept(self, urn: str) -> None:
        """Note that nothing is wrong with what the program lists in this resource: it may take what it lists."""
        with self._lock:
            self._accepted.add(urn)

    def _forget(self, urn: str) -> None:
        self._listed = {i: owner for i, owner in self._listed.items() if owner != urn}
        self._hosts = {key: owner for key, owner in self._hosts.items() if owner[0] != urn}
        self._accepted.discard(urn)

    def listed_by_others(self, urn: str) -> set[str]:
        """The instances that the program lists in other resources, as far as these were checked and accepted."""
        with self._lock:
            others = self._accepted - {urn} if urn else ()
            return {i for i, owner in self._listed.items() if owner in others}

    # -- what was detached -----------------------------------------------------------------------------------------

    def detach(self, urn: str, instance_ids: Collection[str]) -> None:
        """Note that this resource is about to detach these."""
        with self._lock:
            self._detached |= dict.fromkeys(instance_ids, urn) if urn else {}

    def detached_by_others(self, urn: str) -> dict[str, str]:
        """The instances that other resources have detached in this run, with the resource's name."""
        with self._lock:
            return {i: resource_name(by) for i, by in self._detached.items() if urn and by != urn}

    # -- what is replaced: no call of the engine says that it is half of a replacement ------------------------------

    def replace(self, urn: str, olds: Properties) -> None:
        """Note that diff asks for the replacement of what these inputs (or outputs) declare."""
        self._replacements[urn] = Replacement(olds)

    def urn_of(self, urn: str, uid: str) -> str:
        """The name under which the program has the resource: an aliased one is deleted under its former name."""
        if urn in self._replacements or not uid:
            return urn
        return next((u for u, r in self._replacements.items() if r.uid == uid), urn)

    def deleted(self, urn: str, instance_ids: Collection[str]) -> None:
        """Note that these nodes were detached; it may be the first half of a replacement."""
        self._deleted[urn] = {*instance_ids}

    def replaced_by(self, urn: str, olds: Properties, news: Properties) -> Properties:
        """What a replacement takes away; empty where nothing is replaced.

        The engine checks without the old inputs then, after diff has reported that: for a second time, or (where it replaces
        what an input comes from, and deletes this resource before that) for the first.
        """
        if olds:
            return olds if is_replacement(olds, news) else {}
        known = self._replacements.get(urn)
        return known.olds if known and urn not in self._deleted else {}

    def region_of(self, urn: str, cluster_id: Any) -> str:
        """The region of what a replacement takes away (or has), where that is of this cluster; empty: none."""
        known = self._replacements.get(urn)
        same = known and known.olds.get("cluster_id") == cluster_id
        return str(known.olds.get("region") or "") if known and same else ""

    def refuse_unpreviewed(self, urn: str, inputs: Inputs, operations_in: OperationsIn) -> None:
        """Stop a create that is half of a replacement which is not made in the way that the preview showed.

        Raises:
            RefusedError: it is.
            EhpcError: it could not be read.
        """
        shown, deleted = self._replacements.pop(urn, None), self._deleted.pop(urn, None)
        if shown is not None and deleted is None:
            _refuse_creating_first(shown.olds, inputs, operations_in)
        again = (deleted or set()) & {*inputs.instance_ids}
        if again and shown is None:
            raise RefusedError(
                "instance_ids",
                f"{listed(sorted(again))}: detached by a forced replacement that no preview showed, and not attached in this"
                " run, because attaching replaces the system disk. Run pulumi up again: its preview shows the attach.",
            )


def _refuse_creating_first(olds: Properties, inputs: Inputs, operations_in: OperationsIn) -> None:
    """Nodes that are to be attached again have to be detached by now (or by a run that was killed)."""
    again = known_ids(olds) & {*inputs.instance_ids}
    if not again:
        return
    operations = replace(operations_in(str(olds.get("region"))), uid=str(olds.get(UID) or ""))
    try:
        removal = operations.plan_removal(removed_state(olds, again, "detach"))
    except ClusterNotFoundError:
        return
    # those with the new image are a killed run's, of this create
    images = ("", olds.get("image_id"))
    nodes = removal.snapshot.nodes or {}
    old = [i for i in removal.changes.detach if nodes[i].image_id in images]
    if old:
        raise RefusedError(
            "instance_ids",
            f"{listed(old)} must be detached before they can be attached with the new image or cluster; nothing was"
            " changed. Remove delete_before_replace=False; if the resource has retain_on_delete=True, undo the change,"
            " remove this option, run pulumi up, then change again.",
        )


@dataclass(frozen=True)
class OthersInRun:
    """The other resources of the run, as one resource's operations ask for them."""

    registry: RunRegistry
    urn: str

    def listed(self) -> Collection[str]:
        """The instances that the program lists in them."""
        return self.registry.listed_by_others(self.urn)

    def detached(self) -> Mapping[str, str]:
        """The instances that they have detached in this run, with the resource's name."""
        return self.registry.detached_by_others(self.urn)

    def detaching(self, instance_ids: Collection[str]) -> None:
        """Note that this resource is about to detach these."""
        self.registry.detach(self.urn, instance_ids)
