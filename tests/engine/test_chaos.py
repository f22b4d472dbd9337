"""Random histories on the real CLI: the promises hold at every step, and a clean `up` heals everything.

The same each time, unless EHPC_CHAOS_SEED says where to begin; EHPC_CHAOS_HISTORIES says how many.
"""

import os
import random

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import declare
from property.tally import note

SEED = int(os.environ.get("EHPC_CHAOS_SEED", "0"))
HISTORIES = int(os.environ.get("EHPC_CHAOS_HISTORIES", "25"))
STEPS = 5
SIZE = 5
ACTIONS = [
    *("AddExistedNodes", "DeleteNodes", "SetQueue", "StopInstances", "ListNodes", "ListTasks", "*"),
    *("ListNodesNoPaging", "DescribeInstances", "TagResources", "UntagResources"),
]
FAULTS = [
    *("throttle", "error", "error_after", "reset_before", "reset_after", "garbage", "truncated"),
    *("half_page", "unknown_status"),
]


class History:
    """One stack on one emulated cloud, and what chance does to both."""

    def __init__(self, chance, cloud, stack_on):
        self.chance = chance
        self.it = cloud(
            SIZE,
            pace=chance.choice(["instant", {"reads": 3}, {"seconds": 1}]),
            nodes_listed=chance.choice(["at_acceptance", "at_end"]),
            task_listed=chance.random() < 0.8,
            task_result_names_instances=chance.random() < 0.5,
            failed_word=chance.choice(["Failed", "Fail"]),
            task_id_is_request_id=chance.random() < 0.5,
            detached_instance_status=chance.choice(["Running", "Stopped"]),
            absent_nodes_refused=chance.random() < 0.5,
        )
        self.stack = stack_on(self.it)
        self.by_others = set()
        self.told = []
        self.kills = 0
        self.declare_some()

    def step(self):
        deed = self.chance.choice(
            [self.up, self.up, self.up_killed, self.refresh, self.destroy, self.outside, self.fault]
        )
        self.told.append(deed.__name__)
        deed()
        self.check_harm()

    # -- the program's owner

    def declare_some(self):
        numbers = self.chance.sample(range(1, SIZE + 1), self.chance.randint(1, SIZE))
        queue = self.chance.choice([{}, {"job_queue": "workq"}, {"job_queue": "gpu"}])
        self.declare(*numbers, **queue)

    def declare(self, *numbers, **queue):
        self.told.append(f"{sorted(numbers)} {queue}")
        declare(self.stack, *numbers, stop_running=True, busy_nodes="detach", **queue)

    def up(self):
        self.declare_some()
        self.run("up")

    def refresh(self):
        members = set(self.state_ids()) & self.it.nodes.keys()
        self.run("refresh")
        lost = members & self.it.nodes.keys() - set(self.state_ids())
        assert not lost, f"refresh dropped {lost}"

    def destroy(self):
        self.run("destroy")

    def run(self, command):
        result = self.stack.start(command, "--yes", "--skip-preview").wait(100)
        self.told.append(f"{command}: {result.exit_code}")
        assert "Traceback" not in result.text, result.text

    def up_killed(self):
        self.declare_some()
        rule = self.it.emulator.faults.add(
            {"kind": "slow", "action": "*", "after": self.chance.randint(0, 25), "seconds": 1000}
        )
        running = self.stack.start("up", "--yes", "--skip-preview")
        running.wait_until(lambda: rule.fired or running.process.poll() is not None)
        running.kill_all()
        self.kills += 1
        self.it.emulator.faults.rules.remove(rule)
        self.note_orphans()
        self.stack.cancel()

    def note_orphans(self):
        """Nodes of a create that was killed: adopted where the program lists them, else left alone."""
        if "nodes" not in self.stack.resources():
            instances = self.it.emulator.world.instances.values()
            self.by_others |= {i.id for i in instances if "ehpc-nodes-ref" in i.tags}

    def state_ids(self):
        nodes = self.stack.resources().get("nodes")
        return nodes["outputs"]["instance_ids"] if nodes else []

    # -- misfortune, and others

    def fault(self):
        self.it.fault(
            self.chance.choice(FAULTS), self.chance.choice(ACTIONS), after=self.chance.randint(0, 2)
        )
        self.up()

    def outside(self):
        (instance,) = ids(self.chance.randint(1, SIZE))
        outside, node = self.it.emulator.outside, self.it.nodes.get(instance)
        if node is None:
            outside.attach(instance, CLUSTER)
            self.by_others.add(instance)
        elif node.status == "running" and instance in self.state_ids():
            self.chance.choice([outside.detach, outside.stop])(instance)
            self.by_others.discard(instance)

    # -- the promises

    def check_harm(self):
        harm = self.it.harm
        assert harm.double_attach == [] == harm.releases, self.told
        assert harm.touched == [], self.told

    def heal(self):
        self.it.emulator.faults.clear()
        self.it.emulator.advance(600)
        self.declare(1, 2, job_queue="workq")
        for instance in self.it.emulator.world.instances.values():
            if "ehpc-nodes-ref" in instance.tags and instance.id not in self.it.nodes:
                self.it.emulator.outside.stop(instance.id)
        # an up to what the state holds already has nothing to do, and looks at nothing
        self.stack.up(*(["--refresh"] if self.state_ids() == ids(1, 2) else []))
        self.check_harm()
        assert self.state_ids() == ids(1, 2), self.told
        assert set(ids(1, 2)) <= self.it.nodes.keys(), self.told
        assert self.it.nodes.keys() - set(ids(1, 2)) <= self.by_others, self.told
        assert {self.it.nodes[i].queue for i in ids(1, 2)} == {"workq"}, self.told
        self.stack.preview("--expect-no-changes")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(SEED, SEED + HISTORIES))
def test_history(cloud, stack_on, seed):
    history = History(random.Random(seed), cloud, stack_on)
    for _ in range(STEPS):
        history.step()
    note("on the real CLI", history.it.emulator.journal.entries, kills=history.kills)
    history.heal()
