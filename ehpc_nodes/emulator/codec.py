"""Dataclasses from and to plain data (JSON or YAML), strictly: a wrong key in a world file is
an error that names its place, and is never ignored.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class WorldError(ValueError):
    """Data that is not a valid world, knob or fault; the text names the place and the reason, in one line."""

    def __init__(self, text: str) -> None:
        super().__init__(" ".join(text.split()))


def load(cls: type[T], data: object, where: str = "") -> T:
    """Build the dataclass `cls` from a mapping; unknown and missing keys are errors."""
    if not isinstance(data, Mapping):
        raise WorldError(f"{where or cls.__name__}: expected a mapping, got {data!r}")
    specs = _specs(cls)
    unknown = [str(key) for key in data if key not in specs]
    if unknown:
        known = ", ".join(sorted(specs))
        raise WorldError(f"{where or cls.__name__}: unknown {', '.join(unknown)}; known: {known}")
    keys = {spec.name: spec.metadata.get("key") for spec in _public(cls)}
    values = {}
    for name, item in data.items():
        place = f"{where}.{name}" if where else name
        key = keys[name]
        read = _keyed(key) if key else _value
        values[name] = read(specs[name], item, place)
    try:
        return cls(**values)
    except TypeError as error:
        raise WorldError(f"{where or cls.__name__}: {error}") from error


def dump(value: Any) -> Any:
    """The plain data, as `load` reads it."""
    if hasattr(value, "dump"):
        return value.dump()
    if is_dataclass(value) and not isinstance(value, type):
        return {spec.name: _dump_field(spec, value) for spec in _public(type(value))}
    if isinstance(value, dict):
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [dump(item) for item in value]
    return value


def keyed(key: str) -> dict[str, str]:
    """The metadata of a dict field that is written as a list of its values; each value has its key."""
    return {"key": key}


def _dump_field(spec: Field[Any], owner: Any) -> Any:
    value = getattr(owner, spec.name)
    return dump(list(value.values()) if "key" in spec.metadata else value)


_SPECS: dict[type[Any], dict[str, Any]] = {}


def _specs(cls: type[Any]) -> dict[str, Any]:
    if cls not in _SPECS:
        hints = get_type_hints(cls)
        _SPECS[cls] = {spec.name: hints[spec.name] for spec in _public(cls)}
    return _SPECS[cls]


def _public(cls: type[Any]) -> list[Field[Any]]:
    return [spec for spec in fields(cls) if spec.init]


def _value(hint: Any, data: Any, where: str) -> Any:
    origin = get_origin(hint)
    reader = _READERS.get(origin)
    if reader is not None:
        return reader(hint, data, where)
    if hint is Any:
        return data
    if hasattr(hint, "parse"):
        try:
            return hint.parse(data)
        except ValueError as error:
            raise WorldError(f"{where}: {error}") from error
    if is_dataclass(hint):
        return load(hint, data, where)  # type: ignore[arg-type]  # a dataclass type, not an instance
    return _scalar(hint, data, where)


def _scalar(hint: Any, data: Any, where: str) -> Any:
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if type(data) is not hint:
        raise WorldError(f"{where}: expected {hint.__name__}, got {data!r}")
    return data


def _union(hint: Any, data: Any, where: str) -> Any:
    options = get_args(hint)
    if data is None and type(None) in options:
        return None
    return _value(next(option for option in options if option is not type(None)), data, where)


def _literal(hint: Any, data: Any, where: str) -> Any:
    if data not in get_args(hint):
        raise WorldError(f"{where}: expected one of {', '.join(get_args(hint))}, got {data!r}")
    return data


def _list(hint: Any, data: Any, where: str) -> Any:
    (item,) = get_args(hint)
    return _items(item, data, where)


def _items(item: Any, data: Any, where: str) -> list[Any]:
    if not isinstance(data, (list, tuple)):
        raise WorldError(f"{where}: expected a list, got {data!r}")
    return [_value(item, entry, f"{where}[{index}]") for index, entry in enumerate(data)]


def _keyed(key: str) -> Callable[[Any, Any, str], Any]:
    def read(hint: Any, data: Any, where: str) -> Any:
        _, item = get_args(hint)
        values = {}
        for entry in _items(item, data, where):
            name = getattr(entry, key)
            if name in values:
                raise WorldError(f"{where}: {name} is there twice")
            values[name] = entry
        return values

    return read


def _dict(hint: Any, data: Any, where: str) -> Any:
    if not isinstance(data, Mapping):
        raise WorldError(f"{where}: expected a mapping, got {data!r}")
    key, item = get_args(hint)
    return {
        _value(key, name, where): _value(item, entry, f"{where}.{name}")
        for name, entry in data.items()
    }


_READERS: dict[Any, Callable[[Any, Any, str], Any]] = {
    Union: _union,
    types.UnionType: _union,
    Literal: _literal,
    list: _list,
    dict: _dict,
}
