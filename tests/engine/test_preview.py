"""What a preview refuses, on the real engine: the text, on the right property, with nothing written."""

import pytest

from engine.cloud import CLUSTER, PROGRAM, declare, ids
from unit.emulated import IMAGE

ONE = ids(1)[0]

BAD_INPUT = {
    "no list": ({"instance_ids": ONE}, "instance_ids", "list"),
    "an empty list": ({"instance_ids": []}, "instance_ids", "name at least one instance"),
    "a malformed id": (
        {"instance_ids": [ONE, "compute2"]},
        "instance_ids",
        "'compute2' is not an instance id",
    ),
    "an id twice": (
        {"instance_ids": [ONE, ONE]},
        "instance_ids",
        f"{ONE} is listed more than once",
    ),
    "no cluster id": ({"cluster_id": "hz"}, "cluster_id", "'hz' is not a cluster id"),
    "a number": ({"job_queue": 3}, "job_queue", "string"),
    "a text for a boolean": ({"stop_running": "yes"}, "stop_running", "boolean"),
    "an unknown alias": (
        {"image_id": "x", "image_owner_alias": "mine"},
        "image_owner_alias",
        "system",
    ),
    "an alias alone": ({"image_owner_alias": "self"}, "image_owner_alias", "without image_id"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(cloud, stack_on, case):
    arguments, name, said = BAD_INPUT[case]
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, **arguments)
    refused = stack.preview(expect_failure=True)
    assert any(f"property {name}" in text and said in text for text in refused.errors), refused.text
    assert "Traceback" not in refused.text
    assert it.calls() == []


def spoil(it):
    """A world in which much is wrong."""
    instances, outside = it.emulator.world.instances, it.emulator.outside
    outside.start(ids(1)[0])
    instances[ids(2)[0]].vpc_id = "vpc-other"
    instances[ids(3)[0]].host_name = "compute4"
    instances[ids(5)[0]].locks = ["financial"]
    instances[ids(6)[0]].host_name = "login0"


EVERYTHING = [
    f"compute1 ({ids(1)[0]}) is Running, not Stopped: stop it, or set stop_running=True",
    f"compute2 ({ids(2)[0]}) is in vpc-other, the cluster in vpc-test: it has to be in the same",
    f"{ids(4)[0]} has the host name 'compute4', which {ids(3)[0]} has too: rename one",
    f"compute5 ({ids(5)[0]}) is locked (financial): unlock it first",
    f"{ids(6)[0]} has the host name 'login0', which node i-bp1login has too: rename one",
    "instance i-bp1nowhere does not exist in cn-hangzhou: check the id and the region",
    "queue 'gpus' does not exist in ehpc-hz-test; there is gpu",
    "the major version has to be 7",
    "Set replace_system_disks=True to allow it",
]


def test_every_mistake_is_said_at_once(cloud, stack_on):
    it = cloud()
    spoil(it)
    stack = stack_on(it)
    declare(
        stack,
        instance_ids=[*ids(1, 2, 3, 4, 5, 6), "i-bp1nowhere"],
        job_queue="gpus",
        image_id="centos_8_0.vhd",
        replace_system_disks=False,
    )
    refused = stack.preview(expect_failure=True)
    for sentence in EVERYTHING:
        assert any(sentence in text for text in refused.errors), f"{sentence}\n{refused.text}"
    assert "Traceback" not in refused.text
    assert it.writes() == []
    assert stack.up(expect_failure=True).exit_code != 0
    assert it.writes() == []


def test_a_cluster_that_does_not_exist_or_run(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, cluster_id="ehpc-hz-nowhere")
    (error,) = [e for e in stack.preview(expect_failure=True).errors if "ClusterNotFound" in e]
    assert "property cluster_id" in error
    assert "a cluster is seen only in its own region" in error
    it.emulator.outside.set_cluster_status(CLUSTER, "creating")
    declare(stack, 1)
    refused = stack.preview(expect_failure=True)
    assert any("is creating, not running: wait until it is" in text for text in refused.errors)
    assert it.writes() == []


def test_a_manager_or_login_node_is_never_taken(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, instance_ids=[ONE, "i-bp1login"])
    refused = stack.preview(expect_failure=True)
    assert any("login0 (i-bp1login)" in text and "never touched" in text for text in refused.errors)
    assert it.writes() == [] == it.harm.touched


def test_no_region_and_no_key(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    stack.unset("ehpc:region")
    refused = stack.preview(expect_failure=True)
    assert any("pulumi config set ehpc:region" in text for text in refused.errors), refused.text
    stack.config("ehpc:region", "cn-hangzhou")
    stack.unset("ehpc:accessKeyId")
    stack.unset("ehpc:accessKeySecret")
    refused = stack.preview(expect_failure=True)
    assert any("Set ALIBABA_CLOUD_ACCESS_KEY_ID" in text for text in refused.errors), refused.text
    assert "Traceback" not in refused.text
    assert it.calls() == []


MADE_HERE = (
    """
from pulumi.dynamic import CreateResult, Resource, ResourceProvider
class Making(ResourceProvider):
    def create(self, props):
        return CreateResult(props["made"], props)
class Made(Resource):
    def __init__(self, name, made):
        super().__init__(Making(), name, {"made": made})
"""
    + PROGRAM
).replace(
    "**args)",
    "**dict(args, instance_ids=[*args['instance_ids'], Made('one', args.pop('made')).id]))",
)


def test_instances_made_in_the_same_program(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, MADE_HERE)
    declare(stack, 1, made=ids(2)[0])
    preview = stack.preview("--diff")
    assert "(new instance 1): [unknown]" in preview.text
    assert it.writes() == []
    stack.up()
    assert sorted(it.nodes) == ids(1, 2) == stack.outputs()["ids"]
    assert stack.preview("--expect-no-changes")


def test_an_instance_made_in_the_same_program_is_checked_when_it_is_known(cloud, stack_on):
    it = cloud()
    it.emulator.outside.start(ids(2)[0])
    stack = stack_on(it, MADE_HERE)
    declare(stack, 1, made=ids(2)[0])
    stack.preview()
    failed = stack.up(expect_failure=True)
    assert any(f"compute2 ({ids(2)[0]}) is Running, not Stopped" in text for text in failed.errors)
    assert it.writes() == []


def test_warnings_stand_on_the_row_and_hinder_nothing(cloud, stack_on):
    it = cloud()
    it.emulator.world.clusters[CLUSTER].queues["gpu"].auto_grow = True
    it.emulator.world.instances[ids(2)[0]].instance_type = "ecs.g6.large"
    stack = stack_on(it)
    declare(stack, 1, 2, job_queue="gpu")
    preview = stack.preview()
    assert any("grows and shrinks by itself" in text for text in preview.messages("warning"))
    assert any(
        "several types (ecs.c5.large, ecs.g6.large)" in t for t in preview.messages("warning")
    )
    assert f"attach 2 (system disk replaced by {IMAGE}): compute1, compute2; 1 call" in (
        preview.messages("info")
    )
