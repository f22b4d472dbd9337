"""Refresh, read and wait: what the state says, when an absence counts, and how little is read meanwhile."""

import pytest

from ehpc_nodes.errors import ClusterNotFoundError, EhpcError
from ehpc_nodes.models import State
from unit.emulated import CLUSTER, Bench, ids, iid, lacking

FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": None}


def age(bench):
    """Until the state's nodes have been settled for long."""
    bench.emulator.advance(3600)
    bench.journal.entries.clear()


# -- refresh -------------------------------------------------------------------------------------


def test_a_refresh_says_what_the_cluster_says():
    bench = Bench(4)
    state = bench.up(1, 2, job_queue="workq")
    age(bench)
    bench.outside.move(iid(1), "gpu")
    bench.outside.set_node_status(iid(2), "exception")
    bench.outside.attach(iid(3), CLUSTER)
    seen = bench.operations().refresh(state)
    assert {i: (n.status, n.queue) for i, n in seen.nodes.items()} == {
        iid(1): ("running", "gpu"),
        iid(2): ("exception", "workq"),
    }
    assert list(seen.failed) == ids(2)
    assert (seen.task_id, seen.generation, seen.owner) == (
        state.task_id,
        state.generation,
        state.owner,
    )
    assert bench.writes() == []


def test_what_was_detached_by_hand_leaves_the_state_within_seconds_and_a_preview_warns_of_it():
    bench = Bench(3)
    state = bench.up(1, 2)
    age(bench)
    bench.outside.detach(iid(1))
    began = bench.clock.now()
    refreshed = bench.operations().refresh(state)
    assert refreshed.instance_ids == ids(2)
    assert bench.clock.now() - began <= 7
    for before in (state, refreshed):
        began = bench.clock.now()
        preview = bench.preview(1, 2, before=before, stop_running=True)
        assert preview.changes.attach == (iid(1),)
        assert bench.clock.now() - began <= 7
        (warning,) = preview.findings
        assert warning.warning
        assert warning.reason.startswith(
            f"compute1 ({iid(1)}) was a node of this resource and is no longer in the cluster: it is attached again"
        )


def test_a_resource_whose_nodes_are_all_gone_stays_and_its_next_up_waits_for_nothing():
    """Its uid stays with it: under a new one, the tags would be those of a create that was killed."""
    bench = Bench(3, detached_instance_status="Running")
    state = bench.up(1, 2)
    age(bench)
    bench.outside.detach(iid(1))
    bench.outside.detach(iid(2))
    state = bench.operations().refresh(state)
    assert (state.instance_ids, state.nodes) == ([], {})
    began = bench.clock.now()
    state = bench.up(1, 2, before=state, stop_running=True)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert bench.clock.now() - began < 3 * bench.grace
    bench.outside.detach(iid(1))
    bench.outside.detach(iid(2))
    bench.operations().destroy(bench.operations().refresh(state))
    assert bench.owners == {}


def test_of_nodes_that_are_gone_a_refresh_says_that_scale_in_may_have_removed_them():
    bench = Bench(4)
    state = bench.up(1, 2, 3, job_queue="gpu")
    bench.world.clusters[CLUSTER].queues["gpu"].auto_shrink = True
    bench.world.clusters[CLUSTER].auto_scale.exclude_nodes = ids(2, 3)
    age(bench)
    bench.outside.detach(iid(2))
    assert bench.operations().refresh(state).instance_ids == ids(3)
    (told,) = [text for text in bench.said.infos if "scale-in" in text]
    assert told == (
        f"scale-in may have removed compute1 ({iid(1)}): in this queue it takes nodes that are idle for 6 minutes,"
        " unless ExcludeNodes names them"
    )
    assert len(bench.calls("GetAutoScaleConfig")) == 1


@pytest.mark.parametrize("forbidden", [False, True])
def test_a_refresh_reads_nothing_of_scale_in_where_no_node_is_gone_and_needs_no_permission(
    forbidden,
):
    bench = Bench(4)
    state = bench.up(1, 2)
    age(bench)
    if forbidden:
        bench.fault("error", "GetAutoScaleConfig", **FORBIDDEN)
        bench.outside.detach(iid(1))
    assert bench.operations().refresh(state).instance_ids == (ids(2) if forbidden else ids(1, 2))
    assert len(bench.calls("GetAutoScaleConfig")) == forbidden
    assert bench.said.warnings == []


