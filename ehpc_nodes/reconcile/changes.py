"""A plan for people and for preflight: instances by what would be done, and what their owners and phases forbid."""

from __future__ import annotations

from collections.abc import Iterable

from ehpc_nodes.errors import permission
from ehpc_nodes.models import Finding
from ehpc_nodes.preflight.snapshot import Changes, Snapshot

from .facts import Facts, NodeIs, Saved, Tag
from .observer import Observer
from .owner_tags import NAME_KEY, REFERENCE_KEY, owner_name, reference_of
from .phases import Owner, Phase, is_tagged_as_node
from .plan import Action, Conclusion, Decision, Plan, conclusion

#: How many tags an instance takes (ECS).
MOST_TAGS = 20
#: Of a wanted instance: it is a node, or will be without this run's doing.
_THERE = frozenset({Phase.ATTACHED, Phase.BROKEN, Phase.NOT_COMPUTE})
_COMING = frozenset({Phase.ATTACHING, Phase.STUCK})


#: Of a node that leaves one resource of the program for another one.
LISTED_ELSEWHERE = (
    "leaves this resource, and another resource of the program lists it: set take_ownership=True there and, if this"
    " resource stays in the program, add it to retain_ids here; it stays attached"
)


def changes_of(plan: Plan) -> Changes:
    """The instances of a plan by what would be done."""

    def where(holds: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(holds))

    decisions = plan.decisions
    wanted = {i: d for i, d in decisions.items() if d.wanted}
    free = {i: d for i, d in wanted.items() if d.phase not in _THERE | _COMING | {Phase.FAILED}}
    going = [i for i, d in decisions.items() if _goes(d)]
    first = {*plan.in_the_way}
    return Changes(
        keep=where(
            i
            for i, d in wanted.items()
            if (d.phase in _THERE and d.owner is Owner.MINE) or d.phase is Phase.NOT_COMPUTE
        ),
        renew=where(i for i, d in wanted.items() if d.action is Action.RENEW),
        adopt=where(i for i, d in wanted.items() if d.action is Action.ADOPT),
        take=where(
            i
            for i, d in wanted.items()
            if d.action is Action.ADOPT and d.facts.tag in {Tag.OTHER, Tag.UNKNOWN}
        ),
        wait=where(
            i for i, d in wanted.items() if d.phase in _COMING and d.owner is not Owner.OTHER
        ),
        attach=where(free),
        stop=where(i for i, d in free.items() if d.facts.awake and d.phase is not Phase.UNREADABLE),
        unknown=where(i for i, d in free.items() if d.phase is Phase.RESULT_UNKNOWN),
        detaching=where(i for i, d in free.items() if d.phase is Phase.DETACHING),
        detach=where(going),
        first=where(i for i in going if i in first),
        retain=where(
            i
            for i, d in decisions.items()
            if d.facts.retained
            and d.facts.node is not NodeIs.ABSENT
            and (d.owner is Owner.MINE or d.facts.saved is not Saved.NO)
        ),
        move=where(
            i
            for i, d in wanted.items()
            if d.facts.misplaced and d.phase is Phase.ATTACHED and d.owner is not Owner.OTHER
        ),
    )


def _goes(d: Decision) -> bool:
    """Whether it is detached, or would be but for a refusal."""
    if not _leaves(d.facts) or d.owner is not Owner.MINE:
        return False
    return d.phase in _THERE | {Phase.ATTACHING} or (
        d.phase is Phase.UNREADABLE and d.facts.node is not NodeIs.ABSENT
    )


def _leaves(f: Facts) -> bool:
    """Whether the program neither lists nor retains it."""
    return not f.wanted and not f.retained


def _was_detached(d: Decision) -> bool:
    """Whether it is attached again: a node by the state or, after a refresh, by this resource's tags."""
    known = d.facts.saved is Saved.NODE or (d.facts.tag is Tag.MINE and is_tagged_as_node(d.facts))
    return known and d.to_attach and d.phase is not Phase.DETACHING


def owner_findings(
    observer: Observer, plan: Plan, snapshot: Snapshot, changes: Changes
) -> list[Finding]:
    """What is wrong, or worth knowing, by whose the instances are and what earlier runs did."""
    found: list[Finding] = []
    detached = observer.others.detached()
    for instance_id, decision in sorted(plan.decisions.items()):
        name = snapshot.name(instance_id)
        found += _of_owner(observer, instance_id, decision, name)
        found += _of_earlier_runs(observer, instance_id, decision, name)
        found += _of_tags(observer, instance_id, decision, name)
        if instance_id in detached and instance_id in {*changes.attach, *changes.adopt}:
            text = (
                f"{name} is detached in this run by resource {detached[instance_id]!r}, and is not attached or adopted in"
                " the same run. To hand a node over, put it into retain_ids of that resource, with take_ownership=True in"
                " this one"
            )
            found.append(Finding("instance_ids", text))
    return found


