"""An emulated cloud in process, whose clock only the tests move."""

import copy

import pytest

from ehpc_nodes.emulator import Emulator, ManualClock, World, tasks

EHPC, ECS = "2018-04-12", "2014-05-26"

WORLD = {
    "region": "cn-test",
    "images": [
        {"id": "centos76", "os_tag": "CentOS_7.6_64"},
        {"id": "centos72", "os_tag": "CentOS_7.2_64"},
        {"id": "centos80", "os_tag": "CentOS_8.0_64"},
        {"id": "ubuntu18", "os_tag": "Ubuntu_18.04_64", "platform": "Ubuntu"},
        {"id": "win2016", "os_tag": "WindowsServer_2016_64", "platform": "windows"},
        {"id": "m-own", "os_tag": "CentOS_7.6_64", "owner_alias": "self"},
        {"id": "m-theirs", "os_tag": "CentOS_7.6_64", "owner_alias": "others"},
        {"id": "m-making", "os_tag": "CentOS_7.6_64", "status": "Creating"},
    ],
    "clusters": [
        {
            "id": "ehpc-1",
            "vpc_id": "vpc-1",
            "image_id": "centos76",
            "os_tag": "CentOS_7.6_64",
            "node_quota": 6,
            "queues": [{"name": "workq"}, {"name": "gpu", "auto_grow": True}],
            "nodes": [
                {"id": "i-head", "host_name": "scheduler0", "roles": ["Scheduler"]},
                {"id": "i-login", "host_name": "login0", "roles": ["Login"]},
                {"id": "i-old", "host_name": "old", "queue": "workq", "image_id": "centos76"},
            ],
        },
        {
            "id": "ehpc-2",
            "vpc_id": "vpc-1",
            "image_id": "win2016",
            "os_tag": "WindowsServer_2016_64",
            "multi_os": True,
            "queues": [{"name": "workq"}],
        },
    ],
    "instances": [
        {
            "id": "i-old",
            "host_name": "old",
            "vpc_id": "vpc-1",
            "image_id": "centos76",
            "status": "Running",
        },
        *(
            {
                "id": f"i-{n}",
                "host_name": f"compute{n}",
                "vpc_id": "vpc-1",
                "image_id": "centos72",
                "private_ip": f"10.0.0.{n}",
            }
            for n in range(1, 6)
        ),
    ],
}


class Cloud:
    """Calls by keyword, with `Instance=["i-1"]` for a list of ids."""

    def __init__(self, data):
        self.clock = ManualClock()
        self.emulator = Emulator(World.from_dict(data), self.clock)
        self.world, self.cluster = self.emulator.world, self.emulator.world.clusters["ehpc-1"]
        self.harm = self.emulator.harm

    def ehpc(self, action, **params):
        return self.emulator.call(action, EHPC, _flat({"ClusterId": "ehpc-1", **params}))

    def ecs(self, action, **params):
        return self.emulator.call(action, ECS, _flat({"RegionId": "cn-test", **params}))

    def add(self, *ids, **params):
        defaults = {"ImageId": "centos76", "ImageOwnerAlias": "system"}
        return self.ehpc("AddExistedNodes", **{**defaults, **params}, Instance=ids)

    def nodes(self, **params):
        """Id -> row of ListNodes."""
        rows = self.ehpc("ListNodes", PageSize="100", **params).body["Nodes"]["NodeInfo"]
        return {row["Id"]: row for row in rows}

    def statuses(self, **params):
        return {i: row["Status"] for i, row in self.nodes(Role="Compute", **params).items()}

    def task(self, answer):
        """The row of the task that an answer names."""
        (row,) = self.ehpc("ListTasks", TaskId=answer.body["TaskId"]).body["Tasks"]
        return row

    def release(self, which):
        return tasks.release(self.emulator.state, which)

    def instance(self, instance_id):
        ids = f'["{instance_id}"]'
        rows = self.ecs("DescribeInstances", InstanceIds=ids).body["Instances"]["Instance"]
        return rows[0]

    def fault(self, kind, action="*", **options):
        return self.emulator.faults.add({"kind": kind, "action": action, **options})


def _flat(params):
    names = {"Instance": "Instance.{}.Id", "Node": "Node.{}.Name", "InstanceId": "InstanceId.{}"}
    names |= {"ResourceId": "ResourceId.{}", "TagKey": "TagKey.{}"}
    flat: dict[str, str] = {}
    for name, value in params.items():
        if name == "Tag":
            for n, (key, text) in enumerate(value.items(), 1):
                flat |= {f"Tag.{n}.Key": key} | ({} if text is None else {f"Tag.{n}.Value": text})
        elif name in names:
            flat |= {names[name].format(n): item for n, item in enumerate(value, 1)}
        elif value is not None:
            flat[name] = value
    return flat


@pytest.fixture
def make():
    """A cloud of its own, with knobs turned and the world changed by a function."""

    def make(change=lambda data: None, **knobs):
        data = copy.deepcopy(WORLD) | {"knobs": knobs}
        change(data)
        return Cloud(data)

    return make


@pytest.fixture
def cloud(make):
    return make()
