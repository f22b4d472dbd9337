"""The short version of `make bench`: it fails on call counts and memory, never on a time."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pulumi.dynamic import ConfigureRequest

from benchmarks.frugal import Run, attach_a_thousand, declared, lateness, polls
from benchmarks.plugin import Named
from ehpc_nodes.emulator import Emulator, EmulatorServer
from unit.emulated import CLUSTER, WRITES, Bench, ids, world

ROOT = Path(__file__).parents[2]


def alone(test):
    """Nothing runs beside it, which would falsify what it measures; and no clock ends it."""
    for mark in (pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(0)):
        test = mark(test)
    return test


def test_attaching_a_thousand_to_a_thousand_takes_ten_writes_and_few_reads():
    calls = attach_a_thousand()
    assert calls["AddExistedNodes"] == sum(calls[action] for action in WRITES) == 10
    # the least there is: 50 instances in a TagResources, 100 in a DescribeInstances or a page of nodes
    assert calls["TagResources"] == 20
    assert calls["UntagResources"] == 0
    # preview and the update's check read all instances by id and by tag, and each look before a send again
    assert calls["DescribeInstances"] <= 3 * 10 + 2
    assert calls["ListNodes"] <= 3 * 11 + 2 * 21
    assert calls["ListTasks"] <= 40
    assert calls.total() <= 190


def test_a_preview_and_an_up_without_a_change_call_nothing_whatever_the_number():
    bench = Bench(1000, range(1, 1001), queues=("workq",))
    olds = Run(bench).check({}, declared(range(1, 1001))).inputs
    bench.emulator.journal.entries.clear()
    outs = Run(bench).create(olds).outs or {}
    bench.emulator.journal.entries.clear()
    for run in (Run(bench), Run(bench)):
        checked = run.check(olds, declared(range(1, 1001)))
        assert not run.diff("", {**outs, **olds}, checked.inputs).changes
    assert bench.calls() == []


def loaded_by(statement):
    command = [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"]
    return {*subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()}


def test_a_program_and_a_run_without_a_change_load_no_more_than_they_use():
    http = {"requests", "urllib3", "tenacity", "defusedxml", "alibabacloud_credentials"}
    assert not {"pydantic", "ehpc_nodes.provider.dynamic", *http} & loaded_by(
        "from ehpc_nodes import AttachedNodes"
    )
    assert not http & loaded_by("import ehpc_nodes.provider.dynamic")


@pytest.mark.parametrize(
    "wait", [10, *(pytest.param(n, marks=pytest.mark.long) for n in (47, 61, 120)), 300]
)
def test_a_tasks_end_is_noticed_within_a_twentieth_of_the_wait_or_two_seconds(wait):
    assert max(lateness(wait + 0.37 * n) for n in range(5)) <= max(2.0, 0.05 * wait)


@alone
def test_twenty_resources_of_a_cluster_poll_like_one():
    # not shared it is 20 times; on a busy machine the ends of the tasks are spread, and so are the looks
    assert polls_of(20) <= 3 * polls_of(1)


def polls_of(resources):
    """The reads while waiting, of so many resources that one plugin's process creates."""
    emulator = Emulator(world(resources, pace={"seconds": 8}, queues=("workq",)))
    with EmulatorServer(emulator) as server:
        provider = Named()
        provider.configure(ConfigureRequest(config=config_of(server)))
        inputs = {"region": "cn-hangzhou"}
        threads = [
            threading.Thread(target=provider.create, args=({**declared([n]), **inputs},))
            for n in range(1, resources + 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (
        len([n for n in emulator.world.clusters[CLUSTER].nodes.values() if n.is_compute])
        == resources
    )
    return polls(emulator.journal.entries)


def config_of(server):
    return {
        "ehpc:region": "cn-hangzhou",
        "ehpc:endpoint": server.url,
        "ehpc:ecsEndpoint": server.url,
        "ehpc:accessKeyId": server.access_key_id,
        "ehpc:accessKeySecret": server.access_key_secret,
    }


@alone
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_a_plugin_that_attaches_ten_thousand_nodes_takes_120_mb_at_most():
    with EmulatorServer(Emulator(world(10_000, queues=("workq",)))) as server:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.plugin", "10000"],
            input=json.dumps({**config_of(server), "ehpc:graceSeconds": "1"}),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"PYTHONPATH": "tests", "PATH": ""},
        )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) <= 120
    assert ids(10_000)[0] in server.emulator.world.clusters[CLUSTER].nodes
