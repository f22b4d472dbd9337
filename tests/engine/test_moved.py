"""Whose the nodes are after what Pulumi lets people do with stacks and states.

The state that has the uid keeps the nodes, and its next up writes its name on their owner tags. A resource that has only
the name adopts what it lists, and leaves the rest. Renames and components: tests/engine/test_together.py; a state that is
imported by a file: tests/engine/test_import.py.
"""

import pytest

from ehpc_nodes.testing.worlds import ids
from engine.program import PROGRAM, declare

SHARED = ("PULUMI_BACKEND_URL", "PULUMI_HOME", "PULUMI_CONFIG_PASSPHRASE")
ANOTHER_UID = "has this resource's owner tag with another uid"


def beside(cloud, pulumi_stack, stack, name="other"):
    """Another stack of the same program, project and backend."""
    made = pulumi_stack(PROGRAM, stack=name, env={key: stack.env[key] for key in SHARED})
    cloud.configure(made)
    return made


def owners(cloud):
    """Name and uid on the owner tags, by instance."""
    tags = {i: x.tags for i, x in cloud.world.instances.items() if x.tags}
    return {i: (t["ehpc-nodes"], t["ehpc-nodes-ref"].split("/")[0]) for i, t in tags.items()}


def uid_of(stack):
    return stack.resources()["nodes"]["inputs"]["__uid"]


def test_a_resource_that_was_moved_to_another_stack(cloud, stack_on, pulumi_stack):
    """And its program is run once more in the stack that it was moved out of."""
    it = cloud()
    dev = stack_on(it)
    declare(dev, 1, 2, 3)
    dev.up()
    other, uid = beside(it, pulumi_stack, dev), uid_of(dev)
    it.forget()
    urn = dev.resources()["nodes"]["urn"]
    dev.run("state", "move", urn, "--source", "dev", "--dest", "other", "--yes")
    assert (list(dev.resources()), uid_of(other)) == ([], uid)

    declare(dev, 1, 2)  # it has the name that is still on the owner tags
    warned = "\n".join(dev.preview().messages("warning"))
    assert warned.count(ANOTHER_UID) == 3
    dev.up()
    assert owners(it)[ids(3)[0]] == ("project/dev/nodes", uid)
    assert dev.outputs()["ids"] == ids(1, 2)

    declare(other, 1, 2, 3)
    other.up()
    assert owners(it) == dict.fromkeys(ids(1, 2, 3), ("project/other/nodes", uid))
    other.preview("--expect-no-changes")

    refused = dev.up("--refresh", expect_failure=True)  # by now it is another name
    assert "belongs to another resource, 'project/other/nodes'" in refused.text
    assert "take_ownership=True" in refused.text
    dev.destroy()
    assert it.writes() == []

    declare(other, 1, 3)
    other.up()
    assert it.named("DeleteNodes") == [ids(2)]
    assert it.writes() == ["DeleteNodes"]


@pytest.mark.long
def test_a_renamed_stack(attached):
    """`pulumi stack rename` changes the name on the owner tags, by the next up; the cluster is not touched."""
    it, stack = attached(1, 2)
    uid, settings = uid_of(stack), stack.settings
    it.forget()
    stack.run("stack", "rename", "other")
    stack.env["PULUMI_STACK"] = "other"
    stack.settings = settings.with_name("Pulumi.other.yaml")
    assert "renew the owner tags of 2" in stack.preview().text
    stack.up()
    assert it.writes() == []
    assert owners(it) == dict.fromkeys(ids(1, 2), ("project/other/nodes", uid))
    stack.up("--expect-no-changes")
    declare(stack, 1)
    stack.up()
    assert it.named("DeleteNodes") == [ids(2)]


@pytest.mark.long
def test_an_old_checkpoint_that_is_put_back(attached):
    """What was attached and detached since then is neither attached again nor detached."""
    it, stack = attached(1, 2)
    old = stack.directory / "old.json"
    stack.run("stack", "export", "--file", str(old))
    declare(stack, 1, 2, 3)
    stack.up()
    declare(stack, 1, 3)
    stack.up()
    it.forget()
    stack.run("stack", "import", "--file", str(old))
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2)
    stack.up()
    assert it.writes() == []
    assert stack.outputs()["ids"] == ids(1, 3)
    assert owners(it) == dict.fromkeys(ids(1, 3), ("project/dev/nodes", uid_of(stack)))
    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    declare(stack, 1)
    stack.up()
    assert it.named("DeleteNodes") == [ids(3)]


@pytest.mark.long
def test_a_program_that_is_run_again_without_its_state(cloud, stack_on):
    """In another backend, as after a lost state; then the state turns up again."""
    it = cloud()
    first = stack_on(it)
    declare(first, 1, 2, 3)
    first.up()
    it.forget()
    second = stack_on(it)
    declare(second, 1, 2)
    assert "\n".join(second.preview().messages("warning")).count(ANOTHER_UID) == 3
    second.up()
    second.refresh("--expect-no-changes")
    uids = [uid_of(first), uid_of(second)]
    assert {i: uids.index(uid) for i, (_, uid) in owners(it).items()} == dict(
        zip(ids(1, 2, 3), (1, 1, 0), strict=True)
    )
    declare(first, 3)  # takes two out of its list that are the second's by now
    first.up()
    assert it.writes() == []
    assert sorted(it.nodes) == ids(1, 2, 3)
    second.destroy()
    assert it.named("DeleteNodes") == [ids(1, 2)]
