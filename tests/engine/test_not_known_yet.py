"""Values that come out of other resources of the same program: what preview tells, and what the update does."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids

pytestmark = pytest.mark.long

#: `made(name, value)` gives a value that a preview doesn't know yet; a change of `again` makes it so once more.
MADE = """
import pulumi
from pulumi.dynamic import CreateResult, DiffResult, Resource, ResourceProvider, UpdateResult
class Maker(ResourceProvider):
    def create(self, props):
        return CreateResult("made", {**props, "out": props["value"]})
    def diff(self, _id, olds, news):
        return DiffResult(changes=olds["again"] != news["again"])
    def update(self, _id, olds, news):
        return UpdateResult({**news, "out": news["value"]})
class Made(Resource):
    out: pulumi.Output[str]
    def __init__(self, name, value, again):
        super().__init__(Maker(), name, {"out": None, "value": value, "again": again})
again = pulumi.Config().get("again") or ""
def made(name, value):
    return Made(name, value, again).out
"""
ONE, TWO = ids(1, 2)


def program(arguments):
    return f"""{MADE}
from ehpc_nodes import AttachedNodes
AttachedNodes("nodes", **dict(cluster_id="{CLUSTER}", replace_system_disks=True, stop_running=True) | dict({arguments}))
"""


BESIDE = f'instance_ids=["{ONE}", made("two", "{TWO}")]'


def test_an_instance_of_the_same_program_is_told_before_its_disk_is_replaced(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, program(f'instance_ids=[made("two", "{TWO}")]'))
    text = stack.preview().text
    assert "attach 1 not known yet (system disk replaced by centos_7_06.vhd)" in text
    assert "no call" not in text
    stack.up()
    assert it.harm.disk_replacements == {TWO: 1}
    assert stack.preview("--expect-no-changes")


def test_a_node_that_may_be_among_those_not_known_yet_is_not_said_to_be_detached(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, program(BESIDE))
    stack.up()
    stack.config("again", "once more")
    assert "detach 1, unless they are among those not known yet" in stack.preview().text
    stack.up()
    assert sorted(it.nodes) == [ONE, TWO]
    assert it.harm.disk_replacements == {ONE: 1, TWO: 1}


def test_a_replacement_tells_of_each_disk_that_it_may_replace(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, program(BESIDE))
    stack.up()
    stack.config("again", "once more")
    stack.write(program(f'{BESIDE}, image_id="centos_7_02.vhd"'))
    text = stack.preview().text
    assert (
        "attach 1 (system disk replaced by centos_7_02.vhd): compute1; attach 1 not known" in text
    )
    stack.up()
    assert it.harm.disk_replacements == {ONE: 2, TWO: 2}


def test_before_the_cluster_is_known_the_instances_are_checked(cloud, stack_on):
    it = cloud()
    cluster = f'cluster_id=made("cluster", "{CLUSTER}"), instance_ids='
    stack = stack_on(it, program(f'{cluster}["{ONE}", "i-bp1nowhere"]'))
    assert "i-bp1nowhere does not exist in cn-hangzhou" in stack.preview(expect_failure=True).text
    stack.write(program(f'{cluster}["{ONE}"]'))
    assert "once cluster_id is known, unless they are its nodes: attach 1" in stack.preview().text
    stack.up()
    assert sorted(it.nodes) == [ONE]
