"""Replacements: nodes are detached and attached anew, and their disks wiped. The preview has to say so."""

import pytest

from ehpc_nodes.testing.worlds import ids
from engine.program import PROGRAM, declare, with_options
from unit.emulated import IMAGE

OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}
STOP_THEN_ATTACH = "then stop 2: compute1, compute2; attach 2 (system disk replaced by {}): compute1, compute2; 2 calls"
CREATING_FIRST = with_options("delete_before_replace=False")
DETACH = "first detach 2 (the instances are not released): compute1, compute2; 1 call; "


def infos(result):
    return "\n".join(result.messages("info"))


def test_another_image_is_refused_by_creating_first_told_in_full_and_done_in_that_order(attached):
    """In the same region, whatever the stack config says by now."""
    it, stack = attached(1, 2)
    it.forget()
    stack.configure({"ehpc:region": "cn-beijing"})
    declare(stack, 1, 2, stop_running=True, **OWN)
    stack.write(CREATING_FIRST)
    refused = stack.up(expect_failure=True)
    told = f"{', '.join(ids(1, 2))} must be detached before they can be attached with the new image or cluster; nothing was changed. Remove delete_before_replace=False"
    assert any(told in text for text in refused.errors), refused.text
    assert it.writes() == []
    assert stack.resources()["nodes"]["outputs"]["image_id"] == IMAGE
    stack.write(PROGRAM)
    assert DETACH + STOP_THEN_ATTACH.format("m-bp1own") in infos(stack.preview())
    stack.up()
    assert it.writes() == ["DeleteNodes", "StopInstances", "AddExistedNodes"]
    assert {node.image_id for node in it.nodes.values()} == {"m-bp1own"}
    assert stack.resources()["nodes"]["outputs"]["region"] == "cn-hangzhou"
    assert stack.preview("--expect-no-changes")
    assert it.harm.releases == [] == it.harm.double_attach


@pytest.mark.long
def test_busy_nodes_hold_a_replacement_up_until_the_program_consents(attached):
    it, stack = attached(1, 2)
    it.nodes[ids(2)[0]].used.cpu = 8
    declare(stack, 1, 2, stop_running=True, **OWN)
    it.forget()
    refused = stack.up(expect_failure=True)
    assert any(
        f"nodes that run jobs are not detached: compute2 ({ids(2)[0]}) runs jobs (used: 8 CPU)"
        in text
        for text in refused.errors
    ), refused.text
    assert it.writes() == []
    assert sorted(it.nodes) == ids(1, 2)

    declare(stack, 1, 2, stop_running=True, busy_nodes="detach", **OWN)
    stack.up()
    assert it.writes() == ["DeleteNodes", "StopInstances", "AddExistedNodes"]


def forced(stack, by):
    """Make the next up replace the resource; returns the options that it takes."""
    (urn,) = [r["urn"] for r in stack.state()["deployment"]["resources"] if "Attached" in r["urn"]]
    if by == "state taint":
        stack.run("state", "taint", urn, "--yes")
    return ["--replace", urn] if by == "--replace" else []


@pytest.mark.long
@pytest.mark.parametrize("by", ["state taint", "--replace"])
def test_a_forced_replacement_adopts(attached, by):
    it, stack = attached(1, 2, stop_running=True)
    options = forced(stack, by)
    assert "adopt 2: compute1, compute2; no call" in infos(stack.preview(*options))
    it.forget()
    stack.up(*options)
    assert it.writes() == []
    assert sorted(it.nodes) == ids(1, 2)
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
@pytest.mark.parametrize("by", ["state taint", "--replace"])
def test_a_forced_replacement_that_deletes_first_wipes_nothing_untold(attached, by):
    """The engine asks check as for a create, so the preview can't know that the nodes are detached."""
    it, stack = attached(
        1, 2, stop_running=True, program=with_options("delete_before_replace=True")
    )
    options = forced(stack, by)
    it.forget()
    refused = stack.up(*options, expect_failure=True)
    told = f"instance_ids: {', '.join(ids(1, 2))}: detached by a forced replacement that no preview showed"
    assert any(told in text for text in refused.errors), refused.text
    assert it.writes() == ["DeleteNodes"]
    assert it.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)
    assert f"attach 2 (system disk replaced by {IMAGE})" in infos(stack.preview())
    stack.up()
    assert sorted(it.nodes) == ids(1, 2)
    assert it.harm.releases == [] == it.harm.double_attach


