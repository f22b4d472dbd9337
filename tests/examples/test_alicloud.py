"""Instances made by pulumi-alicloud in the same program: what is declared, by Pulumi's own mocks; and the order of
things, by the real engine and a stand-in for alicloud's plugin, which is large and not at hand everywhere.
"""

import json
import os
import re
import runpy
import shutil
import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import pulumi
import pytest

from ehpc_nodes.testing.worlds import CLUSTER, OLD_IMAGE, ids

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of its own old names
    from pulumi_alicloud.ecs import InstanceArgs

EXAMPLE = Path(__file__).parents[2] / "examples" / "pulumi-alicloud"
PROGRAM = EXAMPLE / "__main__.py"
CONFIG = {
    "cluster": CLUSTER,
    "count": 2,
    "image": OLD_IMAGE,
    "vswitch": "vsw-test",
    "securityGroup": "sg-test",
}
DEFAULTS = {"instanceType": "ecs.c7.large"}


class Mocks(pulumi.runtime.Mocks):
    """Every resource gets an id; what was declared is kept."""

    def __init__(self):
        self.declared = {}

    def new_resource(self, args):
        self.declared[args.name] = args
        return f"i-of-{args.name}", args.inputs

    def call(self, args):
        return {}


@pytest.fixture
def declared():
    """Name -> what the example's program declares, in order."""
    mocks = Mocks()
    pulumi.runtime.set_mocks(mocks, project="ehpc-alicloud", preview=False)
    values = {f"ehpc-alicloud:{key}": str(v) for key, v in {**CONFIG, **DEFAULTS}.items()}
    pulumi.runtime.set_all_config(values)

    @pulumi.runtime.test
    def run():
        runpy.run_path(str(PROGRAM))

    run()
    return mocks.declared


def test_instances_are_made_stopped_and_then_attached(declared):
    *made, last = declared  # the two are made side by side
    assert (sorted(made), last) == (["compute1", "compute2"], "compute")
    for name in ("compute1", "compute2"):
        made = declared[name]
        assert made.typ == "alicloud:ecs/instance:Instance"
        assert made.inputs["status"] == "Stopped"
        assert made.inputs["hostName"] == name
    nodes = declared["compute"]
    assert nodes.inputs["instance_ids"] == ["i-of-compute1", "i-of-compute2"]
    assert nodes.inputs["replace_system_disks"] is True


def test_what_is_ignored_are_inputs_of_an_instance():
    (ignored,) = re.findall(
        r"ignore_changes=\[$(.*?)^ *\],$", PROGRAM.read_text(), re.DOTALL | re.MULTILINE
    )
    names = re.findall(r'^ *"(\w+)",', ignored, re.MULTILINE)
    assert names == ["status", "image_id", "tags"]
    assert set(names) <= set(InstanceArgs.__init__.__annotations__)
    account = (EXAMPLE.parents[1] / "docs" / "account.md").read_text()
    assert f"`ignore_changes={json.dumps(names)}`" in account
    assert '`status="Stopped"`' in account


@pytest.fixture
def stack(ehpc, pulumi_stack, tmp_path):
    """A stack of a copy of the example, with the stand-in for alicloud's plugin."""
    plugin = tmp_path / "bin" / "pulumi-resource-alicloud"
    plugin.parent.mkdir()
    stand_in = Path(__file__).with_name("stand_in.py")
    plugin.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}"\n')
    plugin.chmod(0o755)
    folder = shutil.copytree(EXAMPLE, tmp_path / "example")
    stack = pulumi_stack(folder, env={"EMULATOR_URL": ehpc.url})
    stack.env["PATH"] = os.pathsep.join([str(plugin.parent), stack.env["PATH"]])
    ehpc.configure(stack, **CONFIG)
    return stack


@contextmanager
def careless(program):
    """The program without its ignore_changes, for a while."""
    text = program.read_text()
    pattern = r" *ignore_changes=\[$.*?^ *\],$\n"
    without, count = re.subn(pattern, "", text, flags=re.DOTALL | re.MULTILINE)
    assert count == 1
    program.write_text(without)
    yield
    program.write_text(text)


@pytest.mark.long
@pytest.mark.engine
def test_made_attached_left_alone_and_detached_before_they_are_deleted(ehpc, stack):
    assert "(new instance 1): [unknown]" in stack.preview("--diff").text
    assert ehpc.writes() == []
    stack.up()
    assert sorted(ehpc.nodes) == ids(1, 2)
    assert ehpc.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)

    # what attaching changed is drift of the instances, and no reason to touch them
    stack.refresh()
    seen = stack.resources()["compute1"]["inputs"]
    assert (seen["status"], seen["tags"].keys()) == ("Running", {"ehpc-nodes", "ehpc-nodes-ref"})
    assert seen["imageId"] != OLD_IMAGE
    assert stack.preview("--expect-no-changes").errors == []
    with careless(stack.program):
        (step,) = (step for step in stack.preview().steps if step.name == "compute1")
    assert (step.op, step.metadata["diffs"]) == ("update", ["imageId", "status", "tags"])

    stack.config("count", 1)
    stack.up()
    assert sorted(ehpc.nodes) == ids(1)
    assert ids(2)[0] not in ehpc.world.instances
    stack.destroy()
    assert ehpc.nodes == {}
    assert ids(1)[0] not in ehpc.world.instances
    assert ehpc.named("DeleteNodes") == [ids(2), ids(1)]
    assert ehpc.harm.releases == []  # the instances were deleted by their own resource
