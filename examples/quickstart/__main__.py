"""The smallest program: a set of existing ECS instances, attached to an E-HPC cluster.

    pulumi config set ehpc:region cn-hangzhou
    pulumi config set cluster ehpc-hz-FYUr32abcd
    pulumi config set --path 'instances[0]' i-bp16mxn6mt3t7ftkabcd
    pulumi up

Credentials are no inputs; they come from the environment, as for every tool of Alibaba Cloud.
"""

import pulumi

from ehpc_nodes import AttachedNodes

config = pulumi.Config()

nodes = AttachedNodes(
    "compute",
    cluster_id=config.require("cluster"),
    # Add an id, and `pulumi up` attaches that instance; take one out, and it detaches that node.
    instance_ids=config.require_object("instances"),
    # Attaching replaces an instance's system disk: what is on it is lost. Nothing is attached
    # without this consent. (Instances that are nodes of the cluster already are kept as they are.)
    replace_system_disks=True,
)

pulumi.export("task_id", nodes.task_id)
pulumi.export("request_id", nodes.request_id)
pulumi.export("nodes", nodes.nodes)
