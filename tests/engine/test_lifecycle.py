"""The life of a resource on the real engine: every step is checked in the emulated cloud, not only in words."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, IMAGE, ids
from engine.program import PROGRAM, declare, with_options


def shown(result, mark):
    """The lines of a preview with --diff that add (+) or take away (-) an instance."""
    return [
        line.split()[1].rstrip(":")
        for line in result.text.splitlines()
        if line.strip().startswith(f"{mark} i-bp1test")
    ]


def last_progress(result):
    """How a run that ends well ends the resource's row."""
    return [d.message for d in result.diagnostics if d.ephemeral][-1]


@pytest.mark.seam
def test_the_whole_life(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2, 3)

    preview = stack.preview()
    assert preview.changes == {"create": 2}
    assert (
        f"attach 3 (system disk replaced by {IMAGE}): compute1, compute2, compute3; 1 call"
        in preview.messages("info")
    )
    assert it.writes() == []

    assert last_progress(stack.up()) == "done: 3 nodes in the resource"
    assert sorted(it.nodes) == ids(1, 2, 3)
    assert it.named("AddExistedNodes") == [ids(1, 2, 3)]
    outputs = stack.outputs()
    (sent,) = it.emulator.journal.of("AddExistedNodes")
    assert (outputs["task_id"], outputs["request_id"]) == (sent.task_id, sent.request_id)
    assert outputs["ids"] == ids(1, 2, 3)
    assert outputs["failed"] == {}
    assert outputs["nodes"][ids(1)[0]]["host_name"] == "compute1"

    it.forget()
    assert stack.preview("--expect-no-changes").changes == {"same": 2}
    assert it.calls() == []

    declare(stack, 2, 3, 4, job_queue="gpu")
    preview = stack.preview("--diff")
    assert (shown(preview, "+"), shown(preview, "-")) == (ids(4), ids(1))
    stack.up()
    assert sorted(it.nodes) == ids(2, 3, 4) == stack.outputs()["ids"]
    assert it.named("AddExistedNodes") == [ids(4)]
    assert it.named("DeleteNodes") == [ids(1)]
    assert it.calls("SetQueue") == ["SetQueue"]
    assert {node.queue for node in it.nodes.values()} == {"gpu"}

    it.emulator.outside.detach(ids(4)[0])
    it.emulator.outside.move(ids(3)[0], "workq")
    refreshed = stack.refresh()
    assert refreshed.ops("nodes") == ["refresh"]
    drift = f"compute3 ({ids(3)[0]}) is in queue workq, not in gpu"
    assert any(drift in text for text in refreshed.messages("info")), refreshed.text
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(2, 3)
    it.forget()
    declare(stack, 2, 3, 4, job_queue="gpu", stop_running=True)  # whoever detached it left it on
    assert shown(stack.preview("--diff"), "+") == ids(4)
    stack.up()
    assert sorted(it.nodes) == ids(2, 3, 4) == stack.outputs()["ids"]
    assert {node.queue for node in it.nodes.values()} == {"gpu"}
    assert it.writes() == ["StopInstances", "AddExistedNodes", "SetQueue"]
    references = {it.world.instances[i].tags["ehpc-nodes-ref"] for i in it.nodes}
    assert len({reference.partition("/")[0] for reference in references}) == 1, "another uid"

    assert last_progress(stack.destroy()) == "3 nodes detached"
    assert it.nodes == {}
    assert it.harm.releases == [] == it.harm.double_attach
    assert it.harm.disk_replacements == {ids(n)[0]: 2 if n == 4 else 1 for n in (1, 2, 3, 4)}
    assert set(ids(1, 2, 3, 4)) <= it.emulator.world.instances.keys()


@pytest.mark.long
def test_get_reads_nodes_without_managing_them(cloud, stack_on):
    it = cloud(attached=(1, 2))
    program = """
import pulumi
from ehpc_nodes import AttachedNodes
seen = AttachedNodes.get("seen", "CLUSTER")
pulumi.export("ids", seen.instance_ids)
pulumi.export("queues", seen.nodes.apply(lambda nodes: sorted(n["queue"] for n in nodes.values())))
""".replace("CLUSTER", CLUSTER)
    stack = stack_on(it, program)
    stack.up()
    assert stack.outputs() == {"ids": ids(1, 2), "queues": ["workq", "workq"]}
    it.emulator.outside.attach(ids(3)[0], CLUSTER)
    stack.up()
    assert stack.outputs()["ids"] == ids(1, 2, 3)
    stack.destroy()
    assert it.writes() == []
    assert sorted(it.nodes) == ids(1, 2, 3)


@pytest.mark.long
def test_a_rotated_key_makes_no_difference(attached):
    it, stack = attached(1)
    data = it.emulator.world.to_dict()
    data["access_keys"] = [{"id": "another-key-id", "secret": "another-key-secret"}]
    it.emulator.load(type(it.emulator.world).from_dict(data))
    stack.config("ehpc:accessKeyId", "another-key-id")
    stack.config("ehpc:accessKeySecret", "another-key-secret", secret=True)
    assert stack.preview("--expect-no-changes").changes == {"same": 2}
    # without the program the engine hands out the config of the last up, which it keeps in the state
    stale = stack.refresh(expect_failure=True)
    assert any("add --run-program" in text for text in stale.errors), stale.text
    assert stack.refresh("--run-program").changes == {"same": 2}
    stack.destroy("--run-program")
    assert it.nodes == {}


