"""What a preview refuses, on the real engine: the text, on the right property, with nothing written."""

import json

import pytest

from ehpc_nodes.emulator.world import Cluster, Node
from ehpc_nodes.testing import EmulatedCloud, PulumiStack
from ehpc_nodes.testing.worlds import CLUSTER, IMAGE, VPC, ids
from ehpc_nodes.testing.worlds import small_world as world
from engine.program import PROGRAM, declare

ONE, TWO = ids(1, 2)


# -- one row at a time, on a stack and a cloud that the rows share ---------------------------------


class Shared:
    """A stack whose program is written anew for each row, and a cloud whose world is."""

    def __init__(self, pulumi_engine, directory):
        self.it = EmulatedCloud()
        self.stack = PulumiStack(pulumi_engine, directory)
        self.it.configure(self.stack)

    def refused(self, spoils, arguments):
        """The errors of a preview in this world, in which nothing has been called yet."""
        self.it.emulator.load(world(8))
        self.it.emulator.faults.clear()
        self.it.forget()
        for spoil in spoils:
            spoil(self.it.emulator)
        args = {"cluster_id": CLUSTER, "instance_ids": [ONE], "replace_system_disks": True}
        self.stack.write(WITHOUT_CONFIG.replace("ARGS", repr({**args, **arguments})))
        result = self.stack.preview(expect_failure=True)
        assert "Traceback" not in result.text
        assert self.it.writes() == []
        return result


WITHOUT_CONFIG = """
from ehpc_nodes import AttachedNodes
AttachedNodes("nodes", **ARGS)
"""


@pytest.fixture(scope="module")
def shared(pulumi_engine, tmp_path_factory):
    it = Shared(pulumi_engine, tmp_path_factory.mktemp("shared"))
    yield it
    it.stack.close()
    it.it.close()


#: Arguments, and all that is said of them: property and text. Where the form is wrong, nothing is looked at.
BAD_INPUT = {
    "five arguments": (
        {
            "cluster_id": "hz",
            "instance_ids": ONE,
            "job_queue": 3,
            "stop_running": "yes",
            "image_id": "x",
            "image_owner_alias": "mine",
        },
        [
            ("cluster_id", "'hz' is not a cluster id (such as ehpc-hz-FYUr32abcd)"),
            ("instance_ids", "give a list of instance ids, like ['i-bp16mxn6mt3t7ftkabcd']"),
            ("job_queue", "give a queue's name, like 'workq'; got a number"),
            ("stop_running", "give True or False (from config: get_bool); got a string"),
            ("image_owner_alias", "give 'system', 'self', 'others' or 'marketplace'; got 'mine'"),
        ],
    ),
    "nothing": (
        {"cluster_id": None, "instance_ids": None},
        [("cluster_id", "cluster_id is required"), ("instance_ids", "instance_ids is required")],
    ),
    "an empty list and an alias alone": (
        {"instance_ids": [], "image_owner_alias": "self"},
        [
            (
                "instance_ids",
                "list at least one instance. To detach all, or after all went to other resources, remove this resource",
            ),
            ("image_owner_alias", "is set without image_id"),
        ],
    ),
    "odd things in the list": (
        {"instance_ids": [ONE, 2, "compute2"]},
        [
            (
                "instance_ids",
                "give a list of instance ids, like ['i-bp16mxn6mt3t7ftkabcd'] (from config: require_object); entry 1 is a number",
            ),
            ("instance_ids", "'compute2' is not an instance id (such as i-bp16mxn6mt3t7ftkabcd)"),
        ],
    ),
    "an id twice": (
        {"instance_ids": [ONE, TWO, ONE]},
        [("instance_ids", f"{ONE} is listed more than once; list it once")],
    ),
}


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


def in_another_cluster(emulator):
    other = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64")
    emulator.world.clusters[other.id] = other
    emulator.world.add_node(other, Node(ONE, "compute1", status="stopped"))


