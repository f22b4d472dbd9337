"""Examples on the real engine: what they did stands in the emulated cluster. Their pages are run by
tests/docs/test_code.py.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ehpc_nodes.reconcile.owner_tags import NAME_KEY, REFERENCE_KEY
from ehpc_nodes.testing.worlds import CLUSTER, ids, small_world

pytestmark = pytest.mark.engine
EXAMPLES = Path(__file__).parents[2] / "examples"


def walk(ehpc, stack, expected):
    """Up, no change, destroy: the nodes are exactly these in between, and each disk was replaced once."""
    stack.up()
    assert {i: node.queue for i, node in ehpc.nodes.items()} == expected
    assert stack.preview("--expect-no-changes").errors == []
    disks = dict(ehpc.harm.disk_replacements)
    stack.destroy()
    assert ehpc.nodes == {}
    assert set(expected) <= ehpc.world.instances.keys()
    assert ehpc.harm.disk_replacements == disks
    assert ehpc.harm.releases == ehpc.harm.double_attach == ehpc.harm.touched == []
    return disks


def test_quickstart(ehpc, example):
    stack = example("quickstart", instances=ids(1, 2))
    disks = walk(ehpc, stack, dict.fromkeys(ids(1, 2), "workq"))
    assert disks == dict.fromkeys(ids(1, 2), 1)


def test_the_roots_project_is_the_quickstart():
    def lines(path):
        text = (EXAMPLES.parent / path / "Pulumi.yaml").read_text()
        return [line for line in text.splitlines() if not line.startswith("#")]

    assert lines(".") == [*lines("examples/quickstart"), "main: examples/quickstart"]


@pytest.mark.long
def test_queues(ehpc, example):
    stack = example("queues", queues={"workq": ids(1, 2), "gpu": ids(3)})
    expected = {**dict.fromkeys(ids(1, 2), "workq"), ids(3)[0]: "gpu"}
    stack.up()
    ehpc.outside.move(ids(3)[0], "workq")
    stack.refresh()
    preview = stack.preview()
    assert (preview.ops("gpu"), preview.ops("workq")) == (["update"], ["same"])
    stack.up()
    stack.config("queues", {"workq": ids(1), "gpu": ids(2, 3)})  # one goes to the other list
    stack.up()
    expected[ids(2)[0]] = "gpu"
    assert ehpc.writes() == ["AddExistedNodes", "AddExistedNodes", "SetQueue", "SetQueue"]
    assert walk(ehpc, stack, expected) == dict.fromkeys(ids(1, 2, 3), 1)


@pytest.mark.long
def test_adopt(ehpc, example):
    for instance in ids(1, 2, 3):
        ehpc.outside.attach(instance, CLUSTER)
    stack = example("adopt", instances=ids(1, 2))
    up = stack.up()
    assert "adopt 2: compute1, compute2; no call" in up.messages("info")
    assert up.messages("warning") == []
    assert ehpc.writes() == []
    assert stack.outputs()["not_listed"] == ids(3)
    assert stack.preview("--expect-no-changes").errors == []

    stack.config("instances", ids(1, 2, 4))  # one that is no node yet
    refused = stack.preview(expect_failure=True)
    assert "replace_system_disks" in " ".join(refused.errors)
    assert ehpc.writes() == []

    stack.destroy()
    assert sorted(ehpc.nodes) == ids(3)
    assert ehpc.harm.disk_replacements == {}


@pytest.mark.parametrize(
    ("name", "config", "told"),
    [
        ("queues", {"queues": {"gpu": ids(3)}}, "attach 1 "),
        ("stop-and-attach", {"instances": ids(1, 2)}, "stop 1: compute1"),
        ("adopt", {"instances": ids(2)}, "adopt 1: compute2; no call"),
    ],
    ids=["queues", "stop-and-attach", "adopt"],
)
def test_a_preview_says_what_an_example_is_about(ehpc, example, name, config, told):
    """That it does so is long."""
    ehpc.outside.start(ids(1)[0])
    ehpc.outside.attach(ids(2)[0], CLUSTER)
    assert any(told in text for text in example(name, **config).preview().messages("info"))


@pytest.mark.long
def test_terraforms_state_file_where_there_is_no_terraform(ehpc, example, tmp_path):
    file = tmp_path / "terraform.tfstate"
    outputs = {"instance_ids": {"value": ids(1, 2), "type": ["list", "string"]}}
    file.write_text(json.dumps({"version": 4, "terraform_version": "1.9.0", "outputs": outputs}))
    stack = example("terraform", terraform=str(file))
    messages = stack.preview().messages("info")
    assert any(re.match(r"attach 2 .*: compute1, compute2;", text) for text in messages)
    file.write_text("{}")
    refused = stack.preview(expect_failure=True)
    assert "has no output instance_ids: add one, and run terraform apply" in refused.text
    assert "Traceback" not in refused.text
    slips = {
        "[": "is to be Terraform's outputs as JSON",
        '{"instance_ids": {"value": "i-1"}}': "is no list",
    }
    for written, told in slips.items():
        file.write_text(written)
        refused = stack.preview(expect_failure=True)
        assert told in refused.text
        assert "Traceback" not in refused.text


@pytest.mark.long
def test_automation(ehpc, pulumi_stack, tmp_path):
    ehpc.load(small_world(pace={"reads": 3}))
    folder = tmp_path / "automation"
    shutil.copytree(EXAMPLES / "automation", folder)
    stack = pulumi_stack(folder)
    config = {"cluster": CLUSTER, "instances": ids(1, 2)}
    settings = {**ehpc.config, **{f"ehpc-automation:{key}": v for key, v in config.items()}}
    (folder / "Pulumi.dev.yaml").write_text(json.dumps({"config": settings | ehpc.secrets}))

    stack.run("stack", "select", "--create", "dev")

    def run(*words):
        command = [sys.executable, "nodes.py", *words]
        return subprocess.run(
            command, cwd=folder, env=stack.env, capture_output=True, text=True, check=False
        )

    done = run("dev", "attach")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "create   compute" in lines
    assert "done     compute" in lines
    assert "default" not in done.stdout, "a provider of the engine's own"
    assert f"{ids(1)[0]}  compute1  running  workq" in lines
    assert any("0/2 nodes done; waiting for" in line for line in lines), done.stdout
    assert sorted(ehpc.nodes) == ids(1, 2)
    done = run("dev", "detach")
    assert done.returncode == 0, done.stderr
    assert "delete   compute" in done.stdout
    assert "default" not in done.stdout
    assert ehpc.nodes == {}
    assert ehpc.harm.releases == []
    assert run("dev").stderr == "usage: python nodes.py STACK attach|detach\n"
    unknown = run("prod", "attach")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr == (
        "nodes: there is no stack 'prod' (dev is there); make it: pulumi stack init prod\n"
    )


def test_the_index_names_every_example_and_each_has_what_it_needs():
    folders = {file.parent.name for file in EXAMPLES.glob("*/Pulumi.yaml")}
    index = (EXAMPLES / "README.md").read_text()
    assert set(re.findall(r"^\| \[([\w-]+)\]\(\1\)", index, re.MULTILINE)) == folders
    for name in folders:
        assert (EXAMPLES / name / "README.md").is_file(), name
        (program,) = (EXAMPLES / name).glob("*.py")
        compile(program.read_text(), program, "exec")


@pytest.mark.parametrize("page", sorted(EXAMPLES.glob("*/README.md")), ids=lambda p: p.parent.name)
def test_a_page_begins_by_making_a_stack_and_says_where_to_get_the_rest(page):
    """Otherwise the first line ends with «no stack selected», or the second with no region."""
    text = page.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = [line for line in "".join(blocks).splitlines() if line.startswith("pulumi ")]
    assert lines[0] == "pulumi stack init dev"
    assert re.match(r"pulumi config set (ehpc|alicloud):region ", lines[1])
    assert text.index("(../README.md)") < text.index("pulumi stack init")


@pytest.mark.parametrize("page", ["examples/terraform/README.md", "docs/terraform.md"])
def test_terraform_ignores_our_tags_and_no_other(page):
    text = (EXAMPLES.parent / page).read_text()
    (ignored,) = re.findall(r"ignore_changes = \[(.*)\]$", text, re.MULTILINE)
    tags = [f'tags["{key}"]' for key in (NAME_KEY, REFERENCE_KEY)]
    assert ignored.split(", ") == ["status", "image_id", *tags]
