"""What a preview refuses, on the real engine: the text, on the right property, with nothing written."""

import pytest

from engine.cloud import CLUSTER, PROGRAM, Cloud, declare, ids
from engine.harness import PulumiStack
from unit.emulated import IMAGE, world

ONE, TWO = ids(1, 2)


# -- one row at a time, on a stack and a cloud that the rows share ---------------------------------


class Shared:
    """A stack whose program is written anew for each row, and a cloud whose world is."""

    def __init__(self, engine, directory):
        self.it = Cloud()
        self.stack = PulumiStack(engine, directory)
        self.it.configure(self.stack)

    def refused(self, spoil, arguments):
        """The errors of a preview in this world, in which nothing has been called yet."""
        self.it.emulator.load(world(6))
        self.it.emulator.faults.clear()
        self.it.forget()
        if spoil:
            spoil(self.it.emulator)
        args = {"cluster_id": CLUSTER, "instance_ids": [ONE], "replace_system_disks": True}
        args = {k: v for k, v in {**args, **arguments}.items() if v is not LEFT_OUT}
        self.stack.write(WITHOUT_CONFIG.replace("ARGS", repr(args)))
        result = self.stack.preview(expect_failure=True)
        assert "Traceback" not in result.text
        assert self.it.writes() == []
        return result


LEFT_OUT = object()
WITHOUT_CONFIG = """
from ehpc_nodes import AttachedNodes
AttachedNodes("nodes", **dict(dict(cluster_id=None, instance_ids=None), **ARGS))
"""


@pytest.fixture(scope="module")
def shared(engine, tmp_path_factory):
    it = Shared(engine, tmp_path_factory.mktemp("shared"))
    yield it
    it.stack.close()
    it.it.close()


