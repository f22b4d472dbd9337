"""How often a watch looks, and at what."""

import math
from collections import Counter

import pytest

from ehpc_nodes.errors import EhpcError
from ehpc_nodes.lifecycle import IncompleteError
from ehpc_nodes.watching import steps_left
from ehpc_nodes.wire import Task
from unit.emulated import CLUSTER, Bench, ids


def watched(bench):
    """The calls after the first write."""
    calls = bench.calls()
    return Counter(calls[calls.index("AddExistedNodes") :])


def test_while_a_task_runs_just_the_tasks_are_looked_at():
    bench = Bench(pace={"seconds": 25}, queues=("workq",))
    bench.up(1, 2)
    assert watched(bench)["ListNodesNoPaging"] == 1
    assert watched(bench)["ListTasks"] <= 12


def test_of_a_task_that_never_ends_the_nodes_are_looked_at_once_in_the_grace_period():
    bench = Bench(pace="never", queues=("workq",))
    with pytest.raises(IncompleteError, match="step 1 of 8"):
        bench.up(1, seconds=300)
    assert 300 / (30 + 15) - 1 <= watched(bench)["ListNodesNoPaging"] <= 300 / 30 + 1


def test_a_task_that_nobody_lists_lets_the_nodes_be_looked_at_each_time():
    bench = Bench(pace={"seconds": 20}, queues=("workq",), task_listed=False)
    bench.up(1)
    assert watched(bench)["ListNodesNoPaging"] >= 10


def test_the_state_is_of_the_watchs_last_look_and_has_the_addresses():
    bench = Bench(pace={"seconds": 5}, queues=("workq", "gpu"))
    state = bench.up(1, 2)
    assert [node.private_ip for node in state.nodes.values()] == ["10.0.0.1", "10.0.0.2"]
    assert {node.status for node in state.nodes.values()} == {"running"}
    assert bench.calls().count("ListNodes") == 1  # before the write


def test_nodes_whose_addresses_nobody_has_told_are_listed_with_them():
    bench = Bench(attached=(1,), queues=("workq",))  # the world gives this node none
    assert bench.up(1).nodes[ids(1)[0]].private_ip == ""
    assert bench.calls("ListNodes", "ListNodesNoPaging") == ["ListNodes"] * 2


def test_after_a_failure_the_nodes_are_looked_at_anew_whatever_others_have_seen():
    bench = Bench(queues=("workq",))
    bench.fault("slow", "AddExistedNodes", seconds=1)
    bench.fault("error", "AddExistedNodes", status=400, code="InvalidParams")
    lifecycle = bench.lifecycle()
    lifecycle.looks.at(("nodes", CLUSTER), dict, bench.clock.now, since=math.inf)
    with pytest.raises(EhpcError, match="InvalidParams"):
        lifecycle.converge(bench.inputs(1))
    assert watched(bench)["ListNodesNoPaging"] == 1


def test_nodes_in_the_only_queue_are_not_looked_for_in_it():
    bench = Bench(queues=("workq",))
    assert {node.queue for node in bench.up(1, 2).nodes.values()} == {"workq"}
    assert bench.calls("ListNodesByQueue") == []


@pytest.mark.parametrize(
    ("step", "total", "status", "left"),
    [
        (0, 8, "Processing", 7.0),  # the first of 8 is not over: seven times as long to come
        (3, 8, "Processing", 1.0),
        (7, 8, "Processing", 0.0),
        (8, 8, "Processing", 0.0),
        (9, 8, "Processing", 0.0),
        (0, 0, "Processing", 0.0),
        (-1, 8, "Processing", 0.0),
        (3, 8, "Success", 0.0),
    ],
)
def test_even_steps_tell_how_long_it_takes_at_least(step, total, status, left):
    task = Task(task_id="t", status=status, current_step=step, total_steps=total)
    assert steps_left(task) == pytest.approx(left)


def test_no_task_tells_nothing():
    assert steps_left(None) == 0.0


def test_steps_that_stand_still_at_first_do_not_delay_the_next_look_beyond_the_longest_pause():
    bench = Bench(pace="never", queues=("workq",))
    with pytest.raises(IncompleteError):
        bench.lifecycle(200).converge(bench.inputs(1))
    assert max(bench.clock.slept) <= 15 * 1.1
