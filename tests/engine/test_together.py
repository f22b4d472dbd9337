"""Several resources, several stacks, and a service that throttles."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, IMAGE, ids
from engine.program import PROGRAM, declare, with_options
from engine.test_replaced import OWN, two_clusters

TWO = f"""
import pulumi
from ehpc_nodes import AttachedNodes
FIRST, SECOND = FIRST_IDS, SECOND_IDS
WORDS = WORDS_OF
for name, numbers in (("first", FIRST), ("second", SECOND)):
    if numbers:
        words = WORDS.get(name, {{}})
        if "retain_ids" in words:
            words["retain_ids"] = [f"i-bp1test{{n:04d}}" for n in words["retain_ids"]]
        AttachedNodes(
            name, cluster_id="{CLUSTER}", replace_system_disks=True, stop_running=True,
            instance_ids=[f"i-bp1test{{n:04d}}" for n in numbers], **words,
        )
"""
TWENTY = f"""
from ehpc_nodes import AttachedNodes
for n in range(1, 21):
    AttachedNodes(
        f"nodes{{n}}", cluster_id="{CLUSTER}", instance_ids=[f"i-bp1test{{n:04d}}"], replace_system_disks=True
    )
"""


DEPENDING = (
    TWO.replace("AttachedNodes(\n", "last = AttachedNodes(\n")
    .replace(
        "stop_running=True,",
        "stop_running=True, opts=pulumi.ResourceOptions(depends_on=[last] if name == 'second' else []),",
    )
    .replace("for name, numbers", "last = None\nfor name, numbers")
    .replace("if name == 'second' else []", "if last else []")
)


def two(of_first, of_second, program=TWO, **words):
    """The program with these instances' numbers in its two resources; `words`: more arguments of each."""
    program = program.replace("FIRST_IDS", str(of_first)).replace("SECOND_IDS", str(of_second))
    return program.replace("WORDS_OF", repr(words))


def handing(program=TWO):
    """The first resource hands instance 2 to the second one."""
    words = {"first": {"retain_ids": [2]}, "second": {"take_ownership": True}}
    return two([1], [2, 3], program, **words)


def held(stack):
    """What the state says of each resource."""
    return {name: r.get("outputs", {}).get("instance_ids") for name, r in stack.resources().items()}


def test_an_id_in_two_resources_of_a_program_is_refused_with_both_names(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, two([1, 2], [2, 3]))
    refused = stack.preview(expect_failure=True)
    assert any(
        f"{ids(2)[0]} is listed by 'first' and by 'second': list it in one of them" in text
        or f"{ids(2)[0]} is listed by 'second' and by 'first': list it in one of them" in text
        for text in refused.errors
    ), refused.text
    assert it.writes() == []


# -- a node goes from one resource to another ------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("order", ["at once", "giver first", "taker first"])
def test_a_node_goes_from_one_resource_to_another_in_one_up(cloud, stack_on, order):
    """By `retain_ids` and `take_ownership`, in any order; no disk is replaced."""
    program = {
        "at once": TWO,
        "giver first": DEPENDING,
        "taker first": DEPENDING.replace(
            '(("first", FIRST), ("second", SECOND))', '(("second", SECOND), ("first", FIRST))'
        ),
    }[order]
    it = cloud()
    stack = stack_on(it, two([1, 2], [3]))
    stack.up()
    it.forget()
    stack.write(handing(program))
    if order != "at once":
        preview = stack.preview()
        assert "retain 1 (stay attached, leave this resource): compute2" in preview.text
        assert "take ownership of 1: compute2" in preview.text
    stack.up()
    assert it.writes() == []
    assert held(stack) == {"first": ids(1), "second": ids(2, 3)}
    owner = it.world.instances[ids(2)[0]].tags["ehpc-nodes"]
    assert owner == "project/dev/second"
    if order != "at once":
        stack.write(two([1], [2, 3], program))
        stack.up()
        assert it.writes() == []
    stack.write(two([], [2, 3], program))
    stack.up()
    assert sorted(it.nodes) == ids(2, 3)
    assert it.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)


