"""Control over HTTP, under ``/_emulator/``: JSON in, JSON out, unsigned. A wrong request gets 400 with
``{"error": "..."}``.

- ``GET world``, ``PUT world``: all that exists; PUT replaces it, with journal, faults and harm
- ``POST reset``: back to the world at the start of the server
- ``POST clock`` ``{"advance": seconds}``
- ``GET faults``, ``POST faults`` (a rule or a list of rules, see `faults`), ``DELETE faults`` (all, or
  the one of ``?number=``), ``PATCH faults`` ``{"number": 2, "off": true}``
- ``GET knobs``, ``PATCH knobs`` (see `knobs`)
- ``GET journal``, ``GET journal?action=ListNodes``, ``DELETE journal``
- ``GET tasks``, ``POST tasks`` ``{"release": task id or "all"}``
- ``GET harm``
- ``POST outside`` ``{"do": "detach", "instance_id": "i-…"}``: changes without the API (see `DEEDS`)

Web pages of other sites are rejected: by Origin, and by Host if their name points here.
"""

from __future__ import annotations

import ipaddress
import json
import math
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from . import tasks
from .codec import WorldError, dump
from .faults import Fault
from .request import Request
from .service import Emulator
from .world import World

PREFIX = "/_emulator/"
MAX_ADVANCE = 10 * 365 * 86_400

# The changes of `outside`: the method of `Outside`, its required and its optional fields.
DEEDS: dict[str, tuple[str, dict[str, type], dict[str, type]]] = {
    "stop": ("stop", {"instance_id": str}, {}),
    "start": ("start", {"instance_id": str}, {}),
    "detach": ("detach", {"instance_id": str}, {}),
    "attach": ("attach", {"instance_id": str, "cluster_id": str}, {"queue": str}),
    "move": ("move", {"instance_id": str, "queue": str}, {}),
    "remove_instance": ("remove_instance", {"instance_id": str}, {}),
    "set_status": ("set_node_status", {"instance_id": str, "status": str}, {}),
    "set_cluster_status": ("set_cluster_status", {"cluster_id": str, "status": str}, {}),
    "use": ("use", {"instance_id": str, "cpu": int}, {}),
    "set_scheduler_state": ("set_scheduler_state", {"instance_id": str, "state": str}, {}),
    "start_job": (
        "start_job",
        {"instance_id": str},
        {"job_id": str, "owner": str, "cores": int, "seconds": float},
    ),
    "end_job": ("end_job", {"cluster_id": str, "job_id": str}, {}),
}

_PARAMETERS = {("journal", "GET"): "action", ("faults", "DELETE"): "number"}


