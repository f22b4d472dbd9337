"""A client from settings: both products' addresses, versions and HTTP methods, and how long to wait for an answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any

from ehpc_nodes import __version__
from ehpc_nodes.clock import Deadline, RealClock, ends_in_time
from ehpc_nodes.errors import CancelledError, TransportError

from .client import Client
from .settings import Settings
from .transport import Exchange, HttpExchange

EHPC_VERSION = "2018-04-12"
ECS_VERSION = "2014-05-26"
#: Seconds to wait for each answer, even after the deadline: the last reads show the result of the writes.
LEAST_SECONDS = 5.0
TIME_UP, STOPPED = (
    f"{what} before the answer came" for what in ("the time limit passed", "the run was stopped")
)
log = logging.getLogger("ehpc_nodes.api.connect")


def connect(
    found: Settings, deadline: Deadline, *, notice: Callable[[str], None] = log.debug
) -> Client:
    """A client for one operation, which ends by the deadline. Makes no call yet.

    Args:
        notice: gets one line about why a call is repeated.
    """
    http = partial(
        HttpExchange,
        credentials=found.credentials,
        user_agent=f"ehpc-nodes/{__version__}",
        read_timeout=found.read_timeout_seconds,
    )
    stoppable = isinstance(deadline.clock, RealClock) and deadline.clock.is_stoppable

    def exchange(endpoint: str, **product: str) -> Exchange:
        make = partial(http, endpoint, **product)
        return Interruptible(make, deadline) if stoppable else make()

    return Client(
        exchange(
            found.ehpc_endpoint,
            version=EHPC_VERSION,
            method="GET",
            source=found.ehpc_endpoint_source,
        ),
        exchange(
            found.ecs_endpoint, version=ECS_VERSION, method="POST", source=found.ecs_endpoint_source
        ),
        region=found.region,
        deadline=deadline,
        notice=notice,
    )


class Interruptible:
    """Calls that the run stops to wait for, when the user stops it or at the deadline: their answers are lost.

    Each call has a daemon thread. An abandoned call keeps its session, which is safe in one thread only; the next
    call gets a new session.
    """

    def __init__(self, make: Callable[[], HttpExchange], deadline: Deadline) -> None:
        self._make, self._exchange = make, make()
        self._deadline = deadline

    def __call__(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        answer: Future[dict[str, Any]] = Future()
        call = partial(self._exchange, action, params)
        thread = Thread(target=_fulfil, args=(answer, call), daemon=True)
        thread.start()
        why = TIME_UP
        try:
            if ends_in_time(thread, self._deadline, LEAST_SECONDS):
                return answer.result()
        except CancelledError:  # of the wait: a call raises none
            why = STOPPED
        self._exchange.close()
        self._exchange = self._make()
        raise TransportError(action, why)


def _fulfil(answer: Future[dict[str, Any]], call: Callable[[], dict[str, Any]]) -> None:
    """Store the call's result or its error in the answer: an error in a thread could be lost."""
    try:
        answer.set_result(call())
    except BaseException as error:  # noqa: BLE001 - raised where it is waited for
        answer.set_exception(error)
