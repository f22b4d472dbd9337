"""The command ``ehpc-nodes`` (extra ``cli``): lists, checks, and a program that adopts nodes.

`app` has the commands; each uses `lookup` or one module here. Exit codes: 0 done, 1 failed (the reason is on
stderr, in one line), 2 wrong usage, 130 Ctrl-C.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

#: The extra's packages; older versions of typer need click.
EXTRA = frozenset({"typer", "rich", "click"})


def main() -> int:
    """Run the command with the process's arguments; returns the exit code."""
    try:
        from .app import run
    except KeyboardInterrupt:  # imports take some time; later the command handles Ctrl-C
        return 130
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.stderr.write("ehpc-nodes needs its extra: pip install 'ehpc-nodes[cli]'\n")
        return 1
    return run()
