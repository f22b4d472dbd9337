"""Reads that all operations of a process share, so that twenty resources of a cluster make the calls of one."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: For how many seconds an operation waits for the read of another.
LONGEST_TURN = 5.0


@dataclass(frozen=True)
class CachedRead(Generic[T]):
    """The result of a read, when it began (it shows nothing older), and when it ended."""

    seen: T
    begun: float
    ended: float = 0.0


@dataclass
class _Place:
    turn: threading.Lock = field(default_factory=threading.Lock)
    last: CachedRead[Any] | None = None


class ReadCache:
    """The latest read of each thing. Safe to use from several threads.

    Attributes:
        written: when an operation of the process last wrote something.
    """

    written: float = -math.inf

    @property
    def next_after_writes(self) -> float:
        """The first moment at which a read shows every write."""
        return math.nextafter(self.written, math.inf)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Hashable, _Place] = {}

    def at(
        self, thing: Hashable, make: Callable[[], T], now: Callable[[], float], *, since: float
    ) -> CachedRead[T]:
        """The latest read if it began at ``since`` or later, else a new one.

        Args:
            thing: what is read.
            make: makes the read; its error is raised here, and nothing is kept.
        """
        with self._lock:
            place = self._places.setdefault(thing, _Place())
        waited = place.turn.acquire(timeout=LONGEST_TURN)  # a read under way may be new enough
        try:
            if place.last is not None and place.last.begun >= since:
                return place.last
            begun = now()
            seen = make()
            place.last = CachedRead(seen, begun, now())
            return place.last
        finally:
            if waited:
                place.turn.release()
