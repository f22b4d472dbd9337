"""Preflight and the emulator's AddExistedNodes, each with rules of its own, agree in whatever world.

The emulator applies the API's rules with its own code: where preflight lets a set pass, it has to be
accepted, and where preflight refuses one, it has to be refused.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ehpc_nodes.emulator.world import Cluster, Image, Node
from ehpc_nodes.models import NodeState, State
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.observer import Wanted
from property.amount import HISTORIES
from unit.emulated import CLUSTER, VPC, Bench, ids, iid

INSTANCES = 4
SYSTEMS = [
    *(("CentOS", "CentOS_7.6_64"), ("CentOS", "CentOS_7.2_64"), ("CentOS", "CentOS_8.2_64")),
    *(("Ubuntu", "Ubuntu_20.04_64"), ("Windows Server", "WindowsServer_2016_64")),
    ("Windows Server", "WindowsServer_2019_64"),
    *(
        ("Red Hat", "RedHat_7.6_64"),
        ("Aliyun", "AliyunLinux_2.1903_64"),
        ("SUSE Linux", "SUSE_12_64"),
    ),
    *(("CentOS", "CentOS"), ("Others Linux", "")),  # of unknown version, or unknown altogether
]
ALIASES = ["system", "self", "others", "marketplace"]
#: Mostly what is fine, so that a world often has one flaw only, or none.
STATUSES = st.sampled_from(["Available"] * 4 + ["Creating"])


def images(name, aliases):
    return st.builds(
        lambda alias, system, status, listed: Image(
            name, system[1], alias, system[0], status=status, listed=listed
        ),
        st.sampled_from(aliases),
        st.sampled_from([SYSTEMS[0]] * 3 + SYSTEMS),
        STATUSES,
        st.just(True) if name == "m-1" else st.sampled_from([True] * 4 + [False]),
    )


@dataclass
class Flaws:
    """What a world has of its own; the rest is as `Bench` makes it."""

    attached: set[int]
    elsewhere: set[int]
    image: Image
    own: Image
    own_is_gone: bool
    alike: bool
    cluster: dict[str, Any]
    instances: list[dict[str, Any]]
    auto_grow: bool

    def bench(self):
        bench = Bench(INSTANCES, self.attached, grace=0.001)
        world = bench.world
        if self.alike:  # one system, though ECS may spell its platform in another way
            self.image.os_tag, self.image.version = self.own.os_tag, self.own.version
            self.image.platform = self.own.platform.upper()
        world.images |= {image.id: image for image in (self.image, self.own)}
        if self.own_is_gone:
            del world.images[self.own.id]
        made_of = {
            "image_id": self.own.id,
            "image_owner_alias": self.own.owner_alias,
            "os_tag": self.own.os_tag,
        }
        vars(world.clusters[CLUSTER]).update(made_of | self.cluster)
        world.clusters[CLUSTER].queues["gpu"].auto_grow = self.auto_grow
        for instance_id, changes in zip(ids(1, 2, 3, 4), self.instances, strict=True):
            vars(world.instances[instance_id]).update(changes)
        other = world.clusters["ehpc-hz-other"] = Cluster("ehpc-hz-other", VPC, "", "CentOS_7.6_64")
        for number in self.elsewhere - self.attached:
            world.add_node(other, Node(iid(number), world.instances[iid(number)].host_name))
        return bench


def mostly(usual, *others):
    return st.sampled_from([usual] * 8 + [*others])


INSTANCE = st.fixed_dictionaries(
    {},
    optional={
        "status": mostly("Stopped", "Running", "Starting", "Pending", "Stopping"),
        "vpc_id": mostly(VPC, "vpc-other"),
        "network_type": mostly("vpc", "classic"),
        "host_name": st.sampled_from(["compute1", "compute2", "a", "b", "c", "login0"]),
        "locks": mostly([], ["financial"], ["security", "recycling"]),
        "instance_type": mostly("ecs.c5.large", "ecs.g6.large"),
    },
)
WORLDS = st.builds(
    Flaws,
    attached=st.sets(st.integers(1, INSTANCES), max_size=2),
    elsewhere=mostly(set(), {1}, {2, 3}),
    image=images("m-1", ALIASES),
    own=images("m-own", ALIASES[:3]),  # of a marketplace image nothing can be seen
    own_is_gone=mostly(False, True),
    alike=st.booleans(),
    cluster=st.fixed_dictionaries(
        {},
        optional={
            "status": mostly("running", "stopped", "creating", "exception"),
            "multi_os": st.booleans(),
        },
    ),
    instances=st.lists(INSTANCE, min_size=INSTANCES, max_size=INSTANCES),
    auto_grow=st.booleans(),
)
WANTED = st.sets(st.sampled_from([*ids(1, 2, 3, 4)] * 3 + ids(99)), min_size=1)
DESIRED = st.fixed_dictionaries(
    {},
    optional={
        "image": st.sampled_from(["m-1"] * 4 + ["m-own", "centos_7_02.vhd", "m-none"]).flatmap(
            lambda image: st.fixed_dictionaries(
                {"image_id": st.just(image), "image_owner_alias": st.sampled_from(ALIASES)}
            )
        ),
        "job_queue": mostly("workq", "gpu", "gpus"),
        "stop_running": st.booleans(),
    },
)


def stopped(bench, ids):
    """Whether the emulator takes the call that stops these instances; those that stop already are waited for."""
    instances = bench.world.instances
    for instance_id in ids:
        if instances[instance_id].status == "Stopping":
            instances[instance_id].status = "Stopped"
    params = {
        "RegionId": "cn-hangzhou",
        **{
            f"InstanceId.{n}": i
            for n, i in enumerate((i for i in ids if instances[i].status != "Stopped"), start=1)
        },
    }
    return (
        len(params) == 1 or bench.emulator.call("StopInstances", "2014-05-26", params).status == 200
    )


def accepted(bench, planned, queue):
    """Whether the emulator takes the calls that this plan leads to."""
    world, changes = bench.world, planned.changes
    running = [i for i in changes.attach if i in world.instances]
    if planned.desired.stop_running and not stopped(bench, running):
        return False, "StopInstances"
    for instance_id in changes.detach:
        world.remove_node(instance_id)
    params = {
        "ClusterId": CLUSTER,
        "ImageId": planned.desired.image_id,
        "ImageOwnerAlias": planned.desired.image_owner_alias,
        **{f"Instance.{n}.Id": i for n, i in enumerate(changes.attach, start=1)},
        **({"JobQueue": queue} if queue else {}),
    }
    answer = bench.emulator.call("AddExistedNodes", "2018-04-12", params)
    return answer.status == 200, answer.body


#: Warnings of what no answer tells: the service may refuse it, or not.
UNKNOWABLE = (
    *("marketplace image", "Only a hybrid cluster", "cannot be checked, because"),
    "If E-HPC rejects it",
)


def unknowable(warning):
    return any(words in warning for words in UNKNOWABLE)


@settings(
    max_examples=6 * HISTORIES, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)
@given(flaws=WORLDS, wanted=WANTED, owned=st.sets(st.integers(1, INSTANCES)), wished=DESIRED)
def test_preflight_and_the_service_agree(flaws, wanted, owned, wished):
    bench = flaws.bench()
    more = {k: v for k, v in wished.items() if k != "image"} | wished.get("image", {})
    desired = Desired(CLUSTER, "cn-hangzhou", **more, replace_system_disks=True)
    nodes = {
        i: NodeState(status="running", confirmed_at=1) for i in {*ids(*owned)} & {*bench.nodes}
    }
    saved = State(cluster_id=CLUSTER, region="cn-hangzhou", instance_ids=sorted(nodes), nodes=nodes)
    planned = bench.operations().plan_changes(
        desired, Wanted(frozenset(wanted), queue=desired.job_queue), saved
    )
    assert bench.writes() == []
    if not planned.changes.attach:
        return
    errors = [f for f in planned.findings if not f.warning]
    warnings = [f for f in planned.findings if f.warning]
    ok, said = accepted(bench, planned, desired.job_queue)
    event(f"{'accepted' if ok else 'refused'}, {len(errors)} errors, {len(warnings)} warnings")
    if ok:
        assert errors == []
    else:
        assert errors or any(unknowable(f.reason) for f in warnings), said
