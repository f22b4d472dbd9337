"""``ehpc-nodes doctor``: each line ok, warning or failed, with the way to fix it."""

from __future__ import annotations

import dataclasses
import json
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from ehpc_nodes import __version__
from ehpc_nodes.api.settings import Settings
from ehpc_nodes.api.transport import clock_skew
from ehpc_nodes.errors import ConfigError, TransportError

from . import permissions, pulumi_setup
from .advice import told
from .reach import client_of, settings_of
from .shown import COLOURS, console, printable, show_plain

Level = Literal["ok", "warning", "failed"]

#: Seconds: the clock is wrong beyond the first; beyond the second the service rejects requests.
ODD_SKEW, REFUSED_SKEW = 60.0, 900.0
#: Seconds that one call may take, and a connection.
PATIENCE, CONNECT = 20.0, 5.0


@dataclass(frozen=True)
class Check:
    """One line: what was checked, what was found, and how to fix it."""

    level: Level
    what: str
    found: str
    fix: str = ""


def examine(region: str, stack: str, *, as_json: bool) -> bool:
    """Make all checks and show them; False if one failed."""
    done: list[Check] = []
    for check in checks(region, stack):
        done.append(check)
        if not as_json:
            _show(check)
    if as_json:
        sys.stdout.write(f"{json.dumps([dataclasses.asdict(c) for c in done], indent=2)}\n")
    return all(check.level != "failed" for check in done)


def checks(region: str, stack: str) -> Iterator[Check]:
    """Everything that a run needs, from this computer to the service; ends at a check that makes the next impossible."""
    yield Check("ok", "Python", f"{platform.python_version()}, ehpc-nodes {__version__}")
    for level, what, found, fix in pulumi_setup.problems_and_findings():
        yield Check(level, what, found, fix)
    try:
        settings = settings_of(region, stack)
    except ConfigError as error:
        yield Check("failed", "settings", told(error))
        return
    yield Check("ok", "region", f"{settings.region} ({settings.region_source})")
    credentials = _credentials(settings)
    yield credentials
    reachable = [*_endpoints(settings)]
    yield from reachable
    if any(check.level == "failed" for check in (credentials, *reachable)):
        yield Check("warning", "permissions", "not checked, because a check above failed")
        return
    client = client_of(region, stack, seconds=PATIENCE)
    for level, action, found, fix in permissions.asked(client):
        yield Check(level, action, found, fix)


def _show(check: Check) -> None:
    line = Text(f"{check.level:<8}", COLOURS.get(check.level, "bold red"))
    first, *others = (printable(part) for part in check.found.splitlines())
    more = [*others, f"→ {check.fix}"] if check.fix else others
    line.append("".join([f" {check.what}: {first}", *(f"\n         {m}" for m in more)]), "default")
    show_plain(console(), line)
    sys.stdout.flush()


def _credentials(settings: Settings) -> Check:
    try:
        found = settings.credentials()
    except ConfigError as error:
        return Check("failed", "credentials", told(error))
    kind = "temporary key" if found.security_token else "key"
    key_id = found.access_key_id
    shown = f"{key_id[:4]}…{key_id[-4:]}" if len(key_id) > 12 else f"{key_id[:2]}…"
    return Check("ok", "credentials", f"{kind} {shown} ({settings.credentials_source})")


def _endpoints(settings: Settings) -> Iterator[Check]:
    for what, endpoint, source in (
        ("E-HPC", settings.ehpc_endpoint, settings.ehpc_endpoint_source),
        ("ECS", settings.ecs_endpoint, settings.ecs_endpoint_source),
    ):
        try:
            ahead = clock_skew(endpoint, CONNECT)
        except TransportError as error:
            yield Check(
                "failed",
                f"{what} endpoint",
                f"{endpoint} cannot be reached: {error.reason}",
                f"check {source or 'the region'}, the network, and the proxy, if one is set",
            )
            continue
        yield Check("ok", f"{what} endpoint", f"{endpoint} answers")
        if what == "E-HPC":
            yield _clock(ahead)


def _clock(ahead: float | None) -> Check:
    if ahead is None:
        return Check("warning", "clock", "not checked: the endpoint sends no Date header")
    off = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the service's"
    if abs(ahead) <= ODD_SKEW:
        return Check("ok", "clock", "as the service's")
    level: Level = "failed" if abs(ahead) > REFUSED_SKEW else "warning"
    return Check(level, "clock", off, "set this computer's clock (NTP): each request has a date")
