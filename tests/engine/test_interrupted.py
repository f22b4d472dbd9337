"""Runs that die: whatever was under way, the next `pulumi up` finishes it and nothing is sent twice."""

import os
import signal
import subprocess
import time
from typing import Any

import pytest

from ehpc_nodes.emulator.world import Cluster, Queue
from ehpc_nodes.testing.worlds import IMAGE, VPC, ids
from engine.program import OWNER_OF_STACK, PROGRAM, declare
from engine.test_together import the_resource_renamed

MOMENTS = ["TagResources", "ListTasks", "ListQueues"]


def of_a_kind(first, *others):
    """One is enough on the real engine: tests/unit kills at every call."""
    return [first, *(pytest.param(other, marks=pytest.mark.long) for other in others)]


def killed_at(cloud, stack, action, command="up"):
    """Kill everything as soon as the cloud has seen this call, whose answer comes late."""
    cloud.fault("slow", action, seconds=1000)
    before = len(cloud.calls(action))
    running = stack.start(command, "--yes", "--skip-preview")
    running.wait_until(lambda: len(cloud.calls(action)) > before)
    running.kill_all()
    cloud.emulator.faults.clear()
    stack.cancel()


#: An answer that doesn't come is waited for longer than a test may take.
PATIENT = {"ehpc:readTimeoutSeconds": "1000"}
TIMEOUTS = PROGRAM.replace(
    "**args)",
    '**args, opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="6s")))',
)


@pytest.mark.parametrize("action", of_a_kind("AddExistedNodes", *MOMENTS))
def test_a_create_that_is_killed(cloud, stack_on, action):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    killed_at(it, stack, action)
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    assert it.harm.double_attach == [] == it.harm.releases
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
@pytest.mark.parametrize(
    "action", ["DeleteNodes", "AddExistedNodes", "ListTasks", "ListQueues", "UntagResources"]
)
def test_an_update_that_is_killed_and_a_program_that_changed_meanwhile(cloud, stack_on, action):
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    declare(stack, 2, 3, 4)
    killed_at(it, stack, action)
    declare(stack, 2, 5)
    stack.up()
    assert sorted(it.nodes) == ids(2, 5) == stack.outputs()["ids"]
    assert it.harm.double_attach == [] == it.harm.releases
    tags = {i: x.tags for i, x in it.emulator.world.instances.items() if x.tags}
    uid = stack.resources()["nodes"]["inputs"]["__uid"]
    assert {i: x["ehpc-nodes"] for i, x in tags.items()} == dict.fromkeys(ids(2, 5), OWNER_OF_STACK)
    assert {x["ehpc-nodes-ref"].partition("/")[0] for x in tags.values()} == {uid}
    assert stack.preview("--expect-no-changes")


def plugins(running):
    """The processes of a run that serve the provider."""

    def arguments(number):
        return subprocess.run(
            ["ps", "-o", "args=", "-p", str(number)], capture_output=True, text=True, check=False
        ).stdout

    return [number for number in running.leftovers() if "pulumi.dynamic" in arguments(number)]


@pytest.mark.parametrize("action", of_a_kind("AddExistedNodes", "ListTasks", "DeleteNodes"))
def test_an_update_whose_plugin_alone_is_killed(cloud, stack_on, action):
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    declare(stack, 2, 3, 4)
    rule = it.fault("slow", action, seconds=1000)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: rule.fired)
    (plugin,) = plugins(running)
    os.kill(plugin, signal.SIGKILL)
    assert running.wait().exit_code != 0
    it.emulator.faults.clear()
    declare(stack, 2, 5)
    stack.up()
    assert sorted(it.nodes) == ids(2, 5) == stack.outputs()["ids"]
    assert it.harm.double_attach == [] == it.harm.releases


@pytest.mark.long
@pytest.mark.parametrize("action", ["DeleteNodes", "UntagResources"])
def test_a_destroy_that_is_killed(cloud, stack_on, action):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    killed_at(it, stack, action, "destroy")
    stack.destroy()
    assert it.nodes == {}
    assert it.calls("DeleteNodes") == ["DeleteNodes"]
    assert stack.resources() == {}
    assert not any(x.tags for x in it.emulator.world.instances.values())