BAD_INPUT = {
    "no list": ({"instance_ids": ONE}, "instance_ids", "Input should be a valid list"),
    "an empty list": ({"instance_ids": []}, "instance_ids", "name at least one instance"),
    "no list at all": ({"instance_ids": LEFT_OUT}, "instance_ids", "instance_ids is required"),
    "numbers in the list": (
        {"instance_ids": [ONE, 2]},
        "instance_ids",
        "Input should be a valid string (entry 1)",
    ),
    "a malformed id": (
        {"instance_ids": [ONE, "compute2"]},
        "instance_ids",
        "'compute2' is not an instance id (such as i-bp16mxn6mt3t7ftkabcd) (entry 1)",
    ),
    "an id twice": (
        {"instance_ids": [ONE, ONE]},
        "instance_ids",
        f"{ONE} is listed more than once; list it once",
    ),
    "an odd cluster id": ({"cluster_id": "hz"}, "cluster_id", "'hz' is not a cluster id"),
    "no cluster id": ({"cluster_id": LEFT_OUT}, "cluster_id", "cluster_id is required"),
    "a number": ({"job_queue": 3}, "job_queue", "Input should be a valid string"),
    "a text for a boolean": ({"stop_running": "yes"}, "stop_running", "a valid boolean"),
    "an unknown alias": (
        {"image_id": "x", "image_owner_alias": "mine"},
        "image_owner_alias",
        "Input should be 'system', 'self', 'others' or 'marketplace'",
    ),
    "an alias alone": ({"image_owner_alias": "self"}, "image_owner_alias", "without image_id"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(shared, case):
    arguments, name, said = BAD_INPUT[case]
    refused = shared.refused(None, arguments)
    assert any(f"property {name}" in text and said in text for text in refused.errors), refused.text
    assert shared.it.calls() == []


def instance(n, **changes):
    return lambda emulator: vars(emulator.world.instances[ids(n)[0]]).update(changes)


def image(**changes):
    return lambda emulator: vars(emulator.world.images["m-bp1own"]).update(changes)


def cluster(**changes):
    return lambda emulator: vars(emulator.world.clusters[CLUSTER]).update(changes)


def forbidden(action):
    return lambda emulator: emulator.faults.add(
        {"kind": "error", "action": action, "code": "NotAuthorized", "status": 403, "times": None}
    )


OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}
ROWS = {
    "cluster not found": (
        None,
        {"cluster_id": "ehpc-hz-nowhere"},
        "cluster_id",
        "a cluster is seen only in its own region",
    ),
    "cluster in another region": (
        None,
        {"region": "cn-beijing"},
        "region",
        f"cluster {CLUSTER} is in cn-hangzhou, not in cn-beijing: set the region",
    ),
    "cluster not running": (
        cluster(status="creating"),
        {},
        "cluster_id",
        f"cluster {CLUSTER} is creating, not running: wait until it is",
    ),
    "instance not found": (
        None,
        {"instance_ids": [ONE, "i-bp1nowhere"]},
        "instance_ids",
        "instance i-bp1nowhere does not exist in cn-hangzhou: check the id and the region",
    ),
    "not stopped": (
        instance(1, status="Running"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is Running, not Stopped: stop it, or set stop_running=True",
    ),
    "another vpc": (
        instance(1, vpc_id="vpc-other"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is in vpc-other, the cluster in vpc-test: it has to be in the same",
    ),
    "classic network": (
        instance(1, network_type="classic"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is in the classic network, not in a VPC",
    ),
    "host name of a node": (
        instance(1, host_name="login0"),
        {},
        "instance_ids",
        f"{ONE} has the host name 'login0', which node i-bp1login has too: rename one",
    ),
    "host names within the set": (
        instance(1, host_name="compute2"),
        {"instance_ids": [ONE, TWO]},
        "instance_ids",
        f"{TWO} has the host name 'compute2', which {ONE} has too: rename one",
    ),
    "a manager": (
        None,
        {"instance_ids": [ONE, "i-bp1manager"]},
        "instance_ids",
        f"scheduler0 (i-bp1manager) is no compute node of {CLUSTER} but Scheduler: it is never touched",
    ),
    "a login node": (
        None,
        {"instance_ids": ["i-bp1login"]},
        "instance_ids",
        f"login0 (i-bp1login) is no compute node of {CLUSTER} but Login: it is never touched",
    ),
    "locked": (
        instance(1, locks=["financial", "security"]),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is locked (financial, security): unlock it first",
    ),
    "of another resource": (
        instance(1, tags={"ehpc-nodes": "other/prod/nodes"}),
        {},
        "instance_ids",
        f"compute1 ({ONE}) belongs to another resource, 'other/prod/nodes': remove it there first",
    ),
    "image under another alias": (
        None,
        {**OWN, "image_owner_alias": "system"},
        "image_id",
        "image m-bp1own is not among the 'system' images: check the id and image_owner_alias",
    ),
    "image not available": (
        image(status="Creating"),
        OWN,
        "image_id",
        "image m-bp1own is Creating, not Available",
    ),
    "image of another family": (
        image(platform="Ubuntu", os_tag="Ubuntu_20.04_64", version="20.04"),
        OWN,
        "image_id",
        "image m-bp1own is ubuntu, the cluster's system is centos: choose an image of centos",
    ),
    "image of another major version": (
        None,
        {"image_id": "centos_8_0.vhd"},
        "image_id",
        "image centos_8_0.vhd is centos 8.0, the cluster's is 7.6: the major version has to be 7",
    ),
    "no such queue": (
        None,
        {"job_queue": "workk"},
        "job_queue",
        f"queue 'workk' does not exist in {CLUSTER}; there is workq",
    ),
    "no consent": (
        None,
        {"replace_system_disks": False},
        "replace_system_disks",
        f"attaching replaces the system disks of compute1 ({ONE}) by {IMAGE}: what is on them is lost.",
    ),
    "nodes that cannot be seen": (
        forbidden("ListNodes"),
        {},
        "instance_ids",
        "give the access key's RAM user the permission ehpc:ListNodes",
    ),
    "an image that cannot be seen": (
        forbidden("DescribeCluster"),
        {},
        "image_id",
        "RAM user the permission ehpc:DescribeCluster",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_row(shared, row):
    spoil, arguments, name, said = ROWS[row]
    refused = shared.refused(spoil, arguments)
    found = [text for text in refused.errors if f"property {name} " in text]
    assert len(found) == 1, refused.text
    assert said in found[0], refused.text


# -- walks -----------------------------------------------------------------------------------------


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
