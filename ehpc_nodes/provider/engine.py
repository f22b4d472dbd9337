"""The seam to the Pulumi engine: what a dynamic provider is not given, taken from the call's own frame.

The SDK hands a dynamic provider property bags and nothing else. The gRPC servicer that calls us holds the
request and the gRPC context as locals of its frame; from these come the resource's URN, its timeouts,
cancellation, progress on its row, one-line errors and partial state. This is private ground of the SDK, so
it is all here, tested against the real engine, and where no such frame is found each thing falls back:
errors to plain exceptions, messages to lines on stdout, timeouts to defaults, cancellation to none.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import grpc
from google.protobuf import any_pb2, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    status_pb2,
)

PROVIDER_KEY = "__provider"
#: gRPC's code for errors that aren't of its own making; what the SDK itself uses.
GRPC_UNKNOWN = 2
#: Calls served at a time by one plugin process; the engine's --parallel is the limit then.
THREADS = 64
LONGEST_MESSAGE = 30_000
NO_CANCEL = (
    "this version of the Pulumi SDK is not known to ehpc-nodes: a first Ctrl-C has no effect."
    " A second one ends the run, and the next pulumi up continues."
)

_running: weakref.WeakSet[threading.Event] = weakref.WeakSet()
_channels: dict[str, grpc.Channel] = {}
_channels_lock = threading.Lock()
_warned_of_cancel = threading.Event()


class CallFailedError(Exception):
    """Ends a provider call; what the engine shows of it was put into the call's gRPC status before."""


@dataclass
class EngineCall:
    """One call of the engine; also a `Reporter` that speaks on the resource's row.

    Attributes:
        urn: the resource's, or empty.
        timeout: customTimeouts of this operation in seconds; 0 where not given.
        old_inputs: the resource's saved inputs, where the engine sends them (delete, read, diff).
        old_outputs: its saved outputs, where the engine sends them with a check (from engine and SDK 3.261 on).
        seed: random bytes for a check, the same in a saved plan and the up that follows it; empty: none.
        cancelled: set as soon as the user cancels (or the call ends).
    """

    urn: str = ""
    timeout: float = 0.0
    old_inputs: dict[str, Any] = field(default_factory=dict)
    old_outputs: dict[str, Any] = field(default_factory=dict)
    seed: bytes = b""
    cancelled: threading.Event = field(default_factory=threading.Event)
    _context: Any = None
    _request: Any = None

    @property
    def is_attached(self) -> bool:
        """Whether the engine's call was found."""
        return self._context is not None

    def internal(self, key: str) -> str:
        """A text among the request's properties under a key that begins with ``__``; empty: none.

        Older SDKs leave such keys out of what they hand over (`rpc.deserialize_properties`).
        """
        for name in ("news", "olds", "old_inputs", "inputs", "properties"):
            bag = getattr(self._request, name, None)
            if bag and key in bag:
                alone = struct_pb2.Struct(fields={key: bag.fields[key]})
                value = rpc.deserialize_properties(alone, True, keep_internal=True)[key]
                return str(rpc.unwrap_rpc_secret(value))
        return ""

    # -- speaking -------------------------------------------------------------------------------

    def status(self, text: str) -> None:
        """Progress on the resource's row; gone when the row changes."""
        if text:
            self._log(engine_pb2.INFO, text, ephemeral=True)

    def info(self, text: str) -> None:
        """A line that stays in the output."""
        self._log(engine_pb2.INFO, text)

    def warning(self, text: str) -> None:
        """A warning on the resource's row."""
        self._log(engine_pb2.WARNING, text)

    def _log(self, severity: Any, text: str, *, ephemeral: bool = False) -> None:
        engine = _engine() if self.is_attached else None
        if engine is None:
            print(text, flush=True)  # noqa: T201 - the engine shows a plugin's stdout
            return
        request = engine_pb2.LogRequest(
            severity=severity, urn=self.urn, message=text[:LONGEST_MESSAGE], ephemeral=ephemeral
        )
        with suppress(grpc.RpcError):  # the engine is going away: nobody is left to tell
            engine.Log(request, timeout=10)

    # -- failing --------------------------------------------------------------------------------

    def failed(self, text: str) -> CallFailedError:
        """The exception to raise for an error that the engine shows as just this text."""
        self._set_status(text)
        return CallFailedError(text)

    def incomplete(
        self, resource_id: str, outputs: Mapping[str, Any], reasons: list[str]
    ) -> CallFailedError:
        """The exception to raise for a partial failure: the engine keeps id and outputs.

        It shows each reason as a bullet, exits non-zero, and reads the resource again before it plans the
        next update (`refresh_before_update`), so that the next run starts from what is there.
        """
        properties = struct_pb2.Struct()
        properties.update({**outputs, PROVIDER_KEY: self.internal(PROVIDER_KEY)})
        detail = provider_pb2.ErrorResourceInitFailed(
            id=resource_id, properties=properties, reasons=reasons
        )
        if "refresh_before_update" in detail.DESCRIPTOR.fields_by_name:  # newer SDKs know it
            detail.refresh_before_update = True
        text = "\n".join(reasons)
        self._set_status(text, detail)
        return CallFailedError(text)

    def _set_status(self, text: str, detail: Any = None) -> None:
        if self._context is None:
            return
        status = status_pb2.Status(code=GRPC_UNKNOWN, message=text)
        if detail is not None:
            packed = any_pb2.Any()
            packed.Pack(detail)
            status.details.append(packed)
        self._context.set_trailing_metadata(
            (("grpc-status-details-bin", status.SerializeToString()),)
        )