@pytest.mark.long
@pytest.mark.parametrize(
    "action", ["DeleteNodes", "UntagResources", "TagResources", "AddExistedNodes", "ListTasks"]
)
@pytest.mark.parametrize("then", [(1, 2), (2, 3)])
def test_a_rename_and_another_image_in_one_run_that_is_killed(cloud, stack_on, action, then):
    """With the same program afterwards, and with another set: what the killed create sent and the program lists no more
    stays attached, and is named.
    """
    left = ids(1) if (action, then) == ("AddExistedNodes", (2, 3)) else []
    it = cloud(detached_instance_status="Stopped", pace={"seconds": 1})
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    wiped = dict(it.harm.disk_replacements)
    the_resource_renamed(stack)
    own = {"image_id": "m-bp1own", "image_owner_alias": "self", "stop_running": True}
    declare(stack, 1, 2, **own)
    it.forget()
    killed_at(it, stack, action)
    declare(stack, *then, **own)
    runs = [stack.start("up", "--yes", "--skip-preview").wait(100) for _ in range(2)]
    assert any(run.exit_code == 0 for run in runs)
    assert sorted(it.nodes) == sorted({*ids(*then), *left})
    named = "this resource's owner tag with another uid"
    assert all(any(f"({i}) has {named}" in run.text for run in runs) for i in left)
    assert {node.image_id for node in it.nodes.values()} == {"m-bp1own"}
    assert it.harm.double_attach == []
    assert all(n - wiped.get(i, 0) <= 1 for i, n in it.harm.disk_replacements.items())
    stack.destroy()
    assert sorted(it.nodes) == left


@pytest.mark.long
def test_a_refresh_takes_in_what_a_killed_update_attached(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    stack.up()
    declare(stack, 1, 2)
    killed_at(it, stack, "AddExistedNodes")
    stack.refresh()
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2)
    stack.up()
    assert it.writes() == ["AddExistedNodes"] * 2
    assert stack.outputs()["ids"] == ids(1, 2)


LOST: dict[str, dict[str, Any]] = {
    "lost": {"seconds": 1},
    "reset_before": {},
    "reset_after": {},
    "garbage": {"after_effect": True},
}


@pytest.mark.long
@pytest.mark.parametrize("kind", LOST)
def test_an_up_that_meets_a_lost_answer_of_each_write_succeeds_by_itself(cloud, stack_on, kind):
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2, job_queue="workq")
    stack.up()
    it.emulator.outside.start(ids(3)[0])
    for action in ("StopInstances", "AddExistedNodes", "DeleteNodes", "SetQueue"):
        it.fault(kind, action, **LOST[kind])
    declare(stack, 2, 3, job_queue="gpu", stop_running=True)
    stack.up()
    assert sorted(it.nodes) == ids(2, 3) == stack.outputs()["ids"]
    assert {node.queue for node in it.nodes.values()} == {"gpu"}
    assert it.harm.double_attach == [] == it.harm.releases
    assert all(rule.fired == 1 for rule in it.emulator.faults.rules)
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
def test_an_outcome_that_stays_unknown_is_kept_and_the_next_up_clears_it(cloud, stack_on):
    it = cloud(pace="held", nodes_listed="at_end", task_listed=False)
    stack = stack_on(it, TIMEOUTS, **{"ehpc:readTimeoutSeconds": "2"})
    declare(stack, 1, 2)
    it.fault("lost", "AddExistedNodes", seconds=2)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: it.calls("AddExistedNodes"))
    for action in ("ListNodes", "ListNodesNoPaging"):
        it.fault("error", action, code="ServiceUnavailable", times=None)
    result = running.wait()
    assert result.exit_code != 0
    assert f"E-HPC may continue to attach {', '.join(ids(1, 2))}." in result.text
    assert "Traceback" not in result.text
    nodes = stack.resources()["nodes"]["outputs"]["nodes"]
    assert {i: node["status"] for i, node in nodes.items()} == dict.fromkeys(ids(1, 2), "attaching")
    it.emulator.faults.clear()
    it.release()
    stack.write(PROGRAM)
    stack.up()
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    assert it.writes() == ["AddExistedNodes"]
    assert it.harm.double_attach == []


def interrupted_at(cloud, stack, action):
    """Ctrl-C as soon as the cloud has seen this call, whose answer comes late; until all is over."""
    cloud.fault("slow", action, seconds=1000)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: cloud.calls(action))
    running.interrupt()
    assert running.wait().exit_code
    deadline = time.monotonic() + 100
    while running.leftovers():
        assert time.monotonic() < deadline, "a plugin lives on"
        time.sleep(0.05)


@pytest.mark.long
def test_a_wanted_node_is_not_called_still_in_the_state_after_ctrl_c(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    stack.up()
    it.hold()
    declare(stack, 1, 2)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: len(it.writes()) == 2)
    running.interrupt()
    assert running.wait().exit_code
    it.release()
    result = stack.up()
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    assert "still in the state" not in result.text


