"""A plugin's process without the engine: creates so many nodes, prints its peak memory in MB and what it calls a
poll. `python -m benchmarks.plugin COUNT` with the stack config as JSON on stdin.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

from pulumi.dynamic import ConfigureRequest

from ehpc_nodes.provider.dynamic import AttachedNodesProvider

from .frugal import declared


class Named(AttachedNodesProvider):
    """Names the resource on owner tags without the engine, which would give its name."""

    def _operations(self, *args: Any, **options: Any) -> Any:
        operations = super()._operations(*args, **options)
        operations.name = threading.current_thread().name
        return operations


def peak_memory() -> float:
    """Peak resident memory of this process in MB, as Linux tells it."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1)) / 1024


def main(count: int) -> None:
    """Check and create, as in one run of the engine."""
    config: Any = json.load(sys.stdin)
    provider = Named()
    provider.configure(ConfigureRequest(config=config))
    checked = provider.check({}, declared(range(1, count + 1)))
    assert not checked.failures, checked.failures[:3]
    outs = provider.create(checked.inputs).outs or {}
    assert len(outs["nodes"]) == count
    print(f"\n{peak_memory()}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
