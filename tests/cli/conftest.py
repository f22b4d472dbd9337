"""The installed command, as a person or a script starts it, against the emulator over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ehpc_nodes.emulator import Emulator, EmulatorServer
from ehpc_nodes.testing.worlds import small_world

SCRIPT = Path(sys.executable).parent / "ehpc-nodes"


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    """A cluster with two nodes, and four instances that could be attached."""
    with EmulatorServer(Emulator(small_world(instances=6, attached=(1, 2)))) as running:
        yield running


def addresses(server: EmulatorServer) -> dict[str, str]:
    """The environment that says where the service is, and as whom to call it."""
    return {
        "ALIBABA_CLOUD_REGION_ID": server.emulator.world.region,
        "ALIBABA_CLOUD_EHPC_ENDPOINT": server.url,
        "ALIBABA_CLOUD_ECS_ENDPOINT": server.url,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": server.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": server.access_key_secret,
        "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
    }


@pytest.fixture
def environment(server: EmulatorServer, tmp_path: Path) -> dict[str, str]:
    """What a user's shell holds: a path, a home, and how to reach the service."""
    path = f"{SCRIPT.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return {"PATH": path, "HOME": str(tmp_path), **addresses(server)}


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, server: EmulatorServer) -> Command:
    """Runs the command to its end: `run("nodes", CLUSTER, code=0, NO_COLOR="1")`. None but the doctor's writes."""

    def command(*arguments: str, code: int = 0, **variables: str) -> Any:
        before = len(server.emulator.journal.entries)
        done = subprocess.run(
            [SCRIPT, *arguments],
            env=environment | variables,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == code, done
        called = [entry.action for entry in server.emulator.journal.entries[before:]]
        reads = [action for action in called if action.startswith(("List", "Describe"))]
        assert called == reads or arguments[0] == "doctor"
        return done

    return command
