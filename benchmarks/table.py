"""Rows of the table, how pairs are measured, and the page that they are written to."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

PAIRS = 5
PAGE = Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- begin: written by make bench -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        met: whether the reach was met; None where the row is only told.
    """

    what: str
    measured: str
    against: str
    reach: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return {True: "met", False: "**missed**", None: "–"}[self.met]


def pairs(
    ours: Callable[[], float], theirs: Callable[[], float], count: int = PAIRS
) -> tuple[float, float, float]:
    """Medians of ours, of theirs, and of the ratios, measured in turn so that both see the same noise."""
    measured = []
    for number in range(count):
        if number % 2:
            mine = ours()
            measured.append((mine, theirs()))
        else:
            other = theirs()
            measured.append((ours(), other))
    return (
        median(mine for mine, _ in measured),
        median(other for _, other in measured),
        median(mine / other for mine, other in measured),
    )


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratio_row(
    what: str, measured: tuple[float, float, float], against: str, most: float, unit: str = "s"
) -> Row:
    """A row of a ratio that may be at most so much."""
    mine, other, ratio = measured
    return Row(
        what,
        f"{_short(mine)} {unit}, {ratio:.2f} ×",
        f"{against}: {_short(other)} {unit}",
        f"≤ {most:g} ×",
        ratio <= most,
    )


def _short(number: float) -> str:
    return f"{number:.3f}" if number < 1 else f"{number:.2f}" if number < 100 else f"{number:.0f}"


def markdown(rows: list[Row]) -> str:
    """The table."""
    lines = ["| what | measured | against | reach | |", "|---|---|---|---|---|"]
    lines += [f"| {r.what} | {r.measured} | {r.against} | {r.reach} | {r.verdict} |" for r in rows]
    return "\n".join(lines)


def machine(versions: str) -> str:
    """What the table was measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"Measured {datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC at commit {_commit()} on {os.cpu_count()}"
        f" × {_processor()}, {memory:.0f} GB, {platform.system()} {platform.release()}; Python"
        f" {platform.python_version()}, {versions}. Load average at the end: {load}."
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    name = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "")
    return name.strip() or platform.machine()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PAGE.parent)
    return done.stdout.strip() or "unknown"


def write(text: str) -> None:
    """Replace what stands between the marks of the page."""
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
