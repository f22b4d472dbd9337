"""The options and arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from ehpc_nodes import lookup
from ehpc_nodes.errors import EhpcError

from .reach import client_of


def complete_cluster(context: typer.Context, incomplete: str) -> list[str]:
    """Cluster ids for the shell; none where they can't be had, since nobody would see why."""
    try:
        found = lookup.clusters(
            client=client_of(_typed(context, "region"), _typed(context, "stack"), seconds=5.0)
        )
    except EhpcError:
        return []
    return [c.cluster_id for c in found if c.cluster_id.startswith(incomplete)]


def _typed(context: typer.Context, option: str) -> str:
    """An option's value on a line that isn't finished: behind the command, else before it."""
    before = context.parent.params if context.parent else {}
    return context.params.get(option) or before.get(option) or ""


def _named(context: typer.Context, value: str) -> str:
    """Refuse an empty id: a shell's variable that isn't set, most likely. Blanks and line ends around it are left off."""
    named = (value or "").strip()
    if not context.resilient_parsing and not named:
        raise typer.BadParameter("it is empty; `ehpc-nodes clusters` shows the ids there are")
    return named


ClusterId = Annotated[
    str,
    typer.Argument(
        metavar="CLUSTER",
        help="Its id, ehpc-hz-….",
        autocompletion=complete_cluster,
        callback=_named,
    ),
]
Region = Annotated[
    str,
    typer.Option(
        "--region",
        metavar="REGION",
        help="Look in this region. Default: that of the environment or of --stack.",
    ),
]
Stack = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="STACK",
        help="Take the settings of this stack of the Pulumi project here.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")]
Interval = Annotated[
    float,
    typer.Option("--interval", min=0.1, metavar="SECONDS", help="Between the looks of --watch."),
]
QueueName = Annotated[
    str, typer.Option("--queue", "-q", metavar="QUEUE", help="Only the nodes of this queue.")
]


def hand_on(context: typer.Context, **given: str | bool) -> None:
    """Let options that stand before the command count for it; those behind it go first.

    Raises:
        BadParameter: the command has no such option.
    """
    name = context.invoked_subcommand or ""
    command = context.command.get_command(context, name)  # type: ignore[attr-defined] # a group
    takes = {parameter.name for parameter in command.params}
    wanted = {option: value for option, value in given.items() if value}
    for parameter in context.command.params:
        if parameter.name in wanted.keys() - takes:
            raise typer.BadParameter(f"{name} takes no {parameter.opts[0]}", context)
    context.default_map = {name: wanted}
