"""What broke earlier cores, item by item: each has a test that would see it again."""

import math
from dataclasses import fields
from itertools import pairwise

import pytest

from ehpc_nodes.emulator.world import Cluster
from ehpc_nodes.errors import EhpcError
from ehpc_nodes.reconcile.facts import EcsIs, Facts
from ehpc_nodes.reconcile.observer import FRESH, Observer
from ehpc_nodes.reconcile.operations import FindingsError, IncompleteError
from ehpc_nodes.reconcile.owner_tags import REFERENCE_KEY, Reference
from unit import golden
from unit.emulated import CLUSTER, OWNER, VPC, Bench, ids, iid, killed

RIVAL = {"name": "project/stack/rival", "uid": "uid-rival"}


def reference(bench, number):
    return Reference.parse(bench.instance(number).tags[REFERENCE_KEY])


def attached_once(bench, *numbers):
    harm = bench.harm
    assert sorted(bench.nodes) == ids(*numbers)
    assert (harm.double_attach, harm.releases, harm.touched) == ([], [], [])
    assert all(count == 1 for count in harm.disk_replacements.values())


def test_01_a_kill_between_stop_and_tags_does_not_look_like_a_send():
    bench = Bench(2)
    bench.outside.start(iid(1))
    killed(bench, 1, stop_running=True, after="StopInstances")
    assert bench.owners == {}
    bench.up(1, stop_running=True)
    attached_once(bench, 1)


def test_02_anothers_ranks_above_a_node():
    bench = Bench(2)
    state = bench.up(1)
    bench.operations(**RIVAL).converge(bench.inputs(1, take_ownership=True))
    bench.operations().destroy(state)
    attached_once(bench, 1)


def test_03_a_task_that_ends_and_leaves_no_node_is_a_failure():
    bench = Bench(2, pace={"seconds": 40})
    bench.fault("fail_nodes", "AddExistedNodes", status="absent", count=1)
    bench.fails(IncompleteError, 1, match="not among the cluster's nodes")
    assert bench.writes().count("AddExistedNodes") == 1


@pytest.mark.parametrize("lag", [None, {"seconds": 10}, {"seconds": 25}])
def test_03_a_node_that_is_listed_late_is_no_failure(lag):
    bench = Bench(2, pace={"seconds": 40}, nodes_listed="at_end", list_lag=lag)
    bench.up(1)
    attached_once(bench, 1)


def test_04_a_task_that_names_nobody_may_be_the_calls():
    bench = Bench(
        2,
        pace={"seconds": 100},
        nodes_listed="at_end",
        instances_start="at_end",
        task_result_names_instances=False,
    )
    bench.fault("reset_after", "AddExistedNodes")
    bench.up(1)
    attached_once(bench, 1)


def test_05_after_a_conflict_the_next_send_has_a_look_of_its_own():
    bench = Bench(3, pace={"seconds": 200}, one_task_at_a_time=True)
    bench.fault("error", "AddExistedNodes", code="ConflictOpt", status=403, times=3)
    bench.up(1)
    calls = bench.calls()
    sends = [n for n, action in enumerate(calls) if action == "AddExistedNodes"]
    assert len(sends) == 4
    for before, after in pairwise(sends):
        assert {"ListTasks", "ListNodes", "DescribeInstances"} <= {*calls[before + 1 : after]}


def test_06_half_a_list_does_not_make_an_absence():
    bench = Bench(4)
    state = bench.up(1, 2, 3)
    bench.fault("half_page", "ListNodes", times=2)
    bench.fault("half_page", "ListNodesNoPaging", times=None)
    assert bench.operations().refresh(state).instance_ids == ids(1, 2, 3)


@pytest.mark.slow
def test_07_what_only_runs_for_ten_minutes_is_stuck_and_not_free():
    bench = Bench(
        2, pace="never", nodes_listed="at_end", task_listed=False, instances_start="at_acceptance"
    )
    killed(bench, 1, after="AddExistedNodes")
    bench.fails(EhpcError, 1, match="stop the instance", stop_running=True)
    assert bench.writes().count("AddExistedNodes") == 1


def test_08_what_somebody_attached_in_mid_run_is_never_taken_for_ones_own():
    bench = Bench(3, instance_pace={"seconds": 60})
    bench.outside.start(iid(1))
    bench.clock.at(20, lambda: bench.outside.attach(iid(1), CLUSTER))
    with pytest.raises((EhpcError, IncompleteError), match="since this run first read it") as told:
        bench.up(1, stop_running=True)
    state = getattr(told.value, "state", None)
    assert state is None or state.instance_ids == []
    assert "AddExistedNodes" not in bench.calls()
    assert bench.owners == {}


