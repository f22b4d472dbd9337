"""When an instance is settled; how often a watch looks, and at what."""

import math
from collections import Counter

import pytest

from ehpc_nodes.api.cache import Looks
from ehpc_nodes.api.responses import Task
from ehpc_nodes.clock import Deadline
from ehpc_nodes.errors import EhpcError, WaitTimeoutError
from ehpc_nodes.reconcile.operations import IncompleteError
from ehpc_nodes.watching import Watch, steps_left
from unit.emulated import CLUSTER, IMAGE, Bench, ids, iid


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
    bench.emulator.world.instances[iid(1)].private_ip = ""
    assert bench.up(1).nodes[iid(1)].private_ip == ""
    assert bench.calls("ListNodes", "ListNodesNoPaging") == ["ListNodes"] * 2


def test_an_address_that_ecs_told_is_not_forgotten_for_a_list_without_one():
    bench = Bench(attached=(1,), queues=("workq",))
    assert bench.up(1).nodes[iid(1)].private_ip == "10.0.0.1"
    assert bench.calls("ListNodes", "ListNodesNoPaging") == ["ListNodes", "ListNodesNoPaging"]


def test_after_a_failure_the_nodes_are_looked_at_anew_whatever_others_have_seen():
    bench = Bench(queues=("workq",))
    bench.fault("slow", "AddExistedNodes", seconds=1)
    bench.fault("error", "AddExistedNodes", status=400, code="InvalidParams")
    lifecycle = bench.operations()
    lifecycle.looks.at(("nodes", CLUSTER), dict, bench.clock.now, since=math.inf)
    with pytest.raises(EhpcError, match="InvalidParams"):
        lifecycle.converge(bench.inputs(1))
    assert watched(bench)["ListNodesNoPaging"] == 2  # for the state, and for the marks


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
        bench.operations(200).converge(bench.inputs(1))
    assert max(bench.clock.slept) <= 15 * 1.1


# -- when an instance is settled ----------------------------------------------------------------


def send(bench, *numbers):
    """Send them past any watch; the operation that did."""
    operation = bench.operation()
    accepted = operation.cloud.add_existed_nodes(
        CLUSTER, ids(*numbers), image=(IMAGE, "system"), queue=""
    )
    operation.record("AddExistedNodes", ids(*numbers), accepted, "Processing")
    operation.sent.update(ids(*numbers))
    bench.emulator.journal.entries.clear()
    return operation


def watch(operation, *numbers):
    """Until these are settled; the seconds that took."""
    began = operation.deadline.clock.now()
    Watch(operation).until_settled(set(ids(*numbers)))
    return operation.deadline.clock.now() - began


def test_nothing_to_wait_for_is_no_call():
    bench = Bench()
    Watch(bench.operation()).until_settled(set())
    assert (bench.calls(), bench.said.statuses) == ([], [])


def test_it_waits_for_nodes_and_not_only_for_the_task():
    bench = Bench(pace={"seconds": 200})
    state = bench.up(1, 2)
    assert {n.status for n in state.nodes.values()} == {"running"}
    assert 200 <= sum(bench.clock.slept) <= 225
    assert any("0/2 nodes done" in text for text in bench.said.statuses)


def test_a_running_node_whose_task_is_over_is_settled_at_the_first_look():
    bench = Bench()
    operation = send(bench, 1, 2)
    assert watch(operation, 1, 2) == 0
    assert bench.calls() == ["ListTasks", "ListTasks", "ListNodesNoPaging"]
    assert (operation.sent, operation.failed) == (set(), {})
    assert operation.records[0].status == "Success"


def test_a_node_that_somebody_else_attached_is_settled_without_a_task():
    assert watch(Bench(attached=(1,)).operation(), 1) == 0


@pytest.mark.parametrize("status", ["running", "stopped"])
def test_a_node_whose_task_never_ends_has_to_hold_its_status_for_the_grace_period(status):
    bench = Bench(pace="never")
    operation = send(bench, 1)
    bench.clock.at(40, lambda: bench.emulator.outside.set_node_status(iid(1), status))
    assert 40 + bench.grace <= watch(operation, 1) <= 40 + 3 * bench.grace
    assert (operation.sent, operation.failed) == (set(), {})


def test_a_status_that_changes_begins_the_grace_period_anew():
    bench = Bench(pace="never", task_listed=False)
    operation = send(bench, 1)
    for moment, word in ((0, "running"), (20, "initing"), (40, "running")):
        bench.clock.at(
            moment, lambda word=word: bench.emulator.outside.set_node_status(iid(1), word)
        )
    assert watch(operation, 1) >= 40 + bench.grace


def failed(operation, n=1):
    failure = operation.failed[iid(n)]
    return failure.code, failure.reason


def test_a_failed_node_whose_task_is_over_has_failed_at_once():
    bench = Bench()
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1), errors="disk broken")
    operation = send(bench, 1, 2)
    assert watch(operation, 1, 2) == 0
    (record,) = operation.records
    assert failed(operation) == (
        "PartialFail",
        f"node status exception; task {record.task_id} PartialFail: {record.error}",
    )
    assert "disk broken" in record.error
    assert list(operation.failed) == ids(1)
    assert operation.sent == set()  # its fate is known


def test_a_failed_node_without_a_task_has_failed_after_the_grace_period():
    bench = Bench(task_listed=False)
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1))
    operation = send(bench, 1)
    assert bench.grace <= watch(operation, 1) < bench.grace + 15
    assert failed(operation) == ("exception", "node status exception")


def test_an_instance_that_is_no_node_after_its_task_has_failed_and_may_be_sent_anew():
    bench = Bench()
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1), status="absent")
    operation = send(bench, 1)
    assert bench.grace <= watch(operation, 1) < bench.grace + 15
    (record,) = operation.records
    assert failed(operation) == (
        "Failed",
        f"not among the cluster's nodes; task {record.task_id} Failed: {record.error}",
    )
    assert operation.sent == set()