def current_call() -> EngineCall:
    """The engine's call that this code runs in; a call without an engine where there is none."""
    request, context, servicer = None, None, None
    for frame in _frames():
        names = frame.f_locals
        if request is None and _is_call(names.get("request"), names.get("context")):
            request, context, servicer = names["request"], names["context"], names.get("self")
        if "executor_reference" in names:
            _widen(names["executor_reference"])
    if context is None:
        return EngineCall()
    call = EngineCall(
        urn=str(getattr(request, "urn", "")),
        timeout=float(getattr(request, "timeout", 0.0) or 0.0),
        old_inputs=_first_bag(request, "old_inputs", "inputs"),
        seed=bytes(getattr(request, "randomSeed", b"")),
        old_outputs=_first_bag(request, "old_outputs"),
        _context=context,
        _request=request,
    )
    _running.add(call.cancelled)
    if not _listens_for_cancel(servicer) and not _warned_of_cancel.is_set():
        _warned_of_cancel.set()
        call.warning(NO_CANCEL)
    if not context.add_callback(call.cancelled.set):
        call.cancelled.set()
    return call


def cancel_all() -> None:
    """Cancel every call that is being served; what the engine asks for on Ctrl-C."""
    for cancelled in list(_running):
        cancelled.set()


def _cancel(_self: Any, _request: Any, _context: Any) -> Any:
    """Lends its code to the SDK's Cancel, so it can use nothing of this module's globals."""
    from google.protobuf import empty_pb2

    from ehpc_nodes.provider.engine import cancel_all

    cancel_all()
    return empty_pb2.Empty()


def _listens_for_cancel(servicer: Any) -> bool:
    """Handle the engine's Cancel, which the SDK's servicer answers without calling the providers.

    The server is running and holds the method bound, so neither class nor instance can be changed any
    more; the function's code can, unless it is a wrapper's (which holds what it wraps as a free variable).
    """
    if servicer is None:
        return True  # nobody's call that could be cancelled
    method = getattr(type(servicer), "Cancel", None)
    code = getattr(method, "__code__", None)
    if code is None or code.co_freevars:
        return False
    method.__code__ = _cancel.__code__  # type: ignore[union-attr]  # a function, since it has code
    return True


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the seam
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_call(request: Any, context: Any) -> bool:
    return hasattr(context, "set_trailing_metadata") and hasattr(request, "DESCRIPTOR")


def _widen(executor_reference: Callable[[], Any]) -> None:
    """Let the plugin's pool of 4 threads grow, so that waiting resources do not queue for a thread."""
    executor = executor_reference()
    if getattr(executor, "_max_workers", THREADS) < THREADS:
        executor._max_workers = THREADS  # noqa: SLF001 - the seam


def _first_bag(request: Any, *names: str) -> dict[str, Any]:
    """The first of the request's property bags that is there and not empty."""
    for name in names:
        bag = getattr(request, name, None)
        if bag:
            return dict(rpc.deserialize_properties(bag, True, keep_internal=True) or {})
    return {}


def _engine() -> Any:
    """The engine's service; its address is the plugin's last argument."""
    address = sys.argv[-1]
    if ":" not in address:
        return None
    with _channels_lock:
        channel = _channels.get(address)
        if channel is None:
            channel = _channels[address] = grpc.insecure_channel(address)
    return engine_pb2_grpc.EngineStub(channel)
