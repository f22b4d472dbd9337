"""Several resources, several stacks, and a service that throttles."""

import pytest

from engine.cloud import CLUSTER, declare, ids

TWO = f"""
import pulumi
from ehpc_nodes import AttachedNodes
FIRST, SECOND = FIRST_IDS, SECOND_IDS
for name, numbers in (("first", FIRST), ("second", SECOND)):
    if numbers:
        AttachedNodes(
            name, cluster_id="{CLUSTER}", replace_system_disks=True, stop_running=True,
            instance_ids=[f"i-bp1test{{n:04d}}" for n in numbers],
        )
"""
TWENTY = f"""
from ehpc_nodes import AttachedNodes
for n in range(1, 21):
    AttachedNodes(
        f"nodes{{n}}", cluster_id="{CLUSTER}", instance_ids=[f"i-bp1test{{n:04d}}"], replace_system_disks=True
    )
"""


def two(first, second):
    return TWO.replace("FIRST_IDS", str(first)).replace("SECOND_IDS", str(second))


def test_two_resources_share_a_cluster(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, two([1, 2], [3]))
    stack.up()
    assert sorted(it.nodes) == ids(1, 2, 3)
    stack.write(two([1], [3, 4]))
    stack.up()
    assert sorted(it.nodes) == ids(1, 3, 4)
    stack.write(two([1], []))
    stack.up()
    assert sorted(it.nodes) == ids(1)
    assert it.harm.double_attach == [] == it.harm.releases
    assert stack.preview("--expect-no-changes")


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


def test_two_stacks_do_not_take_each_others_nodes(cloud, stack_on):
    it = cloud()
    mine, theirs = stack_on(it), stack_on(it)
    theirs.run("stack", "init", "other")
    it.configure(theirs)
    declare(mine, 1, 2)
    mine.up()
    declare(theirs, 2, 3)
    refused = theirs.preview(expect_failure=True)
    assert any(
        f"compute2 ({ids(2)[0]}) belongs to another resource, 'project/dev/nodes': remove it there"
        in text
        for text in refused.errors
    ), refused.text
    declare(theirs, 3)
    theirs.up()
    mine.destroy()
    assert sorted(it.nodes) == ids(3)
    assert it.harm.releases == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_twenty_resources_against_a_service_that_throttles(cloud, stack_on):
    it = cloud(20, throttle_per_second=10)
    stack = stack_on(it, TWENTY)
    stack.timeout = 280  # some 400 calls at ten a second
    stack.up("--parallel", "32")
    assert len(it.nodes) == 20
    assert it.calls("AddExistedNodes").count("AddExistedNodes") >= 20
    assert it.harm.double_attach == []
    answered = [e for e in it.emulator.journal.entries if e.code is None]
    assert len(answered) <= 20 * 25
    assert len(it.calls()) <= 4 * len(answered), "a storm of repeats"
