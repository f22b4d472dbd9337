"""Which resource of a run lists or holds which instance: the calls of one run share the plugin's process."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ehpc_nodes.models import State

Key = tuple[str, str]  # cluster id, instance id


class Claims:
    """Resources are named by URN; without a URN nothing is claimed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listed: dict[str, tuple[str, str]] = {}  # instance id to URN, cluster id
        self._hosts: dict[Key, tuple[str, str]] = {}  # cluster id, host name to URN, instance id
        self._held: dict[Key, str] = {}
        self._had: dict[Key, str] = {}
        self._gone: dict[Key, str] = {}
        self._given_up: dict[Key, str] = {}

    def claim(self, urn: str, cluster_id: str, instance_ids: Collection[str]) -> dict[str, str]:
        """Note that the program lists these instances in this resource (and, of that cluster, no others).

        Returns:
            Those that another resource has claimed before, of whatever cluster: instance id to that resource's
            URN.
        """
        wanted = sorted(instance_ids) if urn else ()
        with self._lock:
            self._forget(urn)
            others = {i: self._listed[i][0] for i in wanted if i in self._listed}
            self._listed |= {i: (urn, cluster_id) for i in wanted if i not in others}
        return others

    def claim_hosts(
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

    def _forget(self, urn: str) -> None:
        self._listed = {i: claim for i, claim in self._listed.items() if claim[0] != urn}
        self._hosts = {key: claim for key, claim in self._hosts.items() if claim[0] != urn}

    def keep(self, urn: str, cluster_id: str, instance_ids: Collection[str]) -> None:
        """Note that this resource had these instances before the run, and is to keep them."""
        with self._lock:
            self._had |= {(cluster_id, i): urn for i in instance_ids if urn}

    def give_up(self, urn: str, cluster_id: str, instance_ids: Collection[str]) -> None:
        """Note that the program has taken these out of this resource."""
        with self._lock:
            self._given_up |= {(cluster_id, i): urn for i in instance_ids if urn}

    def given_up_by_others(self, urn: str, cluster_id: str) -> set[str]:
        """The cluster's instances that the program has taken out of other resources."""
        with self._lock:
            given = [*self._given_up.items()]
        return {i for (of, i), owner in given if of == cluster_id and owner != urn}

    def hold(self, urn: str, state: State) -> None:
        """Note that these instances stand in this resource's new state."""
        with self._lock:
            self._held |= {(state.cluster_id, i): urn for i in state.instance_ids}

    def held_by_others(self, urn: str, state: State, *, spare_own: bool) -> list[str]:
        """Of the state's instances, those that stand in another resource's state by now.

        A rename without an alias and a replacement that creates first let the new resource adopt the nodes
        before the old one is deleted, by that run or by a later one: its delete must not detach them.

        Args:
            spare_own: also those that this URN keeps or holds: both halves of a replacement have one URN.
        """
        with self._lock:
            owners = (*self._had.items(), *self._held.items())
            taken = {key for key, owner in owners if owner != urn or spare_own}
        return [i for i in state.instance_ids if urn and (state.cluster_id, i) in taken]

    def listed_by_others(self, urn: str, cluster_id: str) -> dict[str, str]:
        """The cluster's instances that the program lists in other resources, which are named."""
        with self._lock:
            listed = [*self._listed.items()] if urn else []
        return {i: owner for i, (owner, of) in listed if of == cluster_id and owner != urn}

    def let_go(self, urn: str, cluster_id: str, instance_ids: Collection[str]) -> set[str]:
        """Note that this resource is about to detach these, but for those that others list: they are given back."""
        with self._lock:
            kept = {i for i in instance_ids if self._listed.get(i, (urn, ""))[0] != urn}
            self._gone |= {(cluster_id, i): urn for i in {*instance_ids} - kept if urn}
        return kept

    def gone_by_others(
        self, urn: str, cluster_id: str, instance_ids: Collection[str]
    ) -> dict[str, str]:
        """Of these, the instances that other resources have detached in this run, which are named."""
        with self._lock:
            owners = {i: self._gone.get((cluster_id, i), urn) for i in instance_ids}
        return {i: owner for i, owner in owners.items() if urn and owner != urn}


@dataclass(frozen=True)
class Others:
    """The other resources of the run, as one resource's lifecycle asks for them."""

    claims: Claims
    urn: str

    def listed(self, cluster_id: str) -> Collection[str]:
        """The cluster's instances that the program lists in them."""
        return self.claims.listed_by_others(self.urn, cluster_id)

    def let_go(self, cluster_id: str, instance_ids: Collection[str]) -> Collection[str]:
        """See `Claims.let_go`."""
        return self.claims.let_go(self.urn, cluster_id, instance_ids)

    def given_up(self, cluster_id: str) -> Collection[str]:
        """The cluster's instances that the program has taken out of them."""
        return self.claims.given_up_by_others(self.urn, cluster_id)
