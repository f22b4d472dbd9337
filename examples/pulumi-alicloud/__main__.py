"""Instances that are made and attached by one program."""

import pulumi
import pulumi_alicloud as alicloud

from ehpc_nodes import AttachedNodes

config = pulumi.Config()

instances = [
    alicloud.ecs.Instance(
        f"compute{number}",
        instance_name=f"compute{number}",
        # Host names have to differ from those of all nodes of the cluster.
        host_name=f"compute{number}",
        instance_type=config.require("instanceType"),
        image_id=config.require("image"),
        vswitch_id=config.require("vswitch"),
        security_groups=[config.require("securityGroup")],
        # E-HPC attaches stopped instances only. Stopped without charge an instance may lose its place.
        status="Stopped",
        stopped_mode="KeepCharging",
        opts=pulumi.ResourceOptions(
            ignore_changes=[
                # What attaching changes, and what alicloud's provider would therefore undo:
                "status",  # a node runs; it would be stopped, with the jobs on it
                "image_id",  # the cluster's image by now; the system disk would be replaced again
                # the tag that says which resource manages the node; one alone can't be ignored, since
                # Pulumi doesn't ignore entries that were added
                "tags",
            ],
        ),
    )
    for number in range(1, config.require_int("count") + 1)
]

# The ids order everything: instances are made before they are attached, and detached before they are
# deleted; no depends_on is needed. A preview can't check instances that don't exist yet; the `up` does,
# before it attaches any.
nodes = AttachedNodes(
    "compute",
    cluster_id=config.require("cluster"),
    instance_ids=[instance.id for instance in instances],
    replace_system_disks=True,  # they are new: there is nothing on them
)

pulumi.export("nodes", nodes.nodes)
