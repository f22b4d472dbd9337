"""The commands and their options."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from ehpc_nodes import __version__, lookup
from ehpc_nodes.api.client import Client
from ehpc_nodes.errors import EhpcError

from . import shown
from .advice import told
from .follow import Look
from .looking import looking
from .options import ClusterId, Json, QueueName, Region, Stack, complete_cluster, hand_on
from .reach import client_of, settings_of, stack_config

app = typer.Typer(
    name="ehpc-nodes",
    help="Nodes of Alibaba Cloud E-HPC clusters: lists them, finds problems, and writes a Pulumi program that adopts"
    " them. It changes nothing in the cloud. Region and key come from the environment, or with --stack from a stack's config.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Command(TyperCommand):
    """Its usage shows arguments as they are typed: newer versions of typer write `{CLUSTER}`, `[[CLUSTER]]`."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = super().collect_usage_pieces(ctx)
        return [re.sub(r"^\{(.*)\}$|^\[(\[.*\])\]$", r"\1\2", piece) for piece in pieces]


command = partial(app.command, cls=Command)


def run() -> int:
    """Run the command with the process's arguments; returns the exit code. Output that cannot be written is an error."""
    if sys.stdout is None:  # it was closed before the start
        sys.stderr.write("ehpc-nodes: The output cannot be written: it is closed.\n")
        return 1
    try:
        code = _run()
        sys.stdout.flush()
    except OSError as error:
        # drop the rest, so that the interpreter does not try again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # the reader of a pipe ended it
            sys.stderr.write(f"ehpc-nodes: The output cannot be written: {error.strerror}.\n")
        return 1
    return code


