"""What engine.py reaches inside the SDK, each thing on the real engine; runs with the lowest and the newest SDK."""

import pytest

from ehpc_nodes.testing.worlds import ids
from engine.program import PROGRAM, declare, with_options

pytestmark = pytest.mark.seam

TIMEOUTS = with_options('custom_timeouts=pulumi.CustomTimeouts(create="3s")')
DEPENDENT = (
    PROGRAM
    + """
second = dict(args, instance_ids=["i-bp1test0006"])
AttachedNodes("dependent", **second, opts=pulumi.ResourceOptions(depends_on=[nodes]))
"""
)
TEN = """
import pulumi
from ehpc_nodes import AttachedNodes
for n in range(1, 11):
    AttachedNodes(
        f"nodes{n}", cluster_id="ehpc-hz-test", instance_ids=[f"i-bp1test{n:04d}"], replace_system_disks=True
    )
"""


def test_the_urn_gives_the_mark_and_the_uid_is_hidden_and_the_same_in_a_saved_plan_and_its_up(
    cloud, stack_on
):
    """The engine gives check a random seed, and holds the checked inputs of an up against the plan's."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    plan = str(stack.directory / "plan.json")
    assert "__uid" not in stack.preview("--diff", "--save-plan", plan).text
    assert "__uid" not in stack.up("--plan", plan).text
    assert it.emulator.world.instances[ids(1)[0]].tags["ehpc-nodes"] == "project/dev/nodes"


def test_custom_timeouts_are_honoured_to_the_second(cloud, stack_on):
    it = cloud(pace="held")
    stack = stack_on(it, TIMEOUTS)
    declare(stack, 1, 2)
    failed = stack.up(expect_failure=True)
    (sent,) = it.emulator.journal.of("AddExistedNodes")
    assert 2 < it.emulator.journal.entries[-1].time - sent.time < 30
    (error,) = [text for text in failed.errors if "Timed out after" in text]
    assert "Timed out after 3 s: waiting for i-bp1test0001, i-bp1test0002" in error
    assert f"task {sent.task_id} step 1 of 8" in error
    assert (
        "Run pulumi up again: it continues from there and sends nothing twice. To wait longer, set custom_timeouts"
        in error
    )
    assert stack.resources()["nodes"]["outputs"]["task_id"] == sent.task_id


def test_progress_stands_on_the_row_and_cancelling_ends_the_wait_and_the_next_up_joins(
    cloud, stack_on
):
    it = cloud(pace="held")
    stack = stack_on(it)
    declare(stack, 1, 2)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until("nodes done")
    running.interrupt()
    result = running.wait()  # the task is held: without the interrupt it would never end
    assert result.exit_code != 0
    assert "Traceback" not in result.text
    assert running.leftovers() == []
    progress = [d for d in result.diagnostics if "0/2 nodes done" in d.message]
    assert progress
    assert all(d.ephemeral and d.urn.endswith("::nodes") for d in progress)
    (sent,) = it.emulator.journal.of("AddExistedNodes")
    assert (
        f"Cancelled; waiting for {', '.join(ids(1, 2))}; task {sent.task_id} step " in result.text
    )
    assert "What was sent continues in the cloud. Run pulumi up again" in result.text
    it.release()
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    assert stack.outputs()["task_id"] == it.emulator.journal.of("AddExistedNodes")[0].task_id


def test_an_error_is_one_line_without_a_traceback(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    it.fault("error", "DescribeCluster", status=403, code="InDebt", message="Overdue.", times=None)
    failed = stack.preview(expect_failure=True)
    (error,) = [text for text in failed.errors if "InDebt" in text]
    number = it.emulator.journal.of("DescribeCluster")[0].request_id
    assert error.endswith(
        f"DescribeCluster: InDebt: Overdue (HTTP 403, RequestId {number})."
        " Pay the account's debts first."
    )
    assert "\n" not in error
    assert "Traceback" not in failed.text


def test_partial_state_is_kept_and_dependents_wait(cloud, stack_on):
    it = cloud()
    it.fault("fail_nodes", "AddExistedNodes", instances=ids(2))
    stack = stack_on(it, DEPENDENT)
    declare(stack, 1, 2)
    failed = stack.up(expect_failure=True)
    assert list(stack.resources()) == ["nodes"]
    kept = stack.resources()["nodes"]
    assert kept["outputs"]["instance_ids"] == ids(1, 2)
    assert kept["outputs"]["failed"].keys() == set(ids(2))
    assert len(kept["initErrors"]) == 1
    assert kept["initErrors"][0] in failed.text
    assert kept["outputs"]["__provider"] == kept["inputs"]["__provider"]
    it.emulator.outside.set_node_status(ids(2)[0], "running")
    it.forget()
    stack.up()
    assert "initErrors" not in stack.resources()["nodes"]
    assert it.writes() == ["AddExistedNodes"]
    assert it.named("AddExistedNodes") == [["i-bp1test0006"]]
    assert set(stack.resources()) == {"nodes", "dependent"}
    assert it.harm.double_attach == []


def test_more_than_four_resources_wait_at_a_time(cloud, stack_on):
    it = cloud(10, pace="held")
    stack = stack_on(it, TEN)
    running = stack.start("up", "--yes", "--skip-preview", "--parallel", "32")
    running.wait_until(lambda: len(it.writes()) == 10)
    it.release()
    assert running.wait().exit_code == 0
    assert len(it.nodes) == 10
