"""The life of a resource on the real engine: every step is checked in the emulated cloud, not only in words."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, IMAGE, ids
from engine.program import PROGRAM, declare


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
def test_adopting_needs_no_consent_and_no_write(cloud, stack_on):
    it = cloud(attached=(1, 2))
    stack = stack_on(it)
    declare(stack, 1, 2, replace_system_disks=False)
    assert "adopt 2: compute1, compute2; no call" in stack.preview().messages("info")
    stack.up()
    assert it.writes() == []
    assert stack.outputs()["nodes"].keys() == set(ids(1, 2))
    assert stack.outputs()["task_id"] == ""


@pytest.mark.long
def test_another_cluster_replaces_and_detaches_first(cloud, stack_on):
    it = cloud(attached=())
    world = it.emulator.world
    second = "ehpc-hz-second"
    data = world.to_dict()
    data["clusters"].append({**data["clusters"][0], "id": second, "nodes": []})
    it.emulator.load(type(world).from_dict(data))
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()

    declare(stack, 1, 2, cluster_id=second)
    refused = stack.preview(expect_failure=True)
    assert any("set stop_running=True" in text for text in refused.errors), refused.text

    declare(stack, 1, 2, cluster_id=second, stop_running=True)
    preview = stack.preview()
    assert preview.ops("nodes")[0] in ("delete-replaced", "replace", "create-replacement")
    it.forget()
    stack.up()
    assert it.writes() == ["DeleteNodes", "StopInstances", "AddExistedNodes"]
    assert not any(n.is_compute for n in it.world.clusters[CLUSTER].nodes.values())
    assert sorted(it.emulator.world.clusters[second].nodes) == ids(1, 2)
    assert it.harm.releases == [] == it.harm.double_attach


@pytest.mark.long
def test_250_instances_go_in_three_calls(cloud, stack_on):
    it = cloud(250)
    stack = stack_on(it)
    declare(stack, *range(1, 251))
    stack.up()
    assert [len(named) for named in it.named("AddExistedNodes")] == [100, 100, 50]
    assert len(stack.outputs()["ids"]) == 250


@pytest.mark.long
def test_a_failed_create_keeps_its_state_and_the_next_up_finishes(cloud, stack_on):
    it = cloud()
    it.fault("fail_nodes", "AddExistedNodes", instances=ids(2), errors='["the disk is broken"]')
    stack = stack_on(it)
    declare(stack, 1, 2, 3)
    failed = stack.up(expect_failure=True)
    assert any(
        f"compute2 ({ids(2)[0]}): the node has status exception" in text
        and "the disk is broken" in text
        for text in failed.errors
    ), failed.text
    assert "Traceback" not in failed.text
    resource = stack.resources()["nodes"]
    assert resource["outputs"]["instance_ids"] == ids(1, 2, 3)
    assert resource["outputs"]["failed"].keys() == set(ids(2))
    assert resource["initErrors"]

    it.emulator.outside.set_node_status(ids(2)[0], "running")  # somebody repairs it
    it.forget()
    stack.up()
    assert it.writes() == []
    assert stack.outputs()["failed"] == {}
    assert "initErrors" not in stack.resources()["nodes"]
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
def test_after_a_failed_batch_the_preview_says_what_is_left(cloud, stack_on):
    it = cloud(120)
    it.fault("error", "AddExistedNodes", after=1, status=400, code="TooManyNodes", message="Quota.")
    stack = stack_on(it)
    declare(stack, *range(1, 121))
    failed = stack.up(expect_failure=True)
    assert any(
        "TooManyNodes" in text and "ask for a higher node quota" in text for text in failed.errors
    )
    assert len(stack.resources()["nodes"]["outputs"]["instance_ids"]) == 100
    preview = stack.preview()
    assert any("attach 20 " in text and "keep 100" in text for text in preview.messages("info")), (
        preview.text
    )
    stack.up()
    assert [len(named) for named in it.named("AddExistedNodes")] == [100, 20, 20]
    assert it.harm.disk_replacements == dict.fromkeys(ids(*range(1, 121)), 1)


@pytest.mark.long
def test_after_a_failed_detaching_the_preview_says_what_is_left(cloud, stack_on):
    """Though others were attached in the same run, and the program has changed since."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    it.fault("error", "DeleteNodes", status=403, code="InvalidNodeStatus")
    declare(stack, 2, 3)
    stack.up(expect_failure=True)
    assert sorted(it.nodes) == ids(1, 2, 3)
    declare(stack, 2, 3, 4)
    told = stack.preview()
    assert any("keep 2; detach 1" in text for text in told.messages("info")), told.text
    stack.up()
    assert sorted(it.nodes) == ids(2, 3, 4) == stack.outputs()["ids"]


