"""Measure everything, print the table and write it to benchmarks/README.md; takes about 15 minutes.

`python -m benchmarks frugal client wall growth together script` measures only what is named, and writes nothing.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from . import client, frugal, table, wall
from .table import Row

GET_ENGINE = Path(__file__).resolve().parent.parent / "tools" / "engine" / "get.py"


#: The groups in the table's order.
ORDER = ("wall", "client", "growth", "frugal", "together", "script")


def engine() -> str:
    """The path of `pulumi`; SystemExit where there is none."""
    done = subprocess.run(
        [sys.executable, GET_ENGINE], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit("benchmarks: there is no Pulumi engine, and none could be got")
    return done.stdout.splitlines()[-1]


def groups() -> dict[str, Callable[[], list[Row]]]:
    """Each group of rows by its name; first those that mostly wait."""
    pulumi = engine()
    return {
        "together": lambda: wall.together(pulumi),
        "script": lambda: [wall.against_script(pulumi)],
        "frugal": frugal.rows,
        "growth": lambda: wall.growth(pulumi),
        "client": lambda: [*client.imports(), *client.calls_a_second()],
        "wall": lambda: wall.against_nothing(pulumi),
    }


def main(names: list[str]) -> None:
    """Measure what is named, or everything."""
    found: dict[str, list[Row]] = {}
    wanted = groups()
    for name, measure in wanted.items():
        if names and name not in names:
            continue
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        with contextlib.redirect_stdout(io.StringIO()):  # the provider in process tells its plans
            measured = measure()
        print(table.markdown(measured), file=sys.stderr, flush=True)
        found[name] = measured
    text = table.markdown([row for name in ORDER for row in found.get(name, [])])
    print(text)
    if not names:
        told = ", ".join(
            f"{name} {version(name)}"
            for name in ("pulumi", "pydantic", "alibabacloud-ehpc20180412")
        )
        table.write(f"{table.machine(told)}\n\n{text}")


if __name__ == "__main__":
    main(sys.argv[1:])
