"""The program that most tests run, and what they declare in it."""

from ehpc_nodes.testing.worlds import CLUSTER, ids

OWNER_OF_STACK = "project/dev/nodes"
PROGRAM = """
import json, os
import pulumi
from ehpc_nodes import AttachedNodes
args = json.loads(pulumi.Config().require("args"))
nodes = AttachedNodes("nodes", **args)
pulumi.export("ids", nodes.instance_ids)
pulumi.export("task_id", nodes.task_id)
pulumi.export("request_id", nodes.request_id)
pulumi.export("nodes", nodes.nodes)
pulumi.export("failed", nodes.failed)
pulumi.export("tasks", nodes.tasks)
"""


def with_options(options, program=PROGRAM):
    """The program with these resource options."""
    return program.replace("**args)", f"**args, opts=pulumi.ResourceOptions({options}))")


def declare(stack, *numbers, **changes):
    """What the program declares: these instances, with consent, and these arguments."""
    args = {
        "cluster_id": CLUSTER,
        "instance_ids": ids(*numbers),
        "replace_system_disks": True,
        **changes,
    }
    stack.config("args", args)
