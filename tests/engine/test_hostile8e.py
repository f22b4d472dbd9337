"""Hostile review 8 on the real engine."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import PROGRAM, declare
from engine.test_together import the_resource_renamed


def test_a_rename_with_an_alias_and_a_replacement_in_one_run(cloud, stack_on):
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    the_resource_renamed(stack)
    declare(stack, 1, 2, image_id="m-bp1own", image_owner_alias="self", stop_running=True)
    print(stack.preview().text)
    up = stack.start("up", "--yes", "--skip-preview").wait(100)
    print(up.text)
    assert up.exit_code == 0
    assert it.harm.disk_replacements == dict.fromkeys(ids(1, 2), 2)
    assert stack.preview("--expect-no-changes")


def test_a_rename_with_an_alias_and_a_replacement_elsewhere_in_one_run(cloud, stack_on):
    """Another image for other instances: the old ones are detached."""
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    the_resource_renamed(stack)
    declare(stack, 2, 3, image_id="m-bp1own", image_owner_alias="self", stop_running=True)
    print(stack.preview().text)
    up = stack.start("up", "--yes", "--skip-preview").wait(100)
    print(up.text)
    assert up.exit_code == 0
    assert sorted(it.nodes) == ids(2, 3)


DEPENDS = f"""
import pulumi
from ehpc_nodes import AttachedNodes
def nodes(name, numbers, after=()):
    return AttachedNodes(
        name, cluster_id="{CLUSTER}", replace_system_disks=True, stop_running=True,
        instance_ids=[f"i-bp1test{{n:04d}}" for n in numbers],
        opts=pulumi.ResourceOptions(depends_on=[*after]),
    )
first = nodes("first", FIRST_IDS)
second = nodes("second", SECOND_IDS, AFTER)
"""


def program(first, second, after="[]"):
    return (
        DEPENDS.replace("FIRST_IDS", str(first))
        .replace("SECOND_IDS", str(second))
        .replace("AFTER", after)
    )


def test_a_node_that_has_changed_hands_is_not_detached_by_its_former_resource(cloud, stack_on):
    """Run one: it goes from first to second. Run two: second depends on first, nothing else changed."""
    it = cloud(attached=(1, 2))
    stack = stack_on(it, program([1, 2], [3]))
    stack.up()
    stack.write(program([1], [2, 3]))
    one = stack.start("up", "--yes", "--skip-preview").wait(100)
    print(one.text)
    held = {n: r["outputs"]["instance_ids"] for n, r in stack.resources().items()}
    print(held)
    assert one.exit_code == 0
    assert sorted(it.nodes) == ids(1, 2, 3)
    stack.write(program([1], [2, 3], "[first]"))
    print(stack.preview().text)
    again = stack.start("up", "--yes", "--skip-preview").wait(100)
    print(again.text)
    assert sorted(it.nodes) == ids(1, 2, 3)


def test_preview_without_refresh_after_a_partial_failure_tells_the_detaching(cloud, stack_on):
    """The update attached and couldn't detach; the program changes; --refresh=false."""
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    it.fault("error", "DeleteNodes", times=None, status=403, code="InvalidNodeStatus")
    declare(stack, 2, 3)
    stack.up(expect_failure=True)
    it.faults.clear()
    declare(stack, 2, 3, 4)
    told = stack.preview("--refresh=false").text
    print(told)
    stack.up("--refresh=false")
    print(it.writes(), sorted(it.nodes))
    assert "detach 1" in told


@pytest.mark.parametrize("then", ["up", "destroy"])
def test_after_a_rename_and_a_replacement_the_next_run_finishes_it(cloud, stack_on, then):
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    the_resource_renamed(stack)
    declare(stack, 1, 2, image_id="m-bp1own", image_owner_alias="self", stop_running=True)
    first = stack.start("up", "--yes", "--skip-preview").wait(100)
    print(first.exit_code, stack.resources().keys(), sorted(it.nodes))
    next_ = stack.start(then, "--yes", "--skip-preview").wait(100)
    print(next_.text, it.harm.disk_replacements)
    assert next_.exit_code == 0
    if then == "destroy":
        assert it.nodes == {}
    else:
        assert {n.image_id for n in it.nodes.values()} == {"m-bp1own"}


