"""What an up would do, from checked inputs: a line for people and findings; fills in what was resolved."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from ehpc_nodes.errors import AuthError, ClusterNotFoundError, listed
from ehpc_nodes.models import Finding, State
from ehpc_nodes.preflight.snapshot import Changes, Desired, describe
from ehpc_nodes.reconcile.observer import Wanted
from ehpc_nodes.reconcile.operations import Operations, OperationsIn, Planned

from .properties import UID, Properties, desired_from, hosts_of, known_ids, removed_state

NOT_KNOWN = (
    "the instances are not known yet: the update reports what it does, before its first write"
)
#: Whatever the value turns out to be: the engine may delete before anybody knows it.
NOT_READ = (
    "is not known yet, so nothing was checked. Unless Pulumi learns the same value before it deletes the old resource,"
    " all nodes are detached and their system disks are replaced"
)


@dataclass(frozen=True)
class PreviewResult:
    """The plan in one line, what is wrong with it, and the nodes that it detaches."""

    line: str
    findings: list[Finding]
    detach: tuple[str, ...] = ()


def wanted_of(properties: Properties, ids: Collection[str]) -> Wanted:
    """What checked inputs want of the instances that are known."""
    retained = properties.get("retain_ids")
    return Wanted(
        frozenset(ids),
        frozenset(retained if isinstance(retained, list) else ()),
        properties.get("take_ownership") is not False,
        desired_from(properties).job_queue,
    )


def preview(
    operations_in: OperationsIn,
    properties: Properties,
    wanted: set[str] | None,
    saved: State | None,
) -> PreviewResult:
    """Of a create or an update.

    Args:
        operations_in: gives the operations in a region.
        properties: checked inputs with cluster and region known; image and host names are filled in.
        wanted: the instances that are known to be wanted; None where none is, nor how many there will be.
        saved: the state; None for a create.

    Raises:
        EhpcError: a read failed.
    """
    desired = desired_from(properties)
    operations = operations_in(desired.region)
    if wanted is None:  # nor which are to be detached: the same ones may come
        planned = operations.plan_changes(desired, Wanted(), None)
        return PreviewResult(NOT_KNOWN, _of_no_instance(planned))
    planned = operations.plan_changes(desired, wanted_of(properties, wanted), saved)
    _fill(properties, planned)
    return PreviewResult(planned.line, planned.findings, planned.changes.detach)


def preview_replacement(
    operations_in: OperationsIn,
    properties: Properties,
    wanted: set[str] | None,
    replaced: Properties,
) -> PreviewResult:
    """Of a replacement: the nodes of the replaced inputs (or outputs) are detached first.

    Raises:
        EhpcError: a read failed.
    """
    desired = desired_from(properties)
    old = known_ids(replaced)
    # that the nodes will run is said once, below, not for each
    planned = operations_in(desired.region).plan_changes(
        replace(desired, stop_running=True),
        wanted_of(properties, wanted or ()),
        None,
        replaced=old,
        replaced_uid=str(replaced.get(UID) or ""),
    )
    _fill(properties, planned)
    left = old - {*planned.changes.keep, *planned.changes.adopt}
    operations = operations_in(str(replaced.get("region")))
    removal = _removal(operations, replaced, left, desired)
    line, findings = planned.line, planned.findings
    if wanted is None:
        line, findings = NOT_KNOWN, _of_no_instance(planned)
    findings = [*(removal.findings if removal else ()), *findings]
    retained = sorted(old & wanted_of(properties, ()).retained)
    if retained:
        text = (
            f"{listed(retained)} cannot stay attached while the resource is replaced. Run pulumi up with retain_ids first,"
            " then change the cluster, the region or the image"
        )
        findings.append(Finding("retain_ids", text))
    again = sorted(old & {*planned.changes.attach})
    if again and not desired.stop_running:
        findings.append(_not_stopped([planned.snapshot.name(i) for i in again]))
    first = f"first {removal.line}; then " if removal and removal.changes.detach else ""
    return PreviewResult(f"{first}{line}", findings, removal.changes.detach if removal else ())


def preview_without_cluster(
    operations_in: OperationsIn, properties: Properties, wanted: set[str] | None
) -> PreviewResult:
    """Of a create in a cluster, or a region, that is not known yet.

    Raises:
        EhpcError: the instances could not be read.
    """
    desired = desired_from({**properties, "cluster_id": ""})
    unknown = "cluster_id" if desired.region else "region"
    if wanted is None:
        return PreviewResult(NOT_KNOWN, [])
    if not desired.region:
        changes = Changes(attach=tuple(sorted(wanted)))
        line, findings = describe(changes, {}, desired.image, later=desired.later), []
    else:
        planned = operations_in(desired.region).plan_instances(desired, wanted)
        line, findings = planned.line, planned.findings
    return PreviewResult(f"once {unknown} is known, unless they are its nodes: {line}", findings)


def preview_unread(
    properties: Properties, wanted: set[str] | None, replaced: Properties
) -> PreviewResult:
    """Of a replacement in a cluster, or a region, that is not known yet: without a read."""
    desired = desired_from({**properties, "cluster_id": "", "region": ""})
    names = {**hosts_of(properties), **{i: h for i, h in hosts_of(replaced).items() if h}}
    old = tuple(sorted(known_ids(replaced)))
    again = tuple(i for i in old if i in (wanted or ()))
    stop = again if desired.stop_running else ()
    changes = Changes(attach=tuple(sorted(wanted or ())), stop=stop)
    line = describe(changes, names, desired.image, later=desired.later)
    first = describe(Changes(detach=old), names, desired.image)
    unknown = "region" if isinstance(properties.get("cluster_id"), str) else "cluster_id"
    findings = [Finding(unknown, NOT_READ, warning=True)]
    if again and not desired.stop_running:
        findings.append(replace(_not_stopped([names.get(i) or i for i in again]), warning=True))
    return PreviewResult(f"first {first}; then {NOT_KNOWN if wanted is None else line}", findings)


def _removal(
    operations: Operations, replaced: Properties, ids: Collection[str], desired: Desired
) -> Planned | None:
    """What the replacement detaches; None where that cannot be read (its delete will report it)."""
    try:
        return replace(operations, uid=str(replaced.get(UID) or "")).plan_removal(
            removed_state(replaced, ids, desired.busy_nodes)
        )
    except (AuthError, ClusterNotFoundError):
        return None


def _not_stopped(names: list[str]) -> Finding:
    return Finding(
        "stop_running",
        f"the system disks of {listed(names)} are replaced: these nodes are detached, stopped and attached again. To allow"
        " this, set stop_running=True",
    )


def _of_no_instance(planned: Planned) -> list[Finding]:
    about_instances = {"instance_ids", "busy_nodes"}
    return [f for f in planned.findings if f.property not in about_instances]


def _fill(properties: Properties, planned: Planned) -> None:
    """Put into the inputs what the reads resolved: image, host names."""
    if planned.desired.image_known:
        properties.setdefault("image_id", planned.desired.image_id)
        properties.setdefault("image_owner_alias", planned.desired.image_owner_alias)
    for instance_id in known_ids(properties):
        host = planned.snapshot.host(instance_id)
        if host and not properties["instance_ids"][instance_id]:
            properties["instance_ids"][instance_id] = host
