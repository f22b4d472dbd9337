"""Runs that die: whatever was under way, the next `pulumi up` finishes it and nothing is sent twice.

One moment of a kind is enough here: tests/property kills runs at every call, in process.
"""

import os
import signal
import subprocess
import time

import pytest

from ehpc_nodes.testing.worlds import ids
from engine.program import OWNER_OF_STACK, declare
from engine.test_together import the_resource_renamed


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


def test_a_create_that_is_killed(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    killed_at(it, stack, "AddExistedNodes")
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    assert it.harm.double_attach == [] == it.harm.releases
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
@pytest.mark.parametrize(
    "action", ["DeleteNodes", "AddExistedNodes", "ListTasks", "ListQueues", "UntagResources"]
)
def test_an_update_that_is_killed_and_a_program_that_changed_meanwhile(cloud, attached, action):
    it, stack = attached(1, 2, on=cloud(detached_instance_status="Stopped"))
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


def test_an_update_whose_plugin_alone_is_killed(cloud, attached):
    it, stack = attached(1, 2, on=cloud(detached_instance_status="Stopped"))
    declare(stack, 2, 3, 4)
    rule = it.fault("slow", "AddExistedNodes", seconds=1000)
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
def test_a_destroy_that_is_killed(attached, action):
    it, stack = attached(1, 2)
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
def test_a_rename_and_another_image_in_one_run_that_is_killed(cloud, attached, action, then):
    """With the same program afterwards, and with another set: what the killed create sent and the program lists no more
    stays attached, and is named.
    """
    left = ids(1) if (action, then) == ("AddExistedNodes", (2, 3)) else []
    it, stack = attached(1, 2, on=cloud(detached_instance_status="Stopped", pace={"seconds": 1}))
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
def test_a_wanted_node_is_not_called_still_in_the_state_after_ctrl_c(attached):
    it, stack = attached(1)
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
    it.fault("slow", "TagResources", seconds=1000)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: it.calls("TagResources"))
    running.interrupt()
    assert running.wait().exit_code
    deadline = time.monotonic() + 100
    while running.leftovers():
        assert time.monotonic() < deadline, "a plugin lives on"
        time.sleep(0.05)
    assert it.writes() == []
    assert it.harm.disk_replacements == {}


@pytest.mark.parametrize("action", ["AddExistedNodes", "ListTasks"])
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
