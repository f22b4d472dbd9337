"""The lifecycle in process, on the emulator: what each operation does to the cluster, call by call."""

import pytest

from ehpc_nodes.api.cache import ReadCache
from ehpc_nodes.errors import EhpcError, RefusedError, WaitTimeoutError
from ehpc_nodes.reconcile.operations import IncompleteError
from ehpc_nodes.reconcile.ports import NoOtherResources
from unit.emulated import CLUSTER, IMAGE, OWNER, Bench, ids, iid, right_after


def test_create_attaches_all_in_one_call_and_knows_its_task():
    bench = Bench()
    state = bench.up(1, 2, 3)
    assert bench.writes() == ["AddExistedNodes"]
    assert sorted(bench.nodes) == state.instance_ids == ids(1, 2, 3)
    (sent,) = [e for e in bench.journal.entries if e.action == "AddExistedNodes"]
    assert (state.task_id, state.request_id) == (sent.task_id, sent.request_id)
    assert state.nodes[ids(1)[0]].model_dump() == {
        "confirmed_at": int(bench.clock.now()),
        "host_name": "compute1",
        "private_ip": "10.0.0.1",
        "status": "running",
        "queue": "workq",
        "image_id": IMAGE,
        "instance_type": "ecs.c5.large",
        "scheduler_state": "active",
    }
    assert [t.status for t in state.tasks] == ["Success"]
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)
    assert bench.owners == dict.fromkeys(ids(1, 2, 3), OWNER)


def test_update_attaches_and_detaches_just_the_difference():
    bench = Bench()
    before = bench.up(1, 2, 3)
    bench.journal.entries.clear()
    state = bench.up(2, 3, 4, before=before)
    assert bench.writes() == ["AddExistedNodes", "DeleteNodes"]
    assert sorted(bench.nodes) == state.instance_ids == ids(2, 3, 4)
    assert bench.harm.releases == []
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3, 4), 1)
    assert bench.owners == dict.fromkeys(ids(2, 3, 4), OWNER)


def test_the_deadline_keeps_what_is_pending_in_the_state_and_the_next_up_joins():
    bench = Bench(pace={"seconds": 500})
    words = rf"Timed out after 100 s: waiting for {iid(1)}, {iid(2)}; task "
    caught = bench.fails(IncompleteError, 1, 2, match=words, seconds=100.0)
    assert caught.state.instance_ids == ids(1, 2)
    assert isinstance(caught.__cause__, WaitTimeoutError)
    state = bench.up(1, 2, before=caught.state)
    assert bench.writes() == ["AddExistedNodes"]
    assert {n.status for n in state.nodes.values()} == {"running"}


def test_a_failed_node_is_told_and_the_others_stay():
    bench = Bench()
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(2), errors='["disk broken"]')
    caught = bench.fails(IncompleteError, 1, 2, 3, match=r"exception; task .*repair it")
    state = caught.state
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2, 3)
    assert list(state.failed) == ids(2)
    assert state.failed[ids(2)[0]].code == "PartialFail"
    (reason,) = caught.reasons
    assert reason.startswith("compute2 (")
    assert "disk broken" in reason


def test_a_failed_node_that_vanished_can_be_retried():
    bench = Bench()
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(2), status="absent")
    caught = bench.fails(IncompleteError, 1, 2)
    assert caught.state.instance_ids == ids(1)
    assert bench.owners == dict.fromkeys(ids(1), OWNER)
    bench.instance(2).status = "Stopped"
    state = bench.up(1, 2, before=caught.state)
    assert state.instance_ids == ids(1, 2)
    assert state.failed == {}
    assert bench.harm.disk_replacements == {ids(1)[0]: 1, ids(2)[0]: 2}


def test_remove_of_what_is_gone_is_success():
    bench = Bench()
    state = bench.up(1)
    bench.world.remove_node(ids(1)[0])
    bench.operations().destroy(state)
    del bench.world.clusters[CLUSTER]
    bench.operations().destroy(state)
    assert bench.writes() == ["AddExistedNodes"]


def test_busy_nodes_are_not_detached_without_consent():
    bench = Bench()
    state = bench.up(1, 2)
    bench.nodes[ids(1)[0]].used.cpu = 2
    with pytest.raises(RefusedError, match=r"compute1 \(i-bp1test0001\) runs jobs \(used: 2 CPU\)"):
        bench.operations().destroy(state)
    bench.fails(RefusedError, 2, match='set busy_nodes="wait"', before=state)
    assert len(bench.nodes) == 2
    bench.operations().destroy(state.model_copy(update={"busy_nodes": "detach"}))
    assert bench.nodes == {}


