"""Histories of one resource under attack: ups, refreshes and destroys, with faults, kills and people in between.

The machine plays the engine's part (what is saved when), the emulator the cloud's. The promises are
checked at every step, and at the end a clean `up` has to make state = cluster = program.
"""

from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ehpc_nodes.emulator.faults import Faults
from ehpc_nodes.errors import EhpcError
from ehpc_nodes.models import ATTACHING
from ehpc_nodes.provider.properties import needs_update
from ehpc_nodes.reconcile.operations import IncompleteError
from property.tally import note
from unit.emulated import CLUSTER, OWNER, Bench, Killed, iid

SIZE = 6
GRACE = 30.0
RIVAL = "project/stack/rival"
ALL = [iid(n) for n in range(1, SIZE + 1)]
NUMBERS = st.sets(st.integers(1, SIZE), min_size=1, max_size=SIZE)
ONE = st.sampled_from(ALL)
ACTIONS = st.sampled_from(
    [
        *("AddExistedNodes", "DeleteNodes", "SetQueue", "StopInstances", "ListNodes", "ListTasks"),
        *("ListNodesNoPaging", "ListNodesByQueue", "DescribeInstances", "DescribeCluster"),
        *("TagResources", "UntagResources", "ListQueues", "ListClusters", "*"),
    ]
)
#: What may be forbidden; without the permission to tag, a killed run leaves no trace (docs/limits.md).
READS_AND_WRITES = ACTIONS.filter(lambda action: action not in ("TagResources", "*"))
KINDS = st.sampled_from(
    [
        *("throttle", "error", "error_after", "reset_before", "reset_after", "lost", "garbage"),
        *("truncated", "half_page", "unknown_status", "slow"),
    ]
)
KNOBS = st.fixed_dictionaries(
    {
        "pace": st.sampled_from(
            ["instant", {"reads": 3}, {"seconds": 40}, {"seconds": 300}, {"seconds": 700}]
        ),
        "instance_pace": st.sampled_from(["instant", {"seconds": 20}]),
        "nodes_listed": st.sampled_from(["at_acceptance", "at_end"]),
        "instances_start": st.sampled_from(["at_acceptance", "at_end"]),
        "task_listed": st.booleans(),
        "task_type": st.sampled_from(["AddComputes", "AddExistedNodes"]),
        "task_result_names_instances": st.booleans(),
        "failed_word": st.sampled_from(["Failed", "Fail"]),
        "task_id_is_request_id": st.booleans(),
        "list_lag": st.sampled_from([None, {"seconds": 10}, {"seconds": 25}]),
        "tasks_lag": st.booleans(),
        "detached_instance_status": st.sampled_from(["Running", "Stopped"]),
        "absent_nodes_refused": st.booleans(),
        "one_task_at_a_time": st.booleans(),
    }
)


