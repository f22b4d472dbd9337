"""Several queues on one cluster: one resource for each."""

import pulumi

from ehpc_nodes import AttachedNodes

config = pulumi.Config()
cluster = config.require("cluster")

# The queues have to exist: a preview refuses others, and says which there are. An instance that stands
# in two lists is refused, too.
for queue, instances in config.require_object("queues").items():
    nodes = AttachedNodes(
        queue,
        cluster_id=cluster,
        job_queue=queue,
        instance_ids=instances,
        replace_system_disks=True,
    )
    pulumi.export(queue, nodes.nodes)
