"""What a long run under chaos has lived through: a line a history, for `make chaos` to add up."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ehpc_nodes.emulator.journal import Entry

#: Where the lines go; nothing is written where it isn't set.
VARIABLE = "EHPC_CHAOS_TALLY"


def note(machine: str, entries: Iterable[Entry], *, kills: int) -> None:
    """Append a history's figures: faults by kind, calls, writes are in the journal's entries."""
    path = os.environ.get(VARIABLE)
    if not path:
        return
    entries = list(entries)
    faults = Counter(kind for e in entries if e.fault for kind in e.fault.split("+"))
    line = {"machine": machine, "calls": len(entries), "kills": kills, "faults": faults}
    with Path(path).open(
        "a", encoding="utf-8"
    ) as file:  # one short write: histories run side by side
        file.write(json.dumps(line) + "\n")
