"""What all listing commands have in common: options, and one read or many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from ehpc_nodes import lookup
from ehpc_nodes.api.settings import Settings

from . import shown
from .follow import Look, Outage, follow
from .options import Interval, Json, Region, Stack, Watch
from .reach import A_WATCH, client_of, refuse_other_region, settings_of
from .shown import Row


def looking(kind: type) -> Callable[[Callable[..., Look]], Callable[..., None]]:
    """Make a command that shows rows of this kind, from a function that reads them with a client.

    The function's other arguments are the command's own; the common options follow them.
    """

    def made(function: Callable[..., Look]) -> Callable[..., None]:
        def command(
            *,
            region: Region = "",
            stack: Stack = "",
            as_json: Json = False,
            watch: Watch = False,
            interval: Interval = 2.0,
            **own: Any,
        ) -> None:
            outage = Outage()
            client = (
                client_of(region, stack, A_WATCH, notice=outage.begun)
                if watch
                else client_of(region, stack)
            )
            look = _in_region(settings_of(region, stack), function(client, **own))
            if watch:
                follow(look, kind, outage, as_json=as_json, seconds=interval)
            else:
                shown.show(look(), kind, as_json=as_json)

        # typer takes arguments and options from the signature, the help from the docstring
        command.__name__, command.__doc__ = function.__name__, function.__doc__
        _, *own = signature(function, eval_str=True).parameters.values()
        *common, _ = signature(command, eval_str=True).parameters.values()
        vars(command)["__signature__"] = signature(command).replace(parameters=[*own, *common])
        return command

    return made


def _in_region(settings: Settings, look: Look) -> Look:
    """The same read; an error if its clusters are of another region than the given one."""

    def looked() -> Sequence[Row]:
        rows = look()
        for row in rows:
            if isinstance(row, lookup.Cluster):
                refuse_other_region(settings, row.region)
        return rows

    return looked