class Histories(RuleBasedStateMachine):
    """One resource, one cluster."""

    @initialize(knobs=KNOBS)
    def begin(self, knobs):
        if not knobs["task_listed"] and knobs["nodes_listed"] == "at_end":
            # a new disk of the same image would be all that there is to see: nothing
            knobs["instances_start"] = "at_acceptance"
        self.bench = Bench(SIZE, grace=GRACE, **knobs)
        self.saved: Any = None
        self.incomplete = False
        self.kills = 0
        self.by_others: set[str] = set()
        self.rivals: Any = None

    # -- the engine's part ----------------------------------------------------------------------

    @rule(
        numbers=NUMBERS,
        queue=st.sampled_from(["", "workq", "gpu"]),
        busy=st.sampled_from(["refuse", "wait", "detach"]),
    )
    def up(self, numbers, queue, busy):
        try:
            if self.saved and self.incomplete:  # refresh_before_update
                self.saved = self.bench.operations().refresh(self.saved)
            self.saved = self.bench.up(*numbers, before=self.saved, **self._options(queue, busy))
        except IncompleteError as error:
            self.saved, self.incomplete = error.state, True
            event("up: incomplete")
        except EhpcError as error:
            event(f"up: {type(error).__name__}")
        except Killed:
            self.kills += 1
            event("up: killed")
        else:
            self.incomplete = False
            event("up: done")

    @staticmethod
    def _options(queue, busy="detach"):
        return {"stop_running": True, "busy_nodes": busy, "job_queue": queue}

    @precondition(lambda self: self.saved)
    @rule()
    def refresh(self):
        members = {i for i in self.saved.instance_ids if i in self.bench.nodes}
        try:
            self.saved = self.bench.operations().refresh(self.saved)
        except EhpcError:
            return
        except Killed:
            self.kills += 1
            return
        kept = set(self.saved.instance_ids) if self.saved else set()
        lost = {i for i in members - kept - self._of_rival() if i in self.bench.nodes}
        assert not lost, f"refresh dropped members: {lost}"

    @precondition(lambda self: self.saved)
    @rule()
    def destroy(self):
        try:
            self.bench.operations().destroy(self.saved.model_copy(update={"busy_nodes": "detach"}))
        except EhpcError:
            return
        except Killed:
            self.kills += 1
            return
        left = {i for i in self.saved.instance_ids if i in self.bench.nodes} - self._of_rival()
        assert not left, f"destroy left {left}"
        self.saved = None

    @rule(numbers=NUMBERS, take=st.booleans())
    def rival_up(self, numbers, take):
        """Another resource, with a name, a uid and a state of its own, wants some of the same instances."""
        rival = self._rival()
        try:
            self.rivals = rival.converge(
                self.bench.inputs(*numbers, take_ownership=take, **self._options("")), self.rivals
            )
        except IncompleteError as error:
            self.rivals = error.state
            event("rival: incomplete")
        except EhpcError as error:
            event(f"rival: {type(error).__name__}")
        except Killed:
            self.kills += 1
            event("rival: killed")
        else:
            event("rival: done")

    @precondition(lambda self: self.rivals)
    @rule()
    def rival_goes(self):
        """What is the other resource's by now, and only that, is detached."""
        since = len(self.bench.journal.entries)
        mine = {i for i, name in self.bench.owners.items() if name == OWNER}
        try:
            state = self.rivals.model_copy(update={"busy_nodes": "detach"})
            self._rival().destroy(state)
        except EhpcError:
            return
        except Killed:
            self.kills += 1
            return
        finally:
            sent = [e for e in self.bench.journal.entries[since:] if e.action == "DeleteNodes"]
            assert not {i for e in sent for i in e.params.values()} & mine, "detached by a rival"
        self.rivals = None

    def _of_rival(self):
        return {i for i, name in self.bench.owners.items() if name == RIVAL}

    def _rival(self):
        return self.bench.operations(name=RIVAL, uid="uid-rival")

    # -- misfortune -----------------------------------------------------------------------------

    @rule(kind=KINDS, action=ACTIONS, after=st.integers(0, 3), times=st.integers(1, 2))
    def fault(self, kind, action, after, times):
        self.bench.fault(kind, action, after=after, times=times)

    @rule(action=READS_AND_WRITES, times=st.sampled_from([1, 3, None]))
    def forbid(self, action, times):
        """A permission is missing (a few times, or until somebody gives it)."""
        self.bench.fault("error", action, code="Forbidden.RAM", status=403, times=times)

    @rule()
    def allow(self):
        self.bench.emulator.faults.clear()

    @rule(status=st.sampled_from(["exception", "absent"]), count=st.integers(1, 3))
    def nodes_fail(self, status, count):
        self.bench.fault("fail_nodes", "AddExistedNodes", status=status, count=count)

    @rule(calls=st.integers(0, 25), after_effect=st.booleans())
    def kill(self, calls, after_effect):
        self.bench.kill_in, self.bench.kill_after_effect = calls, after_effect

    # -- other people ---------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 60, 600]))
    def time_passes(self, seconds):
        self.bench.emulator.advance(seconds)

    @rule(instance=ONE)
    def detached_outside(self, instance):
        known = self.saved and instance in self.saved.instance_ids
        if self._settled(instance) and (known or instance in self.by_others):
            self.bench.outside.detach(instance)
            self.by_others.discard(instance)
            self._seen_by_all()

    @rule(instance=ONE, seconds=st.sampled_from([5, 45, 200]))
    def detached_in_mid_run(self, instance, seconds):
        """Somebody detaches a node while a run waits."""

        def detach():
            if self._settled(instance):
                self.bench.outside.detach(instance)

        self.bench.clock.at(seconds, detach)

    @rule(instance=ONE, seconds=st.sampled_from([5, 45]))
    def stopped_in_mid_run(self, instance, seconds):
        """Somebody stops a node, or what is about to be one, while a run waits."""

        def stop():
            if self._settled(instance):
                self.bench.outside.stop(instance)

        self.bench.clock.at(seconds, stop)

    @rule(
        action=st.sampled_from(
            ["ListNodes", "ListTasks", "ListNodesNoPaging", "DescribeInstances"]
        ),
        seconds=st.sampled_from([9, 27]),
    )
    def slow_looks(self, action, seconds):
        self.bench.fault("slow", action, seconds=seconds, times=4)

    @rule(after=st.integers(0, 6), times=st.integers(1, 3))
    def lists_go_backwards(self, after, times):
        """A list that was whole comes in half, later."""
        self.bench.fault("half_page", "ListNodes", after=after, times=times)
        self.bench.fault("half_page", "ListNodesNoPaging", after=after, times=times)

    @rule(instance=ONE)
    def attached_outside(self, instance):
        if instance not in self.bench.nodes:
            self.bench.outside.attach(instance, CLUSTER)
            self.by_others.add(instance)
            self._seen_by_all()

    @rule(instance=ONE, seconds=st.sampled_from([20, 400]))
    def job_starts(self, instance, seconds):
        if instance in self.bench.nodes:
            self.bench.outside.start_job(instance, seconds=seconds)

    @rule(instance=ONE)
    def stopped_outside(self, instance):
        if self._settled(instance) and self.bench.nodes[instance].status == "running":
            self.bench.outside.stop(instance)
            self._seen_by_all()

    @rule(instance=ONE, queue=st.sampled_from(["workq", "gpu"]))
    def moved_outside(self, instance, queue):
        if self._settled(instance):
            self.bench.outside.move(instance, queue)
            self._seen_by_all()

    def _seen_by_all(self):
        """Lists catch up: what somebody does within the lag of the lists, nobody can see."""
        look = ("ListNodes", "2018-04-12", {"ClusterId": CLUSTER})
        faults, self.bench.emulator.faults = self.bench.emulator.faults, Faults()
        self.bench.emulator.call(*look)
        self.bench.emulator.advance(GRACE)
        self.bench.emulator.call(*look)
        self.bench.emulator.faults = faults

    def _settled(self, instance):
        node = self.bench.nodes.get(instance)
        return node is not None and node.status in ("running", "stopped", "exception")

    # -- the promises ---------------------------------------------------------------------------

    @invariant()
    def nothing_is_wiped_twice_released_or_touched(self):
        harm = self.bench.harm
        assert harm.double_attach == [], "P1"
        assert harm.releases == [], "P2"
        assert harm.touched == [], "P2"

    def teardown(self):
        if not hasattr(self, "bench"):
            return
        bench = self.bench
        note("in process", bench.journal.entries, kills=self.kills)
        self.nothing_is_wiped_twice_released_or_touched()
        bench.emulator.faults.clear()
        bench.kill_in = None
        bench.clock.events.clear()
        bench.emulator.advance(3600)
        self._seen_by_all()
        for _ in range(5):  # tasks that end by looks end, and so does what they have started
            bench.emulator.call("ListTasks", "2018-04-12", {"ClusterId": CLUSTER})
            bench.emulator.call("ListNodes", "2018-04-12", {"ClusterId": CLUSTER})
            bench.emulator.advance(60)
        self._people_repair_what_failed()
        self._seen_by_all()
        if self.saved and self.incomplete:
            self.saved = bench.operations().refresh(self.saved)
        options = {**self._options("workq"), "take_ownership": True}
        state = bench.up(1, 2, 3, before=self.saved, **options)
        self.nothing_is_wiped_twice_released_or_touched()
        self._state_is_the_cluster_and_the_program(state, {iid(n) for n in (1, 2, 3)})

    def _people_repair_what_failed(self):
        """As the errors ask: repair nodes in exception, stop instances that no task attaches any more."""
        for node in self.bench.nodes.values():
            if node.status == "exception":
                node.status = "running"
        saved = self.saved.nodes if self.saved else {}
        pending = {i for i, node in saved.items() if node.status == ATTACHING}
        for instance in self.bench.world.instances.values():
            doubtful = "ehpc-nodes-ref" in instance.tags or instance.id in pending
            if doubtful and instance.id not in self.bench.nodes:
                self.bench.outside.stop(instance.id)
                if instance.tags.get("ehpc-nodes") == RIVAL:
                    instance.tags.clear()

    def _state_is_the_cluster_and_the_program(self, state, wanted):
        bench = self.bench
        assert set(state.instance_ids) == set(state.nodes) == wanted
        assert wanted <= bench.nodes.keys()
        left = bench.nodes.keys() - wanted - self.by_others - bench.orphans - self._of_rival()
        assert not left, f"attached by this resource and in no state: {left}"
        assert {n.queue for n in state.nodes.values()} == {"workq"}
        assert state.failed == {}
        news = bench.inputs(1, 2, 3, **self._options("workq")).model_dump()
        news["instance_ids"] = dict.fromkeys(news["instance_ids"], "")
        assert not needs_update(state.model_dump(), news)