@pytest.mark.parametrize("status", ["Running", "Stopped"])
def test_09_a_kill_after_a_detach_does_not_look_like_an_attach(status):
    bench = Bench(3, detached_instance_status=status)
    state = bench.up(1, 2)
    killed(bench, 2, before=state, after="DeleteNodes")
    bench.clock.sleep(60)
    start = bench.clock.now()
    state = bench.up(2, before=state)
    assert state.instance_ids == ids(2)
    assert bench.clock.now() - start < 120


def test_10_a_kept_node_that_goes_in_mid_run_is_not_attached():
    bench = Bench(3, pace={"seconds": 200})
    state = bench.up(1)
    bench.clock.at(40, lambda: bench.outside.detach(iid(1)))
    bench.up(1, 2, before=state)
    assert bench.harm.disk_replacements[iid(1)] == 1


def test_11_a_look_that_takes_longer_than_it_counts_ends():
    bench = Bench(2)
    bench.fault("slow", "ListNodes", seconds=FRESH + 8, times=None)
    bench.fault("slow", "ListTasks", seconds=FRESH + 8, times=None)
    bench.up(1)
    attached_once(bench, 1)


def test_12_a_broken_node_does_not_keep_others_from_being_detached():
    bench = Bench(3)
    state = bench.up(1, 2)
    bench.nodes[iid(1)].status = "exception"
    bench.fails(IncompleteError, 1, before=state)
    assert sorted(bench.nodes) == ids(1)


def test_13_without_the_permission_to_tag_nothing_is_stopped_or_sent():
    bench = Bench(2)
    bench.outside.start(iid(1))
    bench.fault("error", "TagResources", code="Forbidden.RAM", status=403, times=None)
    bench.fails(EhpcError, 1, match="TagResources", stop_running=True)
    assert {"StopInstances", "AddExistedNodes"}.isdisjoint(bench.calls())


def test_14_what_is_pending_for_another_cluster_is_not_stopped():
    bench = Bench(2)
    world = bench.world
    world.clusters["ehpc-hz-other"] = Cluster("ehpc-hz-other", VPC, "", "CentOS_7.6_64")
    state = bench.up(2)
    instance = world.instances[iid(1)]
    instance.tags.update(
        {
            "ehpc-nodes": OWNER,
            REFERENCE_KEY: str(Reference(bench.uid, "ehpc-hz-other", state.generation + 1, "ab")),
        }
    )
    bench.outside.start(iid(1))
    bench.fails(FindingsError, 1, 2, match="ehpc-hz-other", before=state, stop_running=True)
    assert "StopInstances" not in bench.calls()


def test_15_a_generation_is_raised_only_where_every_pending_instance_is_resolved():
    bench = Bench(3)
    saved = bench.up(3)
    killed(bench, 1, 3, before=saved, after="TagResources")
    bench.fault("error", "DescribeInstances", code="Forbidden.RAM", status=403, times=None)
    assert bench.operations().refresh(saved).generation == saved.generation
    bench.emulator.faults.clear()
    first = bench.operations().refresh(saved)
    assert (first.generation, first.nodes[iid(1)].status) == (saved.generation, "attaching")
    second = bench.operations().refresh(first)
    assert second.generation == reference(bench, 1).generation > saved.generation
    assert second.nodes[iid(1)].status == "attaching"


def test_16_what_was_tagged_and_then_refused_is_untagged():
    bench = Bench(2)
    bench.fault("error", "AddExistedNodes", code="InvalidParams", status=400, times=None)
    bench.fails(EhpcError, 1)
    assert bench.owners == {}


def test_17_times_have_no_defaults_that_make_everything_old():
    defaults = {f.name: f.default for f in fields(Observer)}
    assert defaults["nodes_begun"] == defaults["nodes_ended"] == -math.inf
    assert golden.said_of({"ecs": EcsIs.STOPPED, **golden.PENDING}).split()[1] == ("RESULT_UNKNOWN")


def test_18_facts_are_frozen_and_made_anew():
    with pytest.raises(AttributeError):
        Facts().wanted = False  # type: ignore[misc]  # that is the point


def test_19_an_answer_that_is_cut_off_does_not_make_a_run_forget_an_owner():
    bench = Bench(3)
    bench.operations(**RIVAL).converge(bench.inputs(2))
    bench.instance(1).tags["ehpc-nodes"] = "project/stack/rival"
    bench.fault("half_page", "DescribeInstances", times=None)
    bench.fails(EhpcError, 1, 3)
    assert iid(1) not in bench.nodes


def test_20_what_was_adopted_and_never_sent_is_not_detached_by_a_later_run():
    bench = Bench(3, attached=(1,))
    killed(bench, 1, 2, after="TagResources")
    bench.uid, uid = "", bench.uid
    state = bench.operations(uid=uid).converge(bench.inputs(3))
    assert state.instance_ids == ids(3)
    assert iid(1) in bench.nodes
    assert reference(bench, 1).generation == 0