@pytest.mark.long
def test_two_resources_swap_their_nodes_in_one_up(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, two([1, 2], [3]))
    stack.up()
    it.forget()
    words = {
        "first": {"retain_ids": [1, 2], "take_ownership": True},
        "second": {"retain_ids": [3], "take_ownership": True},
    }
    stack.write(two([3], [1, 2], **words))
    stack.up()
    assert it.writes() == []
    assert held(stack) == {"first": ids(3), "second": ids(1, 2)}
    stack.destroy()
    assert it.nodes == {}


@pytest.mark.long
def test_what_the_giver_does_not_retain_is_not_attached_again_in_the_same_run(cloud, stack_on):
    """The second depends on the first, so that its check comes when the first has detached the node."""
    it = cloud()
    stack = stack_on(it, two([1, 2], [3], DEPENDING))
    stack.up()
    wiped = dict(it.harm.disk_replacements)
    stack.write(two([1], [2, 3], DEPENDING, second={"take_ownership": True}))
    it.forget()
    told = "is detached in this run by resource 'first'"
    assert told in stack.preview(expect_failure=True).text
    assert it.writes() == []
    assert told in stack.up(expect_failure=True).text
    assert it.harm.disk_replacements == wiped
    assert "attach 1 (system disk replaced by" in stack.preview("--refresh").text


@pytest.mark.long
@pytest.mark.parametrize("action", ["AddExistedNodes", "ListQueues", "TagResources"])
def test_a_handover_whose_second_half_failed_is_finished_by_the_next_run(cloud, stack_on, action):
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it, two([1, 2], [3]))
    stack.up()
    words = {"first": {"retain_ids": [2]}, "second": {"take_ownership": True}}
    stack.write(two([1], [2, 3, 4], **words))
    it.fault("error", action, times=None, status=400, code="InvalidParams")
    stack.start("up", "--yes", "--skip-preview").wait(100)
    it.faults.clear()
    stack.refresh()
    stack.up()
    assert it.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3, 4), 1)
    assert held(stack) == {"first": ids(1), "second": ids(2, 3, 4)}
    stack.destroy()
    assert it.nodes == {}


@pytest.mark.long
@pytest.mark.slow
def test_twenty_resources_against_a_service_that_throttles(cloud, stack_on):
    it = cloud(20, throttle_per_second=10)
    stack = stack_on(it, TWENTY)
    stack.timeout = 850  # some 600 calls at ten a second
    stack.up("--parallel", "32")
    assert len(it.nodes) == 20
    assert it.calls("AddExistedNodes").count("AddExistedNodes") >= 20
    assert it.harm.double_attach == []
    answered = [e for e in it.emulator.journal.entries if e.code is None]
    assert len(answered) <= 20 * 35
    assert len(it.calls()) <= 4 * len(answered), "a storm of repeats"


RENAMED = PROGRAM.replace('AttachedNodes("nodes"', 'AttachedNodes("renamed"')
ANOTHER = """
AttachedNodes("nodes", cluster_id=args["cluster_id"], instance_ids=["i-bp1test0005"], replace_system_disks=True)
"""


@pytest.mark.long
def test_a_rename_without_an_alias_needs_take_ownership_and_leaves_the_nodes_attached(
    cloud, attached
):
    it, stack = attached(1, 2, on=cloud(attached=(1, 2)))
    stack.write(RENAMED)
    assert "belongs to another resource, 'project/dev/nodes'" in stack.up(expect_failure=True).text
    declare(stack, 1, 2, take_ownership=True)
    up = stack.up()
    assert "stays attached: resource 'project/dev/renamed' has it now" in "\n".join(
        up.messages("info")
    )
    assert it.writes() == []
    assert sorted(it.nodes) == ids(1, 2)
    assert list(stack.resources()) == ["renamed"]
    stack.destroy()
    assert it.nodes == {}


