"""An emulated cloud for a Pulumi program, and what tests ask of both."""

from __future__ import annotations

import json

from ehpc_nodes.emulator import Emulator, EmulatorServer
from ehpc_nodes.emulator.tasks import release
from unit.emulated import CLUSTER, MARK, WRITES, ids, iid, world  # noqa: F401

__all__ = ["CLUSTER", "MARK_OF_STACK", "PROGRAM", "Cloud", "declare", "ids"]

MARK_OF_STACK = "project/dev/nodes"
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


class Cloud:
    """An emulator that a stack is pointed at by its config."""

    def __init__(self, instances=6, attached=(), **knobs):
        self.emulator = Emulator(world(instances, attached, **knobs))
        self.server = EmulatorServer(self.emulator).start()

    def configure(self, stack, **config):
        """Point the stack here."""
        settings = {
            "ehpc:region": "cn-hangzhou",
            "ehpc:endpoint": self.server.url,
            "ehpc:ecsEndpoint": self.server.url,
            "ehpc:accessKeyId": self.server.access_key_id,
            "ehpc:graceSeconds": "2",
            **config,
        }
        pairs = [
            word for key, value in settings.items() for word in ("--plaintext", f"{key}={value}")
        ]
        pairs += ["--secret", f"ehpc:accessKeySecret={self.server.access_key_secret}"]
        stack.run("config", "set-all", *pairs)

    @property
    def nodes(self):
        """Compute nodes of the cluster, by instance id."""
        return {
            i: n for i, n in self.emulator.world.clusters[CLUSTER].nodes.items() if n.is_compute
        }

    @property
    def harm(self):
        return self.emulator.harm

    def calls(self, *actions):
        return [
            e.action for e in self.emulator.journal.entries if not actions or e.action in actions
        ]

    def writes(self):
        return self.calls(*WRITES)

    def named(self, action):
        """The instances that each call of an action named."""
        return [
            sorted(
                v
                for k, v in e.params.items()
                if k.startswith(("Instance.", "Node.", "InstanceId."))
            )
            for e in self.emulator.journal.of(action)
        ]

    def forget(self):
        """Empty the journal."""
        self.emulator.journal.entries.clear()

    def fault(self, kind, action, **options):
        self.emulator.faults.add({"kind": kind, "action": action, **options})

    def release(self):
        """End the tasks that are held, and hold no more."""
        with self.emulator.turn():
            self.emulator.world.knobs.task_pace = type(self.emulator.world.knobs.task_pace)()
            release(self.emulator.state, "all")

    def close(self):
        self.server.stop()


def declare(stack, *numbers, **changes):
    """What the program declares: these instances, with consent, and these arguments."""
    args = {
        "cluster_id": CLUSTER,
        "instance_ids": ids(*numbers),
        "replace_system_disks": True,
        **changes,
    }
    stack.config("args", json.dumps(args))
