"""What a preview refuses, on the real engine: each text on its property, with nothing written.

The texts of each finding: tests/unit/test_preflight.py; of a wrong form: tests/unit/test_provider.py.
"""

from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import declare

ONE, TWO = ids(1, 2)

#: All that is said of the world and the program below.
REFUSED = [
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
]


def assert_said(result, expected):
    """Each of these is said, on its property, and nothing else."""
    errors = [text for text in result.errors if "property " in text]
    for name, said in expected:
        assert any(f"property {name} " in text and said in text for text in errors), (
            f"{said}\n{result.text}"
        )
    assert len(errors) == len(expected), result.text
    assert "Traceback" not in result.text


def test_all_that_is_wrong_is_said_at_once_by_a_preview_and_by_an_up(cloud, stack_on):
    it = cloud(8)
    it.world.clusters[CLUSTER].status = "creating"
    image = {"status": "Creating", "platform": "Ubuntu", "os_tag": "Ubuntu_20.04_64"}
    vars(it.world.images["m-bp1own"]).update(image, version="20.04")
    for number, changes in {
        1: {"status": "Running"},
        2: {"vpc_id": "vpc-other"},
        3: {"network_type": "classic"},
        4: {"host_name": "login0"},
        5: {"host_name": "compute6"},
        7: {"locks": ["financial", "security"]},
        8: {"tags": {"ehpc-nodes": "other/prod/nodes"}},
    }.items():
        vars(it.world.instances[ids(number)[0]]).update(changes)
    stack = stack_on(it)
    declare(
        stack,
        instance_ids=[*ids(*range(1, 9)), "i-bp1nowhere", "i-bp1manager", "i-bp1login"],
        job_queue="workk",
        image_id="m-bp1own",
        image_owner_alias="self",
        replace_system_disks=False,
    )
    assert_said(stack.preview(expect_failure=True), REFUSED)
    assert_said(stack.up(expect_failure=True), REFUSED)
    assert it.writes() == []
    assert stack.resources() == {}
