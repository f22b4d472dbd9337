"""The emulator on a loopback port. It uses sockets, not a framework: connections stay open between calls, and
faults break them in ways that frameworks prevent.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from .answers import Dropped
from .gateway import Gateway, Reply
from .request import Request
from .service import Emulator
from .steering import PREFIX

MAX_BODY = 64 * 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PATIENCE = 5.0


class EmulatorServer:
    """Serves an `Emulator` (default: the demo world) over HTTP, each connection in a thread.

    A context manager; clients need `url`, `port` and the first access key. Only loopback
    addresses are served: the emulator's keys are no secrets.
    """

    def __init__(
        self,
        emulator: Emulator | None = None,
        port: int = 0,
        host: str = "127.0.0.1",
        verbose: bool = False,  # noqa: FBT001, FBT002  # a flag by nature, given by name
    ) -> None:
        self.host = _loopback(host)
        self.emulator = emulator or Emulator()
        self.verbose = verbose
        self.stopping = threading.Event()
        self.gateway = Gateway(self.emulator)
        self._wanted_port = port
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._listener: socket.socket | None = None
        self._acceptor = threading.Thread()

    def start(self) -> EmulatorServer:
        """Listen, unless it does already; OSError if the port is in use."""
        if self._listener is not None:
            return self
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        address = (self.host, self._wanted_port)
        try:
            self._listener = socket.create_server(address, family=family, backlog=256)
        except OSError as error:
            place = f"{self.host}:{self._wanted_port}"
            why = str(error.strerror).partition(" (")[0]  # the rest repeats the place
            raise OSError(
                f"cannot listen on {place}: {why}; give another port, or none for a free one"
            ) from error
        self.stopping.clear()
        self._acceptor = threading.Thread(target=self._accept, name="emulator", daemon=True)
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Break all connections and end at once, without waiting for delayed answers."""
        if self._listener is None:
            return
        self.stopping.set()
        with contextlib.suppress(OSError):  # wakes the thread that waits for connections
            socket.create_connection((self.host, self.port), timeout=_PATIENCE).close()
        self._acceptor.join(_PATIENCE)
        self._listener.close()
        self._listener = None
        with self._lock:
            connections = dict(self._connections)
        for connection in connections.values():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections:
            thread.join(_PATIENCE)

    def __enter__(self) -> EmulatorServer:  # noqa: PYI034  # Self is newer than Python 3.10
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port of the server."""
        if self._listener is None:
            raise RuntimeError("the emulator's server is not running")
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        """Host and port, in the form of an SDK's `endpoint`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def page(self) -> str:
        """The address of the page to watch."""
        return f"{self.url}{PREFIX}"

    @property
    def service_time(self) -> float:
        """The time for the check of signatures."""
        return self.emulator.clock.now() + self.emulator.world.knobs.signature_clock_skew

    @property
    def access_key_id(self) -> str:
        return self.emulator.world.default_key.id

    @property
    def access_key_secret(self) -> str:
        return self.emulator.world.default_key.secret

    def _accept(self) -> None:
        listener = self._listener
        while listener is not None:
            try:
                connection, _ = listener.accept()
            except (
                OSError
            ):  # the caller ended, or too many files are open: the next one may succeed
                self.stopping.wait(0.05)
                continue
            if self.stopping.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._connections[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # a caller that breaks the connection ends it, with any answer
            with contextlib.suppress(OSError):
                _Conversation(connection, self)
        finally:
            connection.close()
            with self._lock:
                self._connections.pop(threading.current_thread(), None)


class _Conversation(BaseHTTPRequestHandler):
    """The requests of one connection."""

    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, owner: EmulatorServer) -> None:
        self._owner = owner
        self._said = ""  # for the log: without parameters, which contain signatures
        super().__init__(connection, connection.getpeername(), None)  # type: ignore[arg-type]  # of the server only BaseServer's own loop makes use

    def _exchange(self) -> None:
        body = self._body()
        if body is None:
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request.of(self.command, self.path, headers, body)
        self._said = f"{self.command} {request.path} {request.action}".rstrip()
        try:
            reply = self._owner.gateway.reply(request)
        except Dropped as dropped:
            self._drop(dropped)
            return
        if reply.delay and self._owner.stopping.wait(reply.delay):
            self.close_connection = True
            return
        self._send(reply)

    # the names are http.server's
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _exchange  # noqa: N815

    def _body(self) -> bytes | None:
        """The request's body; None if it is not readable: the caller then has an error."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal():
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
        elif int(length) > MAX_BODY:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            return self.rfile.read(int(length))
        self.close_connection = True
        return None

    def _drop(self, dropped: Dropped) -> None:
        self.log_message("%s: %s", self._said, dropped)
        self.close_connection = True
        if dropped.kind == "lost":
            self._owner.stopping.wait(dropped.seconds)
        else:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def _send(self, reply: Reply) -> None:
        """Head and body in one packet: a second one would wait until the first is acknowledged."""
        self.close_connection = self.close_connection or reply.truncated
        announced = len(reply.body) * 2 + 1 if reply.truncated else len(reply.body)
        lines = [
            f"HTTP/1.1 {reply.status} {self.responses.get(reply.status, ('Unknown',))[0]}",
            f"Date: {self.date_time_string(self._owner.service_time)}",
            f"Content-Type: {reply.content_type}",
            f"Content-Length: {announced}",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
            *(["Connection: close"] if self.close_connection else []),
        ]
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        self.log_message("%s: %s", self._said, reply.status)
        self.wfile.write(head + (b"" if self.command == "HEAD" else reply.body))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        if self._owner.verbose:
            sys.stderr.write(f"{format % args}\n")


def _loopback(host: str) -> str:
    """The address of a loopback host; any other is refused."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError(f"{host} is not a loopback address") from None
    if not address.is_loopback:
        raise ValueError(f"{host} is not a loopback address")
    return str(address)