@pytest.mark.long
def test_a_node_that_is_gone_when_a_detach_conflicted_is_told(cloud, stack_on, monkeypatch):
    """It was to be moved."""
    it = cloud(detached_instance_status="Stopped")
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    it.world.instances[ids(4)[0]].host_name = "compute1"
    it.fault("error", "DeleteNodes", status=403, code="ConflictOpt")
    call, due = it.emulator.call, [ids(2)[0]]

    def detached_meanwhile(action, *rest):
        if due and it.calls("DeleteNodes") and action == "ListNodes":
            it.outside.detach(due.pop())
        return call(action, *rest)

    monkeypatch.setattr(it.emulator, "call", detached_meanwhile)
    declare(stack, 2, 4, job_queue="gpu")
    failed = stack.start("up", "--yes", "--skip-preview").wait(100)
    assert "Traceback" not in failed.text
    assert any(
        "not attached: the preview did not show that it would be" in text for text in failed.errors
    ), failed.text
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == sorted(it.nodes) == ids(4)


@pytest.mark.long
def test_a_rotated_key_makes_no_difference(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    stack.up()
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


def test_secrets_of_the_stack_config_stand_nowhere(cloud, stack_on):
    stack = stack_on(cloud_with_sts_key(cloud), **{"ehpc:accessKeyId": "fake-key-id"})
    stack.config("ehpc:accessKeySecret", SECRET, secret=True)
    stack.config("ehpc:securityToken", TOKEN, secret=True)
    declare(stack, 1, 2)
    assert_hidden(stack, [stack.preview("--diff", "--show-full-output"), stack.up()])


@pytest.mark.long
def test_secrets_of_the_stack_config_stand_in_no_error_either(cloud, stack_on):
    stack = stack_on(cloud_with_sts_key(cloud), **{"ehpc:accessKeyId": "fake-key-id"})
    stack.config("ehpc:accessKeySecret", SECRET, secret=True)
    stack.config("ehpc:securityToken", TOKEN, secret=True)
    declare(stack, 1, 2)
    results = [stack.up(), stack.refresh()]
    stack.config("ehpc:securityToken", "obviously-FAKE-token-4713", secret=True)
    declare(stack, 1, 2, 3)
    results += [
        stack.preview(expect_failure=True),
        stack.refresh("--run-program", expect_failure=True),
    ]
    assert "--run-program" not in results[2].text
    assert_hidden(stack, results)


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
def test_changes_of_the_set_can_be_ignored(cloud, stack_on):
    it = cloud()
    ignoring = '**args, opts=pulumi.ResourceOptions(ignore_changes=["instance_ids"]))'
    stack = stack_on(it, PROGRAM.replace("**args)", ignoring))
    declare(stack, 1, 2)
    stack.up()
    it.forget()
    declare(stack, 1, 3)
    assert stack.preview("--expect-no-changes")
    declare(stack, 1, 3, job_queue="gpu")
    stack.up()
    assert sorted(it.nodes) == ids(1, 2)
    assert {node.queue for node in it.nodes.values()} == {"gpu"}
    it.nodes[ids(2)[0]].status = "stopped"
    stack.refresh()
    assert stack.up()
    assert sorted(it.nodes) == ids(1, 2) == sorted(stack.outputs()["nodes"])


@pytest.mark.long
@pytest.mark.parametrize("time", ["-1s", "1ms"])
def test_a_time_in_which_nothing_can_be_done_is_refused_before_the_first_call(
    cloud, stack_on, time
):
    it = cloud()
    options = (
        f'custom_timeouts=pulumi.CustomTimeouts(create="{time}", update="{time}", delete="{time}")'
    )
    stack = stack_on(
        it, PROGRAM.replace("**args)", f"**args, opts=pulumi.ResourceOptions({options}))")
    )
    declare(stack, 1, 2)
    told = f"custom_timeouts give {-1 if time == '-1s' else 0.001} s, in which nothing can be done"
    refused = stack.up(expect_failure=True)
    assert any(told in text for text in refused.errors), refused.text
    assert it.writes() == []
    assert "TagResources" not in it.calls()

    slow = stack.program.read_text()
    stack.write(PROGRAM)
    stack.up()
    stack.write(slow)
    stack.up()  # the same set: nothing is done, and the state has the times
    it.forget()
    refused = stack.destroy(expect_failure=True)
    assert any(told in text for text in refused.errors), refused.text
    declare(stack, 1)
    assert any(told in text for text in stack.up(expect_failure=True).errors)
    assert it.calls("TagResources", "UntagResources") == it.writes() == []
    stack.write(PROGRAM)
    stack.up()
    stack.destroy()
    assert it.nodes == {}


@pytest.mark.long
def test_all_changes_can_be_ignored(cloud, stack_on):
    it = cloud()
    ignoring = '**args, opts=pulumi.ResourceOptions(ignore_changes=["*"]))'
    stack = stack_on(it, PROGRAM.replace("**args)", ignoring))
    declare(stack, 1, 2)
    stack.up()
    identity = stack.resources()["nodes"]["inputs"]["__uid"]
    it.forget()
    declare(stack, 1, 3, job_queue="gpu", image_id="m-bp1own", image_owner_alias="self")
    assert stack.preview("--expect-no-changes")
    stack.up()
    assert it.writes() == []
    it.outside.detach(ids(2)[0])
    stack.up("--refresh")
    assert sorted(it.nodes) == sorted(stack.outputs()["nodes"])
    assert stack.resources()["nodes"]["inputs"]["__uid"] == identity