@pytest.mark.long
def test_an_old_name_that_is_given_anew_does_not_take_the_nodes_along(attached):
    it, stack = attached(1, 2)
    the_resource_renamed(stack)
    stack.up()
    stack.write(RENAMED + ANOTHER)
    stack.up()
    assert sorted(it.nodes) == ids(1, 2, 5)
    assert it.calls("DeleteNodes") == []


def the_resource_renamed(stack):
    stack.write(with_options("aliases=[pulumi.Alias(name='nodes')]", RENAMED))


def the_resource_renamed_in_the_state(stack):
    stack.run("state", "rename", stack.resources()["nodes"]["urn"], "renamed", "--yes")
    stack.write(RENAMED)


def the_resource_moved_into_a_component(stack):
    parent = "opts=pulumi.ResourceOptions(parent=self, aliases=[pulumi.Alias(parent=pulumi.ROOT_STACK_RESOURCE)])"
    component = f"""
class Component(pulumi.ComponentResource):
    def __init__(self, name):
        super().__init__("my:index:Component", name)
        self.nodes = AttachedNodes("nodes", **args, {parent})

nodes = Component("component").nodes
"""
    stack.write(PROGRAM.replace('nodes = AttachedNodes("nodes", **args)', component))


@pytest.mark.long
@pytest.mark.parametrize(
    "rename",
    [
        the_resource_renamed,
        the_resource_renamed_in_the_state,
        the_resource_moved_into_a_component,
    ],
)
def test_a_rename_keeps_the_nodes_this_resources(cloud, attached, rename):
    """Their owner tag gets the present name; a replacement detaches and attaches them, too."""
    it, stack = attached(1, 2, 3, on=cloud(detached_instance_status="Stopped"))
    rename(stack)
    it.forget()
    stack.up()
    owners = {x.tags["ehpc-nodes"] for x in it.world.instances.values() if x.tags}
    assert it.writes() == []
    assert len(owners) == 1
    assert owners != {"project/dev/nodes"}
    declare(stack, 1, 2)
    assert "detach 1" in stack.preview().text
    stack.up()
    assert sorted(it.nodes) == ids(1, 2)
    declare(stack, 1, 2, 3)
    stack.up()
    assert it.writes() == ["DeleteNodes", "AddExistedNodes"]
    assert sorted(it.nodes) == ids(1, 2, 3)
    declare(stack, 1, 2, 3, stop_running=True, **OWN)
    assert "first detach 3" in stack.preview().text
    stack.up()
    assert it.harm.disk_replacements == {ids(1)[0]: 2, ids(2)[0]: 2, ids(3)[0]: 3}
    stack.destroy()
    assert it.nodes == {}
    assert not any(x.tags for x in it.world.instances.values())


@pytest.mark.long
@pytest.mark.parametrize(
    ("rename", "change"),
    [
        (the_resource_renamed, "image"),
        (the_resource_renamed, "cluster"),
        (the_resource_moved_into_a_component, "image"),
    ],
)
def test_a_rename_and_a_replacement_in_one_run(cloud, stack_on, rename, change):
    """Beside a resource that is new."""
    it = cloud(detached_instance_status="Stopped")
    to = two_clusters(it) if change == "cluster" else CLUSTER
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    rename(stack)
    stack.write(stack.program.read_text() + ANOTHER.replace('"nodes"', '"more"'))
    other = {"cluster_id": to} if change == "cluster" else OWN
    declare(stack, 2, 3, stop_running=True, **other)
    stack.up()
    held = {i: cluster for i, cluster in it.world.member_of.items() if i in ids(1, 2, 3, 5)}
    assert held == dict.fromkeys(ids(2, 3, 5), to)
    image = OWN["image_id"] if change == "image" else IMAGE
    assert [it.world.node(i).image_id for i in ids(2, 3)] == [image] * 2
    assert {i: it.harm.disk_replacements.get(i) for i in ids(1, 2, 3)} == dict(
        zip(ids(1, 2, 3), (1, 2, 1), strict=True)
    )
    assert stack.preview("--expect-no-changes")
    stack.destroy()
    assert not any(i in it.world.member_of for i in ids(1, 2, 3, 5))
