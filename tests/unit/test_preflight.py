"""Each row of what a preview finds: on which property, how grave, in which words."""

from typing import Any

import pytest

from ehpc_nodes import wire
from ehpc_nodes.models import Finding
from ehpc_nodes.plan import make_plan
from ehpc_nodes.preflight import Sight, Wish, findings
from unit.emulated import CLUSTER, IMAGE, Bench, ids

ONE, TWO = ids(1, 2)


def instance(n, **changes):
    def spoil(bench):
        for name, value in changes.items():
            setattr(bench.emulator.world.instances[ids(n)[0]], name, value)

    return spoil


def image(**changes):
    def spoil(bench):
        found = bench.emulator.world.images["m-bp1own"]
        for name, value in changes.items():
            setattr(found, name, value)

    return spoil


def cluster(**changes):
    def spoil(bench):
        for name, value in changes.items():
            setattr(bench.emulator.world.clusters[CLUSTER], name, value)

    return spoil


def auto_grow(bench):
    bench.emulator.world.clusters[CLUSTER].queues["gpu"].auto_grow = True


def forbidden(action):
    def spoil(bench):
        bench.fault("error", action, status=403, code="NotAuthorized", message="No", times=None)

    return spoil


def busy(bench):
    bench.emulator.outside.attach(TWO, CLUSTER)
    bench.nodes[TWO].used.cpu = 4


OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}
ROWS: dict[str, Any] = {
    "cluster not running": (
        cluster(status="stopped"),
        {},
        "cluster_id",
        f"cluster {CLUSTER} is stopped, not running: wait until it is",
    ),
    "not stopped": (
        instance(1, status="Running"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is Running, not Stopped: stop it, or set stop_running=True",
    ),
    "another vpc": (
        instance(1, vpc_id="vpc-other"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is in vpc-other, the cluster in vpc-test: it has to be in the same",
    ),
    "classic network": (
        instance(1, network_type="classic"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is in the classic network, not in a VPC",
    ),
    "host name of a node": (
        instance(1, host_name="LOGIN0"),
        {},
        "instance_ids",
        f"{ONE} has the host name 'login0', which node i-bp1login has too: rename one",
    ),
    "locked": (
        instance(1, locks=["financial", "security"]),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is locked (financial, security): unlock it first",
    ),
    "marked by another": (
        instance(1, tags={"ehpc-nodes": "other/prod/nodes"}),
        {},
        "instance_ids",
        (
            f"compute1 ({ONE}) belongs to another resource, 'other/prod/nodes': remove it there first"
            " (or its ECS tag 'ehpc-nodes', where that resource no longer exists)"
        ),
    ),
    "image not found": (
        None,
        {"image_id": "m-none", "image_owner_alias": "self"},
        "image_id",
        "image m-none is not among the 'self' images: check the id and image_owner_alias",
    ),
    "image under another alias": (
        None,
        {"image_id": "m-bp1own", "image_owner_alias": "system"},
        "image_id",
        "image m-bp1own is not among the 'system' images: check the id and image_owner_alias",
    ),
    "image not available": (
        image(status="Creating"),
        OWN,
        "image_id",
        "image m-bp1own is Creating, not Available",
    ),
    "image of another family": (
        image(platform="Ubuntu", os_tag="Ubuntu_20.04_64", version="20.04"),
        OWN,
        "image_id",
        "image m-bp1own is ubuntu, the cluster's system is centos: choose an image of centos",
    ),
    "image of another major version": (
        image(version="8.2", os_tag="CentOS_8.2_64"),
        OWN,
        "image_id",
        "image m-bp1own is centos 8.2, the cluster's is 7.6: the major version has to be 7",
    ),
    "marketplace": (
        None,
        {"image_id": "m-market", "image_owner_alias": "marketplace"},
        "image_id",
        "marketplace image m-market can't be checked: make sure that its system fits the cluster's",
        True,
    ),
    "no such queue": (
        None,
        {"job_queue": "workk"},
        "job_queue",
        f"queue 'workk' does not exist in {CLUSTER}; there is workq",
    ),
    "a queue that grows": (
        auto_grow,
        {"job_queue": "gpu"},
        "job_queue",
        "queue 'gpu' grows and shrinks by itself: E-HPC may take nodes out of it",
        True,
    ),
    "no consent": (
        None,
        {"replace_system_disks": False},
        "replace_system_disks",
        (
            f"attaching replaces the system disks of compute1 ({ONE}) by {IMAGE}: what is on them is lost."
            " Set replace_system_disks=True to allow it"
        ),
    ),
    "a check without permission": (
        forbidden("ListQueues"),
        {"job_queue": "gpu"},
        "job_queue",
        "not checked, for want of the permission ehpc:ListQueues",
        True,
    ),
    "nodes that can't be seen": (
        forbidden("ListNodes"),
        {},
        "instance_ids",
        "which of the instances are nodes already can't be seen",
    ),
}


def survey(bench, wanted=(ONE,), owned=(), **changes):
    wish = Wish(CLUSTER, "cn-hangzhou", replace_system_disks=True)
    wish = Wish(**{**vars(wish), **changes})
    return bench.lifecycle().survey(wish, set(wanted), set(owned))


@pytest.mark.parametrize("row", ROWS)
def test_row(row):
    spoil, changes, name, said, *warning = ROWS[row]
    bench = Bench()
    if spoil:
        spoil(bench)
    found = [
        f for f in survey(bench, **changes).findings if f.property == name and said in f.reason
    ]
    assert [(f.property, f.warning) for f in found] == [(name, bool(warning))], survey(
        bench, **changes
    )
    assert bench.writes() == []


def test_nothing_is_found_where_nothing_is_wrong():
    assert survey(Bench(), [ONE, TWO], job_queue="gpu", **OWN).findings == []


def test_minor_versions_may_differ():
    bench = Bench()
    image(version="7.2", os_tag="CentOS_7.2_64")(bench)
    assert survey(bench, **OWN).findings == []


@pytest.mark.parametrize(
    ("platform", "version", "said"),
    [("CentOS", "8.2", "centos 8.2"), ("Windows Server", "2019", "windows 2019")],
)
def test_only_a_hybrid_cluster_with_windows_takes_both(platform, version, said):
    """No answer of the API tells whether a cluster is hybrid."""
    bench = Bench()
    cluster(os_tag="WindowsServer_2016_64", multi_os=True)(bench)
    image(platform=platform, os_tag="", version=version)(bench)
    assert survey(bench, **OWN).findings == [
        Finding(
            "image_id",
            f"image m-bp1own is {said}, the cluster's system is windows 2016: only a hybrid cluster of"
            " several systems takes it",
            warning=True,
        )
    ]


def test_windows_on_windows_is_fine():
    bench = Bench()
    cluster(os_tag="WindowsServer_2016_64")(bench)
    image(platform="windows", os_tag="", version="2016")(bench)
    assert survey(bench, **OWN).findings == []


def test_ubuntu_does_not_go_with_windows():
    bench = Bench()
    cluster(os_tag="WindowsServer_2016_64", multi_os=True)(bench)
    image(platform="Ubuntu", os_tag="", version="20.04")(bench)
    assert survey(bench, **OWN).findings == [
        Finding(
            "image_id",
            "image m-bp1own is ubuntu, the cluster's system is windows: choose an image of windows",
        )
    ]


def test_the_clusters_own_image_under_another_alias_is_not_found():
    assert survey(Bench(), image_id=IMAGE, image_owner_alias="self").findings == [
        Finding(
            "image_id",
            f"image {IMAGE} is not among the 'self' images: check the id and image_owner_alias",
        )
    ]


def test_the_clusters_own_marketplace_image_needs_no_warning():
    bench = Bench()
    cluster(image_id="m-market", image_owner_alias="marketplace")(bench)
    surveyed = survey(bench)
    assert (surveyed.wish.image_id, surveyed.findings) == ("m-market", [])


def test_a_queue_that_is_not_there_is_found_for_members_too():
    bench = Bench(attached=(2,))
    (found,) = survey(bench, [ONE, TWO], [TWO], job_queue="nosuch").findings
    assert found == Finding(
        "job_queue", f"queue 'nosuch' does not exist in {CLUSTER}; there is workq, gpu"
    )


def test_two_of_the_set_with_one_host_name_are_both_named():
    bench = Bench()
    instance(2, host_name="compute1")(bench)
    (found,) = survey(bench, [ONE, TWO]).findings
    assert found == Finding(
        "instance_ids", f"{TWO} has the host name 'compute1', which {ONE} has too: rename one"
    )


def test_types_that_differ_are_a_warning():
    bench = Bench()
    instance(2, instance_type="ecs.g6.large")(bench)
    (found,) = survey(bench, [ONE, TWO]).findings
    assert found.warning
    assert "several types (ecs.c5.large, ecs.g6.large)" in found.reason


def test_a_busy_node_that_would_be_detached_is_a_warning():
    bench = Bench()
    busy(bench)
    (found,) = survey(bench, [], [TWO]).findings
    assert found.warning
    assert f"compute2 ({TWO}) runs jobs (used: 4 CPU) and is to be detached" in found.reason


def test_with_stop_running_a_running_instance_is_fine():
    bench = Bench()
    instance(1, status="Running")(bench)
    assert survey(bench, stop_running=True).findings == []


def test_a_cluster_that_says_another_region():
    """Where an endpoint of one region answers for a cluster of another."""
    bench = Bench()
    wish = Wish(CLUSTER, "cn-beijing", replace_system_disks=True)
    sight = Sight(
        cluster=wire.Cluster(id=CLUSTER, status="running", region_id="cn-hangzhou"), nodes={}
    )
    (found,) = findings(sight, wish, make_plan([], [], {}), bench.mark)
    assert found == Finding(
        "region", f"cluster {CLUSTER} is in cn-hangzhou, not in cn-beijing: set the region"
    )


def test_another_cluster_is_said_with_its_hint():
    bench = Bench()
    wish = Wish("ehpc-hz-none", "cn-hangzhou", replace_system_disks=True)
    (found,) = bench.lifecycle().survey(wish, {ONE}, set()).findings
    assert found.property == "cluster_id"
    assert "ClusterNotFound" in found.reason
    assert "a cluster is seen only in its own region" in found.reason