class Refused(Exception):  # noqa: N818  # an answer, as `ApiError` is
    """A request that is answered with an HTTP error."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Steering:
    """Control of an emulator from another process."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._start = emulator.world.to_dict()
        self._routes: dict[str, dict[str, Callable[[Request], Any]]] = {
            "world": {"GET": self._world, "PUT": self._put_world},
            "reset": {"POST": self._reset},
            "clock": {"POST": self._clock},
            "faults": {
                "GET": self._faults,
                "POST": self._add_faults,
                "PATCH": self._switch_fault,
                "DELETE": self._clear_faults,
            },
            "knobs": {"GET": self._knobs, "PATCH": self._turn_knobs},
            "journal": {"GET": self._journal, "DELETE": self._clear_journal},
            "tasks": {"GET": self._tasks, "POST": self._release},
            "harm": {"GET": self._harm},
            "outside": {"POST": self._outside},
        }

    def reply(self, request: Request) -> tuple[int, bytes]:
        """The status, and a line of JSON."""
        status, said = 200, None
        try:
            check_site(request)
            act = self._route(request)
            with self._emulator.turn():
                said = act(request)
        except Refused as error:
            status, said = error.status, {"error": str(error)}
        except WorldError as error:
            status, said = 400, {"error": str(error)}
        return status, json.dumps(said, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    def _route(self, request: Request) -> Callable[[Request], Any]:
        name = request.path.removeprefix(PREFIX)
        methods = self._routes.get(name)
        if methods is None:
            raise Refused(404, f"nothing is at {name!r}; known: {', '.join(self._routes)}")
        act = methods.get(request.method)
        if act is None:
            raise Refused(405, f"{name} takes {', '.join(methods)}, not {request.method}")
        known = _PARAMETERS.get((name, request.method))
        unknown = sorted({key for key, _ in request.query_pairs} - {known})
        if unknown:
            raise Refused(400, f"{name}: unknown parameter {', '.join(unknown)}")
        return act

    def _world(self, _: Request) -> Any:
        return self._emulator.world.to_dict()

    def _put_world(self, request: Request) -> None:
        self._emulator.load(World.from_dict(_json(request)))

    def _reset(self, _: Request) -> None:
        self._emulator.load(World.from_dict(self._start))

    def _clock(self, request: Request) -> Any:
        seconds = _fields(request, {"advance": float}, {})["advance"]
        if not 0 <= seconds <= MAX_ADVANCE:
            raise WorldError(f"advance: cannot be {seconds}")
        self._emulator.advance(seconds)
        return {"now": self._emulator.clock.now()}

    def _faults(self, _: Request) -> Any:
        return self._emulator.faults.dump()

    def _add_faults(self, request: Request) -> Any:
        data = _json(request)
        rules = data if isinstance(data, list) else [data]
        for rule in rules:  # all or none
            Fault.parse(rule).check_strikes()
        for rule in rules:
            self._emulator.faults.add(rule)
        return self._emulator.faults.dump()

    def _switch_fault(self, request: Request) -> Any:
        said = _fields(request, {"number": int, "off": bool}, {})
        self._emulator.faults.switch(said["number"], off=said["off"])
        return self._emulator.faults.dump()

    def _clear_faults(self, request: Request) -> None:
        number = dict(request.query_pairs).get("number")
        if number is None:
            self._emulator.faults.clear()
        elif re.fullmatch(r"[0-9]{1,9}", number):
            self._emulator.faults.remove(int(number))
        else:
            raise WorldError(f"number: expected int, got {number!r}")

    def _knobs(self, _: Request) -> Any:
        return dump(self._emulator.world.knobs)

    def _turn_knobs(self, request: Request) -> Any:
        changes = _json(request)
        if not isinstance(changes, dict):
            raise WorldError(f"knobs: expected a mapping, got {changes!r}")
        world = self._emulator.world
        world.knobs = world.knobs.changed(changes)
        return dump(world.knobs)

    def _journal(self, request: Request) -> Any:
        return self._emulator.journal.dump(dict(request.query_pairs).get("action"))

    def _clear_journal(self, _: Request) -> None:
        self._emulator.journal.entries.clear()

    def _tasks(self, _: Request) -> Any:
        return [dump(task) for task in self._emulator.world.tasks.values()]

    def _release(self, request: Request) -> Any:
        which = _fields(request, {"release": str}, {})["release"]
        released = tasks.release(self._emulator.state, which)
        if not released and which != "all":
            raise WorldError(f"no task {which} is open")
        return {"released": released}

    def _harm(self, _: Request) -> Any:
        return self._emulator.harm.to_dict()

    def _outside(self, request: Request) -> None:
        data = _json(request)
        deed = data.get("do") if isinstance(data, dict) else None
        if not isinstance(deed, str) or deed not in DEEDS:
            raise WorldError(f"do must be one of {', '.join(DEEDS)}")
        method, needed, possible = DEEDS[deed]
        fields = _fields(request, {"do": str, **needed}, possible)
        del fields["do"]
        getattr(self._emulator.outside, method)(**fields)


def check_site(request: Request) -> None:
    """Reject requests from web pages of other sites."""
    host = request.headers.get("host", "")
    if not _is_loopback(host):
        raise Refused(403, f"the Host {host!r} is not a loopback address")
    origin = request.headers.get("origin")
    if origin not in (None, f"http://{host}"):
        raise Refused(403, f"the Origin {origin!r} is another site")


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _json(request: Request) -> Any:
    try:
        return json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise WorldError(f"the body is not JSON: {error}") from error


def _fields(request: Request, needed: dict[str, type], possible: dict[str, type]) -> dict[str, Any]:
    """The body's fields, each of its type."""
    data = _json(request)
    if not isinstance(data, dict):
        raise WorldError(f"expected a mapping, got {data!r}")
    known = {**needed, **possible}
    for name in data:
        if name not in known:
            raise WorldError(f"unknown {name}; known: {', '.join(known)}")
    for name in needed:
        if name not in data:
            raise WorldError(f"{name} is missing")
    return {name: _typed(name, value, known[name]) for name, value in data.items()}


def _typed(name: str, value: Any, wanted: type) -> Any:
    if wanted is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if type(value) is not wanted or wanted is float:
        raise WorldError(f"{name}: expected {wanted.__name__}, got {value!r}")
    return value
