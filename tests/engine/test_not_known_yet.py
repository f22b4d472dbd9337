"""Values that come out of other resources of the same program: what preview tells, and what the update does."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, IMAGE, ids

#: `made(name, value)` gives a value that a preview doesn't know yet; a change of `again` makes it so once more.
MADE = """
import pulumi
from ehpc_nodes import AttachedNodes
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult
from typing import Any
class Maker(ResourceProvider):
    def create(self, props):
        return CreateResult("made", {**props, "out": props["value"]})
    def diff(self, _id, olds, news):
        return DiffResult(changes=olds["again"] != news["again"])
    def update(self, _id, olds, news):
        return UpdateResult({**news, "out": news["value"]})
class Made(Resource):
    out: pulumi.Output[Any]
    def __init__(self, name, value, again):
        super().__init__(Maker(), name, {"out": None, "value": value, "again": again})
again = pulumi.Config().get("again") or ""
def made(name, value):
    return Made(name, value, again).out
"""
ONE, TWO, THREE = ids(1, 2, 3)


def resource(arguments, name="nodes"):
    defaults = f'cluster_id="{CLUSTER}", replace_system_disks=True, stop_running=True'
    return f'AttachedNodes("{name}", **dict({defaults}) | dict({arguments}))\n'


def program(arguments):
    return MADE + resource(arguments)


def infos(result):
    return "\n".join(result.messages("info"))


BESIDE = f'instance_ids=["{ONE}", made("two", "{TWO}")]'


def test_an_instance_of_the_same_program_is_told_before_its_disk_is_replaced(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, program(BESIDE))
    text = stack.preview("--diff").text
    assert "(new instance 1): [unknown]" in text
    assert "attach 1 not known yet (system disk replaced by centos_7_06.vhd)" in text
    assert "no call" not in text
    assert it.writes() == []
    stack.up()
    assert it.harm.disk_replacements == {ONE: 1, TWO: 1}
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
def test_it_is_checked_when_it_is_known(cloud, stack_on):
    it = cloud()
    it.outside.start(TWO)
    stack = stack_on(it, program(f"{BESIDE}, stop_running=False"))
    stack.preview()
    failed = stack.up(expect_failure=True)
    assert any(f"compute2 ({TWO}) is Running, not Stopped" in text for text in failed.errors)
    assert it.writes() == []


@pytest.mark.long
def test_a_node_that_may_be_among_those_not_known_yet_is_not_said_to_be_detached(cloud, stack_on):
    """And a replacement tells of each disk that it may replace."""
    it = cloud()
    stack = stack_on(it, program(BESIDE))
    stack.up()
    stack.config("again", "once more")
    assert "detach 1, unless they are among those not known yet" in stack.preview().text
    stack.up()
    assert it.harm.disk_replacements == {ONE: 1, TWO: 1}
    stack.config("again", "and again")
    stack.write(program(f'{BESIDE}, image_id="centos_7_02.vhd"'))
    text = stack.preview().text
    assert (
        "attach 1 (system disk replaced by centos_7_02.vhd): compute1; attach 1 not known" in text
    )
    stack.up()
    assert it.harm.disk_replacements == {ONE: 2, TWO: 2}


@pytest.mark.long
def test_before_the_cluster_is_known_the_instances_are_checked(cloud, stack_on):
    it = cloud()
    cluster = f'cluster_id=made("cluster", "{CLUSTER}"), instance_ids='
    stack = stack_on(it, program(f'{cluster}["{ONE}", "i-bp1nowhere"]'))
    assert "i-bp1nowhere does not exist in cn-hangzhou" in stack.preview(expect_failure=True).text
    stack.write(program(f'{cluster}["{ONE}"]'))
    assert "once cluster_id is known, unless they are its nodes: attach 1" in stack.preview().text
    stack.up()
    assert sorted(it.nodes) == [ONE]


@pytest.mark.long
def test_an_image_consents_and_a_secret_cluster_that_are_not_known_yet(cloud, stack_on):
    it = cloud()
    it.outside.start(ONE)
    image = 'image_id=made("image", "m-bp1own"), image_owner_alias="self"'
    consents = 'replace_system_disks=made("consent", True), stop_running=made("stop", True)'
    cluster = f'cluster_id=pulumi.Output.secret(made("cluster", "{CLUSTER}"))'
    hidden = resource(f'{cluster}, instance_ids=made("ids", ["{TWO}", "{THREE}"])', "hidden")
    stack = stack_on(it, program(f'instance_ids=["{ONE}"], {image}, {consents}') + hidden)
    preview = stack.preview()
    assert (
        "stop 1: compute1; attach 1 (system disk replaced by an image that is not known yet):"
        " compute1; 2 calls" in preview.messages("info")
    )
    assert preview.messages("warning") == []
    assert it.writes() == []
    stack.up()
    images = {i: node.image_id for i, node in it.nodes.items()}
    assert images == {ONE: "m-bp1own", TWO: IMAGE, THREE: IMAGE}
    saved = stack.resources()["hidden"]
    assert CLUSTER not in str((saved["inputs"], saved["outputs"]))
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
def test_a_set_that_is_unknown_as_a_whole_detaches_nothing_in_the_preview(cloud, stack_on):
    def declared(*instances, more=""):
        made = ", ".join(f'made("{i}", "{i}")' for i in instances)
        return program(f"instance_ids=pulumi.Output.all({made}){more}")

    it = cloud()
    stack = stack_on(it, declared(ONE, TWO))
    told = (
        "the instances are not known yet: the update reports what it does, before its first write"
    )
    assert told in infos(stack.preview())
    stack.up()
    it.nodes[ONE].used.cpu = 4
    stack.write(declared(ONE, TWO, THREE))
    preview = stack.preview()
    assert told in infos(preview)
    assert "detach" not in infos(preview)
    assert preview.messages("warning") == []
    it.forget()
    assert "attach 1 (system disk replaced by" in infos(stack.up())
    assert it.writes() == ["AddExistedNodes"]
    stack.write(declared(ONE, TWO, THREE, more=', job_queue="none"'))
    refused = stack.preview(expect_failure=True)
    assert any("queue 'none' does not exist" in text for text in refused.errors)