def cli_killed_at(cloud, stack, action):
    """Kill the CLI as soon as the cloud has seen this call, whose answer comes late: its plugin lives on."""
    cloud.fault("slow", action, seconds=3)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: cloud.calls(action))
    running.kill()
    stack.cancel()
    return running


def silence(cloud, seconds):
    """Wait until nothing has been called for so long."""
    heard, since = -1, time.monotonic()
    while time.monotonic() - since < seconds:
        if len(cloud.calls()) != heard:
            heard, since = len(cloud.calls()), time.monotonic()
        time.sleep(0.05)


def test_after_ctrl_c_nothing_more_is_sent(cloud, stack_on):
    """Not even what had been tagged."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    interrupted_at(it, stack, "TagResources")
    assert it.writes() == []
    assert it.harm.disk_replacements == {}


@pytest.mark.parametrize("action", of_a_kind("AddExistedNodes", "ListTasks"))
def test_ctrl_c_is_heard_while_a_call_hangs(cloud, stack_on, action):
    """And an AddExistedNodes without an answer is kept as perhaps sent."""
    it = cloud()
    stack = stack_on(it, **PATIENT)
    declare(stack, 1, 2)
    hanging = it.fault("slow", action, seconds=1000, after=2 if action == "ListTasks" else 0)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: hanging.fired)
    running.interrupt()
    result = running.wait()
    assert result.exit_code
    assert "Traceback" not in result.text
    kept = [
        x["outputs"]["instance_ids"] for name, x in stack.resources().items() if name == "nodes"
    ]
    assert kept == [ids(1, 2)] * len(it.writes())
    it.emulator.faults.clear()
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    assert it.harm.double_attach == []


@pytest.mark.long
def test_an_operations_time_bounds_an_answer_that_does_not_come(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, TIMEOUTS, **PATIENT)
    declare(stack, 1, 2)
    it.fault("lost", "AddExistedNodes", seconds=1000)
    result = stack.start("up", "--yes", "--skip-preview").wait()
    assert result.exit_code
    assert (
        "AddExistedNodes: no usable answer: the time limit passed before the answer came"
        in result.text
    )
    stack.write(PROGRAM)
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]


@pytest.mark.long
def test_after_ctrl_c_no_more_batches_are_sent(cloud, stack_on):
    it = cloud(250)
    stack = stack_on(it)
    declare(stack, *range(1, 251))
    interrupted_at(it, stack, "AddExistedNodes")
    assert it.writes() == ["AddExistedNodes"]
    held = stack.resources()["nodes"]["outputs"]["instance_ids"]
    assert held == sorted(it.nodes) == ids(*range(1, 101))


@pytest.mark.long
def test_after_ctrl_c_no_more_clusters_are_looked_at(cloud, stack_on):
    """Each look takes a second, and the engine gives a plugin five to end."""
    it = cloud()
    for n in range(12):
        name = f"ehpc-hz-other{n}"
        it.world.clusters[name] = Cluster(
            name, VPC, IMAGE, "CentOS_7.6_64", queues={"workq": Queue("workq")}
        )
    stack = stack_on(it)
    declare(stack, 1, 2)
    it.fault("slow", "ListNodes", seconds=1, times=None)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: it.calls("ListClusters"))
    before = len(it.calls("ListNodes"))
    running.interrupt()
    assert running.wait(100).exit_code
    assert len(it.calls("ListNodes")) - before <= 5
    assert it.writes() == []


@pytest.mark.long
def test_a_cli_that_is_killed_during_the_last_look_of_a_create_loses_no_node(cloud, stack_on):
    """Nobody saves the state that the plugin returns: what the program lists no more stays attached, and is named."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    running = cli_killed_at(it, stack, "ListQueues")
    silence(it, 4)
    assert running.leftovers(), "its plugin did not live on: this proves nothing"
    declare(stack, 2)
    said = "\n".join(stack.up().messages("warning"))
    assert f"compute1 ({ids(1)[0]}) has this resource's owner tag with another uid" in said
    assert stack.outputs()["ids"] == ids(2)
    assert sorted(it.nodes) == ids(1, 2)


def test_a_plugin_whose_cli_was_killed_sends_nothing_more(cloud, stack_on):
    """Not into the next run either, which wants less."""
    it = cloud(250)
    stack = stack_on(it)
    declare(stack, *range(1, 251))
    running = cli_killed_at(it, stack, "AddExistedNodes")
    declare(stack, *range(1, 101))
    stack.up()
    silence(it, 4)
    assert running.leftovers(), "its plugin did not live on: this proves nothing"
    assert sorted(it.harm.disk_replacements) == ids(*range(1, 101))
    assert sorted(it.nodes) == ids(*range(1, 101)) == stack.outputs()["ids"]