SECRET, TOKEN = "obviously-FAKE-secret-4711", "obviously-FAKE-token-4712"


def cloud_with_sts_key(cloud):
    it = cloud()
    data = it.emulator.world.to_dict()
    data["access_keys"] = [{"id": "fake-key-id", "secret": SECRET, "token": TOKEN}]
    it.emulator.load(type(it.emulator.world).from_dict(data))
    return it


def assert_hidden(stack, results):
    texts = {f"output {n}": result.text for n, result in enumerate(results)}
    for place, text in {**texts, **stack.state_files()}.items():
        for hidden in (SECRET, TOKEN, "obviously-FAKE"):
            assert hidden not in text, f"{hidden} in {place}"


def test_secrets_of_the_stack_config_stand_nowhere_and_in_no_error(cloud, stack_on):
    stack = stack_on(cloud_with_sts_key(cloud), **{"ehpc:accessKeyId": "fake-key-id"})
    stack.config("ehpc:accessKeySecret", SECRET, secret=True)
    stack.config("ehpc:securityToken", TOKEN, secret=True)
    declare(stack, 1, 2)
    results = [stack.preview("--diff", "--show-full-output"), stack.up()]
    stack.config("ehpc:securityToken", "obviously-FAKE-token-4713", secret=True)
    declare(stack, 1, 2, 3)
    refused = stack.preview(expect_failure=True)
    assert "--run-program" not in refused.text
    assert_hidden(stack, [*results, refused])


@pytest.mark.long
def test_secrets_of_the_environment_stand_nowhere_at_the_highest_verbosity(cloud, stack_on):
    """At -v=9 the engine itself logs the stack config, secrets too; what it never sees it can't log."""
    stack = stack_on(cloud_with_sts_key(cloud))
    stack.unset("ehpc:accessKeyId")
    stack.unset("ehpc:accessKeySecret")
    stack.env.update(
        ALIBABA_CLOUD_ACCESS_KEY_ID="fake-key-id",
        ALIBABA_CLOUD_ACCESS_KEY_SECRET=SECRET,
        ALIBABA_CLOUD_SECURITY_TOKEN=TOKEN,
    )
    declare(stack, 1, 2)
    results = [stack.up("--logtostderr", "-v=9"), stack.preview("--logtostderr", "-v=9", "--debug")]
    stack.env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"] = "obviously-FAKE-wrong"
    results.append(stack.refresh("--logtostderr", "-v=9", expect_failure=True))
    assert any("SignatureDoesNotMatch" in text for text in results[-1].errors)
    assert_hidden(stack, results)


@pytest.mark.long
@pytest.mark.parametrize("ignored", ["instance_ids", "*"])
def test_changes_can_be_ignored(attached, ignored):
    it, stack = attached(1, 2, program=with_options(f'ignore_changes=["{ignored}"]'))
    uid = stack.resources()["nodes"]["inputs"]["__uid"]
    it.forget()
    declare(stack, 1, 3)
    assert stack.preview("--expect-no-changes")
    declare(stack, 1, 3, job_queue="gpu")
    stack.up()
    assert sorted(it.nodes) == ids(1, 2)
    moved = ignored == "instance_ids"
    assert {node.queue for node in it.nodes.values()} == {"gpu" if moved else "workq"}
    assert it.writes() == ["SetQueue"] * moved
    it.outside.detach(ids(2)[0])
    stack.refresh()
    stack.up("--refresh")
    assert sorted(it.nodes) == sorted(stack.outputs()["nodes"])
    assert stack.resources()["nodes"]["inputs"]["__uid"] == uid


@pytest.mark.long
def test_a_time_in_which_nothing_can_be_done_is_refused_and_a_delete_takes_what_it_needs(
    cloud, stack_on
):
    """The engine deletes with the times of the state."""
    it = cloud()
    hurried = with_options(
        'custom_timeouts=pulumi.CustomTimeouts(create="1ms", update="-1s", delete="1s")'
    )
    stack = stack_on(it, hurried)
    declare(stack, 1, 2)
    told = "custom_timeouts give {} s, in which nothing can be done"
    refused = stack.up(expect_failure=True)
    assert any(told.format(0.001) in text for text in refused.errors), refused.text
    stack.write(PROGRAM)
    stack.up()
    stack.write(hurried)
    stack.up()  # the same set: nothing is done, and the state has the times
    it.forget()
    declare(stack, 1)
    assert any(told.format(-1) in text for text in stack.up(expect_failure=True).errors)
    assert it.calls("TagResources", "UntagResources") == it.writes() == []
    it.emulator.world.knobs = it.emulator.world.knobs.changed({"task_pace": {"seconds": 3}})
    stack.destroy()
    assert it.nodes == {}
