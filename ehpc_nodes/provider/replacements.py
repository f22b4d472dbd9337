"""What one run knows of replacements, by URN: no call of the engine says that it is half of one."""

from __future__ import annotations

from typing import Any

from ehpc_nodes.errors import ClusterNotFoundError, RefusedError, listed
from ehpc_nodes.lifecycle import LifecycleIn
from ehpc_nodes.models import Inputs, State

from .properties import Bag, is_replacement, known_ids


class Replacements:
    """A replacement deletes first, and does what a preview has told; any other is refused."""

    def __init__(self) -> None:
        self._asked: dict[str, Bag] = {}
        self._detached: dict[str, set[str]] = {}
        self._identities: dict[str, str] = {}

    def ask(self, urn: str, olds: Bag, identity: str) -> None:
        """Note that diff asks for the replacement of what these inputs (or outputs) declare."""
        self._asked[urn] = olds
        self._identities[urn] = identity

    def urn_of(self, urn: str, identity: str) -> str:
        """The name under which the program has the resource: an aliased one is deleted under its former name."""
        if urn in self._asked or not identity:
            return urn
        return next((u for u in self._asked if self._identities.get(u) == identity), urn)

    def is_asked(self, urn: str) -> bool:
        """Whether diff has asked for one that isn't made yet."""
        return urn in self._asked

    def deleted(self, urn: str, state: State) -> None:
        """Note that these nodes were detached, perhaps as the first half of one."""
        self._detached[urn] = set(state.instance_ids)

    def of(self, urn: str, olds: Bag, news: Bag) -> Bag:
        """What a replacement takes away; empty where nothing is replaced.

        The engine checks without the old inputs then, after diff has said so: for a second time, or (where
        it replaces what an input comes from, and deletes this resource before that) for the first.
        """
        if olds:
            return olds if is_replacement(olds, news) else {}
        return self._asked.get(urn, {}) if urn not in self._detached else {}

    def region_of(self, urn: str, cluster_id: Any) -> str:
        """The region of what a replacement takes away (or has), where that is of this cluster; empty: none."""
        told = self._asked.get(urn, {})
        return str(told.get("region") or "") if told.get("cluster_id") == cluster_id else ""

    def identity_of(self, urn: str) -> str:
        """The identity of what a replacement takes away: the nodes' marks may have a former name."""
        return self._identities.get(urn, "")

    def refuse_untold(self, urn: str, inputs: Inputs, lifecycle_in: LifecycleIn) -> None:
        """Stop a create that is half of a replacement which isn't made in the way that the preview told.

        One that diff didn't ask for looks like a create to check: no preview told of it.

        Raises:
            RefusedError: it is.
            EhpcError: it could not be seen.
        """
        told, detached = self._asked.pop(urn, None), self._detached.pop(urn, None)
        if told is not None and detached is None:
            _refuse_creating_first(told, inputs, lifecycle_in)
        again = (detached or set()) & {*inputs.instance_ids}
        if again and told is None:
            raise RefusedError(
                "instance_ids",
                f"{listed(sorted(again))} was detached by a forced replacement that deletes first, of which no"
                " preview told; attaching replaces the system disk: run pulumi up again, and it is told.",
            )


def _refuse_creating_first(told: Bag, inputs: Inputs, lifecycle_in: LifecycleIn) -> None:
    """Nodes that are to be attached anew have to be detached by now (perhaps by a run that was killed)."""
    again = known_ids(told) & {*inputs.instance_ids}
    if not again:
        return
    lifecycle = lifecycle_in(str(told.get("region")))
    try:
        removal = lifecycle.survey_removal(str(told.get("cluster_id")), again, detach_busy=True)
    except ClusterNotFoundError:
        return
    # those with the new image are a killed run's, of this create
    images = ("", told.get("image_id"))
    nodes = removal.sight.nodes or {}
    old = [i for i in removal.plan.detach if nodes[i].image_id in images]
    if old:
        raise RefusedError(
            "instance_ids",
            f"{listed(old)} can't be attached anew before being detached (nothing was changed): leave"
            " delete_before_replace=False out. With retain_on_delete=True, which detaches nothing: take that out and"
            " run pulumi up without this change first, since what counts is what the state has.",
        )