#: What is wrong in the world, arguments, and all that is said.
REFUSALS = {
    "everything at once": (
        [
            cluster(status="creating"),
            image(status="Creating", platform="Ubuntu", os_tag="Ubuntu_20.04_64", version="20.04"),
            instance(1, status="Running"),
            instance(2, vpc_id="vpc-other"),
            instance(3, network_type="classic"),
            instance(4, host_name="login0"),
            instance(5, host_name="compute6"),
            instance(7, locks=["financial", "security"]),
            instance(8, tags={"ehpc-nodes": "other/prod/nodes"}),
        ],
        {
            "instance_ids": [
                *ids(1, 2, 3, 4, 5, 6, 7, 8),
                *("i-bp1nowhere", "i-bp1manager", "i-bp1login"),
            ],
            "job_queue": "workk",
            "image_id": "m-bp1own",
            "image_owner_alias": "self",
            "replace_system_disks": False,
        },
        [
            ("cluster_id", f"cluster {CLUSTER} is creating, not running: wait until it is running"),
            ("job_queue", f"queue 'workk' does not exist in {CLUSTER}: did you mean workq?"),
            (
                "image_id",
                "image m-bp1own is Creating, not Available: wait until it is, or set another image_id",
            ),
            (
                "image_id",
                "image m-bp1own is ubuntu, but the cluster is centos. Set an image_id of centos",
            ),
            ("replace_system_disks", "Set replace_system_disks=True to allow this"),
            *(
                ("instance_ids", said)
                for said in (
                    f"compute1 ({ONE}) is Running, not Stopped: stop it, or set stop_running=True",
                    f"compute2 ({TWO}) is in vpc-other, but the cluster is in vpc-test. Both must be in the same VPC",
                    f"compute3 ({ids(3)[0]}) is in the classic network, not in the cluster's VPC",
                    f"{ids(4)[0]} has the same host name as node i-bp1login, 'login0': rename one of them",
                    f"{ids(6)[0]} has the same host name as {ids(5)[0]}, 'compute6': rename one of them",
                    f"compute7 ({ids(7)[0]}) is locked (financial, security): unlock it first",
                    f"compute8 ({ids(8)[0]}) belongs to another resource, 'other/prod/nodes'",
                    "i-bp1nowhere does not exist in cn-hangzhou: check the id and the region",
                    f"scheduler0 (i-bp1manager) is not a compute node of {CLUSTER} but Scheduler",
                    f"login0 (i-bp1login) is not a compute node of {CLUSTER} but Login",
                )
            ),
        ],
    ),
    "a node of another cluster": (
        [in_another_cluster],
        {},
        [
            (
                "instance_ids",
                "is a node of cluster ehpc-hz-other, or is being attached to it: detach it there first",
            )
        ],
    ),
    "a cluster that does not exist": (
        [],
        {"cluster_id": "ehpc-hz-nowhere"},
        [("cluster_id", "E-HPC lists a cluster only in its own region")],
    ),
    "a cluster in another region": (
        [],
        {"region": "cn-beijing"},
        [("region", f"cluster {CLUSTER} is in cn-hangzhou, not in cn-beijing: set the region")],
    ),
    "an image under another alias": (
        [],
        {"image_id": "m-bp1own"},
        [
            (
                "image_id",
                (
                    "image m-bp1own is not among the 'system' images. Check image_id, and"
                    " image_owner_alias: 'self' for your own images, 'others' for shared ones"
                ),
            )
        ],
    ),
    "an image of another major version, without consent": (
        [],
        {"image_id": "centos_8_0.vhd", "replace_system_disks": False},
        [
            (
                "image_id",
                (
                    "image centos_8_0.vhd is centos 8.0, but the cluster is centos 7.6. Set an image_id of"
                    " centos 7"
                ),
            ),
            (
                "replace_system_disks",
                (
                    f"attaching replaces the system disks of compute1 ({ONE}) by centos_8_0.vhd, and"
                    " their data is lost. Set replace_system_disks=True to allow this"
                ),
            ),
        ],
    ),
    "looks that are not allowed": (
        [forbidden("ListNodes"), forbidden("ListTasks"), forbidden("DescribeCluster")],
        {},
        [
            ("instance_ids", "Give ehpc:ListNodes to the access key's RAM user"),
            ("instance_ids", "Give ehpc:ListTasks to the access key's RAM user"),
            ("image_id", "give the access key's RAM user the permission ehpc:DescribeCluster"),
        ],
    ),
}


def assert_said(result, expected):
    """Each of these is said, on its property, and nothing else."""
    errors = [text for text in result.errors if "property " in text]
    for name, said in expected:
        assert any(f"property {name} " in text and said in text for text in errors), (
            f"{said}\n{result.text}"
        )
    assert len(errors) == len(expected), result.text


@pytest.mark.long
@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input(shared, case):
    arguments, expected = BAD_INPUT[case]
    assert_said(shared.refused([], arguments), expected)
    assert shared.it.calls() == []


@pytest.mark.parametrize(
    "case",
    # how they come out on the engine, one shows; the texts are shown in tests/unit
    [
        pytest.param(n, marks=[] if n == "everything at once" else pytest.mark.long)
        for n in REFUSALS
    ],
)
def test_what_cannot_work_is_refused(shared, case):
    spoils, arguments, expected = REFUSALS[case]
    assert_said(shared.refused(spoils, arguments), expected)


