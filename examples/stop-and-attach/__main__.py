"""Running instances: E-HPC attaches only stopped ones, so they are stopped first."""

import pulumi

from ehpc_nodes import AttachedNodes

config = pulumi.Config()

nodes = AttachedNodes(
    "compute",
    cluster_id=config.require("cluster"),
    instance_ids=config.require_object("instances"),
    replace_system_disks=True,
    # Without it a preview refuses running instances, each by its name. They are stopped as by
    # `shutdown`, not by force, and stay charged while they are stopped.
    stop_running=True,
    # Reinstalling many machines takes long: the defaults are 60 minutes to create and to update.
    opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create="90m", update="90m")),
)

pulumi.export("nodes", nodes.nodes)
# What was done, each call with its task and request: StopInstances, then AddExistedNodes.
pulumi.export("tasks", nodes.tasks)
