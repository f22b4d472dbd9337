"""Instances made by pulumi-alicloud in the same program: what is declared, by Pulumi's own mocks; and the order of
things, by the real engine and a stand-in for alicloud's plugin, which is large and not at hand everywhere.
"""

import asyncio
import runpy
from pathlib import Path

import pulumi
import pytest

pytest.importorskip("pulumi_alicloud", reason="no pulumi-alicloud: pip install pulumi-alicloud")

EXAMPLE = Path(__file__).parents[2] / "examples" / "pulumi-alicloud"
CONFIG = {
    "cluster": "ehpc-hz-test",
    "count": "2",
    "instanceType": "ecs.c7.large",
    "image": "some-image",
    "vswitch": "vsw-test",
    "securityGroup": "sg-test",
}


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
def declared(monkeypatch):
    """Name -> what the example's program declares, and in which order."""
    mocks = Mocks()
    pulumi.runtime.set_mocks(mocks, project="ehpc-alicloud", preview=False)
    pulumi.runtime.set_all_config({f"ehpc-alicloud:{key}": v for key, v in CONFIG.items()})

    async def run():
        runpy.run_path(str(EXAMPLE / "__main__.py"))

    asyncio.run(pulumi.runtime.run_pulumi_func(run))
    return mocks.declared


def test_instances_are_made_stopped_and_then_attached(declared):
    assert [name for name in declared if name != "ehpc-alicloud-stack"] == [
        "compute1",
        "compute2",
        "compute",
    ]
    for name in ("compute1", "compute2"):
        made = declared[name]
        assert made.typ == "alicloud:ecs/instance:Instance"
        assert made.inputs["status"] == "Stopped"
        assert made.inputs["hostName"] == name
    nodes = declared["compute"]
    assert nodes.inputs["instance_ids"] == ["i-of-compute1", "i-of-compute2"]
    assert nodes.inputs["replace_system_disks"] is True
