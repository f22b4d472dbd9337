"""Declared parameters: what each action takes, and how the texts of a request become values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .answers import ApiError, missing

Kind = Literal["text", "int", "bool", "ids"]
Refuse = Callable[[str], ApiError]

_INDEX = re.compile(r"\.(\d+)(?=\.|$)")


@dataclass(frozen=True)
class Param:
    """One parameter. A name with `.N` is a list, numbered from 1 without gaps (`sparse` lists
    may have gaps: the values of a list of pairs); `ids` is a JSON array in one text.
    """

    name: str
    kind: Kind = "text"
    required: bool = False
    low: int = 0
    high: int = 1_000_000
    choices: tuple[str, ...] = ()
    sparse: bool = False

    @property
    def is_list(self) -> bool:
        return ".N" in self.name


class Args:
    """The values of one call. Names are those of the declaration, e.g. `Instance.N.Id`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str = "") -> str:
        return str(self._values.get(name, default))

    def number(self, name: str, default: int) -> int:
        return int(self._values.get(name, default))

    def flag(self, name: str, *, default: bool = False) -> bool:
        return bool(self._values.get(name, default))

    def items(self, name: str) -> list[str]:
        found: dict[int, str] = self._values.get(name, {})
        return [found[index] for index in sorted(found)]

    def ids(self, name: str) -> list[str] | None:
        """The ids of a JSON array; None without the parameter."""
        found: list[str] | None = self._values.get(name)
        return found

    def pairs(self, prefix: str) -> list[tuple[str, str | None]]:
        """A list of keys, each with its value or None: `Tag` for `Tag.N.Key`, `Tag.N.Value`."""
        keys: dict[int, str] = self._values.get(f"{prefix}.N.Key", {})
        values: dict[int, str] = self._values.get(f"{prefix}.N.Value", {})
        return [(keys[index], values.get(index)) for index in sorted(keys)]

    def has(self, name: str) -> bool:
        return name in self._values


def parse(declared: Mapping[str, Param], given: Mapping[str, str], refuse: Refuse) -> Args:
    """Check a call's parameters against the declaration; `refuse` makes the service's error."""
    values: dict[str, Any] = {}
    for name, text in given.items():
        template = _INDEX.sub(".N", name, count=1)
        param = declared.get(template)
        if param is None or (param.is_list and template == name):
            raise refuse(name)
        if param.is_list:
            _collect(values, param, name, text, refuse)
        else:
            values[name] = _scalar(param, text, refuse)
    for param in declared.values():
        found = values.get(param.name)
        if param.required and found in (None, ""):
            raise missing(param.name.replace(".N", ".1"))
        if param.is_list and found:
            _check_list(param, found, refuse)
    return Args(values)


def named_ids(given: Mapping[str, str]) -> set[str]:
    """Every instance id or host name that a call names, in any parameter."""
    names = {text for name, text in given.items() if _INDEX.search(name)}
    ids = from_json(given.get("InstanceIds", ""))
    names.update(map(str, ids if isinstance(ids, list) else []))
    return names


def from_json(text: str) -> Any:
    """The value of a parameter in JSON; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _collect(values: dict[str, Any], param: Param, name: str, text: str, refuse: Refuse) -> None:
    found = _INDEX.search(name)
    digits = found.group(1) if found else ""
    if digits.startswith("0") or len(digits) > 5 or not (text or param.sparse):
        raise refuse(name)
    values.setdefault(param.name, {})[int(digits)] = text


def _check_list(param: Param, found: dict[int, str], refuse: Refuse) -> None:
    if len(found) > param.high:
        raise refuse(param.name)
    if not param.sparse and max(found) != len(found):
        raise refuse(param.name)
    if not param.sparse and len(set(found.values())) != len(found):
        raise refuse(param.name)


def _scalar(param: Param, text: str, refuse: Refuse) -> Any:
    if param.kind == "bool":
        if text.lower() not in ("true", "false"):
            raise refuse(param.name)
        return text.lower() == "true"
    if param.kind == "int":
        if not re.fullmatch(r"\d{1,9}", text) or not param.low <= int(text) <= param.high:
            raise refuse(param.name)
        return int(text)
    if param.kind == "ids":
        return _id_array(param, text, refuse)
    if param.choices and text not in param.choices:
        raise refuse(param.name)
    return text


def _id_array(param: Param, text: str, refuse: Refuse) -> list[str]:
    ids = from_json(text)
    if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
        raise refuse(param.name)
    if len(ids) > param.high:
        raise refuse(param.name)
    return ids