def test_a_list_that_lags_behind_an_attach_is_waited_for():
    """The state does not know the node as settled for longer than the grace period."""
    bench = Bench(3, list_lag={"seconds": 20})
    state = bench.up(1)
    young = {i: n.model_copy(update={"confirmed_at": 0}) for i, n in state.nodes.items()}
    bench.outside.detach(iid(1))
    bench.outside.attach(iid(1), CLUSTER)
    seen = bench.operations().refresh(state.model_copy(update={"nodes": young}))
    assert seen.instance_ids == ids(1)


@pytest.mark.parametrize("ahead", [-900, 900])
def test_a_clock_that_is_off_makes_no_refresh_forget_what_was_just_attached(ahead, monkeypatch):
    """The run before was another machine's, and saw the nodes in a list that lagged less."""
    bench = Bench(3)
    state = bench.up(1, 2)
    wall = bench.clock.wall
    monkeypatch.setattr(bench.clock, "wall", lambda: wall() + ahead)
    lacking(bench, monkeypatch, 20, 1, 2)
    assert bench.operations().refresh(state).instance_ids == ids(1, 2)


def test_a_cluster_that_is_not_there_is_gone_where_its_instances_are_seen():
    bench = Bench(3)
    state = bench.up(1)
    del bench.world.clusters[CLUSTER]
    assert bench.operations().refresh(state) is None
    assert bench.said.infos == [f"the cluster {CLUSTER} is gone, so nothing is attached to it"]
    bench.fault("error", "DescribeInstances", **FORBIDDEN)
    with pytest.raises(EhpcError, match="or belongs to another account"):
        bench.operations().refresh(state)
    bench.emulator.faults.clear()
    bench.world.instances.clear()
    with pytest.raises(
        EhpcError, match=r"were not found with this access key; the state is unchanged"
    ):
        bench.operations().refresh(state)


# -- read ----------------------------------------------------------------------------------------


def test_without_a_name_all_compute_nodes_are_read_with_their_queues():
    bench = Bench(4, attached=(1, 2))
    bench.outside.move(iid(2), "gpu")
    asked = State(**bench.inputs(1).model_dump()).model_copy(update={"instance_ids": []})
    seen = bench.operations().read_nodes(asked)
    assert {i: n.queue for i, n in seen.nodes.items()} == {iid(1): "workq", iid(2): "gpu"}
    named = asked.model_copy(update={"instance_ids": ids(2, 3)})
    assert bench.operations().read_nodes(named).instance_ids == ids(2)
    assert bench.clock.slept == []
    del bench.world.clusters[CLUSTER]
    with pytest.raises(ClusterNotFoundError):
        bench.operations().read_nodes(asked)


# -- while it waits ------------------------------------------------------------------------------


def test_while_a_task_runs_the_nodes_are_read_once_in_the_grace_period():
    bench = Bench(3, pace={"seconds": 600})
    began = bench.clock.now()
    bench.up(1, 2)
    waited = bench.clock.now() - began
    assert 600 <= waited < 630
    assert len(bench.calls("ListNodes")) <= waited / bench.grace + 6
    assert len(bench.calls("DescribeInstances")) <= 6


def test_a_node_is_done_when_it_is_ready_and_not_when_its_task_ends():
    """And one that somebody else attached needs no task."""
    bench = Bench(4, attached=(3,), list_lag={"seconds": 20}, pace={"seconds": 60})
    began = bench.clock.now()
    state = bench.up(1, 3)
    assert {n.status for n in state.nodes.values()} == {"running"}
    assert bench.clock.now() - began < 60 + 20 + bench.grace


def test_a_preview_and_the_up_that_follows_read_little():
    bench = Bench(3)
    bench.preview(1, 2, 3)
    bench.up(1, 2, 3)
    assert len(bench.calls()) <= 29
