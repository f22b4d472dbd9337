"""Time: the clock, deadlines, pauses. Nothing else in the package sleeps or reads a clock."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from .errors import CancelledError

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 15.0
#: Seconds between two checks whether the user has stopped the run, while another thread works.
TICK = 0.1


class Clock(Protocol):
    """What the package reads of time. Seconds; monotonic."""

    def now(self) -> float:
        """Seconds since any fixed moment; never decreases."""

    def wall(self) -> float:
        """Seconds since 1970: roughly comparable with another computer's."""

    def sleep(self, seconds: float) -> None:
        """Return after so many seconds; raise CancelledError as soon as the user cancels."""


class RealClock:
    """The system's monotonic clock. ``cancelled`` is an event that ends every sleep at once.

    Attributes:
        is_stoppable: whether the caller gave the event and may set it (in a script, Ctrl-C raises by itself).
    """

    def __init__(self, cancelled: threading.Event | None = None) -> None:
        self.is_stoppable = cancelled is not None
        self.cancelled = cancelled or threading.Event()

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        if self.cancelled.wait(max(0.0, seconds)):
            raise CancelledError("Cancelled while waiting.")


@dataclass(frozen=True)
class Deadline:
    """The moment by which an operation must have ended."""

    clock: Clock
    started: float
    at: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """So many seconds from now."""
        now = clock.now()
        return cls(clock, now, now + seconds)

    def at_most(self, seconds: float) -> Deadline:
        """The same, or so many seconds from now, whichever is sooner."""
        now = self.clock.now()
        return Deadline(self.clock, now, min(self.at, now + seconds))

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.clock.now() - self.started

    @property
    def left(self) -> float:
        """Seconds left; never below zero."""
        return max(0.0, self.at - self.clock.now())

    @property
    def passed(self) -> bool:
        return self.left <= 0.0


def jittered(pause: float) -> float:
    """A tenth more or less, so that callers that started together do not stay together."""
    return pause * random.uniform(0.9, 1.1)  # noqa: S311 - a jitter, not a secret


def ends_in_time(thread: threading.Thread, deadline: Deadline, least: float) -> bool:
    """Wait for a thread until the deadline, at least ``least`` seconds. Returns whether it has ended.

    Raises:
        CancelledError: the user stopped the run.
    """
    limit = deadline.clock.now() + max(deadline.left, least)
    while True:
        thread.join(TICK)
        if not thread.is_alive():
            return True
        deadline.clock.sleep(0)
        if deadline.clock.now() >= limit:
            return False
