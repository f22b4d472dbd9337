"""What a refresh, or a read of somebody else's nodes, takes for the truth."""

import pytest

from ehpc_nodes.errors import ClusterNotFoundError, EhpcError
from ehpc_nodes.models import State
from unit.emulated import CLUSTER, Bench, ids, iid


def test_observe_tells_what_the_cluster_says():
    bench = Bench()
    state = bench.up(1, 2, 3)
    bench.emulator.world.remove_node(ids(1)[0])
    bench.nodes[ids(2)[0]].status = "stopped"
    seen = bench.operations().refresh(state)
    assert seen.instance_ids == ids(2, 3)
    assert seen.nodes[ids(2)[0]].status == "stopped"
    assert (seen.task_id, seen.request_id) == (state.task_id, state.request_id)


def test_observe_says_gone_only_for_what_is_gone():
    bench = Bench()
    state = bench.up(1)
    bench.fault("error", "ListNodes", times=None, code="ServiceUnavailable")
    with pytest.raises(EhpcError, match="ServiceUnavailable"):
        bench.operations().refresh(state)
    bench.emulator.faults.clear()
    bench.emulator.world.remove_node(ids(1)[0])
    assert bench.operations().refresh(state) is None


def test_a_node_that_a_lagging_list_leaves_out_is_waited_for():
    bench = Bench(attached=(1,), list_lag={"seconds": 10})
    bench.operation().see_nodes()
    bench.emulator.outside.attach(iid(2), CLUSTER)
    assert bench.operations().refresh(only_read(1, 2)).instance_ids == ids(1, 2)
    assert sum(bench.clock.slept) >= 10


def only_read(*numbers, cluster_id=CLUSTER):
    return State(cluster_id=cluster_id, region="cn-hangzhou", instance_ids=ids(*numbers))


def test_without_a_name_all_compute_nodes_are_read_and_their_queues():
    bench = Bench(attached=(1, 2))
    seen = bench.operations().read_nodes(only_read())
    assert seen.instance_ids == ids(1, 2)
    assert {node.queue for node in seen.nodes.values()} == {"workq"}
    assert bench.writes() == []


def test_what_is_named_and_is_no_node_is_left_out_without_waiting():
    bench = Bench(attached=(1, 2))
    seen = bench.operations().read_nodes(only_read(2, 3))
    assert seen.instance_ids == ids(2)
    assert bench.clock.slept == []


def test_a_failed_node_is_read_with_its_reason():
    bench = Bench(attached=(1,))
    bench.nodes[iid(1)].status = "exception"
    assert bench.operations().read_nodes(only_read()).failed.keys() == {iid(1)}


def test_a_cluster_that_is_not_there_is_an_error_to_read_and_gone_to_refresh():
    bench = Bench()
    nowhere = only_read(1, cluster_id="ehpc-hz-nowhere")
    with pytest.raises(ClusterNotFoundError):
        bench.operations().read_nodes(nowhere)
    assert bench.operations().refresh(nowhere) is None
    assert bench.said.infos == ["the cluster ehpc-hz-nowhere is gone, so nothing is attached to it"]


def test_a_cluster_that_is_not_there_like_its_instances_may_be_of_another_account():
    bench = Bench()
    bench.emulator.world.clusters.clear()
    assert bench.operations().refresh(only_read(1, 99)) is None
    with pytest.raises(EhpcError, match=r"Neither .* nor any of its instances \(i-bp1test0099\)"):
        bench.operations().refresh(only_read(99))
    bench.fault("error", "DescribeInstances", times=None, code="Forbidden.RAM", status=403)
    with pytest.raises(EhpcError, match=r"can't be told\. DescribeInstances: Forbidden\.RAM"):
        bench.operations().refresh(only_read(1))
    bench.emulator.faults.clear()
    bench.fault("error", "DescribeInstances", times=None, code="InvalidAccessKeyId.NotFound")
    with pytest.raises(EhpcError, match=r"^DescribeInstances: InvalidAccessKeyId"):
        bench.operations().refresh(only_read(1))
