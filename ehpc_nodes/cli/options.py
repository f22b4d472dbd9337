"""The options and arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from ehpc_nodes import lookup
from ehpc_nodes.errors import EhpcError

from .reach import client_of


def complete_cluster(context: typer.Context, incomplete: str) -> list[str]:
    """Cluster ids for the shell; none after an error, which a shell would not show."""
    try:
        found = lookup.clusters(
            client=client_of(_typed(context, "region"), _typed(context, "stack"), seconds=5.0)
        )
    except EhpcError:
        return []
    return [c.cluster_id for c in found if c.cluster_id.startswith(incomplete)]


def _typed(context: typer.Context, option: str) -> str:
    """An option's value on an unfinished line: after the command, else before it."""
    before = context.parent.params if context.parent else {}
    return context.params.get(option) or before.get(option) or ""


def _named(context: typer.Context, value: str) -> str:
    """Refuse an empty id, probably a shell variable that is not set. Blanks and line breaks around it are removed."""
    named = (value or "").strip()
    if not context.resilient_parsing and not named:
        raise typer.BadParameter("it is empty. `ehpc-nodes clusters` lists the cluster ids")
    return named


ClusterId = Annotated[
    str,
    typer.Argument(
        metavar="CLUSTER",
        help="The cluster's id, ehpc-hz-….",
        autocompletion=complete_cluster,
        callback=_named,
    ),
]
Region = Annotated[
    str,
    typer.Option(
        "--region",
        metavar="REGION",
        help="Use this region. Default: that of --stack, or of the environment.",
    ),
]
Stack = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="STACK",
        help="Use the settings of this stack of the Pulumi project in this folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Repeat until Ctrl-C.")]
Interval = Annotated[
    float,
    typer.Option(
        "--interval", min=0.1, metavar="SECONDS", help="Seconds between two reads of --watch."
    ),
]
QueueName = Annotated[
    str, typer.Option("--queue", "-q", metavar="QUEUE", help="Only the nodes of this queue.")
]


def hand_on(context: typer.Context, **given: str | bool) -> None:
    """Pass the options before the command to it; those after it are preferred.

    Raises:
        BadParameter: the command has no such option.
    """
    name = context.invoked_subcommand or ""
    command = context.command.get_command(context, name)  # type: ignore[attr-defined] # a group
    takes = {parameter.name for parameter in command.params}
    wanted = {option: value for option, value in given.items() if value}
    for parameter in context.command.params:
        if parameter.name in wanted.keys() - takes:
            raise typer.BadParameter(f"{name} has no option {parameter.opts[0]}", context)
    context.default_map = {name: wanted}
