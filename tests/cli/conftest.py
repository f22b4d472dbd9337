"""The command, as a person or a script starts it, against the emulator over HTTP: mostly in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from ehpc_nodes.cli import follow, main
from ehpc_nodes.cli.reach import stack_config
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


class Stream(TextIOWrapper):
    """What the command writes; perhaps it takes it for a terminal."""

    def __init__(self, encoding: str, *, terminal: bool) -> None:
        self.terminal = terminal
        super().__init__(BytesIO(), encoding=encoding, newline="\n")

    def isatty(self) -> bool:
        return self.terminal

    def written(self) -> str:
        self.flush()
        assert isinstance(self.buffer, BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


def in_this_process(
    arguments: Iterable[str],
    environment: Mapping[str, str],
    folder: Path,
    *,
    terminal: bool = False,
    together: bool = False,
) -> subprocess.CompletedProcess[str]:
    """What a process of its own would do, without the second that loading takes; `together`: errors on stdout."""
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    out = Stream(encoding, terminal=terminal)
    errors = out if together else Stream(encoding, terminal=terminal)
    command = [str(SCRIPT), *arguments]
    stack_config.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - environment.keys():
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        # read from the environment when that library is loaded
        patch.setattr("alibabacloud_credentials.utils.auth_constant.HOME", environment["HOME"])
        patch.setattr(
            "alibabacloud_credentials.utils.auth_util.environment_ecs_metadata_disabled",
            environment.get("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "false"),
        )
        patch.setattr(sys, "argv", command)
        # or click takes pytest for the command's name
        patch.setattr(sys.modules["__main__"], "__package__", None, raising=False)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", errors)
        patch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
        code = main()
    return subprocess.CompletedProcess(command, code, out.written(), errors.written())


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path, server: EmulatorServer) -> Command:
    """Runs the command to its end: `run("nodes", CLUSTER, code=0, NO_COLOR="1")`. None but the doctor's writes."""

    def command(
        *arguments: str,
        code: int = 0,
        terminal: bool = False,
        others_write: bool = False,
        **variables: str,
    ) -> Any:
        before = len(server.emulator.journal.entries)
        done = in_this_process(arguments, environment | variables, tmp_path, terminal=terminal)
        assert done.returncode == code, done
        called = [entry.action for entry in server.emulator.journal.entries[before:]]
        reads = [action for action in called if action.startswith(("List", "Describe"))]
        assert called == reads or arguments[0] == "doctor" or others_write
        return done

    return command


@pytest.fixture
def watch(run: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs it with --watch: what is done between the looks, one after another; then Ctrl-C."""

    def watched(*arguments: str, between: Iterable[Callable[[], object]], **options: Any) -> Any:
        steps = iter(between)

        class Clock:
            def sleep(self, seconds: float) -> None:
                step = next(steps, None)
                if step is None:
                    raise KeyboardInterrupt
                step()

        monkeypatch.setattr(follow, "RealClock", Clock)
        return run(*arguments, "--watch", **options)

    return watched
