"""Preflight and the emulator's AddExistedNodes, each with rules of its own, agree in whatever world.

The emulator applies the API's rules with its own code: where preflight lets a set pass, it has to be
accepted, and where preflight refuses one, it has to be refused.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ehpc_nodes.emulator.world import Cluster, Image, Node
from ehpc_nodes.sight import Wish
from unit.emulated import CLUSTER, VPC, Bench, ids, iid

INSTANCES = 4
SYSTEMS = [
    *(("CentOS", "CentOS_7.6_64"), ("CentOS", "CentOS_7.2_64"), ("CentOS", "CentOS_8.2_64")),
    *(("Ubuntu", "Ubuntu_20.04_64"), ("Windows Server", "WindowsServer_2016_64")),
    ("Windows Server", "WindowsServer_2019_64"),
]
ALIASES = ["system", "self", "others", "marketplace"]
#: Mostly what is fine, so that a world often has one flaw only, or none.
STATUSES = st.sampled_from(["Available"] * 4 + ["Creating"])


def images(name, statuses):
    return st.builds(
        lambda alias, system, status: Image(name, system[1], alias, system[0], status=status),
        st.sampled_from(ALIASES),
        st.sampled_from([SYSTEMS[0]] * 3 + SYSTEMS),
        statuses,
    )


@dataclass
class Flaws:
    """What a world has of its own; the rest is as `Bench` makes it."""

    attached: set[int]
    elsewhere: set[int]
    image: Image
    own: Image
    cluster: dict[str, Any]
    instances: list[dict[str, Any]]
    auto_grow: bool

    def bench(self):
        bench = Bench(INSTANCES, self.attached, grace=0.001)
        world = bench.emulator.world
        world.images |= {image.id: image for image in (self.image, self.own)}
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
        "status": mostly("Stopped", "Running", "Starting", "Pending"),
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
    image=images("m-1", STATUSES),
    own=images("m-own", st.just("Available")),
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
WISHES = st.fixed_dictionaries(
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


def accepted(bench, surveyed, queue):
    """Whether the emulator takes the call that this survey leads to."""
    world, plan = bench.emulator.world, surveyed.plan
    for instance_id in plan.attach:  # what goes before the call
        if surveyed.wish.stop_running and instance_id in world.instances:
            world.instances[instance_id].status = "Stopped"
    for instance_id in plan.detach:
        world.remove_node(instance_id)
    params = {
        "ClusterId": CLUSTER,
        "ImageId": surveyed.wish.image_id,
        "ImageOwnerAlias": surveyed.wish.image_owner_alias,
        **{f"Instance.{n}.Id": i for n, i in enumerate(plan.attach, start=1)},
        **({"JobQueue": queue} if queue else {}),
    }
    answer = bench.emulator.call("AddExistedNodes", "2018-04-12", params)
    return answer.status == 200, answer.body


def unknowable(warning):
    return "marketplace image" in warning or "only a hybrid cluster" in warning


@settings(max_examples=700, suppress_health_check=list(HealthCheck), report_multiple_bugs=False)
@given(flaws=WORLDS, wanted=WANTED, owned=st.sets(st.integers(1, INSTANCES)), wished=WISHES)
def test_preflight_and_the_service_agree(flaws, wanted, owned, wished):
    bench = flaws.bench()
    more = {k: v for k, v in wished.items() if k != "image"} | wished.get("image", {})
    wish = Wish(CLUSTER, "cn-hangzhou", **more, replace_system_disks=True)
    surveyed = bench.lifecycle().survey(wish, wanted, set(ids(*owned)) & bench.nodes.keys())
    assert bench.writes() == []
    if not surveyed.plan.attach:
        return
    errors = [f for f in surveyed.findings if not f.warning]
    warnings = [f for f in surveyed.findings if f.warning]
    ok, said = accepted(bench, surveyed, wish.job_queue)
    event(f"{'accepted' if ok else 'refused'}, {len(errors)} errors, {len(warnings)} warnings")
    if ok:
        assert errors == []
    else:
        assert errors or any(unknowable(f.reason) for f in warnings), said
