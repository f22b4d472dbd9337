"""Faults: rules that decide which call fails, and how.

A rule is a mapping: `kind`, `action` (a name or `*`), `after` (so many matching calls pass first), `times` (how often it
fires; default 1, null for always), `instance` (only calls that name this instance id or host name), `off` (it is
switched off), and the options of its kind:

- `throttle`: Throttling.User; nothing is done. Options: `retry_after` (ms).
- `error`: an error; nothing is done. Options: `status`, `code`, `message`.
- `error_after`: the call takes effect, the answer is an error. Options: `status`, `code`, `message`.
- `reset_before`: the connection breaks; nothing is done.
- `reset_after`: the call takes effect, then the connection breaks.
- `lost`: the call takes effect; silence, then the connection closes. Options: `seconds`.
- `slow`: the answer comes late. Options: `seconds`.
- `garbage`: another server answers. Options: `body`, `content_type`, `status`, `after_effect`.
- `truncated`: half of the answer arrives.
- `half_page`: the second half of a list is missing.
- `unknown_status`: list entries have an unknown status. Options: `word`.
- `redirect`: the answer is a redirect. Options: `location`.
- `fail_nodes`: the call is accepted, then nodes of its task fail. Options: `instances` or `count`, `status` (exception or
  absent), `task_status`, `errors`.
- `task_never_ends`: the call's task stays open.

The first rule that ends a call hides it from later rules that end calls, so that several rules act one after the other;
slow, fail_nodes and task_never_ends combine with any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from .codec import WorldError
from .declared import ACTIONS, LISTS

Check = Callable[[Any], bool]


def _of(*types: type) -> Check:
    return lambda value: type(value) in types


def _word(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


def _status(low: int) -> Check:
    """HTTP statuses that have a body."""
    return lambda value: type(value) is int and low <= value <= 599 and value not in (204, 304)


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 86_400


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


_TEXT, _FLAG = _of(str), _of(bool)
_ERROR: dict[str, Check] = {"status": _status(400), "code": _TEXT, "message": _TEXT}
KINDS: dict[str, dict[str, Check]] = {
    "throttle": {"retry_after": _count},
    "error": _ERROR,
    "error_after": _ERROR,
    "reset_before": {},
    "reset_after": {},
    "lost": {"seconds": _seconds},
    "slow": {"seconds": _seconds},
    "garbage": {
        "body": _TEXT,
        "content_type": _TEXT,
        "status": _status(200),
        "after_effect": _FLAG,
    },
    "truncated": {},
    "half_page": {},
    "unknown_status": {"word": _TEXT},
    "redirect": {"location": _TEXT},
    "fail_nodes": {
        "instances": _names,
        "count": _count,
        "status": _word("exception", "absent"),
        "task_status": _TEXT,
        "errors": _TEXT,
    },
    "task_never_ends": {},
}
_COMMON: dict[str, Check] = {
    "action": _word("*", *ACTIONS["ehpc"], *ACTIONS["ecs"]),
    "after": _count,
    "times": lambda value: value is None or (_count(value) and value > 0),
    "instance": lambda value: value is None or isinstance(value, str),
    "off": _FLAG,
}
_COUNTED = ("matched", "fired", "number")  # written by the emulator: ignored in a given rule
_COMPANIONS = frozenset({"slow", "fail_nodes", "task_never_ends"})
_TASK_ACTIONS = frozenset({"AddExistedNodes", "DeleteNodes", "StopNodes", "StartNodes"})
_TASK_KINDS = frozenset({"fail_nodes", "task_never_ends"})
#: Kinds that are possible for some actions only.
_STRIKES: dict[str, frozenset[str]] = {
    **dict.fromkeys(_TASK_KINDS, _TASK_ACTIONS),
    "half_page": frozenset(LISTS),
    "unknown_status": frozenset(LISTS) - {"ListQueues", "ListImages", "ListTagResources"},
}


@dataclass
class Fault:
    """One rule, how often it matched and fired, and its number."""

    kind: str
    action: str = "*"
    after: int = 0
    times: int | None = 1
    instance: str | None = None
    off: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    matched: int = 0
    fired: int = 0
    number: int = 0

    @classmethod
    def parse(cls, data: object) -> Fault:
        """Read a rule; what is not valid is an error."""
        kind = data.get("kind") if isinstance(data, dict) else None
        if not isinstance(data, dict) or not isinstance(kind, str) or kind not in KINDS:
            raise WorldError(f"a fault needs a kind of {', '.join(KINDS)}; got {data!r}")
        fault = cls(kind)
        checks = _COMMON | KINDS[kind]
        for name, value in data.items():
            if name in ("kind", *_COUNTED):
                continue
            if name not in checks:
                raise WorldError(f"fault {kind}: unknown option {name}; known: {', '.join(checks)}")
            if not checks[name](value):
                raise WorldError(f"fault {kind}: {name} cannot be {value!r}")
            if name in _COMMON:
                setattr(fault, name, value)
            else:
                fault.options[name] = value
        return fault

    def check_strikes(self) -> None:
        """WorldError if the kind is not possible for the action; random histories do not check."""
        able = _STRIKES.get(self.kind)
        if able is not None and self.action not in ("*", *able):
            names = ", ".join(sorted(able))
            raise WorldError(
                f"fault {self.kind} is not possible for {self.action}, only for {names}"
            )

    def dump(self) -> dict[str, Any]:
        """The rule as given, with its counts."""
        return {
            "kind": self.kind,
            "action": self.action,
            "after": self.after,
            "times": self.times,
            "instance": self.instance,
            "off": self.off,
            **self.options,
            "matched": self.matched,
            "fired": self.fired,
            "number": self.number,
        }

    @property
    def spent(self) -> bool:
        """Whether it has fired as often as it may."""
        return self.times is not None and self.fired >= self.times

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
        if self.spent or self.off:
            return False
        self.matched += 1
        if self.matched <= self.after:
            return False
        self.fired += 1
        return True


@dataclass
class Faults:
    """The rules in their order."""

    rules: list[Fault] = field(default_factory=list)
    added: int = 0

    def add(self, data: object) -> Fault:
        """Append a rule."""
        fault = Fault.parse(data)
        self.added += 1
        fault.number = self.added
        self.rules.append(fault)
        return fault

    def remove(self, number: int) -> None:
        """Remove one rule; WorldError if there is none with this number."""
        self.rules.remove(self._find(number))

    def switch(self, number: int, *, off: bool) -> None:
        """Switch one rule off, or on again: it keeps its counts, and counts no calls while it is off."""
        self._find(number).off = off

    def _find(self, number: int) -> Fault:
        for rule in self.rules:
            if rule.number == number:
                return rule
        raise WorldError(f"there is no fault {number}")

    def clear(self) -> None:
        self.rules.clear()

    def dump(self) -> list[dict[str, Any]]:
        return [rule.dump() for rule in self.rules]

    def of_call(self, action: str, names: set[str]) -> CallFaults:
        """The faults of this call."""
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
        """Its names in the journal."""
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
