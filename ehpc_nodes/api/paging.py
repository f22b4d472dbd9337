"""Lists: ids in batches for one call each; entries of answers as models, with all pages read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ehpc_nodes.errors import TransportError

from . import responses

W = TypeVar("W", bound=responses.Wire)
Read = Callable[[str, Mapping[str, str]], dict[str, Any]]

#: How many instances one write may name (AddExistedNodes, DeleteNodes, SetQueue, StopInstances).
BATCH = 100
#: The same for tags.
TAG_BATCH = 50
#: How often a list is read again if it changes while its pages are read.
RELISTS = 5


def chunks(items: Sequence[str], size: int = BATCH) -> list[list[str]]:
    """The items in order, at most ``size`` in each batch."""
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def one(action: str, model: type[W], data: Any) -> W:
    """One entry; raises TransportError if it is not as documented."""
    entry: W = _read(action, model, data)
    return entry


def many(action: str, model: type[W], answer: Mapping[str, Any], path: tuple[str, ...]) -> list[W]:
    """The list at a path of the answer; a wrapper may be missing.

    An answer without the list and without a count is an error: it must not mean "no entries".
    """
    if path[0] not in answer and "TotalCount" not in answer:
        raise TransportError(action, f"an answer without {path[0]}")
    data: Any = answer
    for name in path:
        data = data.get(name) if isinstance(data, dict) else data
    entries: list[W] = _read(action, list[model], data or [])  # type: ignore[valid-type]
    return entries


def _read(action: str, kind: Any, data: Any) -> Any:
    try:
        return reader_of(kind).validate_python(data)
    except ValidationError as error:
        raise _malformed(action, error) from error


@cache
def reader_of(kind: Any) -> TypeAdapter[Any]:
    """The validator of a type of entry, or of a list; to make one takes longer than to read a page with it."""
    return TypeAdapter(kind)


def pages(
    read: Read,
    action: str,
    params: Mapping[str, str],
    path: tuple[str, ...],
    model: type[W],
    *,
    size: int,
) -> list[W]:
    """All pages of a list. Read again if it changed meanwhile, so that no entry is missing.

    Raises:
        TransportError: the list was never complete. Then a missing entry proves nothing.
    """

    def page(number: int) -> tuple[list[W], int]:
        """A page's entries, and the service's total count."""
        answer = read(action, {**params, "PageNumber": str(number), "PageSize": str(size)})
        items = many(action, model, answer, path)
        return items, _total(action, answer, (number - 1) * size + len(items))

    for _ in range(RELISTS):
        found = _whole(page, size)
        if found is not None:
            return found
    raise TransportError(action, f"the list was not complete in {RELISTS} reads")


def _whole(page: Callable[[int], tuple[list[W], int]], size: int) -> list[W] | None:
    """All pages, read once; None if the total changed or entries are missing."""
    found: dict[str, W] = {}
    totals: set[int] = set()
    number = 1
    while True:
        items, total = page(number)
        found |= {_key(item): item for item in items}
        totals.add(total)
        if len(items) < size or number * size >= total:
            break
        number += 1
    return list(found.values()) if len(totals) == 1 and len(found) >= total else None


def _key(item: responses.Wire) -> str:
    return item.task_id if isinstance(item, responses.Task) else str(getattr(item, "id"))  # noqa: B009


def _total(action: str, answer: Mapping[str, Any], found: int) -> int:
    try:
        return int(answer.get("TotalCount", found))
    except (TypeError, ValueError, OverflowError) as error:
        raise TransportError(action, "an answer with a TotalCount that is not a number") from error


def _malformed(action: str, error: ValidationError) -> TransportError:
    where = ".".join(str(part) for part in error.errors()[0]["loc"])
    return TransportError(action, f"an answer that is not as documented, at {where}")
