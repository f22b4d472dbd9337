"""The lifecycle on the emulator, in process and on a clock that only waiting advances."""

import json
from contextlib import contextmanager
from copy import deepcopy

import pytest

from ehpc_nodes import errors
from ehpc_nodes.api.client import Client
from ehpc_nodes.api.transport import read_answer
from ehpc_nodes.clock import Deadline
from ehpc_nodes.emulator import Dropped, Emulator
from ehpc_nodes.models import Inputs
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.operations import Operations, wanted_of
from ehpc_nodes.reconcile.ports import NoOtherResources
from ehpc_nodes.testing.cloud import WRITES
from ehpc_nodes.testing.worlds import CLUSTER, IMAGE, OLD_IMAGE, VPC, ids, iid
from ehpc_nodes.testing.worlds import small_world as world
from unit.fakes import FakeClock, Said

__all__ = [
    "CLUSTER",
    "IMAGE",
    "OLD_IMAGE",
    "OWNER",
    "VPC",
    "WRITES",
    "Bench",
    "Killed",
    "ctrl_c_when",
    "ids",
    "iid",
    "killed",
    "lacking",
    "late",
    "lists_lack",
    "right_after",
    "theirs",
    "world",
]

OWNER = "project/stack/nodes"


def theirs(name, *, pending=False):
    """The owner tags of another resource; ``pending``: it may just be attaching the instance."""
    reference = f"their-uid/{CLUSTER}/{'1-abcd' if pending else '0'}/"
    return {"ehpc-nodes": name, "ehpc-nodes-ref": reference}


class Both(FakeClock):
    """One time for the package and for the emulator (which asks for `advance`)."""

    def __init__(self, start=1_750_000_000.0):
        super().__init__()
        self.time = start

    def advance(self, seconds):
        self.time += seconds


class Killed(BaseException):
    """The plugin's process is gone: nothing after this line of it runs."""


class Bench:
    """An emulator, and lifecycles on it. ``kill_in`` calls from now the process dies, before or after
    the call's effect."""

    kill_in: int | None = None
    kill_after_effect = False
    uid = ""
    creates = 0
    creating = False
    others = NoOtherResources()
    sent_before = 0

    def __init__(self, instances=6, attached=(), *, grace=30.0, name=OWNER, **knobs):
        self.clock = Both()
        self.emulator = Emulator(world(instances, attached, **knobs), self.clock)
        self.grace, self.name = grace, name
        self.said = Said()
        self.orphans: set[str] = set()

    # -- what the tests look at

    @property
    def world(self):
        return self.emulator.world

    @property
    def outside(self):
        return self.emulator.outside

    @property
    def journal(self):
        return self.emulator.journal

    @property
    def harm(self):
        return self.emulator.harm

    def instance(self, number):
        return self.world.instances[iid(number)]

    @property
    def nodes(self):
        """Compute node id -> node, as the cluster really has them."""
        nodes = self.emulator.world.clusters[CLUSTER].nodes
        return {i: n for i, n in nodes.items() if n.is_compute}

    @property
    def owners(self):
        """Instance id -> the resource that its owner tag names."""
        return {
            i: x.tags["ehpc-nodes"]
            for i, x in self.emulator.world.instances.items()
            if "ehpc-nodes" in x.tags
        }

    def calls(self, *actions):
        """The journal's actions in order; of these only, where some are named."""
        return [
            e.action for e in self.emulator.journal.entries if not actions or e.action in actions
        ]

    def writes(self):
        return self.calls(*WRITES)

    def fault(self, kind, action, **options):
        return self.emulator.faults.add({"kind": kind, "action": action, **options})

    # -- what they do

    def exchange(self, version):
        def call(action, params):
            try:
                self._maybe_die(before=True)
            except Killed:
                self._note_orphans()
                raise
            try:
                answer = self.emulator.call(action, version, dict(params))
            except Dropped as dropped:
                self.clock.advance(dropped.seconds)
                raise errors.TransportError(action, "connection reset") from None
            finally:
                try:
                    self._maybe_die(before=False)
                except Killed:
                    self._note_orphans()
                    raise
            self.clock.advance(answer.delay)
            raw = answer.raw if answer.raw is not None else json.dumps(answer.body).encode()
            return read_answer(action, answer.status, raw, answer.headers)

        return call

    def _note_orphans(self):
        """A create died after it sent these: no state will know them, and only who lists them adopts them."""
        if self.creating:
            sent = [
                e.params for e in self.emulator.journal.of("AddExistedNodes")[self.sent_before :]
            ]
            self.orphans |= {v for p in sent for k, v in p.items() if k.startswith("Instance.")}

    def _maybe_die(self, *, before):
        if self.kill_in is None or before == self.kill_after_effect:
            return
        self.kill_in -= 1
        if self.kill_in < 0:
            self.kill_in = None
            raise Killed

    def operations(self, seconds=3600.0, **changes):
        """The operations on the resource, in a process of their own."""
        deadline = Deadline.after(self.clock, seconds)
        ehpc, ecs = self.exchange("2018-04-12"), self.exchange("2014-05-26")
        cloud = Client(ehpc, ecs, region="cn-hangzhou", deadline=deadline)
        about = {"name": self.name, "uid": self.uid, "others": self.others, **changes}
        return Operations(cloud, deadline, self.said, self.grace, **about)

    def inputs(self, *numbers, **changes):
        return Inputs(
            **{
                "cluster_id": CLUSTER,
                "region": "cn-hangzhou",
                "instance_ids": ids(*numbers),
                "replace_system_disks": True,
                **changes,
            }
        )

    def up(self, *numbers, before=None, seconds=3600.0, **changes):
        """Converge to these instances; the state, or the error. A create gets a uid of its own."""
        self.creating = before is None
        self.sent_before = len(self.emulator.journal.of("AddExistedNodes"))
        if self.creating:
            self.creates += 1
            self.uid = f"uid{self.creates}"
        return self.operations(seconds).converge(self.inputs(*numbers, **changes), before)

    def fails(self, kind, *numbers, match=None, **changes):
        """An up that fails with an error of this kind, in words like these: the error."""
        with pytest.raises(kind, match=match) as told:
            self.up(*numbers, **changes)
        return told.value

    def preview(self, *numbers, before=None, **changes):
        """What a converge to these instances would do; a create gets a uid of its own."""
        uid = self.uid if before else f"uid{self.creates + 1}"
        inputs = self.inputs(*numbers, **changes)
        desired = Desired(**inputs.model_dump(include={*Desired.__annotations__}))
        return self.operations(uid=uid).plan_changes(desired, wanted_of(inputs), before)


