"""What happens to each instance. Pure: from what is wanted, owned and seen to a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .api.responses import Node
from .errors import counted


@dataclass(frozen=True)
class Plan:
    """Instance ids by what happens to them; each list sorted, an id in one list (`move` apart).

    Attributes:
        keep: attached and owned already.
        adopt: attached already, but not yet this resource's.
        join: a task is attaching it: waited for, not sent.
        attach: sent in AddExistedNodes; its system disk is replaced.
        detach: owned and attached (or being attached), but not wanted.
        move: of keep and adopt, those that are in another queue than the wanted one.
    """

    keep: tuple[str, ...] = ()
    adopt: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    attach: tuple[str, ...] = ()
    detach: tuple[str, ...] = ()
    move: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing has to be written or waited for."""
        return not (self.join or self.attach or self.detach or self.move)


def make_plan(
    wanted: Collection[str],
    owned: Collection[str],
    members: Mapping[str, Node],
    *,
    attaching: Collection[str] = (),
    in_queue: Collection[str] | None = None,
) -> Plan:
    """The plan that turns the cluster into what is wanted.

    Args:
        wanted: the instances that the program lists.
        owned: those of the state, and those that carry this resource's mark.
        members: the cluster's nodes, by instance id.
        attaching: instances that a running task is attaching.
        in_queue: the members of the wanted queue; None where no queue is wanted.
    """
    wanted, owned = set(wanted), set(owned)
    attached = wanted & members.keys()
    joined = wanted & set(attaching) - attached
    return Plan(
        keep=_sorted(attached & owned),
        adopt=_sorted(attached - owned),
        join=_sorted(joined),
        attach=_sorted(wanted - attached - joined),
        detach=_sorted((owned - wanted) & (members.keys() | set(attaching))),
        move=_sorted(attached - set(in_queue)) if in_queue is not None else (),
    )


def _sorted(ids: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(ids))


def describe(
    plan: Plan,
    names: Mapping[str, str],
    image: str,
    *,
    stop: Collection[str] = (),
    first: Collection[str] = (),
    later: int = 0,
) -> str:
    """One line for the resource's row: «attach 3 (system disk replaced by …): a, b, c; keep 12; 1 call».

    Args:
        names: host names by instance id, as far as they are known.
        image: what replaces the system disks, for people.
        stop: instances to attach that have to be stopped before.
        first: those to detach before anything is attached.
        later: how many instances are wanted that are not known yet; some may be nodes, even those to detach.
    """
    first = _sorted(set(first) & {*plan.detach})
    last = tuple(i for i in plan.detach if i not in first)
    disk, unless = f"system disk replaced by {image}", ", unless among those not known yet"
    stay = f"{unless if later else ''} (the instances stay)"
    parts = [
        _part("first detach", first, names, stay),
        _part("stop", _sorted(stop), names),
        _part("attach", plan.attach, names, f" ({disk})"),
        f"attach {later} not known yet ({disk}) unless nodes already" if later else "",
        _part("join", plan.join, names, " (being attached already)"),
        _part("adopt", plan.adopt, names),
        f"keep {len(plan.keep)}" if plan.keep else "",
        _part("move", plan.move, names),
        _part("detach", last, names, stay),
    ]
    calls = sum(-(-len(ids) // 100) for ids in (first, stop, plan.attach, plan.move, last))
    if not later:
        parts.append(counted(calls, "call") if calls else "no call")
    return "; ".join(part for part in parts if part)


def _part(verb: str, ids: tuple[str, ...], names: Mapping[str, str], note: str = "") -> str:
    if not ids:
        return ""
    shown = ", ".join(names.get(i) or i for i in ids[:6])
    more = f" and {len(ids) - 6} more" if len(ids) > 6 else ""
    return f"{verb} {len(ids)}{note}: {shown}{more}"
