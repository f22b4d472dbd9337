"""The small world that tests begin with, and the ids in it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ehpc_nodes.emulator import World

CLUSTER, VPC = "ehpc-hz-test", "vpc-test"
IMAGE, OLD_IMAGE = "centos_7_06.vhd", "centos_7_02.vhd"
MANAGER, LOGIN = "i-bp1manager", "i-bp1login"


def iid(number: int) -> str:
    """The id of instance 1 (or 2, …), whose host name is compute1 (or compute2, …)."""
    return f"i-bp1test{number:04d}"


def ids(*numbers: int) -> list[str]:
    """The ids of some instances."""
    return [iid(n) for n in numbers]


def small_world(
    instances: int = 6,
    attached: Collection[int] = (),
    *,
    pace: object = "instant",
    queues: Sequence[str] = ("workq", "gpu"),
    **knobs: object,
) -> World:
    """One cluster with a manager and a login node, and stopped instances; some attached.

    Args:
        instances: how many more instances there are; `ids(1, 2)` are the first two of them.
        attached: the numbers of those that are compute nodes, in the first queue.
        pace: when E-HPC's tasks end: ``instant``, ``held`` (until `release`), ``never``, ``{"reads": 3}`` or
            ``{"seconds": 2}``.
        queues: the names of the cluster's queues.
        knobs: other behaviour of the emulator; see `ehpc_nodes.emulator.knobs`.
    """
    cluster = {
        "id": CLUSTER,
        "vpc_id": VPC,
        "image_id": IMAGE,
        "os_tag": "CentOS_7.6_64",
        "queues": [{"name": name} for name in queues],
        "nodes": [
            _node(MANAGER, "scheduler0", roles=["Scheduler"]),
            _node(LOGIN, "login0", roles=["Login"]),
            *(_node(iid(n), f"compute{n}", queue=queues[0]) for n in attached),
        ],
        "node_quota": 20_000,
    }
    return World.from_dict(
        {
            "knobs": knobs | {"task_pace": pace},
            "images": [
                {"id": IMAGE, "os_tag": "CentOS_7.6_64"},
                {"id": OLD_IMAGE, "os_tag": "CentOS_7.2_64"},
                {"id": "centos_8_0.vhd", "os_tag": "CentOS_8.0_64"},
                {"id": "m-bp1own", "os_tag": "CentOS_7.6_64", "owner_alias": "self"},
            ],
            "clusters": [cluster],
            "instances": [
                _instance(MANAGER, "scheduler0", running=True),
                _instance(LOGIN, "login0", running=True),
                *(
                    _instance(
                        iid(n),
                        f"compute{n}",
                        f"10.0.{n // 250}.{n % 250}",
                        running=n in attached,
                    )
                    for n in range(1, instances + 1)
                ),
            ],
        }
    )


def _node(instance_id: str, host_name: str, **more: Any) -> dict[str, Any]:
    return {"id": instance_id, "host_name": host_name, "image_id": IMAGE, **more}


def _instance(
    instance_id: str, host_name: str, private_ip: str = "192.168.0.1", *, running: bool
) -> dict[str, Any]:
    return {
        "id": instance_id,
        "host_name": host_name,
        "vpc_id": VPC,
        "image_id": IMAGE if running else OLD_IMAGE,
        "status": "Running" if running else "Stopped",
        "private_ip": private_ip,
    }
