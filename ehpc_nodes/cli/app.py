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
    help="Nodes of Alibaba Cloud E-HPC clusters: what there is, what is wrong, and a Pulumi program that adopts"
    " it. It changes nothing. Region and key come from the environment, or from a stack's config with --stack.",
    epilog="Exit codes: 0 done, 1 it failed, 2 it was called in a wrong way, 130 Ctrl-C.",
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
    """Run the command with the process's arguments; the exit code. Output that can't be written is an error."""
    if sys.stdout is None:  # it was closed before the start
        sys.stderr.write("ehpc-nodes: The output can't be written: it is closed.\n")
        return 1
    try:
        code = _run()
        sys.stdout.flush()
    except OSError as error:
        # what is left is dropped, so that the interpreter doesn't try once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # whose reader went away, and knows it
            sys.stderr.write(f"ehpc-nodes: The output can't be written: {error.strerror}.\n")
        return 1
    return code


def _run() -> int:
    for stream in (sys.stdout, sys.stderr):  # what a terminal's encoding lacks is no reason to end
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
    """The clusters of the region. With how many of their compute nodes run."""
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
    """Images that nodes can be made of. The system's, the account's, and shared ones."""
    return lambda: lookup.images(cluster, client=client)


@command()
@looking(lookup.Task)
def tasks(
    client: Client,
    cluster: ClusterId,
    history: Annotated[
        bool, typer.Option("--all", "-a", help="Those that have ended, too.")
    ] = False,
) -> Look:
    """The running tasks of a cluster. With --watch those that end while you look stay in sight."""
    seen: set[str] = set()

    def running() -> list[lookup.Task]:
        found = lookup.tasks(cluster, history=bool(seen), client=client)
        seen.update(task.task_id for task in found if not task.over)
        return [task for task in found if task.task_id in seen]

    return (lambda: lookup.tasks(cluster, history=True, client=client)) if history else running


@command()
@looking(lookup.Candidate)
def candidates(
    client: Client,
    cluster: ClusterId,
    stop_running: Annotated[
        bool, typer.Option("--stop-running", help="Running ones too, as with stop_running=True.")
    ] = False,
    unfit: Annotated[
        bool, typer.Option("--all", "-a", help="The others in the VPC too, with the reasons.")
    ] = False,
) -> Look:
    """Instances that could be attached. Stopped, in the cluster's VPC, in no cluster, without a clash."""
    return lambda: lookup.candidates(cluster, stop_running=stop_running, unfit=unfit, client=client)


# -- what it is good for ---------------------------------------------------------------------------


@command()
def program(
    cluster: ClusterId,
    queue: QueueName = "",
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="FOLDER",
            help="Make a Pulumi project here, instead of printing the program.",
        ),
    ] = None,
    import_file: Annotated[
        Path | None,
        typer.Option(
            "--import-file",
            metavar="FILE",
            help="Write what `pulumi import --file` takes, to restore a lost state.",
        ),
    ] = None,
    owner: Annotated[
        str,
        typer.Option(
            "--owner",
            metavar="PROJECT/STACK",
            help="With --import-file: whose state is lost, if owner tags name several stacks.",
        ),
    ] = "",
    region: Region = "",
    stack: Stack = "",
) -> None:
    """A Pulumi program that adopts today's nodes. `pulumi up` on it changes nothing in the cluster."""
    from .program import ComputeNodes, adopting, make_project, owners_of

    if owner and import_file is None:
        raise typer.BadParameter("--owner goes with --import-file")
    if queue and import_file is not None:
        raise typer.BadParameter(
            "--queue does not go with --import-file: resources are restored whole"
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
            f"Written to {directory}. Next, there: pulumi stack init {named[1]}, then {then}.\n"
        )
        keys = sorted(
            key for key in (stack_config(stack) if stack else {}) if key.startswith("ehpc:")
        )
        if keys:
            text = f"Its config is empty; what stack {stack!r} has for this package, set there too"
            sys.stderr.write(f"{text} (pulumi config set): {', '.join(keys)}.\n")


@command()
def doctor(
    region: Region = "",
    stack: Stack = "",
    as_json: Json = False,
) -> None:
    """Whether everything is there that a run needs. What isn't is told with how to mend it.

    Permissions are asked for by reads, and for writes by calls about a cluster and an instance that
    don't exist: they can't do anything.
    """
    from .doctor import examine

    if not examine(region, stack, as_json=as_json):
        raise typer.Exit(1)


@command()
def emulator(
    port: Annotated[
        int,
        typer.Option("--port", metavar="PORT", min=0, max=65535, help="Default: one that is free."),
    ] = 0,
    world: Annotated[
        str, typer.Option("--world", metavar="FILE", help="YAML or JSON; default: the demo world.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Emulate E-HPC and ECS on this machine. With a page to watch, until Ctrl-C."""
    from .serve import serve

    serve(port=port, world=world, as_json=as_json)
