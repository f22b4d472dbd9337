"""Right before instances are sent: whose they are, in which cluster, and whether they are as they were."""

import math

import pytest

from ehpc_nodes.marks import IDENTITY_KEY, TAG_KEY
from ehpc_nodes.vacancy import FRESH, Vacancy
from unit.emulated import CLUSTER, OLD_IMAGE, Bench, ids, iid


def vacancy(bench, *numbers, looked=-math.inf, **more):
    """Of these instances, as they are now; and the operation."""
    operation = bench.operation()
    seen = {x.instance_id: x for x in operation.cloud.describe_instances(ids(*numbers))}
    bench.emulator.journal.entries.clear()
    return Vacancy(operation, seen, more.pop("begun", ()), looked, **more), operation


def test_what_nobody_has_is_free():
    it, operation = vacancy(Bench(), 1, 2)
    assert it.free(ids(1, 2)) == ids(1, 2)
    assert operation.failed == {}


def attached(bench):
    bench.emulator.outside.attach(iid(1), CLUSTER)


def marked(bench):
    bench.emulator.world.instances[iid(1)].tags |= {TAG_KEY: "project/other/nodes"}


def started(bench):
    bench.emulator.outside.start(iid(1))


def remade(bench):
    assert bench.emulator.world.instances[iid(1)].image_id == OLD_IMAGE
    bench.emulator.world.instances[iid(1)].image_id = "m-bp1other"


@pytest.mark.parametrize(
    ("deed", "owner"),
    [
        (attached, f"cluster {CLUSTER}"),
        (marked, "resource 'project/other/nodes'"),
        (started, "somebody, since it is Running by now"),
        (remade, "somebody, since it is Stopped and has another image by now"),
    ],
)
def test_what_somebody_has_taken_is_noted_as_failed(deed, owner):
    bench = Bench()
    it, operation = vacancy(bench, 1, 2)
    deed(bench)
    assert it.free(ids(1, 2)) == ids(2)
    assert {i: f.reason for i, f in operation.failed.items()} == {
        iid(1): f"was taken meanwhile by {owner}: run pulumi up again"
    }


def test_what_is_to_be_stopped_yet_may_run():
    bench = Bench()
    bench.emulator.outside.start(iid(1))
    it, _ = vacancy(bench, 1, to_be_stopped=frozenset(ids(1)))
    assert it.free(ids(1)) == ids(1)
    it.to_be_stopped = frozenset()
    assert it.free(ids(1), marks_anew=True) == []


def test_ones_own_announcement_that_has_become_a_node_was_sent_by_the_interrupted_run():
    bench = Bench()
    it, operation = vacancy(bench, 1, begun=ids(1))
    bench.emulator.outside.attach(iid(1), CLUSTER)
    assert it.free(ids(1)) == []
    assert (operation.sent, operation.failed) == ({iid(1)}, {})


def test_of_ones_own_name_and_identity_nothing_is_others():
    bench = Bench()
    bench.emulator.world.instances[iid(1)].tags |= {TAG_KEY: bench.mark, IDENTITY_KEY: "another"}
    it, _ = vacancy(bench, 1)
    assert it.free(ids(1)) == ids(1)


def test_a_look_counts_for_ten_seconds_and_for_those_that_it_was_for():
    bench = Bench()
    it, _ = vacancy(bench, 1, 2, looked=bench.clock.now())
    assert it.free(ids(1, 2)) == ids(1, 2)
    assert bench.calls() == []
    assert it.free(ids(1, 2), marks_anew=True) == ids(1, 2)
    assert bench.calls() == ["DescribeInstances"]
    bench.clock.advance(FRESH)
    it.free(ids(1))
    looks = len(bench.calls())
    it.free(ids(1))
    assert len(bench.calls()) == looks
    it.free(ids(2))
    assert len(bench.calls()) > looks
    it.forget()
    looks = len(bench.calls())
    it.free(ids(1))
    assert len(bench.calls()) > looks


def test_tasks_are_those_of_the_latest_look():
    bench = Bench(pace={"seconds": 60})
    it, _ = vacancy(bench, 1)
    assert it.tasks() == frozenset()
    bench.emulator.call(
        "AddExistedNodes",
        "2018-04-12",
        {
            "ClusterId": CLUSTER,
            "ImageId": OLD_IMAGE,
            "ImageOwnerAlias": "system",
            "Instance.1.Id": iid(2),
        },
    )
    assert it.tasks() == frozenset()
    it.forget()
    assert len(it.tasks()) == 1