# -- walks -----------------------------------------------------------------------------------------


@pytest.mark.long
def test_what_the_default_image_and_a_stop_depend_on_is_refused_before_anything_is_written(shared):
    def spoil(emulator):
        owner = {"image_id": "m-bp1gone", "image_owner_alias": "self"}
        vars(emulator.world.clusters[CLUSTER]).update(owner)
        emulator.world.instances[ONE].status = "Pending"

    text = shared.refused([spoil], {"stop_running": True}).text
    assert (
        "the cluster's image m-bp1gone is not among the 'self' images. Set another image_id" in text
    )
    assert f"compute1 ({ONE}) is Pending, not Stopped, and cannot be stopped yet" in text


def test_an_up_refuses_what_its_preview_does(cloud, stack_on):
    it = cloud()
    it.emulator.outside.start(ONE)
    stack = stack_on(it)
    declare(stack, 1, job_queue="gpus")
    refused = stack.up(expect_failure=True)
    assert_said(
        refused,
        [
            ("instance_ids", f"compute1 ({ONE}) is Running, not Stopped"),
            ("job_queue", f"queue 'gpus' does not exist in {CLUSTER}: did you mean gpu?"),
        ],
    )
    assert "Traceback" not in refused.text
    assert it.writes() == []
    assert stack.resources() == {}


@pytest.mark.long
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


@pytest.mark.long
def test_an_instance_made_in_the_same_program_is_checked_when_it_is_known(cloud, stack_on):
    it = cloud()
    it.emulator.outside.start(ids(2)[0])
    stack = stack_on(it, MADE_HERE)
    declare(stack, 1, made=ids(2)[0])
    stack.preview()
    failed = stack.up(expect_failure=True)
    assert any(f"compute2 ({ids(2)[0]}) is Running, not Stopped" in text for text in failed.errors)
    assert it.writes() == []


ARGUMENTS_MADE_HERE = """
import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider
from ehpc_nodes import AttachedNodes
MADE = dict(ids=IDS, cluster="CLUSTER", image="m-bp1own", consent=True)
class Making(ResourceProvider):
    def create(self, props):
        return CreateResult("made", MADE)
class Made(Resource):
    ids: pulumi.Output[list]
    cluster: pulumi.Output[str]
    image: pulumi.Output[str]
    consent: pulumi.Output[bool]
made = Made(Making(), "made", dict.fromkeys(MADE))
known = AttachedNodes(
    "known",
    cluster_id="CLUSTER",
    instance_ids=["KNOWN"],
    image_id=made.image,
    image_owner_alias="self",
    replace_system_disks=made.consent,
    stop_running=made.consent,
)
nodes = AttachedNodes(
    "nodes",
    cluster_id=pulumi.Output.secret(made.cluster),
    instance_ids=made.ids,
    replace_system_disks=made.consent,
)
pulumi.export("ids", nodes.instance_ids)
"""


@pytest.mark.long
def test_arguments_that_are_not_known_before_the_update(cloud, stack_on):
    it = cloud()
    it.emulator.outside.start(ONE)
    program = ARGUMENTS_MADE_HERE.replace("CLUSTER", CLUSTER).replace("KNOWN", ONE)
    stack = stack_on(it, program.replace("IDS", repr(ids(2, 3))))
    preview = stack.preview()
    assert (
        "stop 1: compute1; attach 1 (system disk replaced by an image that is not known yet):"
        " compute1; 2 calls" in preview.messages("info")
    )
    assert preview.messages("warning") == []
    assert it.writes() == []
    stack.up()
    assert stack.outputs(show_secrets=True) == {"ids": ids(2, 3)}
    images = {i: node.image_id for i, node in it.nodes.items()}
    assert images == {ONE: "m-bp1own", **dict.fromkeys(ids(2, 3), IMAGE)}
    saved = stack.resources()["nodes"]
    assert CLUSTER not in str((saved["inputs"], saved["outputs"]))
    assert stack.preview("--expect-no-changes")


