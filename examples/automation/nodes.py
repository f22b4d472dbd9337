"""Attach, watch and detach from a script: `python nodes.py dev attach`, `python nodes.py dev detach`.

The program is a function here; Pulumi's Automation API runs the same engine as `pulumi up` does, on the stack
of this folder, whose config says which cluster and which instances.
"""

import sys
from pathlib import Path

import pulumi
from pulumi import automation

from ehpc_nodes import AttachedNodes

FOLDER = str(Path(__file__).parent)


def program() -> None:
    """What `pulumi up` would find in `__main__.py`."""
    config = pulumi.Config()
    nodes = AttachedNodes(
        "compute",
        cluster_id=config.require("cluster"),
        instance_ids=config.require_object("instances"),
        replace_system_disks=True,
    )
    pulumi.export("nodes", nodes.nodes)


def watch(event: automation.EngineEvent) -> None:
    """One line for each thing that the engine tells: a step, its end, a word of the resource (progress, too)."""
    step_event = event.resource_pre_event or event.res_outputs_event
    if step_event and step_event.metadata.type.startswith("pulumi:providers:"):
        return  # the engine's own
    if event.resource_pre_event:
        step = event.resource_pre_event.metadata
        print(f"{step.op.value:8} {step.urn.rpartition('::')[2]}", flush=True)
    elif event.res_outputs_event:
        print(f"done     {event.res_outputs_event.metadata.urn.rpartition('::')[2]}", flush=True)
    elif event.diagnostic_event and event.diagnostic_event.severity != "debug":
        print(f"         {event.diagnostic_event.message.strip()}", flush=True)


def main(stack_name: str, deed: str) -> None:
    """Attach or detach, and say what came of it."""
    try:
        stack = automation.select_stack(
            stack_name,
            project_name="ehpc-automation",
            program=program,
            opts=automation.LocalWorkspaceOptions(work_dir=FOLDER),
        )
    except automation.StackNotFoundError:
        there = [stack.name for stack in automation.LocalWorkspace(work_dir=FOLDER).list_stacks()]
        sys.exit(
            f"nodes: there is no stack {stack_name!r} ({', '.join(there) or 'none at all'} is there);"
            f" make it: pulumi stack init {stack_name}"
        )
    if deed == "detach":
        stack.destroy(on_event=watch)
        return
    result = stack.up(on_event=watch)
    for instance, node in result.outputs["nodes"].value.items():
        print(f"{instance}  {node['host_name']}  {node['status']}  {node['queue']}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in ("attach", "detach"):
        sys.exit("usage: python nodes.py STACK attach|detach")
    try:
        main(*sys.argv[1:])
    except automation.CommandError as error:  # the engine has said why, and so has `watch`
        sys.exit(f"nodes: failed\n{error}")
