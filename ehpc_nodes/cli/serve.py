"""``ehpc-nodes emulator``: serve until Ctrl-C, and print how to use it."""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import TYPE_CHECKING

from ehpc_nodes.errors import ConfigError

if TYPE_CHECKING:
    from ehpc_nodes.emulator import EmulatorServer


def serve(*, port: int, world: str, as_json: bool) -> None:
    """Start the emulator, print its address on stdout, and end it at SIGINT or SIGTERM.

    Raises:
        ConfigError: it cannot start.
    """
    server = _server(port, world)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with server:
        sys.stdout.write(f"{json.dumps(_as_json(server)) if as_json else _for_people(server)}\n")
        sys.stdout.flush()
        ended.wait()


def _server(port: int, world: str) -> EmulatorServer:
    """A server that already listens."""
    try:
        import jinja2  # noqa: F401  # its page needs it, and would fail later

        from ehpc_nodes.emulator import Emulator, EmulatorServer, World

        found = World.from_file(world) if world else World.demo()
        return EmulatorServer(Emulator(found), port).start()
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The emulator needs its extra ({str(error).partition(':')[0]}): pip install"
            " 'ehpc-nodes[emulator]'."
        ) from error
    except (OSError, ValueError) as error:
        why = str(error).removeprefix(f"[Errno {getattr(error, 'errno', '')}] ").rstrip(".")
        raise ConfigError(f"The emulator cannot start: {why}.") from error


def _environment(server: EmulatorServer) -> dict[str, str]:
    """The variables that make programs, scripts and this command use it."""
    return {
        "ALIBABA_CLOUD_REGION_ID": server.emulator.world.region,
        "ALIBABA_CLOUD_EHPC_ENDPOINT": server.url,
        "ALIBABA_CLOUD_ECS_ENDPOINT": server.url,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": server.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": server.access_key_secret,
    }


def _as_json(server: EmulatorServer) -> dict[str, object]:
    return {"url": server.url, "page": server.page, "environment": _environment(server)}


def _for_people(server: EmulatorServer) -> str:
    exports = [f"  export {name}={value}" for name, value in _environment(server).items()]
    return "\n".join(
        [
            f"E-HPC and ECS are emulated at {server.url} until Ctrl-C.",
            f"Watch it in a browser: {server.page}",
            "In another terminal:",
            *exports,
            "  ehpc-nodes clusters",
        ]
    )
