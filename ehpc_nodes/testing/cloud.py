"""An emulated cloud for a test: its program uses it, the test controls it and checks what was done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ehpc_nodes.emulator import Emulator, EmulatorServer, World
from ehpc_nodes.emulator.faults import Fault, Faults
from ehpc_nodes.emulator.harm import Harm
from ehpc_nodes.emulator.journal import Journal
from ehpc_nodes.emulator.knobs import Pace
from ehpc_nodes.emulator.outside import Outside
from ehpc_nodes.emulator.tasks import release
from ehpc_nodes.emulator.world import Node

from .stack import PulumiStack
from .worlds import small_world

#: The calls that change something.
WRITES = ("AddExistedNodes", "DeleteNodes", "SetQueue", "StopInstances")


class EmulatedCloud:
    """E-HPC and ECS on a loopback port, with a `small_world` in it. A context manager."""

    def __init__(self, instances: int = 6, attached: Collection[int] = (), **options: Any) -> None:
        """Start it; the arguments are those of `small_world`."""
        self.emulator = Emulator(small_world(instances, attached, **options))
        self.server = EmulatorServer(self.emulator).start()

    def __enter__(self) -> EmulatedCloud:  # noqa: PYI034  # Self is newer than Python 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Break all connections and end."""
        self.server.stop()

    # ---- how programs reach it

    @property
    def url(self) -> str:
        """The address of both services; its control is under ``/_emulator/``."""
        return self.server.url

    @property
    def config(self) -> dict[str, str]:
        """The stack config that makes a program use it, without the secret. The grace period is 2 s instead of 30: the
        emulator's lists are up to date by default.
        """
        return {
            "ehpc:region": self.world.region,
            "ehpc:endpoint": self.url,
            "ehpc:ecsEndpoint": self.url,
            "ehpc:accessKeyId": self.server.access_key_id,
            "ehpc:graceSeconds": "2",
        }

    @property
    def secrets(self) -> dict[str, str]:
        """The secret part of the stack config."""
        return {"ehpc:accessKeySecret": self.server.access_key_secret}

    def configure(self, stack: PulumiStack, **more: object) -> None:
        """Make a stack use it, with more config if given (`cluster=…`, `**{"ehpc:profile": …}`)."""
        stack.configure({**self.config, **more}, self.secrets)

    # ---- what exists, and what was done

    @property
    def world(self) -> World:
        """What exists: `clusters`, `instances`, `images`, `tasks`, `knobs`, by id."""
        return self.emulator.world

    @property
    def cluster_id(self) -> str:
        """The first cluster's id."""
        return next(iter(self.world.clusters))

    @property
    def nodes(self) -> dict[str, Node]:
        """The compute nodes of all clusters, by instance id."""
        clusters = self.world.clusters.values()
        return {i: node for c in clusters for i, node in c.nodes.items() if node.is_compute}

    @property
    def free(self) -> list[str]:
        """The ids of the instances that are in no cluster."""
        return sorted(self.world.instances.keys() - self.world.member_of.keys())

    @property
    def journal(self) -> Journal:
        """Every call and how it was answered."""
        return self.emulator.journal

    @property
    def harm(self) -> Harm:
        """What cannot be undone: disks replaced, instances released."""
        return self.emulator.harm

    def calls(self, *actions: str) -> list[str]:
        """The actions that were called, in order; if some are named, only these."""
        return [e.action for e in self.journal.entries if not actions or e.action in actions]

    def writes(self) -> list[str]:
        """The calls that change something, in order, without tags."""
        return self.calls(*WRITES)

    def named(self, action: str) -> list[list[str]]:
        """The instances that each call of an action named."""
        prefixes = ("Instance.", "Node.", "InstanceId.")
        return [
            sorted(value for name, value in entry.params.items() if name.startswith(prefixes))
            for entry in self.journal.of(action)
        ]

    def forget(self) -> None:
        """Empty the journal."""
        self.journal.entries.clear()

    # ---- control

    def load(self, world: World | Mapping[str, Any] | Path) -> None:
        """Start again with another world: a `World`, its plain data, or a YAML or JSON file.

        Raises:
            WorldError: the world is not valid; names the place.
        """
        if isinstance(world, Path):
            world = World.from_file(world)
        elif not isinstance(world, World):
            world = World.from_dict(dict(world))
        self.emulator.load(world)

    @property
    def outside(self) -> Outside:
        """What people do in the console, such as `stop`, `start`, `attach`, `detach`, `move` and `use`."""
        return self.emulator.outside

    @property
    def faults(self) -> Faults:
        """The faults that are set, and how often each fired."""
        return self.emulator.faults

    def fault(self, kind: str, action: str = "*", **options: Any) -> Fault:
        """Make the next call of an action fail; `ehpc_nodes.emulator.faults` has the kinds.

        Raises:
            WorldError: there is no such fault or option; names those that there are.
        """
        return self.faults.add({"kind": kind, "action": action, **options})

    def hold(self) -> None:
        """Make tasks that start later run until `release`."""
        self._pace(Pace("held"))

    def release(self) -> None:
        """End the held tasks, and hold no more."""
        self._pace(Pace())
        with self.emulator.turn():
            release(self.emulator.state, "all")

    def _pace(self, pace: Pace) -> None:
        with self.emulator.turn():
            self.world.knobs.task_pace = pace
