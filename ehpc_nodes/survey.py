"""What would happen, and what is wrong with it: a look, a plan and the findings, without any write."""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import preflight, sight, wire
from .errors import AuthError, ClusterNotFoundError
from .models import Finding
from .operation import Operation
from .plan import Plan, describe, make_plan
from .sight import Sight, Wish


@dataclass(frozen=True)
class Survey:
    """What was seen, the wish with its image resolved, what would happen, and what is wrong with it."""

    sight: Sight
    wish: Wish
    plan: Plan
    findings: list[Finding]

    @property
    def line(self) -> str:
        """The plan in one line, for people."""
        ids = {
            *self.plan.attach,
            *self.plan.join,
            *self.plan.adopt,
            *self.plan.move,
            *self.plan.detach,
        }
        return describe(self.plan, {i: self.sight.host(i) for i in ids}, self.wish.image)

    @property
    def in_the_way(self) -> list[str]:
        """Nodes to detach whose host names instances to attach need: these go first."""
        wanted = {self.sight.host(i).lower() for i in self.plan.attach}
        return [i for i in self.plan.detach if self.sight.host(i).lower() in wanted - {""}]


def survey(
    operation: Operation, wish: Wish, wanted: set[str], owned: set[str], *, anew: bool = False
) -> Survey:
    """What a converge would do, found out with read-only calls.

    Args:
        anew: the owned nodes are detached before (a replacement): all wanted ones are attached anew.

    Raises:
        EhpcError: a look failed.
    """
    operation.reporter.status("looking at the cluster")
    nodes = _nodes_if_allowed(operation, owned & wanted)
    if nodes is not None:
        nodes = {
            i: node
            for i, node in nodes.items()
            if i not in wanted or not (anew or node.in_status(wire.NODE_LEAVING))
        }
    known = set() if anew else owned
    seen = sight.look(operation.cloud, wish, wanted, known, mark=operation.mark, nodes=nodes)
    wish = with_image(wish, seen)
    plan = make_plan(
        wanted,
        known | (set() if anew else seen.begun),
        seen.nodes or {},
        attaching=seen.attaching,
        in_queue=seen.in_queue,
    )
    findings = [
        *preflight.findings(seen, wish, plan, operation.mark),
        *preflight.of_strangers(seen, wanted | owned),
    ]
    return Survey(seen, wish, plan, findings)


def _nodes_if_allowed(operation: Operation, expected: set[str]) -> dict[str, wire.Node] | None:
    """The nodes, after the expected ones had the grace period to show up; None: preflight tells."""
    try:
        operation.see_nodes()
        operation.confirm(expected)
    except (AuthError, ClusterNotFoundError):
        return None
    return operation.nodes


def with_image(wish: Wish, seen: Sight) -> Wish:
    """The wish with the cluster's own image where it names none."""
    if wish.image_id or not wish.image_known or seen.cluster is None:
        return wish
    return replace(
        wish,
        image_id=seen.cluster.image_id,
        image_owner_alias=seen.cluster.image_owner_alias or "system",
    )