@pytest.mark.long
def test_warnings_stand_on_the_row_and_hinder_nothing(cloud, stack_on):
    it = cloud()
    it.emulator.world.clusters[CLUSTER].queues["gpu"].auto_shrink = True
    it.emulator.world.instances[ids(2)[0]].instance_type = "ecs.g6.large"
    stack = stack_on(it)
    declare(stack, 1, 2, job_queue="gpu")
    preview = stack.preview()
    assert any("queue 'gpu' scales in" in text for text in preview.messages("warning"))
    assert any(
        "several types (ecs.c5.large, ecs.g6.large)" in t for t in preview.messages("warning")
    )
    assert f"attach 2 (system disk replaced by {IMAGE}): compute1, compute2; 1 call" in (
        preview.messages("info")
    )

    stack.config("args", json.dumps(UNCHECKED))
    it.fault("error", "ListQueues", times=None, code="NotAuthorized", status=403)
    preview = stack.preview()
    market, scaling, queue = sorted(preview.messages("warning"))
    assert "scales in" in scaling
    assert market == (
        "image_id: marketplace image m-market cannot be checked. Make sure that its operating system fits"
        " the cluster"
    )
    assert queue.startswith("job_queue: not checked (permission ehpc:ListQueues is missing): ")
    assert it.writes() == []


UNCHECKED = {
    "cluster_id": CLUSTER,
    "instance_ids": [ONE],
    "image_id": "m-market",
    "image_owner_alias": "marketplace",
    "job_queue": "gpu",
    "replace_system_disks": True,
}


@pytest.mark.long
def test_what_a_refresh_has_found_is_told_and_what_up_will_do_about_it(cloud, stack_on):
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2, job_queue="workq")
    stack.up()
    it.outside.move(ONE, "gpu")
    told = stack.refresh().messages("info")
    assert f"compute1 ({ONE}) is in queue gpu, not in workq" in told
    assert "keep 2; move 1 to queue workq: compute1; 1 call" in stack.preview().messages("info")
    stack.up()
    assert it.nodes[ONE].queue == "workq"

    it.outside.set_node_status(TWO, "exception")
    assert f"compute2 ({TWO}) is exception" in stack.refresh().messages("info")
    (warning,) = stack.preview().messages("warning")
    assert (
        f"compute2 ({TWO}) has the status exception, and pulumi up fails until this changes"
        in warning
    )
    assert any(
        "the node has status exception" in text for text in stack.up(expect_failure=True).errors
    )
    it.outside.set_node_status(TWO, "running")
    stack.up()

    it.outside.stop(TWO)
    assert f"compute2 ({TWO}) is stopped" in stack.refresh().messages("info")
    it.outside.set_scheduler_state(ONE, "drain")
    assert f"compute1 ({ONE}) is drain in the scheduler" in "".join(
        stack.refresh().messages("info")
    )
    it.forget()
    assert stack.preview().changes == {"same": 2}
    assert it.calls() == []

    it.world.clusters[CLUSTER].auto_scale.shrink = True
    it.outside.detach(ONE)
    told = "".join(stack.refresh().messages("info"))
    assert f"scale-in may have removed compute1 ({ONE})" in told


def infos(result):
    return "\n".join(result.messages("info"))


UNKNOWN_AS_A_WHOLE = """
import json, pulumi
from ehpc_nodes import AttachedNodes
from pulumi.dynamic import CreateResult, Resource, ResourceProvider
class Making(ResourceProvider):
    def create(self, props):
        return CreateResult("made-" + props["of"], {"of": props["of"], "made": props["of"]})
class Made(Resource):
    made: pulumi.Output[str]
    def __init__(self, name, of):
        super().__init__(Making(), name, {"of": of, "made": None})
args = json.loads(pulumi.Config().require("args"))
made = [Made("made-" + i, i).made for i in args.pop("instance_ids")]
nodes = AttachedNodes("nodes", instance_ids=pulumi.Output.all(*made), **args)
"""
NOT_KNOWN = (
    "the instances are not known yet: the update reports what it does, before its first write"
)


@pytest.mark.long
def test_a_set_that_is_unknown_as_a_whole_detaches_nothing_in_the_preview(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, UNKNOWN_AS_A_WHOLE)
    declare(stack, 1, 2)
    assert NOT_KNOWN in infos(stack.preview())
    stack.up()
    it.nodes[ids(1)[0]].used.cpu = 4
    declare(stack, 1, 2, 3)
    preview = stack.preview()
    assert NOT_KNOWN in infos(preview)
    assert "detach" not in infos(preview)
    assert preview.messages("warning") == []
    it.forget()
    up = stack.up()
    assert "attach 1 (system disk replaced by" in infos(up)
    assert it.writes() == ["AddExistedNodes"]
    declare(stack, 1, 2, 3, job_queue="none")
    assert any(
        "queue 'none' does not exist" in text for text in stack.preview(expect_failure=True).errors
    )