def test_a_rename_and_another_cluster_in_one_run(cloud, stack_on):
    from ehpc_nodes.emulator.world import Cluster, Queue
    from ehpc_nodes.testing.worlds import IMAGE, VPC

    it = cloud(detached_instance_status="Stopped")
    other = "ehpc-hz-other"
    it.world.clusters[other] = Cluster(
        other, VPC, IMAGE, "CentOS_7.6_64", queues={"workq": Queue("workq")}
    )
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    the_resource_renamed(stack)
    declare(stack, 2, 3, cluster_id=other, stop_running=True)
    print(stack.preview().text)
    up = stack.start("up", "--yes", "--skip-preview").wait(100)
    print(up.text, it.world.member_of)
    assert up.exit_code == 0
    assert it.world.member_of.get(ids(1)[0]) is None


def test_after_ctrl_c_nothing_more_is_sent(cloud, stack_on):
    """Heard while a look (here: the announcement) is under way; docs/recovery.md: nothing more is sent."""
    import time

    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    it.fault("slow", "TagResources", seconds=2)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: it.calls("TagResources"))
    running.interrupt()
    result = running.wait(60)
    time.sleep(3)
    print(result.exit_code, result.text, it.calls())
    print(stack.resources())
    assert it.harm.disk_replacements == {}


def test_after_ctrl_c_no_more_batches_are_sent(cloud, stack_on):
    import time

    it = cloud(250)
    stack = stack_on(it)
    declare(stack, *range(1, 251))
    it.fault("slow", "AddExistedNodes", seconds=2)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: it.calls("AddExistedNodes"))
    running.interrupt()
    result = running.wait(60)
    time.sleep(3)
    print(result.exit_code, it.writes(), len(it.harm.disk_replacements))
    held = stack.resources().get("nodes", {}).get("outputs", {}).get("instance_ids", [])
    print(len(held))
    assert it.writes() == ["AddExistedNodes"]


def test_a_cli_that_is_killed_during_the_last_look_of_a_create_loses_no_node(cloud, stack_on):
    """The plugin lives on, makes its last calls, takes the announcements away, and nobody saves its state."""
    import time

    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    it.fault("slow", "ListQueues", seconds=3)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: it.calls("ListQueues"))
    running.kill()
    time.sleep(6)
    print(it.calls())
    print(running.leftovers())
    running.kill_all()
    it.faults.clear()
    stack.cancel()
    declare(stack, 2)
    up = stack.up()
    print(up.text)
    assert sorted(it.nodes) == ids(2) == stack.outputs()["ids"]


def test_destroying_the_former_resource_leaves_a_node_that_has_changed_hands(cloud, stack_on):
    """One run gave it to second, with exit code 0; first's state holds it still."""
    it = cloud(attached=(1, 2))
    stack = stack_on(it, program([1, 2], [3]))
    stack.up()
    stack.write(program([1], [2, 3]))
    one = stack.start("up", "--yes", "--skip-preview").wait(100)
    assert one.exit_code == 0
    print({n: r["outputs"]["instance_ids"] for n, r in stack.resources().items()})
    stack.run("destroy", "--yes", "--skip-preview", "--target", stack.resources()["first"]["urn"])
    assert sorted(it.nodes) == ids(2, 3) == stack.resources()["second"]["outputs"]["instance_ids"]


def test_a_plugin_whose_cli_was_killed_sends_nothing_more(cloud, stack_on):
    """The CLI alone is killed (SIGKILL): its plugin goes on with the batches, into the next run."""
    import time

    it = cloud(250)
    stack = stack_on(it)
    declare(stack, *range(1, 251))
    it.fault("slow", "AddExistedNodes", seconds=8, times=None)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: it.calls("AddExistedNodes"))
    running.kill()
    time.sleep(0.5)
    stack.cancel()
    declare(stack, *range(1, 101))
    up = stack.start("up", "--yes", "--skip-preview").wait(100)
    print(up.exit_code, len(it.harm.disk_replacements))
    time.sleep(20)
    held = stack.resources()["nodes"]["outputs"]["instance_ids"]
    marked = [i for i in it.nodes if it.world.instances[i].tags]
    print(len(it.harm.disk_replacements), len(it.nodes), len(held), len(marked))
    running.kill_all()
    assert sorted(it.harm.disk_replacements) == ids(*range(1, 101))
    assert sorted(it.nodes) == sorted(held)
