"""What docs/recovery.md says of failures whose runs it does not show."""

import pytest

from ehpc_nodes.testing.worlds import ids
from engine.program import declare

pytestmark = pytest.mark.long


def test_a_node_that_does_not_work_is_detached_and_attached_again(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2, 3)
    it.fault("fail_nodes", "AddExistedNodes", instances=ids(2), status="exception")
    failed = stack.up(expect_failure=True)
    assert f"compute2 ({ids(2)[0]}): the node has status exception" in failed.text
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2, 3)
    declare(stack, 1, 3)
    stack.up()
    declare(stack, 1, 2, 3, stop_running=True)
    stack.up()
    assert {i: n.status for i, n in it.nodes.items()} == dict.fromkeys(ids(1, 2, 3), "running")


def test_a_refresh_in_an_outage_keeps_the_state(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    it.close()
    failed = stack.refresh(expect_failure=True)
    assert "no usable answer: no connection to" in failed.text
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2)


def test_a_key_without_the_permission_to_attach_or_with_a_wrong_secret(cloud, stack_on):
    it = cloud()
    it.emulator.world.default_key.allow = ["ehpc:Describe*", "ehpc:List*", "ecs:*"]
    stack = stack_on(it)
    declare(stack, 1)
    failed = stack.up(expect_failure=True)
    assert "the permission ehpc:AddExistedNodes" in " ".join(failed.errors)
    stack.config("ehpc:accessKeySecret", "wrong", secret=True)
    failed = stack.up(expect_failure=True)
    assert "Check the access key secret" in " ".join(failed.errors)
    assert it.nodes == {}
