"""``python -m ehpc_nodes.emulator``: serve until SIGINT or SIGTERM.

When it is ready, it writes one line on stdout: JSON with url, access_key_id, access_key_secret, region and page (the
address of the page to watch; empty if there is none, with the reason on stderr). Exit code 0 after SIGINT or SIGTERM,
1 if it could not start, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence

from . import Emulator, EmulatorServer, World
from .page import why_not

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code."""
    options = _parser().parse_args(arguments)
    ended = threading.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: ended.set())
    try:
        world = World.from_file(options.world) if options.world else World.demo()
        server = EmulatorServer(Emulator(world), options.port, options.host, options.verbose)
        server.start()
    except (ModuleNotFoundError, OSError, ValueError) as error:
        _say(str(error).removeprefix(f"[Errno {getattr(error, 'errno', '')}] "))
        return 1
    with server:
        no_page = why_not()
        if no_page:
            _say(no_page)
        sys.stdout.write(f"{json.dumps(_ready(server, '' if no_page else server.page))}\n")
        sys.stdout.flush()
        ended.wait()
    return 0


def _ready(server: EmulatorServer, page: str) -> dict[str, str]:
    return {
        "url": server.url,
        "access_key_id": server.access_key_id,
        "access_key_secret": server.access_key_secret,
        "region": server.emulator.world.region,
        "page": page,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m ehpc_nodes.emulator",
        description="An emulator of Alibaba Cloud's E-HPC and ECS, on a loopback port.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=_port, default=0, help="default: one that is free")
    parser.add_argument("--world", metavar="FILE", help="YAML or JSON; default: the demo world")
    parser.add_argument("--verbose", action="store_true", help="a line on stderr for each request")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not in the range 0 to 65535")
    return port


def _say(why: str) -> None:
    sys.stderr.write(f"ehpc_nodes.emulator: {why}\n")


if __name__ == "__main__":
    sys.exit(main())
