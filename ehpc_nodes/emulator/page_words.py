"""The page's words: statuses, numbers, names, times."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timezone

from .faults import Fault
from .knobs import Pace
from .page_faults import KINDS
from .world import World

MANY_NAMES = 4

_TONES = {
    "good": ("running", "success", "available"),
    "busy": (
        "queued",
        "uninit",
        "initing",
        "releasing",
        "pending",
        "starting",
        "stopping",
        "processing",
    ),
    "bad": ("exception", "untracking", "fail", "failed", "partialfail"),
}
_TONE_OF = {word: tone for tone, words in _TONES.items() for word in words}


def tone(word: str) -> str:
    """How a status is shown: good, busy, bad or idle (also an unknown status)."""
    return _TONE_OF.get(word.lower(), "idle")


def many(number: int, one: str, more: str = "") -> str:
    """A number of things in words."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def often(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def counts(words: Iterable[str]) -> str:
    """`3 running, 1 initing`; `none`."""
    found = Counter(words).most_common()
    return ", ".join(f"{number} {word}" for word, number in found) or "none"


def names(world: World, ids: Iterable[str]) -> str:
    """Instances by their host names, if they have one: `compute1, compute2 and 7 more`."""
    found = [(item, world.instances.get(item)) for item in ids]
    words = sorted((one.host_name if one else item for item, one in found), key=natural)
    if len(words) <= MANY_NAMES:
        return ", ".join(words)
    return f"{', '.join(words[: MANY_NAMES - 1])} and {len(words) - MANY_NAMES + 1} more"


def natural(name: str) -> list[tuple[bool, int, str]]:
    """compute9 before compute10."""
    parts = re.findall(r"[0-9]{1,18}|[^0-9]+", name)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def clock_time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%H:%M:%S}"


def pace_words(pace: Pace) -> str:
    """When a task of this pace ends."""
    amount = f"{pace.amount:g}"
    return {
        "instant": "at once",
        "held": "when released",
        "never": "never",
        "reads": f"after {amount} reads",
        "seconds": f"after {amount} s",
    }[pace.kind]


def fault_words(fault: Fault) -> list[str]:
    """The calls of a rule, how often it fires, and its options."""
    words = ["for ever" if fault.times is None else often(fault.times)]
    if fault.after:
        words.append(f"after {many(fault.after, 'call')}")
    if fault.instance is not None:
        words.append(f"naming {fault.instance}")
    labels = {option.name: option.label for option in KINDS[fault.kind].options}
    return words + [f"{labels[name]}: {value}" for name, value in fault.options.items()]
