"""`EmulatedCloud`: what a test steers and asks, without an engine."""

import json

import pytest

from ehpc_nodes.emulator import WorldError
from ehpc_nodes.testing import EmulatedCloud, ids, small_world

ATTACH = {"ClusterId": "ehpc-hz-test", "ImageId": "centos_7_06.vhd", "ImageOwnerAlias": "system"}


def attach(ehpc, *numbers):
    named = {f"Instance.{n}.Id": instance for n, instance in enumerate(ids(*numbers), 1)}
    return ehpc.emulator.call("AddExistedNodes", "2018-04-12", {**ATTACH, **named})


def test_the_small_world(ehpc):
    assert ehpc.free == ids(1, 2, 3, 4, 5, 6)
    assert ehpc.nodes == {}
    assert ehpc.cluster_id == "ehpc-hz-test"
    assert list(ehpc.world.clusters[ehpc.cluster_id].queues) == ["workq", "gpu"]
    assert {ehpc.world.instances[i].status for i in ehpc.free} == {"Stopped"}


def test_what_was_done(ehpc):
    attach(ehpc, 2, 1)
    assert ehpc.calls() == ehpc.writes() == ["AddExistedNodes"]
    assert ehpc.calls("DeleteNodes") == []
    assert ehpc.named("AddExistedNodes") == [ids(1, 2)]
    assert sorted(ehpc.nodes) == ids(1, 2)
    assert ehpc.free == ids(3, 4, 5, 6)
    assert ehpc.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)
    ehpc.forget()
    assert ehpc.calls() == []


def test_tasks_are_held_until_told(ehpc):
    ehpc.hold()
    attach(ehpc, 1)
    assert ehpc.nodes[ids(1)[0]].status == "uninit"
    ehpc.release()
    assert ehpc.nodes[ids(1)[0]].status == "running"
    attach(ehpc, 2)
    assert ehpc.nodes[ids(2)[0]].status == "running"


def test_a_fault_fires_and_is_counted(ehpc):
    rule = ehpc.fault("throttle", "AddExistedNodes")
    assert attach(ehpc, 1).status == 400
    assert (rule.fired, ehpc.faults.rules) == (1, [rule])
    assert ehpc.nodes == {}
    with pytest.raises(WorldError, match=r"a fault needs a kind of .*throttle"):
        ehpc.fault("thunder")


def test_other_worlds(ehpc, tmp_path):
    world = small_world(3, attached=[3], queues=["a"])
    ehpc.load(world)
    assert ({n.queue for n in ehpc.nodes.values()}, ehpc.free) == ({"a"}, ids(1, 2))
    ehpc.load(world.to_dict())
    assert list(ehpc.nodes) == ids(3)
    (tmp_path / "world.json").write_text(json.dumps(small_world(1).to_dict()))
    ehpc.load(tmp_path / "world.json")
    assert ehpc.free == ids(1)
    with pytest.raises(WorldError, match="clusters"):
        ehpc.load({"clusters": 3})


def test_it_ends_with_its_block():
    with EmulatedCloud() as cloud:
        url = cloud.url
    assert url.startswith("http://127.0.0.1:")
    with pytest.raises(RuntimeError, match="is not running"):
        _ = cloud.url
