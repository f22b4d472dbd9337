"""Several queues on one cluster: one resource for each."""

import pulumi

from ehpc_nodes import AttachedNodes

config = pulumi.Config()
cluster = config.require("cluster")
queues: dict[str, list[str]] = config.require_object("queues")

# The queues have to exist: a preview refuses others, and names those that there are. An instance in two lists is
# refused, too.
for queue, instances in queues.items():
    elsewhere = {i for other in queues.values() for i in other} - {*instances}
    nodes = AttachedNodes(
        queue,
        cluster_id=cluster,
        job_queue=queue,
        instance_ids=instances,
        replace_system_disks=True,
        # A node that goes from one list to another stays attached, and changes its queue.
        retain_ids=sorted(elsewhere),
        take_ownership=True,
    )
    pulumi.export(queue, nodes.nodes)
