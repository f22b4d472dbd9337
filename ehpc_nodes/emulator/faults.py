"""Scripted misfortune: rules that say which call goes wrong, and how.

A rule is a mapping: `kind`, `action` (a name or `*`), `after` (skip that many matching calls),
`times` (how often it fires; default 1, null for ever), `instance` (only calls that name this
instance id or host name), and the options of its kind:

throttle: retry_after (ms) · error, error_after: status, code, message · reset_before,
reset_after · lost: seconds · slow: seconds · garbage: body, content_type, status, after_effect ·
truncated · half_page · unknown_status: word · redirect: location · fail_nodes: instances or
count, status (exception or absent), task_status, errors · task_never_ends

The first rule that ends a call hides it from the ending rules after it, so that rules in a row
act one after the other; slow, fail_nodes and task_never_ends go together with any other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .codec import WorldError

Options = dict[str, tuple[type, ...]]

_NUMBER = (int, float)
_ERROR: Options = {"status": (int,), "code": (str,), "message": (str,)}
_KINDS: dict[str, Options] = {
    "throttle": {"retry_after": (int,)},
    "error": _ERROR,
    "error_after": _ERROR,
    "reset_before": {},
    "reset_after": {},
    "lost": {"seconds": _NUMBER},
    "slow": {"seconds": _NUMBER},
    "garbage": {
        "body": (str,),
        "content_type": (str,),
        "status": (int,),
        "after_effect": (bool,),
    },
    "truncated": {},
    "half_page": {},
    "unknown_status": {"word": (str,)},
    "redirect": {"location": (str,)},
    "fail_nodes": {
        "instances": (list,),
        "count": (int,),
        "status": (str,),
        "task_status": (str,),
        "errors": (str,),
    },
    "task_never_ends": {},
}
_COMPANIONS = frozenset({"slow", "fail_nodes", "task_never_ends"})
_TASK_ACTIONS = frozenset({"AddExistedNodes", "DeleteNodes", "StopNodes", "StartNodes"})
_TASK_KINDS = frozenset({"fail_nodes", "task_never_ends"})


@dataclass
class Fault:
    """One rule and how often it matched (`seen`) and fired."""

    kind: str
    action: str = "*"
    after: int = 0
    times: int | None = 1
    instance: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    @classmethod
    def parse(cls, data: object) -> Fault:
        """Read a rule; slips are errors."""
        if not isinstance(data, dict) or data.get("kind") not in _KINDS:
            raise WorldError(f"a fault needs a kind of {', '.join(_KINDS)}; got {data!r}")
        given = {key: value for key, value in data.items() if key not in ("seen", "fired")}
        kind = given.pop("kind")
        fault = cls(
            kind,
            action=_checked(kind, "action", given.pop("action", "*"), (str,)),
            after=_checked(kind, "after", given.pop("after", 0), (int,)),
            times=_checked(kind, "times", given.pop("times", 1), (int, type(None))),
            instance=_checked(kind, "instance", given.pop("instance", None), (str, type(None))),
        )
        for name, value in given.items():
            if name not in _KINDS[kind]:
                raise WorldError(f"fault {kind}: unknown option {name}")
            fault.options[name] = _checked(kind, name, value, _KINDS[kind][name])
        if fault.options.get("status") not in (None, "exception", "absent") and (
            kind == "fail_nodes"
        ):
            raise WorldError("fault fail_nodes: status is exception or absent")
        return fault

    def dump(self) -> dict[str, Any]:
        """The rule as it was given, with its counts."""
        return {
            "kind": self.kind,
            "action": self.action,
            "after": self.after,
            "times": self.times,
            "instance": self.instance,
            **self.options,
            "seen": self.seen,
            "fired": self.fired,
        }

    @property
    def ends_call(self) -> bool:
        return self.kind not in _COMPANIONS

    def meets(self, action: str, names: set[str]) -> bool:
        """Whether it fires on this call; counts the call."""
        if self.action not in ("*", action):
            return False
        if self.kind in _TASK_KINDS and action not in _TASK_ACTIONS:
            return False
        if self.instance is not None and self.instance not in names:
            return False
        if self.times is not None and self.fired >= self.times:
            return False
        self.seen += 1
        if self.seen <= self.after:
            return False
        self.fired += 1
        return True


@dataclass
class Faults:
    """The rules in their order."""

    rules: list[Fault] = field(default_factory=list)

    def add(self, data: object) -> Fault:
        """Append a rule."""
        fault = Fault.parse(data)
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        self.rules.clear()

    def dump(self) -> list[dict[str, Any]]:
        return [rule.dump() for rule in self.rules]

    def of_call(self, action: str, names: set[str]) -> CallFaults:
        """What befalls this call."""
        ending: Fault | None = None
        companions = []
        for rule in self.rules:
            if rule.ends_call and ending is not None:
                continue
            if not rule.meets(action, names):
                continue
            if rule.ends_call:
                ending = rule
            else:
                companions.append(rule)
        return CallFaults(ending, companions)


@dataclass(frozen=True)
class CallFaults:
    """The rules that fire on one call."""

    ending: Fault | None
    companions: Iterable[Fault]

    @property
    def names(self) -> str | None:
        """What the journal says of it."""
        fired = [rule.kind for rule in self.companions]
        if self.ending is not None:
            fired.append(self.ending.kind)
        return "+".join(fired) or None

    @property
    def delay(self) -> float:
        return sum(float(rule.options.get("seconds", 1.0)) for rule in self._of_kind("slow"))

    @property
    def fail_nodes(self) -> list[dict[str, Any]]:
        return [rule.options for rule in self._of_kind("fail_nodes")]

    @property
    def never_ends(self) -> bool:
        return bool(self._of_kind("task_never_ends"))

    def _of_kind(self, kind: str) -> list[Fault]:
        return [rule for rule in self.companions if rule.kind == kind]


def _checked(kind: str, name: str, value: Any, types: tuple[type, ...]) -> Any:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise WorldError(f"fault {kind}: {name} can't be {value!r}")
    return value
