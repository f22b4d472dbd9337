"""A client from settings: both products' addresses, versions and HTTP methods stand here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from . import __version__
from .client import Client
from .settings import Settings
from .transport import HttpExchange
from .waiting import Deadline

EHPC_VERSION = "2018-04-12"
ECS_VERSION = "2014-05-26"
log = logging.getLogger("ehpc_nodes.connection")


def connect(
    found: Settings, deadline: Deadline, *, notice: Callable[[str], None] = log.debug
) -> Client:
    """A client for one operation, which has to be done by the deadline. Makes no call yet.

    Args:
        notice: told in a line why a call is being repeated.
    """
    exchange = partial(
        HttpExchange,
        credentials=found.credentials,
        user_agent=f"ehpc-nodes/{__version__}",
        read_timeout=found.read_timeout_seconds,
    )
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
