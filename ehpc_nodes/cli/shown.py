"""The command's output: tables for people, JSON for scripts.

On a terminal with colours and bars; in a pipe as plain text, aligned and never shortened.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ehpc_nodes import lookup
from ehpc_nodes.api.responses import (
    NODE_FAILED,
    NODE_READY,
    NODE_STOPPED,
    TASK_FAILED,
    TASK_PARTIAL,
    TASK_SUCCESS,
)

Row = Any
Cell = Callable[[Any], object]

#: Wider than any table: in a pipe nothing is wrapped.
NO_LIMIT = 100_000
BAR_WIDTH = 20
#: Blanks between two columns, and the least that a column of sentences is wrapped to.
GAP, FEW_WORDS = 2, 24

#: The columns of each kind of row.
SHEETS: dict[type, dict[str, str | Cell]] = {
    lookup.Cluster: {
        "CLUSTER": "cluster_id",
        "NAME": "name",
        "STATUS": "status",
        "SYSTEM": "os_tag",
        "SCHEDULER": "scheduler",
        "VPC": "vpc_id",
        "RUNNING": lambda c: f"{c.running}/{c.computes}",
    },
    lookup.Queue: {"QUEUE": "name", "AUTO-GROW": lambda q: "yes" if q.auto_grow else "no"},
    lookup.Image: {
        "IMAGE": "image_id",
        "OWNER": "owner_alias",
        "SYSTEM": lambda i: f"{i.family} {i.version}".strip(),
        "ARCHITECTURE": "architecture",
        "STATUS": "status",
        "NAME": "name",
    },
    lookup.Node: {
        "INSTANCE": "instance_id",
        "HOST": "host_name",
        "STATUS": "status",
        "QUEUE": "queue",
        "ADDRESS": "private_ip",
        "TYPE": "instance_type",
        "ROLES": "roles",
        "BUSY": "busy",
    },
    lookup.Task: {
        "TASK": "task_id",
        "TYPE": "type",
        "STATUS": "status",
        "STEP": lambda t: f"{t.step}/{t.steps}",
        "INSTANCES": lambda t: len(t.instance_ids) or "",
        "ERRORS": "errors",
    },
    lookup.Candidate: {
        "INSTANCE": "instance_id",
        "HOST": "host_name",
        "STATUS": "status",
        "ADDRESS": "private_ip",
        "TYPE": "instance_type",
        "WHY NOT": lambda c: "; ".join(c.reasons),
    },
}
#: For rows with a bar: how much is done, and how much there is.
MOVING: dict[type, Callable[[Any], tuple[int, int]]] = {
    lookup.Cluster: lambda c: (c.running, c.computes),
    lookup.Task: lambda t: (t.step, t.steps),
}
NONE: dict[type, str] = {
    lookup.Candidate: "No candidates. Use --all to list every instance in the VPC with the reason."
}
COLOURS = {
    **dict.fromkeys(NODE_READY | TASK_SUCCESS | {"available", "ok"}, "green"),
    **dict.fromkeys(NODE_FAILED | TASK_FAILED | TASK_PARTIAL, "red"),
    **dict.fromkeys(NODE_STOPPED | {"warning"}, "yellow"),
}


def console() -> Console:
    """Stdout. Without a terminal nothing is wrapped; NO_COLOR is respected."""
    return Console(width=None if sys.stdout.isatty() else NO_LIMIT, highlight=False)


def show(rows: Sequence[Row], kind: type, *, as_json: bool) -> None:
    """Print the rows; without rows, a line on stderr instead of a table."""
    if as_json:
        sys.stdout.write(f"{json.dumps([dataclasses.asdict(row) for row in rows], indent=2)}\n")
    elif rows:
        show_plain(console(), table(rows, kind))
    else:
        sys.stderr.write(f"{NONE.get(kind, 'Nothing found.')}\n")


def show_plain(out: Console, what: RenderableType) -> None:
    """Print; in a pipe without blanks at the ends of lines."""
    if out.is_terminal:
        out.print(what)
        return
    with out.capture() as captured:
        out.print(what)
    lines = (line.rstrip() for line in captured.get().splitlines())
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def printable(text: str) -> str:
    """One line without control characters: an answer of the service must not control the terminal."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def table(rows: Iterable[Row], kind: type, *, bars: bool = False) -> RenderableType:
    """The rows as a table without empty columns; if it is too wide, one block for each row.

    Words are never broken: only the column with the longest sentences wraps, at blanks.
    """
    rows = list(rows)
    columns = {
        title: [_text(_value(row, cell)) for row in rows] for title, cell in SHEETS[kind].items()
    }
    filled = {title: cells for title, cells in columns.items() if any(cells)}
    moving = MOVING.get(kind) if bars else None
    drawn = [_bar(*moving(row)) for row in rows] if moving else []
    room = console().width - (GAP + BAR_WIDTH if drawn else 0)
    wrapping = max(filled, key=lambda title: _width(title, filled) - _longest_word(title, filled))
    left = room - sum(_width(title, filled) + GAP for title in filled if title != wrapping)
    needed = min(_width(wrapping, filled), max(_longest_word(wrapping, filled), FEW_WORDS))
    if needed > left:
        return _blocks(filled, drawn)
    sheet = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for title in filled:
        sheet.add_column(title, no_wrap=title != wrapping)
    if drawn:
        sheet.add_column("")
    for number in range(len(rows)):
        cells = [_cell(title, texts[number]) for title, texts in filled.items()]
        sheet.add_row(*cells, *drawn[number : number + 1])
    return sheet


def _blocks(filled: Mapping[str, Sequence[str]], drawn: Sequence[ProgressBar]) -> RenderableType:
    """One block for each row, one line for each column that is not empty."""
    blocks: list[RenderableType] = []
    width = max(map(len, filled))
    for number in range(len(next(iter(filled.values())))):
        block = Table.grid(padding=(0, GAP, 0, 0))
        block.add_column(style="bold", no_wrap=True, min_width=width)
        block.add_column(overflow="fold")
        for title, texts in filled.items():
            if texts[number]:
                block.add_row(title, _cell(title, texts[number]))
        if drawn:
            block.add_row("", drawn[number])
        blocks += [block, Text("")]
    return Group(*blocks[:-1])


def _cell(title: str, text: str) -> Text:
    return Text(text, COLOURS.get(text.lower(), "") if title == "STATUS" else "")


def _width(title: str, columns: Mapping[str, Sequence[str]]) -> int:
    return max(map(cell_len, (title, *columns[title])))


def _longest_word(title: str, columns: Mapping[str, Sequence[str]]) -> int:
    return max(cell_len(word) for text in (title, *columns[title]) for word in text.split(" "))


def picture(rows: Sequence[Row], kind: type) -> RenderableType:
    """The rows with progress bars."""
    if not rows:
        return Text("Nothing found.")
    sheet = table(rows, kind, bars=True)
    if kind is not lookup.Node:
        return sheet
    running = sum(1 for node in rows if node.status.lower() in NODE_READY)
    below = Table.grid(padding=(0, 1))
    below.add_row(_bar(running, len(rows)), Text(f"{running}/{len(rows)} running"))
    return Group(sheet, Text(""), below)


def _bar(done: int, total: int) -> ProgressBar:
    return ProgressBar(total=max(total, 1), completed=done, width=BAR_WIDTH)


def _value(row: Row, cell: str | Cell) -> object:
    return cell(row) if callable(cell) else getattr(row, cell)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return printable(str(value))
