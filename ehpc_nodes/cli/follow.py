"""``--watch``: read again and again, and show changes, until Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from ehpc_nodes.api.client import REPEAT_READ
from ehpc_nodes.clock import RealClock
from ehpc_nodes.errors import CertificateError

from .advice import told
from .shown import Row, console, picture, printable, show_plain, table

Look = Callable[[], Sequence[Row]]


class Outage:
    """The line that is shown while no answer comes: since when, and why."""

    def __init__(self) -> None:
        self.line = ""
        self.lasts = False  # all repeats failed, not only one call
        self.changed: Callable[[], None] = lambda: None

    def begun(self, why: str) -> None:
        """No answer came; also called with the client's notices."""
        since = self.line.partition(": ")[0] or f"no answer since {_now()}"
        self.line = f"{since}: {printable(why.removeprefix('trying again: ')).rstrip('.')}"
        self.changed()

    def over(self) -> None:
        """An answer has come."""
        self.line, self.lasts = "", False


def follow(look: Look, kind: type, outage: Outage, *, as_json: bool, seconds: float) -> None:
    """On a terminal a live table; elsewhere the rows again after each change.

    As JSON each change is one line. Ctrl-C ends it, without an error. If no answer comes, the last rows stay; if
    there are none yet, it fails as without --watch.
    """
    try:
        if sys.stdout.isatty() and not as_json:
            _live(look, kind, outage, seconds)
        else:
            _lines(look, kind, outage, seconds, as_json=as_json)
    except KeyboardInterrupt:
        return


def _looked(look: Look, last: list[Row] | None, outage: Outage) -> list[Row]:
    """The rows; the last ones if no answer comes, because the next read may succeed."""
    try:
        rows = list(look())
    except REPEAT_READ as error:
        if last is None or isinstance(error, CertificateError):
            raise
        outage.lasts = True
        outage.begun(told(error))
        return last
    outage.over()
    return rows


def _live(look: Look, kind: type, outage: Outage, seconds: float) -> None:
    clock = RealClock()
    rows: list[Row] | None = None
    with Live(console=console(), auto_refresh=False) as live:

        def show() -> None:
            shown: list[RenderableType] = [] if rows is None else [picture(rows, kind)]
            shown += [Text(outage.line, "yellow")] if outage.line else []
            live.update(Group(*shown), refresh=True)

        outage.changed = show
        while True:
            rows = _looked(look, rows, outage)
            show()
            clock.sleep(seconds)


def _lines(look: Look, kind: type, outage: Outage, seconds: float, *, as_json: bool) -> None:
    clock = RealClock()
    last: list[Row] | None = None
    while True:
        lasted = outage.lasts
        rows = _looked(look, last, outage)
        if outage.lasts != lasted:
            line = outage.line or f"answered again at {_now()}"
            sys.stderr.write(f"ehpc-nodes: {line}\n")
        if rows != last:
            _print(rows, kind, as_json=as_json, first=last is None)
            sys.stdout.flush()
        last = rows
        clock.sleep(seconds)


def _now() -> str:
    return f"{datetime.now().astimezone():%H:%M:%S}"


def _print(rows: list[Row], kind: type, *, as_json: bool, first: bool) -> None:
    if as_json:
        sys.stdout.write(f"{json.dumps([dataclasses.asdict(row) for row in rows])}\n")
        return
    sys.stdout.write("" if first else "\n")
    if rows:
        show_plain(console(), table(rows, kind))
    else:
        sys.stdout.write("Nothing found.\n")
