"""What would happen, and what is wrong with it: a look, a plan and the findings, without any write."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from . import preflight, sight
from .api import responses
from .errors import AuthError, ClusterNotFoundError
from .models import Finding
from .operation import Operation
from .plan import Plan, describe, make_plan
from .sight import Sight, Wish


@dataclass(frozen=True)
class Survey:
    """What was seen from when on, the wish with its image resolved, what would happen, and what is wrong."""

    sight: Sight
    wish: Wish
    plan: Plan
    findings: list[Finding]
    began: float = 0.0

    @property
    def line(self) -> str:
        """The plan in one line, for people."""
        plan, seen = self.plan, self.sight
        ids = {*plan.attach, *plan.join, *plan.adopt, *plan.move, *plan.detach}
        running = [i for i in plan.attach if i in (seen.instances or {}) and not seen.is_stopped(i)]
        return describe(
            plan,
            {i: seen.host(i) for i in ids},
            self.wish.image,
            stop=running,
            first=self.in_the_way,
            later=self.wish.later,
        )

    @property
    def in_the_way(self) -> list[str]:
        """Nodes to detach whose host names instances to attach need: these go first."""
        wanted = {self.sight.host(i).lower() for i in self.plan.attach}
        return [i for i in self.plan.detach if self.sight.host(i).lower() in wanted - {""}]


def survey(
    operation: Operation,
    wish: Wish,
    wanted: set[str],
    owned: set[str],
    *,
    anew: Collection[str] = (),
    pending: Collection[str] = (),
    is_saved: bool = False,
    is_made: Callable[[responses.Node], bool] = lambda _: False,
) -> Survey:
    """What a converge would do, found out with read-only calls.

    Args:
        is_saved: whether a state knows this resource, and so its identity.
        pending: instances that the state holds as being attached: sent already, perhaps not seen yet.
        anew: nodes, of this cluster or another, that are detached before (by a replacement).
        is_made: whether one of them is what the replacement is to make: a killed run has got that far.

    Raises:
        EhpcError: a look failed.
    """
    operation.reporter.status("looking at the cluster")
    began = operation.deadline.clock.now()
    nodes = _nodes_if_allowed(operation, owned - set(anew))
    if nodes is not None:
        anew = {*anew} - {i for i, node in nodes.items() if is_made(node)}
        nodes = {i: node for i, node in nodes.items() if not _goes(node, wanted, anew)}
    owned = owned - set(anew)
    seen = sight.look(
        operation.cloud,
        wish,
        wanted,
        owned,
        mark=operation.mark,
        name=operation.name,
        identity=operation.identity,
        is_saved=is_saved,
        nodes=nodes,
    )
    if nodes is None and seen.nodes is not None:  # allowed again by now: all anew, with patience
        return survey(
            operation,
            wish,
            wanted,
            owned | set(anew),
            anew=anew,
            pending=pending,
            is_saved=is_saved,
            is_made=is_made,
        )
    known = operation.nodes if nodes is not None else {}
    seen.leaving = {i for i in wanted & known.keys() if known[i].in_status(responses.NODE_LEAVING)}
    seen.begun -= operation.see_awaited()
    seen.marked -= operation.awaited
    seen.begun |= set(pending) - (seen.nodes or {}).keys()
    seen.elsewhere = {i: other for i, other in seen.elsewhere.items() if i not in anew}
    wish = with_image(wish, seen)
    plan = make_plan(
        wanted,
        (owned - seen.of_others(operation.name).keys()) | (seen.begun - set(anew)),
        seen.nodes or {},
        attaching=seen.attaching,
        in_queue=seen.in_queue,
    )
    findings = [
        *preflight.findings(seen, wish, plan, operation.name),
        *preflight.of_strangers(seen, {*wanted, *owned, *anew}, is_saved=is_saved),
        *preflight.of_lost(seen, plan, owned - {*pending}),
        *preflight.of_interrupted(seen, plan, owned),
        *preflight.of_other_clusters(seen, plan),
    ]
    return Survey(seen, wish, plan, findings, began)


def survey_instances(operation: Operation, wish: Wish, wanted: Collection[str]) -> Survey:
    """What can be said of instances whose cluster isn't known yet: as if all were to be attached.

    Raises:
        EhpcError: the look failed.
    """
    seen = sight.look_at_instances(operation.cloud, wanted, identity=operation.identity)
    plan = Plan(attach=tuple(sorted(wanted)))
    return Survey(seen, wish, plan, preflight.of_instances(seen, wish, plan, operation.name))


def survey_removal(operation: Operation, ids: Collection[str], *, detach_busy: bool) -> Survey:
    """What detaching these nodes would do; no nodes of the cluster: nothing.

    Raises:
        EhpcError: the cluster's nodes could not be seen.
    """
    nodes = operation.see_nodes()
    plan = Plan(detach=tuple(sorted(set(ids) & nodes.keys())))
    seen = Sight(nodes=nodes)
    wish = Wish(cluster_id=operation.cluster_id, detach_busy=detach_busy)
    return Survey(seen, wish, plan, preflight.findings(seen, wish, plan, operation.name))


def _goes(node: responses.Node, wanted: set[str], anew: Collection[str]) -> bool:
    """Whether the node will be none by the time that instances are attached."""
    return node.id in anew or (node.id in wanted and node.in_status(responses.NODE_LEAVING))


def _nodes_if_allowed(operation: Operation, expected: set[str]) -> dict[str, responses.Node] | None:
    """The nodes, after the expected ones had the grace period to show up; None: preflight tells."""
    try:
        operation.see_nodes()
    except (AuthError, ClusterNotFoundError):
        return None
    with suppress(
        AuthError, ClusterNotFoundError
    ):  # without the tasks, preflight lets nothing be attached
        operation.confirm(expected)
    return operation.nodes


def with_image(wish: Wish, seen: Sight) -> Wish:
    """The wish with the cluster's own image where it names none."""
    image_id, alias = seen.image_of(wish)
    return replace(wish, image_id=image_id, image_owner_alias=alias)