def _run() -> int:
    for stream in (
        sys.stdout,
        sys.stderr,
    ):  # a character that the terminal's encoding lacks is no error
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except EhpcError as error:
        sys.stderr.write(f"ehpc-nodes: {shown.printable(told(error))}\n")
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    return 0


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    region: Region = "",
    stack: Stack = "",
    as_json: Json = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        typer.echo(f"ehpc-nodes {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    hand_on(context, region=region, stack=stack, as_json=as_json)


# -- what there is --------------------------------------------------------------------------------


@command()
@looking(lookup.Cluster)
def clusters(client: Client) -> Look:
    """The clusters of the region. Each with its number of running compute nodes."""
    return lambda: lookup.clusters(client=client)


@command()
@looking(lookup.Queue)
def queues(client: Client, cluster: ClusterId) -> Look:
    """The queues of a cluster."""
    return lambda: lookup.queues(cluster, client=client)


@command()
@looking(lookup.Node)
def nodes(
    client: Client,
    cluster: ClusterId,
    queue: QueueName = "",
    all_roles: Annotated[
        bool, typer.Option("--all", "-a", help="Manager and login nodes too.")
    ] = False,
) -> Look:
    """The compute nodes of a cluster. Each with its queue."""
    return lambda: lookup.nodes(cluster, queue=queue, compute_only=not all_roles, client=client)


@command()
@looking(lookup.Image)
def images(
    client: Client,
    cluster: Annotated[
        str,
        typer.Argument(
            metavar="[CLUSTER]",
            help="Only images that fit this cluster.",
            autocompletion=complete_cluster,
        ),
    ] = "",
) -> Look:
    """Images for nodes. The system's, the account's, and those shared with it."""
    return lambda: lookup.images(cluster, client=client)


@command()
@looking(lookup.Task)
def tasks(
    client: Client,
    cluster: ClusterId,
    history: Annotated[bool, typer.Option("--all", "-a", help="Ended tasks too.")] = False,
) -> Look:
    """The running tasks of a cluster. With --watch, tasks that end meanwhile stay in the list."""
    known: set[str] = set()

    def running() -> list[lookup.Task]:
        found = lookup.tasks(cluster, history=bool(known), client=client)
        known.update(task.task_id for task in found if not task.over)
        return [task for task in found if task.task_id in known]

    return (lambda: lookup.tasks(cluster, history=True, client=client)) if history else running


@command()
@looking(lookup.Candidate)
def candidates(
    client: Client,
    cluster: ClusterId,
    stop_running: Annotated[
        bool,
        typer.Option("--stop-running", help="Running instances too, as with stop_running=True."),
    ] = False,
    unfit: Annotated[
        bool,
        typer.Option("--all", "-a", help="Every other instance in the VPC too, with the reason."),
    ] = False,
) -> Look:
    """Instances that can be attached. Stopped, in the cluster's VPC, in no cluster, with a free host name."""
    return lambda: lookup.candidates(cluster, stop_running=stop_running, unfit=unfit, client=client)


# -- programs, checks, the emulator ---------------------------------------------------------------------------


@command()
def program(
    cluster: ClusterId,
    queue: QueueName = "",
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="FOLDER",
            help="Create a Pulumi project here instead of printing the program.",
        ),
    ] = None,
    import_file: Annotated[
        Path | None,
        typer.Option(
            "--import-file",
            metavar="FILE",
            help="Write a file for `pulumi import --file`, to restore a lost state.",
        ),
    ] = None,
    owner: Annotated[
        str,
        typer.Option(
            "--owner",
            metavar="PROJECT/STACK",
            help="With --import-file: the stack whose state is lost, if owner tags name several.",
        ),
    ] = "",
    region: Region = "",
    stack: Stack = "",
) -> None:
    """A Pulumi program that adopts the nodes of a cluster. Its `pulumi up` writes owner tags only."""
    from .program import ComputeNodes, adopting, make_project, owners_of

    if owner and import_file is None:
        raise typer.BadParameter("--owner needs --import-file")
    if queue and import_file is not None:
        raise typer.BadParameter(
            "--queue cannot be used with --import-file, which restores whole resources"
        )
    client, settings = client_of(region, stack), settings_of(region, stack)
    named, then = (cluster, "dev"), "pulumi up"
    if import_file is None:
        found = ComputeNodes.of(cluster, queue, client, settings)
        owners = owners_of(client, [node.instance_id for node in found.nodes])
        text = adopting(found, queue, owners, settings.region).text
    else:
        from .restore import restoring, write_import_file

        restored = restoring(cluster, owner, client, settings)
        text = restored.program.text
        write_import_file(import_file, restored)
        named = restored.named or named
        file = import_file.absolute() if directory else import_file
        then = f"{restored.command(file)}, then pulumi up"
        sys.stderr.write(restored.summary)
    if directory is None:
        sys.stdout.write(text)
        if import_file is not None:
            sys.stderr.write(f"Next: {then}.\n")
    else:
        make_project(directory, named[0], text)
        sys.stderr.write(
            f"Written to {directory}. Next, in this folder: pulumi stack init {named[1]}, then {then}.\n"
        )
        keys = sorted(
            key for key in (stack_config(stack) if stack else {}) if key.startswith("ehpc:")
        )
        if keys:
            text = f"The config of the new stack is empty. Copy these settings of stack {stack!r} to it"
            sys.stderr.write(f"{text} (pulumi config set): {', '.join(keys)}.\n")


@command()
def doctor(
    region: Region = "",
    stack: Stack = "",
    as_json: Json = False,
) -> None:
    """Check everything that a run needs. Each problem is shown with the way to fix it.

    Permissions to read are checked by reads; permissions to write by calls for a cluster and an instance that
    do not exist, so that nothing changes.
    """
    from .doctor import examine

    if not examine(region, stack, as_json=as_json):
        raise typer.Exit(1)


@command()
def emulator(
    port: Annotated[
        int,
        typer.Option("--port", metavar="PORT", min=0, max=65535, help="Default: a free port."),
    ] = 0,
    world: Annotated[
        str, typer.Option("--world", metavar="FILE", help="YAML or JSON; default: the demo world.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Emulate E-HPC and ECS on this computer. With a page to watch them, until Ctrl-C."""
    from .serve import serve

    serve(port=port, world=world, as_json=as_json)
