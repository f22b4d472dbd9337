"""Random histories for as long as told, in process and on the real CLI, and the figures of both.

    python tools/chaos.py MINUTES

Exits with 1 as soon as a promise was broken; pytest's report above the figures tells the history.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHUNK_IN_PROCESS = 200
CHUNK_ON_THE_CLI = 6


def pytest(*arguments: str, **environment: str) -> bool:
    """Whether all tests passed."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-n", "auto", *arguments]
    return not subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, check=False
    ).returncode


def chaos(minutes: float, tally: Path) -> bool:
    """Whether every promise held."""
    end = time.monotonic() + minutes * 60
    variables = {"EHPC_CHAOS_TALLY": str(tally), "EHPC_HISTORIES": str(CHUNK_IN_PROCESS)}
    while time.monotonic() < end:
        seed = secrets.randbelow(10**9)
        print(f"== seed {seed}", flush=True)
        if not pytest("tests/property/test_histories.py", f"--hypothesis-seed={seed}", **variables):
            return False
        variables |= {"EHPC_CHAOS_SEED": str(seed), "EHPC_CHAOS_HISTORIES": str(CHUNK_ON_THE_CLI)}
        if not pytest("tests/engine/test_chaos.py", **variables):
            return False
    return True


def figures(lines: list[dict[str, Any]]) -> str:
    """A paragraph a machine: histories, calls, kills, faults by kind."""
    told = []
    for machine in sorted({line["machine"] for line in lines}):
        mine = [line for line in lines if line["machine"] == machine]
        faults = sum((Counter(line["faults"]) for line in mine), Counter[str]())
        calls, kills = (sum(line[name] for line in mine) for name in ("calls", "kills"))
        by_kind = ", ".join(f"{number:,} {kind}" for kind, number in faults.most_common())
        told.append(
            f"{machine}: {len(mine):,} histories, {calls:,} calls, {kills:,} kills,"
            f" {faults.total():,} faults ({by_kind})"
        )
    return "\n".join(told)


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory() as folder:
        tally = Path(folder) / "tally"
        held = chaos(minutes, tally)
        lines = tally.read_text(encoding="utf-8").splitlines() if tally.exists() else []
    print(figures([json.loads(line) for line in lines]))
    print("violations: none" if held else "violations: a promise was broken (see above)")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
