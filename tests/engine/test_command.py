"""`ehpc-nodes program` on the real engine: what it writes adopts, changes nothing, and stays as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids

SCRIPT = Path(sys.executable).parent / "ehpc-nodes"


def environment(cloud, stack):
    return {
        **stack.env,
        "ALIBABA_CLOUD_REGION_ID": "cn-hangzhou",
        "ALIBABA_CLOUD_EHPC_ENDPOINT": cloud.server.url,
        "ALIBABA_CLOUD_ECS_ENDPOINT": cloud.server.url,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": cloud.server.access_key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": cloud.server.access_key_secret,
    }


def command(cloud, stack, *arguments, directory=None, code=0):
    done = subprocess.run(
        [SCRIPT, *arguments],
        env=environment(cloud, stack),
        cwd=directory or stack.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def node(world, number):
    (instance_id,) = ids(number)
    return world.nodes[instance_id]


@pytest.fixture
def mixed(cloud):
    """Nodes of two queues and of two images; one that is stopped, one that belongs to another resource."""
    made = cloud(instances=8, attached=(1, 2, 3, 4, 5, 6))
    node(made, 3).queue = "gpu"
    node(made, 4).image_id, node(made, 4).image_owner_alias = "m-bp1own", "self"
    node(made, 5).status = "stopped"
    made.emulator.world.instances[ids(6)[0]].tags["ehpc-nodes"] = "other/dev/nodes"
    return made


@pytest.mark.long
def test_up_writes_owner_tags_only_and_the_next_preview_is_empty(mixed, stack_on):
    stack = stack_on(mixed)
    text = command(mixed, stack, "program", CLUSTER)
    stack.write(text)
    mixed.forget()
    assert stack.up().messages("warning") == []
    assert mixed.writes() == []
    assert mixed.calls("TagResources", "UntagResources") == ["TagResources"] * 3
    assert {name: r["outputs"]["instance_ids"] for name, r in stack.resources().items()} == {
        "gpu": ids(3),
        "workq": ids(1, 2),
        "workq-2": ids(4),
    }
    stack.refresh("--expect-no-changes")
    stack.preview("--expect-no-changes")
    assert mixed.writes() == []
    assert f"# not listed: compute5 ({ids(5)[0]}) is stopped" in text
    assert f"# not listed: compute6 ({ids(6)[0]}) is managed by other/dev/nodes" in text


@pytest.mark.long
def test_a_project_of_its_own(cloud, stack_on, tmp_path):
    """In a folder that has nothing yet, with the settings in the environment."""
    world = cloud(instances=2, attached=(1, 2))
    stack = stack_on(world)
    folder = tmp_path / "nodes"
    command(world, stack, "program", CLUSTER, "--dir", str(folder))
    assert sorted(path.name for path in folder.iterdir()) == ["Pulumi.yaml", "__main__.py"]
    for arguments in (
        ["stack", "init", "dev"],
        ["up", "--yes"],
        ["preview", "--expect-no-changes"],
    ):
        done = subprocess.run(
            [stack.engine, "--non-interactive", *arguments],
            cwd=folder,
            env=environment(world, stack),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert world.writes() == []
    for instance in world.world.instances.values():
        instance.tags.clear()  # else there is nothing left to adopt
    said = command(world, stack, "program", CLUSTER, "--dir", str(folder), code=1)
    assert "already exists" in said


def test_the_settings_of_a_stack(cloud, stack_on):
    """--stack reads the stack's config, secrets too, by the Pulumi CLI; completion goes by it, too."""
    world = cloud(instances=2, attached=(1,))
    stack = stack_on(world, **{"other:key": "x"})

    def run(*arguments, **variables):
        return subprocess.run(
            [SCRIPT, *arguments],
            env=stack.env | variables,
            cwd=stack.directory,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("nodes", CLUSTER, "--stack", "dev")
    assert (done.returncode, done.stderr) == (0, "")
    assert ids(1)[0] in done.stdout
    for line, found in {
        "ehpc-nodes nodes --stack dev ehpc": [CLUSTER],
        "ehpc-nodes --stack dev nodes ehpc": [CLUSTER],
        "ehpc-nodes nodes --stack none ehpc": [],
    }.items():
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        done = run(_EHPC_NODES_COMPLETE="complete_bash", **words)
        assert (done.stdout.split(), done.stderr) == (found, "")
    # the names of what to carry over, not the values: one may be a secret
    assert run("program", CLUSTER, "--dir", "made", "--stack", "dev").stderr.splitlines()[-1] == (
        "The config of the new stack is empty. Copy these settings of stack 'dev' to it"
        f" (pulumi config set): {', '.join(sorted({**world.config, **world.secrets}))}."
    )
    said = command(world, stack, "nodes", CLUSTER, "--stack", "none", code=1)
    assert said.startswith("ehpc-nodes: The config of stack 'none' cannot be read: ")
    assert len(said.splitlines()) == 1


def test_the_doctor_finds_the_real_engine(cloud, stack_on):
    world = cloud()
    told = command(world, stack_on(world), "doctor", "--stack", "dev")
    assert "ok       Pulumi CLI: v3." in told
    assert "ok       Pulumi's Python support: pulumi-language-python" in told
    assert "(ehpc:accessKeyId)" in told