@pytest.mark.parametrize("busy_nodes", ["refuse", "detach"])
def test_jobs_that_come_while_others_are_being_attached_are_not_killed(busy_nodes):
    bench = Bench(pace={"seconds": 300})
    saved = bench.up(1, 2)
    with right_after(bench, "AddExistedNodes", lambda: bench.outside.use(ids(2)[0], 4)):
        if busy_nodes == "detach":
            bench.up(1, 3, before=saved, busy_nodes="detach")
            assert sorted(bench.nodes) == ids(1, 3)
            return
        words = "not detached: by now it runs jobs"
        told = bench.fails(IncompleteError, 1, 3, match=words, before=saved)
    assert told.state.instance_ids == sorted(bench.nodes) == ids(1, 2, 3)


def test_an_instance_that_was_released_keeps_no_tags_on_the_others():
    bench = Bench()
    saved = bench.up(1, 2)
    bench.outside.remove_instance(ids(2)[0])
    bench.operations().destroy(saved)
    assert bench.nodes == {} == bench.owners


def test_nodes_with_this_resources_name_that_it_never_held_are_told_and_left_alone():
    """As those of a colleague whose project, stack and resource have the same names, elsewhere."""
    bench = Bench()
    bench.up(1, 2)
    mine = bench.up(3)
    assert sorted(bench.nodes) == ids(1, 2, 3)
    mine = bench.up(3, 4, before=mine)
    assert bench.operations().refresh(mine).instance_ids == ids(3, 4)
    bench.operations().destroy(mine)
    assert sorted(bench.nodes) == ids(1, 2)
    planned = bench.preview(4, 5, before=mine)
    assert planned.changes.detach == ()
    told = [f.reason for f in planned.findings if f.warning]
    assert any(
        f"compute1 ({ids(1)[0]}) has this resource's owner tag with another uid" in t for t in told
    )


def test_a_wanted_node_that_is_just_being_detached_is_attached_after():
    bench = Bench(pace={"seconds": 100})
    state = bench.up(1, 2)
    bench.emulator.call(
        "DeleteNodes",
        "2018-04-12",
        {"ClusterId": CLUSTER, "Instance.1.Id": ids(1)[0], "ReleaseInstance": "false"},
    )
    after = bench.up(1, 2, before=state, stop_running=True)
    assert after.instance_ids == ids(1, 2)
    assert bench.writes() == ["AddExistedNodes", "DeleteNodes", "StopInstances", "AddExistedNodes"]


@pytest.mark.parametrize("code", ["InvalidParams", "ClusterNotFound"])
def test_queues_that_are_refused_after_an_attach_lose_no_state(code):
    bench = Bench()
    bench.fault("error", "ListQueues", status=400, code=code, message="No.", times=None)
    state = bench.up(1, 2)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert state.task_id
    assert bench.said.warnings[0].startswith(
        f"The nodes' queues were not read: ListQueues: {code}: "
    )


def test_tags_that_cannot_be_taken_away_after_a_failed_attach_lose_no_state():
    bench = Bench()
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(2), status="absent")
    bench.fault("reset_before", "UntagResources", times=None)
    caught = bench.fails(IncompleteError, 1, 2)
    assert caught.state.instance_ids == sorted(bench.nodes) == ids(1)


@pytest.mark.parametrize("at", ["the start", "the end"])
def test_what_another_resource_of_the_run_lists_is_not_detached_by_this_one(at):
    """Its registration may reach the engine late."""
    bench = Bench(3)
    saved = bench.up(1, 2)
    asked: list[int] = []

    class Others(NoOtherResources):
        def listed(self):
            asked.append(1)
            return ids(2) if len(asked) > (0 if at == "the start" else 2) else ()

    with pytest.raises(
        EhpcError, match=f"{iid(2)}.* another resource of the program lists it"
    ) as told:
        bench.operations(others=Others()).converge(bench.inputs(1, 3), saved)
    late = at == "the end"
    assert sorted(bench.nodes) == ids(1, 2, *([3] if late else []))
    assert late == isinstance(told.value, IncompleteError)
    if isinstance(told.value, IncompleteError):
        assert told.value.state.instance_ids == ids(1, 2, 3)
        assert told.value.state.failed.keys() == {iid(2)}


def test_a_create_right_after_the_destroy_of_a_replacement_attaches_in_the_same_process():
    """It shares the reads of the destroy, but none from before its writes."""
    bench = Bench(3)
    state = bench.up(1, 2)
    reads = ReadCache()
    bench.operations(reads=reads).destroy(state)
    bench.uid = "another"
    after = bench.operations(reads=reads).converge(bench.inputs(1, 2, stop_running=True))
    assert after.instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert bench.harm.disk_replacements == dict.fromkeys(ids(1, 2), 2)