def killed_at_next(it, running, action):
    """Kill everything in the midst of the next such call: the engine writes no checkpoint then."""
    before = len(it.calls(action))
    running.wait_until(lambda: len(it.calls(action)) > before)
    running.kill_all()


def left_to_delete(it, stack, by):
    """A replacement that created first, and whose old half is still in the state, to be deleted."""
    declare(stack, 1, 2, stop_running=True)
    stack.up()
    urn = stack.resources()["nodes"]["urn"]
    it.fault("slow", "TagResources", seconds=5)
    tagged = len(it.calls("TagResources"))
    running = stack.start("up", "--yes", "--skip-preview", "--target-replace", urn)
    running.wait_until(lambda: len(it.calls("TagResources")) > tagged)
    if by == "killed":  # while the new half is being made: the next list is the deletion's
        it.fault("slow", "ListNodes", times=None, seconds=60)
        killed_at_next(it, running, "ListNodes")
        it.faults.clear()
        stack.cancel()
    else:
        it.fault("error", "ListNodes", times=None, status=400, code="InvalidParams", message="no")
        assert running.wait().exit_code
        it.faults.clear()
    halves = [r for r in stack.state()["deployment"]["resources"] if r["urn"] == urn]
    assert len(halves) == 2, running.text
    it.forget()


@pytest.mark.long
@pytest.mark.parametrize("by", ["killed", "refused"])
def test_an_old_half_that_is_left_to_delete_takes_no_node_from_the_live_one(cloud, stack_on, by):
    it = cloud()
    stack = stack_on(it)
    left_to_delete(it, stack, by)
    up = stack.up()
    assert any("stays attached: " in text for text in up.messages("warning")), up.text
    assert it.writes() == []
    assert sorted(it.nodes) == ids(1, 2) == sorted(stack.outputs()["nodes"])
    assert stack.preview("--expect-no-changes")
    stack.destroy()
    assert it.nodes == {}


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "left"),
    [("image", (1, 2)), ("refresh", (1, 2)), ("drop one", (1,)), ("drop all", ())],
)
def test_an_old_half_that_is_left_to_delete_hinders_no_update(cloud, stack_on, change, left):
    it = cloud()
    stack = stack_on(it)
    left_to_delete(it, stack, "killed")
    if change == "image":
        declare(stack, 1, 2, stop_running=True, **OWN)
    elif change == "drop all":
        stack.write("import pulumi")
    else:
        declare(stack, *left, stop_running=True)
    stack.up(*(["--refresh"] if change == "refresh" else []))
    assert sorted(it.nodes) == ids(*left)
    if change == "image":
        assert it.writes() == ["DeleteNodes", "StopInstances", "AddExistedNodes"]
        assert {node.image_id for node in it.nodes.values()} == {"m-bp1own"}
    else:
        assert it.writes() == ["DeleteNodes"] * (change != "refresh")
    assert it.harm.releases == [] == it.harm.double_attach


@pytest.mark.long
@pytest.mark.parametrize("change", ["image", "cluster"])
def test_nodes_that_are_retained_are_not_replaced_and_the_way_out_is_told(cloud, stack_on, change):
    """The engine deletes nothing then, and tells no call of it: preview can't know."""
    it = cloud()
    other = two_clusters(it)
    stack = stack_on(it, with_options("retain_on_delete=True"))
    declare(stack, 1, 2, stop_running=True)
    stack.up()
    it.forget()
    what = OWN if change == "image" else {"cluster_id": other}
    declare(stack, 1, 2, stop_running=True, **what)
    for _ in range(2):
        refused = stack.up(expect_failure=True)
        told = f"{', '.join(ids(1, 2))} must be detached before they can be attached"
        (error,) = [text for text in refused.errors if told in text]
        assert "undo the change, remove this option, run pulumi up, then change again" in error
        assert it.writes() == []
        stack.write(PROGRAM)  # not enough: the state's own option counts
    declare(stack, 1, 2, stop_running=True)
    stack.up()
    declare(stack, 1, 2, stop_running=True, **what)
    stack.up()
    assert it.writes() == ["DeleteNodes", "StopInstances", "AddExistedNodes"]
    assert sorted(it.nodes) == ids(1, 2) == sorted(stack.outputs()["nodes"])


