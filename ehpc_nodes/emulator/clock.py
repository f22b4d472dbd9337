"""The emulator's time: the real clock, possibly shifted, or one that tests move."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """What the emulator needs of a clock; `advance` makes tasks progress."""

    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        ...


class ManualClock:
    """Stops until it is advanced."""

    def __init__(self, start: float = 1_750_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


class SystemClock:
    """The real clock, plus all that it was advanced."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        self._offset += seconds


def timestamp(seconds: float) -> str:
    """The form of times in answers, e.g. `2020-06-09T06:22:02.000Z`."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
