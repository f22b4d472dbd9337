"""``--watch``: look again and again, and show what has changed, until Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence

from rich.live import Live

from ehpc_nodes.waiting import RealClock

from .shown import Row, console, picture, show_plain, table

Look = Callable[[], Sequence[Row]]


def follow(look: Look, kind: type, *, as_json: bool, seconds: float) -> None:
    """On a terminal a picture that moves; elsewhere the rows anew whenever they have changed.

    As JSON each change is one line. Ctrl-C is how it ends: not an error.
    """
    try:
        if sys.stdout.isatty() and not as_json:
            _live(look, kind, seconds)
        else:
            _lines(look, kind, seconds, as_json=as_json)
    except KeyboardInterrupt:
        return


def _live(look: Look, kind: type, seconds: float) -> None:
    clock = RealClock()
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            live.update(picture(look(), kind), refresh=True)
            clock.sleep(seconds)


def _lines(look: Look, kind: type, seconds: float, *, as_json: bool) -> None:
    clock, last = RealClock(), None
    while True:
        rows = list(look())
        if rows != last:
            _print(rows, kind, as_json=as_json, first=last is None)
            sys.stdout.flush()
        last = rows
        clock.sleep(seconds)


def _print(rows: list[Row], kind: type, *, as_json: bool, first: bool) -> None:
    if as_json:
        sys.stdout.write(f"{json.dumps([dataclasses.asdict(row) for row in rows])}\n")
        return
    sys.stdout.write("" if first else "\n")
    if rows:
        show_plain(console(), table(rows, kind))
    else:
        sys.stdout.write("There are none.\n")