@contextmanager
def right_after(bench, action, deed):
    """Do something once, before the call that follows the first one of this action."""
    due = [deed]

    def look(*, before):
        if before and due and bench.calls()[-1:] == [action]:
            due.pop()()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "_maybe_die", look)
        yield


@contextmanager
def late(bench, seconds):
    """DescribeInstances shows the instances as they were so many seconds ago."""
    emulator, world = bench.emulator, bench.emulator.world
    seen, call = [(bench.clock.now(), deepcopy(world.instances))], emulator.call

    def lagging(action, version, params):
        due = bench.clock.now() - seconds
        then = next((past for at, past in reversed(seen) if at <= due), seen[0][1])
        if action != "DescribeInstances":
            answer = call(action, version, params)
        else:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(world, "instances", then)
                answer = call(action, version, params)
        seen.append((bench.clock.now(), deepcopy(world.instances)))
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator, "call", lagging)
        yield


def lists_lack(bench, patch, *numbers, when):
    """A list of nodes lacks these where ``when()`` holds, which is asked once for each list."""
    call = bench.emulator.call

    def listed(action, version, params):
        answer = call(action, version, params)
        if action.startswith("ListNodes") and answer.status == 200 and when():
            rows = [r for r in answer.body["Nodes"]["NodeInfo"] if r["Id"] not in ids(*numbers)]
            answer.body["Nodes"]["NodeInfo"] = rows
            if "TotalCount" in answer.body:
                answer.body["TotalCount"] = len(rows)
        return answer

    patch.setattr(bench.emulator, "call", listed)


def lacking(bench, patch, seconds, *numbers):
    """For so many seconds no list of nodes has these, though they had them before."""
    over = bench.clock.now() + seconds
    lists_lack(bench, patch, *numbers, when=lambda: bench.clock.now() < over)


def ctrl_c_when(bench, patch, due):
    """From then on no pause comes to its end, as with the plugin's clock."""
    sleep = bench.clock.sleep

    def interrupted(seconds):
        if due():
            raise errors.CancelledError("Cancelled while waiting.")
        sleep(seconds)

    patch.setattr(bench.clock, "sleep", interrupted)


def killed(bench, *numbers, before=None, after, **changes):
    """A run that dies when its latest call is ``after``."""

    def die():
        raise Killed

    with right_after(bench, after, die), pytest.raises(Killed):
        bench.up(*numbers, before=before, **changes)
