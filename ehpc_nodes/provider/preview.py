"""What an up would do, told from checked inputs: a line for people and findings; fills in what was resolved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial

from ehpc_nodes.api import responses
from ehpc_nodes.errors import AuthError, ClusterNotFoundError
from ehpc_nodes.lifecycle import Lifecycle, LifecycleIn
from ehpc_nodes.models import Finding
from ehpc_nodes.plan import Plan, describe
from ehpc_nodes.sight import Wish
from ehpc_nodes.survey import Survey

from .properties import Bag, hosts_of, known_ids, wish_of

NOT_STOPPED = Finding(
    "stop_running",
    "the nodes are detached and attached anew, and detached instances run: set stop_running=True",
)

NOT_KNOWN = (
    "the instances are not known yet: the update tells what becomes of them, before its first write"
)
#: Whatever the value turns out to be: the engine may delete before anybody knows it.
NOT_SEEN = (
    "is not known yet, so nothing could be checked: the resource is replaced, and its nodes' system disks with"
    " it, unless the same value comes out before they are detached"
)


@dataclass(frozen=True)
class Forecast:
    """The plan in one line, and what is wrong with it."""

    line: str
    findings: list[Finding]


def forecast(
    lifecycle_in: LifecycleIn,
    bag: Bag,
    wanted: set[str] | None,
    owned: set[str],
    pending: Collection[str] = (),
) -> Forecast:
    """Of a create or an update.

    Args:
        lifecycle_in: gives a lifecycle in a region.
        bag: checked inputs with cluster and region known; image and host names are filled in.
        wanted: the instances that are known to be wanted; None where none is, nor how many there will be.
        owned: those of the state.
        pending: of these, the ones that were still being attached when the cluster was read last.

    Raises:
        EhpcError: a look failed.
    """
    wish = wish_of(bag)
    if wanted is None:  # nor which are to be detached: the same ones may come
        survey = lifecycle_in(wish.region).survey(wish, set(), set())
        return Forecast(NOT_KNOWN, _of_no_instance(survey))
    survey = lifecycle_in(wish.region).survey(wish, wanted, owned, pending=pending)
    _fill(bag, survey)
    return Forecast(survey.line, survey.findings)


def forecast_replacement(
    lifecycle_in: LifecycleIn, bag: Bag, wanted: set[str] | None, replaced: Bag
) -> Forecast:
    """Of a replacement: the nodes of the replaced inputs (or outputs) are detached first.

    Raises:
        EhpcError: a look failed.
    """
    wish = wish_of(bag)
    old = known_ids(replaced)
    # that the nodes will run is said once, below, not for each
    survey = lifecycle_in(wish.region).survey(
        replace(wish, stop_running=True),
        wanted or set(),
        set(),
        anew=old,
        is_made=partial(_is_made, replaced, wish),
    )
    _fill(bag, survey)
    left = old - {*survey.plan.keep, *survey.plan.adopt}
    lifecycle = lifecycle_in(str(replaced.get("region")))
    removal = _removal(lifecycle, replaced, left, wish) if left else None
    anew, findings = survey.line, survey.findings
    if wanted is None:
        anew, findings = NOT_KNOWN, _of_no_instance(survey)
    findings = [*(removal.findings if removal else ()), *findings]
    if not wish.stop_running and old & {*survey.plan.attach}:
        findings.append(NOT_STOPPED)
    return Forecast(f"first {removal.line}; then {anew}" if removal else anew, findings)


def forecast_without_cluster(
    lifecycle_in: LifecycleIn, bag: Bag, wanted: set[str] | None
) -> Forecast:
    """Of a create in a cluster, or a region, that isn't known yet.

    Raises:
        EhpcError: the look at the instances failed.
    """
    wish = wish_of({**bag, "cluster_id": ""})
    unknown = "cluster_id" if wish.region else "region"
    if wanted is None:
        return Forecast(NOT_KNOWN, [])
    if not wish.region:
        plan = Plan(attach=tuple(sorted(wanted)))
        line, findings = describe(plan, {}, wish.image, later=wish.later), []
    else:
        survey = lifecycle_in(wish.region).survey_instances(wish, wanted)
        line, findings = survey.line, survey.findings
    return Forecast(f"once {unknown} is known, unless they are its nodes: {line}", findings)


def forecast_unseen(bag: Bag, wanted: set[str] | None, replaced: Bag) -> Forecast:
    """Of a replacement in a cluster, or a region, that isn't known yet: told without a look."""
    wish = wish_of({**bag, "cluster_id": "", "region": ""})
    names = {**hosts_of(bag), **{i: host for i, host in hosts_of(replaced).items() if host}}
    old = tuple(sorted(known_ids(replaced)))
    again = tuple(i for i in old if i in (wanted or ()))
    stop = again if wish.stop_running else ()
    plan = Plan(attach=tuple(sorted(wanted or ())))
    anew = describe(plan, names, wish.image, stop=stop, later=wish.later)
    first = describe(Plan(detach=old), names, wish.image)
    unknown = "region" if isinstance(bag.get("cluster_id"), str) else "cluster_id"
    findings = [Finding(unknown, NOT_SEEN, warning=True)]
    if again and not wish.stop_running:
        findings.append(replace(NOT_STOPPED, warning=True))
    return Forecast(f"first {first}; then {NOT_KNOWN if wanted is None else anew}", findings)


def _is_made(replaced: Bag, wish: Wish, node: responses.Node) -> bool:
    """Whether a node of the wished cluster can't be of what is replaced: a killed run has attached it anew."""
    if replaced.get("cluster_id") != wish.cluster_id:
        return True
    return bool(wish.image_id) and node.image_id == wish.image_id != replaced.get("image_id")


def _removal(
    lifecycle: Lifecycle, replaced: Bag, ids: Collection[str], wish: Wish
) -> Survey | None:
    """What the replacement detaches; None where that can't be seen (its delete will tell)."""
    try:
        return lifecycle.survey_removal(
            str(replaced.get("cluster_id")), ids, detach_busy=wish.detach_busy
        )
    except (AuthError, ClusterNotFoundError):
        return None


def _of_no_instance(survey: Survey) -> list[Finding]:
    return [finding for finding in survey.findings if finding.property != "instance_ids"]


def _fill(bag: Bag, survey: Survey) -> None:
    """Put into the inputs what the look resolved: image, host names."""
    if survey.wish.image_known:
        bag.setdefault("image_id", survey.wish.image_id)
        bag.setdefault("image_owner_alias", survey.wish.image_owner_alias)
    for instance_id in known_ids(bag):
        host = survey.sight.host(instance_id)
        if host and not bag["instance_ids"][instance_id]:
            bag["instance_ids"][instance_id] = host
