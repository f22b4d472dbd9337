"""Instances that Terraform made: their ids are read from what Terraform says."""

import json
from pathlib import Path

import pulumi

from ehpc_nodes import AttachedNodes


def instance_ids(file: Path) -> list[str]:
    """The output `instance_ids`, of `terraform output -json` or of a state file (`terraform state pull`)."""
    try:
        said = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise pulumi.RunError(f"{file} is to be Terraform's outputs as JSON: {error}") from error
    outputs = said["outputs"] if "terraform_version" in said else said
    if "instance_ids" not in outputs:
        raise pulumi.RunError(
            f"{file} has no output instance_ids: add one, and run terraform apply"
        )
    ids = outputs["instance_ids"]["value"]
    if not isinstance(ids, list):
        raise pulumi.RunError(
            f"the output instance_ids in {file} is no list: write [ … ] around it"
        )
    return ids


config = pulumi.Config()

nodes = AttachedNodes(
    "compute",
    cluster_id=config.require("cluster"),
    instance_ids=instance_ids(Path(config.require("terraform"))),
    replace_system_disks=True,
)

pulumi.export("nodes", nodes.nodes)
