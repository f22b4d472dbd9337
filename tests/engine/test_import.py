"""A state that is lost, restored by `ehpc-nodes program --import-file` and `pulumi import --file`."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import declare
from engine.test_command import command, node

FLAGS = ["--generate-code=false", "--protect=false", "--yes"]


def imported(cloud, stack, *arguments):
    """The program that the command prints, after its import file was imported into the stack."""
    program = command(cloud, stack, "program", CLUSTER, "--import-file", "lost.json", *arguments)
    result = stack.run("import", "--file", str(stack.directory / "lost.json"), *FLAGS)
    assert "warning" not in result.text
    return program


def owner_tags(cloud):
    tagged = {i: x.tags for i, x in cloud.world.instances.items() if x.tags}
    return {i: (tags["ehpc-nodes"], tags["ehpc-nodes-ref"]) for i, tags in tagged.items()}


def test_a_lost_state_is_restored_and_the_resource_owns_its_nodes(cloud, stack_on):
    it = cloud()
    lost = stack_on(it)
    declare(lost, 1, 2, 3)
    lost.up()
    tags, uid = owner_tags(it), lost.resources()["nodes"]["inputs"]["__uid"]
    it.forget()
    stack = stack_on(it)
    program = imported(it, stack)
    assert stack.resources()["nodes"]["inputs"]["__uid"] == uid
    declare(stack, 1, 2, 3)  # with the program that there was
    stack.up("--expect-no-changes")
    stack.write(program)
    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    stack.up("--expect-no-changes")
    assert it.writes() == []
    assert owner_tags(it) == tags
    stack.write(program.replace(f'"{ids(2)[0]}",', ""))
    assert "keep 2; detach 1 (the instances are not released): compute2" in stack.preview().text
    stack.up()
    assert it.named("DeleteNodes") == [ids(2)]
    assert owner_tags(it).keys() == {*ids(1, 3)}
    stack.destroy()
    assert it.nodes == {}
    assert it.harm.disk_replacements == dict.fromkeys(ids(1, 2, 3), 1)


def test_nodes_without_owner_tags_are_imported_and_the_next_up_writes_the_tags(cloud, stack_on):
    it = cloud(instances=4, attached=(1, 2, 3))
    node(it, 3).queue = "gpu"
    stack = stack_on(it)
    stack.write(imported(it, stack))
    preview = stack.preview()
    assert preview.messages("warning") == []
    assert "renew the owner tags of 2: compute1, compute2; no call" in preview.text
    assert owner_tags(it) == {}
    stack.up()
    assert {owner for owner, _ in owner_tags(it).values()} == {
        "project/dev/gpu",
        "project/dev/workq",
    }
    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    assert it.writes() == []
    stack.destroy()
    assert it.nodes == {}


@pytest.mark.long
def test_what_an_interrupted_run_had_sent_is_restored_too(cloud, stack_on):
    """It is no node yet, and must not be detached as one that the program doesn't list."""
    it = cloud(attached=(1,))
    lost = stack_on(it)
    declare(lost, 1)
    lost.up()
    it.emulator.world.knobs = it.emulator.world.knobs.changed({"task_pace": "held"})
    declare(lost, 1, 2)
    running = lost.start("up", "--yes", "--skip-preview")
    running.wait_until("nodes done")
    running.kill_all()
    it.forget()
    stack = stack_on(it)
    program = imported(it, stack)
    assert f'"{ids(2)[0]}"' in program
    it.release()
    stack.write(program)
    stack.up()
    assert it.writes() == []
    assert sorted(it.nodes) == ids(1, 2)
    stack.up("--expect-no-changes")
    stack.refresh("--expect-no-changes")
