"""What the engine never asks the provider for: the docs warn of it, since nothing here can see it.

A newer engine that does ask makes these tests fail, and the warnings (docs/limits.md, docs/recovery.md) untrue.
"""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import OWNER_OF_STACK, PROGRAM, declare, with_options
from engine.test_interrupted import killed_at

pytestmark = pytest.mark.long
OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}
NOTHING = "import pulumi"


def killed_in_its_create(it, stack, kind):
    """An up that dies as soon as E-HPC has its AddExistedNodes."""
    declare(stack, 1, 2)
    if kind == "replacement":
        stack.up()
        declare(stack, 1, 2, stop_running=True, **OWN)
    killed_at(it, stack, "AddExistedNodes")
    assert sorted(it.nodes) == ids(1, 2)
    it.forget()


@pytest.mark.parametrize("how", ["destroy", "remove"])
@pytest.mark.parametrize("kind", ["create", "replacement"])
def test_after_a_killed_create_a_destroy_or_a_removal_detaches_nothing_and_an_up_takes_it_over(
    cloud, stack_on, kind, how
):
    it = cloud()
    stack = stack_on(it)
    killed_in_its_create(it, stack, kind)
    if how == "destroy":
        stack.destroy()
    else:
        stack.write(NOTHING)
        stack.up()
    assert stack.resources() == {}
    assert sorted(it.nodes) == ids(1, 2)
    assert {it.world.instances[i].tags["ehpc-nodes"] for i in it.nodes} == {OWNER_OF_STACK}
    assert it.calls() == []

    stack.write(PROGRAM)
    stack.up()
    assert it.writes() == []
    stack.destroy()
    assert it.nodes == {}
    assert not any(x.tags for x in it.world.instances.values())


@pytest.mark.parametrize("between", ["", "refresh"])
def test_after_a_killed_replacement_an_up_goes_on_and_a_destroy_detaches_all(
    cloud, stack_on, between
):
    it = cloud()
    stack = stack_on(it)
    killed_in_its_create(it, stack, "replacement")
    if between:
        stack.refresh()
    stack.up()
    assert it.writes() == []
    stack.destroy()
    assert it.nodes == {}


GET = f"""
import pulumi
from ehpc_nodes import AttachedNodes
nodes = AttachedNodes.get("nodes", "{CLUSTER}")
"""


@pytest.mark.parametrize("retained", [False, True])
def test_a_resource_that_is_only_read_from_now_on_detaches_its_nodes_unless_they_are_retained(
    attached, retained
):
    it, stack = attached(
        1, 2, program=with_options("retain_on_delete=True") if retained else PROGRAM
    )
    it.forget()
    stack.write(GET)
    assert not any("detach" in text for text in stack.preview().messages("info"))
    stack.up()
    assert it.writes() == ([] if retained else ["DeleteNodes"])
    assert sorted(it.nodes) == (ids(1, 2) if retained else [])
