"""Lookups in a program, while the real engine previews it."""

import pytest

from ehpc_nodes.testing.worlds import CLUSTER, ids

PROGRAM = """
import pulumi
from ehpc_nodes import AttachedNodes, lookup

client = lookup.connect()
(cluster,) = lookup.clusters(client=client)
seen = lookup.nodes(cluster.cluster_id, client=client)
free = lookup.candidates(cluster.cluster_id, client=client)
AttachedNodes(
    "nodes",
    cluster_id=cluster.cluster_id,
    instance_ids=[n.instance_id for n in seen] + [c.instance_id for c in free],
    job_queue=lookup.queues(cluster.cluster_id)[-1].name,
    replace_system_disks=True,
)
pulumi.export("free", [c.host_name for c in free])
pulumi.export("images", [i.image_id for i in lookup.images(cluster.cluster_id)])
pulumi.export("tasks", [t.status for t in lookup.tasks(cluster.cluster_id, history=True)])
"""


@pytest.fixture
def found(cloud, stack_on):
    """A cloud with two nodes and four candidates, and a stack that takes them all."""
    world = cloud(instances=6, attached=(1, 2))
    return world, stack_on(world, PROGRAM)


def test_an_up_finds_what_to_write_and_the_next_one_nothing_to_do(found):
    world, stack = found
    stack.up()
    assert world.named("AddExistedNodes") == [ids(3, 4, 5, 6)]
    assert stack.outputs()["free"] == ["compute3", "compute4", "compute5", "compute6"]
    assert stack.outputs()["images"] == ["centos_7_06.vhd", "centos_7_02.vhd", "m-bp1own"]
    world.forget()
    stack.up()
    assert (world.writes(), stack.outputs()["free"]) == ([], [])
    assert stack.outputs()["tasks"] == ["Success"]


@pytest.mark.parametrize(
    ("program", "text"),
    [
        ("import pulumi; lookup.queues(pulumi.Output.from_input('x'))", "Call it inside apply"),
        pytest.param(
            "lookup.nodes('ehpc-hz-none')",
            "ListNodes: ClusterNotFound: The specified cluster",
            marks=pytest.mark.long,
        ),
        pytest.param("lookup.connect(region='cn Hangzhou')", "cn Hangzhou", marks=pytest.mark.long),
    ],
)
def test_what_is_wrong_is_said_in_one_line(cloud, stack_on, program, text):
    stack = stack_on(cloud(), f"from ehpc_nodes import lookup\n{program}\n")
    failed = stack.preview(expect_failure=True)
    (error,) = failed.errors
    assert text in error
    assert "Traceback" not in failed.text


@pytest.mark.long
def test_who_catches_an_error_goes_on(cloud, stack_on):
    program = (
        "import pulumi\nfrom ehpc_nodes import lookup\nfrom ehpc_nodes.errors import EhpcError\n"
        f"try:\n    lookup.nodes('{CLUSTER}x')\nexcept EhpcError as e:\n    pulumi.export('e', e.code)\n"
    )
    stack = stack_on(cloud(), program)
    stack.up()
    assert stack.outputs() == {"e": "ClusterNotFound"}