def _of_tags(
    observer: Observer, instance_id: str, decision: Decision, name: str
) -> Iterable[Finding]:
    """Whether the two owner tags still fit (ECS TagResources)."""
    instance = observer.instances.get(instance_id)
    if instance is None or not (decision.to_attach or decision.action is Action.ADOPT):
        return
    others = sum(tag.tag_key not in {NAME_KEY, REFERENCE_KEY} for tag in instance.tags.tag)
    if others > MOST_TAGS - 2:
        yield Finding(
            "instance_ids",
            f"{name} has {others} tags, and an instance takes {MOST_TAGS}. Remove {others - MOST_TAGS + 2} of them:"
            f" the two owner tags {NAME_KEY!r} and {REFERENCE_KEY!r} need room",
        )


def _of_owner(
    observer: Observer, instance_id: str, decision: Decision, name: str
) -> Iterable[Finding]:
    facts = decision.facts
    instance = observer.instances.get(instance_id)
    owner = owner_name(instance) if instance else ""
    if facts.wanted and decision.owner is Owner.OTHER and facts.tag is Tag.UNKNOWN:
        yield Finding(
            "instance_ids",
            f"{name} was attached by somebody else while a run prepared it, as its owner tags show: remove it from"
            " instance_ids. To take it over (a node's disk is not replaced), set take_ownership=True for one up",
        )
    elif facts.wanted and decision.owner is Owner.OTHER:
        yield Finding(
            "instance_ids",
            f"{name} belongs to another resource, {owner!r}: remove it from instance_ids, or add an alias if this resource"
            " was renamed. To take it over (a node's disk is not replaced), set take_ownership=True for one up, and move it to retain_ids of"
            " the other resource if there still is one",
        )
    elif conclusion(decision) is Conclusion.LISTED_ELSEWHERE:
        yield Finding("instance_ids", f"{name} {LISTED_ELSEWHERE}")
    elif (
        decision.phase in {Phase.ATTACHED, Phase.BROKEN}
        and decision.action is Action.REFUSE
        and facts.wanted
    ):
        yield Finding(
            "instance_ids",
            f"{name} is a node of the cluster, but does not exist in ECS in this region: remove it from instance_ids",
        )
    elif facts.tag is Tag.SAME_NAME and facts.node is not NodeIs.ABSENT:
        whose = (
            "by a create that was killed, by this resource before it was replaced or its state was lost, or by a resource"
            " of the same name in another backend"
        )
        if facts.wanted:
            text = f"{name} has this resource's owner tag with another uid, and is adopted: it was attached {whose}"
            yield Finding("instance_ids", text, warning=True)
        elif observer.wanted.ids:  # a destroy leaves it alone, too, and has no list to add it to
            text = (
                f"{name} has this resource's owner tag with another uid, and is not changed: it was attached {whose}. If it"
                " belongs to this program, add it to instance_ids: it is adopted"
            )
            yield Finding("instance_ids", text, warning=True)


def _of_earlier_runs(
    observer: Observer, instance_id: str, decision: Decision, name: str
) -> Iterable[Finding]:
    facts = decision.facts
    instance = observer.instances.get(instance_id)
    reference = reference_of(instance) if instance else None
    elsewhere = reference.cluster_id if reference else ""
    if decision.phase is Phase.UNREADABLE and not facts.wanted:
        denied = next(iter(observer.denied.values()))
        text = f"{name} leaves instance_ids, and cannot be checked: permission {permission(denied.action)} is missing"
        yield Finding("instance_ids", f"{text}. Give it to the access key's RAM user")
    elif decision.phase is Phase.OTHER_CLUSTER and not facts.in_other_cluster:
        if facts.wanted:
            yield Finding(
                "cluster_id",
                f"{name}: an interrupted run of this resource may be attaching it to {elsewhere}. Set cluster_id to"
                f" {elsewhere} and run pulumi up, or stop the instance if the console shows no task for it",
            )
        elif decision.owner is not Owner.OTHER:
            yield Finding(
                "cluster_id",
                f"{name}: an interrupted run of this resource sent it to {elsewhere}, so it is not changed. To manage it"
                " again, set cluster_id to that cluster, or detach it by hand",
                warning=True,
            )
    elif facts.wanted and decision.phase is Phase.RESULT_UNKNOWN and facts.for_other_cluster:
        yield Finding(
            "instance_ids",
            f"{name}: an interrupted run of this resource may have sent it to {elsewhere}. The update checks this first",
            warning=True,
        )
    elif decision.phase is Phase.RESULT_UNKNOWN and decision.owner is Owner.MINE and _leaves(facts):
        yield Finding(
            "instance_ids",
            f"{name} may have been sent by an interrupted run of this resource, and is not in the program. The update"
            " checks this first, and detaches it if it becomes a node",
            warning=True,
        )
    elif _was_detached(decision):
        yield Finding(
            "instance_ids",
            f"{name} was a node of this resource and is no longer in the cluster: it is attached again, and its system disk"
            " is replaced. If it was removed on purpose, remove it from instance_ids",
            warning=True,
        )
    elif decision.action is Action.DETACH and facts.saved is Saved.NO:
        yield Finding(
            "instance_ids",
            f"{name} was attached by an interrupted run of this resource, and is not in the program. It is detached",
            warning=True,
        )