def two_clusters(it):
    """Another cluster like the first, without nodes; its id."""
    data = it.world.to_dict()
    data["clusters"].append({**data["clusters"][0], "id": "ehpc-hz-second", "nodes": []})
    it.load(data)
    return "ehpc-hz-second"


@pytest.mark.long
def test_another_image_for_other_instances_may_create_first(attached):
    it, stack = attached(1, 2, program=CREATING_FIRST)
    it.forget()
    declare(stack, 3, 4, **OWN)
    stack.up()
    assert it.writes() == ["AddExistedNodes", "DeleteNodes"]
    assert sorted(it.nodes) == ids(3, 4)


@pytest.mark.long
@pytest.mark.parametrize("action", ["DescribeCluster", "ListQueues"])
def test_a_replacement_that_is_killed_in_its_second_half_is_ended_by_the_next_run(attached, action):
    """Before it has sent anything, and when all is attached."""
    it, stack = attached(1, 2)
    declare(stack, 1, 2, stop_running=True, **OWN)
    it.fault("slow", action, times=None, seconds=1)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: "deleting original" in running.text)
    killed_at_next(it, running, action)
    it.faults.clear()
    stack.cancel()
    assert sorted(it.nodes) == (ids(1, 2) if action == "ListQueues" else [])
    stack.up()
    assert it.harm.disk_replacements == dict.fromkeys(ids(1, 2), 2)
    assert {i: node.image_id for i, node in it.nodes.items()} == dict.fromkeys(
        ids(1, 2), "m-bp1own"
    )


DEPENDENT = """
import json, pulumi
from ehpc_nodes import AttachedNodes
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider
class Making(ResourceProvider):
    def create(self, props):
        return CreateResult("made-" + props["version"], {**props, "made": props["value"]})
    def diff(self, _id, olds, news):
        new = olds["version"] != news["version"]
        return DiffResult(changes=new, replaces=["version"] * new, delete_before_replace=True)
class Made(Resource):
    made: pulumi.Output[str]
    def __init__(self, version, value):
        super().__init__(Making(), "made", {"version": version, "value": value, "made": None})
args = json.loads(pulumi.Config().require("args"))
name = args.pop("name")
args[name] = Made(args.pop("version"), args[name]).made
nodes = AttachedNodes("nodes", **args)
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["image_id", "cluster_id"])
def test_a_replacement_that_comes_from_another_one_is_told_in_full(attached, name):
    """The engine asks diff at once, deletes, and checks as for a create; the value came out the same."""
    it, stack = attached(
        1, 2, name=name, version="1", stop_running=True, image_id=IMAGE, program=DEPENDENT
    )
    declare(stack, 1, 2, name=name, version="2", stop_running=True, image_id=IMAGE)
    image = IMAGE if name == "cluster_id" else "an image that is not known yet"
    preview = stack.preview()
    assert infos(preview).count(DETACH + STOP_THEN_ATTACH.format(image)) == 1, preview.text
    warned = [
        text for text in preview.messages("warning") if "is not known yet, so nothing" in text
    ]
    assert len(warned) == (name == "cluster_id")
    it.forget()
    stack.configure({"ehpc:region": "cn-beijing"})
    up = stack.up()
    assert STOP_THEN_ATTACH.format(IMAGE).removeprefix("then ") in infos(up)
    assert it.writes() == ["DeleteNodes", "StopInstances", "AddExistedNodes"]


@pytest.mark.long
def test_what_the_engine_no_longer_ignores_in_a_replacement_is_told(attached):
    """With ignore_changes it hands the old set to the first check, and the program's to the second."""
    _, stack = attached(1, 2, program=with_options('ignore_changes=["instance_ids"]'))
    declare(stack, 1, 2, 3, stop_running=True, **OWN)
    preview = stack.preview()
    assert "attach 3 (system disk replaced by m-bp1own): compute1, compute2, compute3" in infos(
        preview
    )
