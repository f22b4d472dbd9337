"""Lookups in a program, while the real engine previews it."""

from ehpc_nodes.testing.worlds import ids

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


def test_an_up_finds_what_to_write_and_the_next_one_nothing_to_do(cloud, stack_on):
    world = cloud(instances=6, attached=(1, 2))
    stack = stack_on(world, PROGRAM)
    stack.up()
    assert world.named("AddExistedNodes") == [ids(3, 4, 5, 6)]
    assert stack.outputs()["free"] == ["compute3", "compute4", "compute5", "compute6"]
    assert stack.outputs()["images"] == ["centos_7_06.vhd", "centos_7_02.vhd", "m-bp1own"]
    world.forget()
    stack.up()
    assert (world.writes(), stack.outputs()["free"]) == ([], [])
    assert stack.outputs()["tasks"] == ["Success"]


def test_what_is_wrong_is_said_in_one_line(cloud, stack_on):
    program = "import pulumi; lookup.queues(pulumi.Output.from_input('x'))"
    stack = stack_on(cloud(), f"from ehpc_nodes import lookup\n{program}\n")
    failed = stack.preview(expect_failure=True)
    (error,) = failed.errors
    assert "Call it inside apply" in error
    assert "Traceback" not in failed.text
