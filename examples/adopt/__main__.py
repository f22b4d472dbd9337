"""A cluster that has its nodes already: they are taken over as they are; only owner tags are written."""

import pulumi

from ehpc_nodes import AttachedNodes, lookup

config = pulumi.Config()
cluster = config.require("cluster")
instances = config.require_object("instances")

# `pulumi import TYPE NAME ID` can't work for such a resource, and isn't needed: nodes of the cluster are adopted.
# Without `replace_system_disks=True` nothing else can happen: a preview refuses an id that is no node yet.
nodes = AttachedNodes("compute", cluster_id=cluster, instance_ids=instances)

# Compute nodes that the program doesn't list are left alone. Here they are, to be listed or not.
attached = {node.instance_id for node in lookup.nodes(cluster)}
pulumi.export("not_listed", sorted(attached - set(instances)))
pulumi.export("nodes", nodes.nodes)
