"""The command ``ehpc-nodes`` (extra ``cli``): what there is, what is wrong, and a program that adopts it.

`app` holds the commands; each stands on `lookup` or on one module here. Exit codes: 0 done, 1 it failed (the
reason is on stderr, in one line), 2 it was called in a wrong way, 130 Ctrl-C.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

#: What the extra brings; older versions of typer stand on click.
EXTRA = frozenset({"typer", "rich", "click"})


def main() -> int:
    """Run the command with the process's arguments; the exit code."""
    try:
        from .app import run
    except KeyboardInterrupt:  # loading takes its time; later Ctrl-C is seen to by what runs
        return 130
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        sys.stderr.write("ehpc-nodes needs its extra: pip install 'ehpc-nodes[cli]'\n")
        return 1
    return run()