def test_an_unknown_status_word_is_waited_out_and_then_told():
    bench = Bench()
    operation = send(bench, 1, 2)
    bench.emulator.outside.set_node_status(iid(1), "migrating")
    assert bench.grace <= watch(operation, 1, 2) < bench.grace + 15
    (record,) = operation.records
    assert failed(operation) == (
        "Success",
        f"node status migrating; task {record.task_id} Success: step 8 of 8",
    )
    assert operation.sent == {iid(1)}


def test_an_unknown_status_word_that_passes_is_no_failure():
    bench = Bench()
    operation = send(bench, 1)
    bench.emulator.outside.set_node_status(iid(1), "migrating")
    bench.clock.at(20, lambda: bench.emulator.outside.set_node_status(iid(1), "Running"))
    assert 20 <= watch(operation, 1) < bench.grace
    assert operation.failed == {}


def test_an_unknown_word_of_a_task_counts_as_running():
    bench = Bench()
    operation = send(bench, 1)
    bench.fault("unknown_status", "ListTasks", word="migrating", times=3)
    assert 0 < watch(operation, 1) < 10
    assert operation.records[0].status == "Success"


# -- when time is up ----------------------------------------------------------------------------


def until_time_is_up(bench, operation, *numbers, seconds=100.0):
    operation.deadline = Deadline.after(bench.clock, seconds)
    with pytest.raises(WaitTimeoutError) as told:
        watch(operation, *numbers)
    return str(told.value)


def test_a_timeout_names_instances_with_their_status_and_the_tasks():
    bench = Bench(pace="never")
    operation = send(bench, 1, 2, 3, 4, 5)
    assert until_time_is_up(bench, operation, 1, 2, 3, 4, 5) == (
        f"Timed out after 100 s: waiting for {iid(1)} (uninit), {iid(2)} (uninit), {iid(3)} (uninit) and 2 more;"
        f" task {operation.records[0].task_id} step 1 of 8. The work goes on in E-HPC; pulumi up will go on"
        " from there (more time: customTimeouts)."
    )
    assert operation.sent == set(ids(1, 2, 3, 4, 5))


def test_a_timeout_before_any_look_at_the_nodes_names_the_instances_alone():
    bench = Bench(pace="never", grace=300.0)
    operation = send(bench, 1)
    assert f"waiting for {iid(1)}; task " in until_time_is_up(bench, operation, 1)


def test_a_timeout_with_no_sign_of_the_instance_says_what_can_be_done():
    bench = Bench(pace="never", task_listed=False, nodes_listed="at_end")
    operation = send(bench, 1)
    operation.records[0].task_id = ""  # its answer was lost
    told = until_time_is_up(bench, operation, 1)
    assert (
        f"waiting for {iid(1)} (not listed); where the console shows no task for it, stop the instance:"
        " an up then sends it anew. The work"
    ) in told


def test_while_a_task_is_known_an_instance_that_is_not_listed_needs_no_advice():
    bench = Bench(pace="never", nodes_listed="at_end")
    operation = send(bench, 1)
    told = until_time_is_up(bench, operation, 1)
    task = operation.records[0].task_id
    assert f"waiting for {iid(1)} (not listed); task {task} step 1 of 8. The work" in told


def test_a_task_that_is_over_is_not_named():
    bench = Bench(grace=300.0)
    operation = send(bench, 1)
    bench.emulator.outside.set_node_status(iid(1), "migrating")
    told = until_time_is_up(bench, operation, 1)
    assert f"waiting for {iid(1)} (migrating). The work" in told


def test_a_task_that_nobody_knows_is_named_without_steps():
    bench = Bench(pace="never", task_listed=False)
    operation = send(bench, 1)
    told = until_time_is_up(bench, operation, 1)
    assert f"{iid(1)} (uninit); task {operation.records[0].task_id}. The work" in told


def test_an_outage_is_said_and_waited_out():
    bench = Bench(pace={"seconds": 5})
    operation = send(bench, 1)
    bench.fault("error", "ListTasks", code="ServiceUnavailable", times=None)
    bench.clock.at(200, bench.emulator.faults.clear)
    assert watch(operation, 1) >= 200
    assert any(
        text.startswith("waiting; the last look failed: ListTasks: ServiceUnavailable: ")
        for text in bench.said.statuses
    )


def test_an_outage_until_the_deadline_is_what_the_timeout_tells():
    bench = Bench(pace="never")
    operation = send(bench, 1)
    bench.fault("error", "ListTasks", code="ServiceUnavailable", times=None)
    told = until_time_is_up(bench, operation, 1, seconds=300.0)
    assert told.startswith("Timed out after 3")
    assert "s: ListTasks: ServiceUnavailable: " in told


# -- shared looks -------------------------------------------------------------------------------


def test_watches_of_one_process_share_their_looks():
    bench, looks = Bench(attached=(1, 2)), Looks()
    one, other = Watch(bench.operation(looks=looks)), Watch(bench.operation(looks=looks))
    one.until_settled(set(ids(1)))
    other.until_settled(set(ids(2)))
    assert bench.calls() == ["ListTasks", "ListNodesNoPaging"]


def test_a_look_from_before_the_watch_shows_nothing_of_what_was_sent():
    bench, looks = Bench(attached=(1, 2)), Looks()
    Watch(bench.operation(looks=looks)).until_settled(set(ids(1)))
    bench.clock.advance(0.1)
    Watch(bench.operation(looks=looks)).until_settled(set(ids(2)))
    assert bench.calls() == ["ListTasks", "ListNodesNoPaging"] * 2
