"""Each row of what a preview finds: on which property, how grave, in which words."""

import re
from typing import Any

import pytest

from ehpc_nodes.emulator.world import Cluster, Node
from ehpc_nodes.models import Finding, NodeState, State, check_form
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.observer import Wanted
from unit.emulated import CLUSTER, IMAGE, OLD_IMAGE, VPC, Bench, ids

ONE, TWO = ids(1, 2)
NOWHERE = "i-bp1unknown"


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


def lasting(spot_strategy, expired_time):
    """One spot instance, one that expires."""

    def spoil(bench):
        instances = bench.emulator.world.instances
        instances[ONE].spot_strategy = spot_strategy
        instances[TWO].expired_time = expired_time

    return spoil


def scales_in(*excluded, **queues):
    """The cluster scales in; these queues do as they say."""

    def spoil(bench):
        cluster = bench.emulator.world.clusters[CLUSTER]
        cluster.auto_scale.shrink = True
        cluster.auto_scale.exclude_nodes = [*excluded]
        for name, shrinks in queues.items():
            cluster.queues[name].auto_shrink = shrinks

    return spoil


def forbidden(action):
    def spoil(bench):
        bench.fault("error", action, status=403, code="NotAuthorized", message="No", times=None)

    return spoil


def attached(bench):
    bench.emulator.outside.attach(TWO, CLUSTER)
    bench.nodes[TWO].image_id = OLD_IMAGE


def failed_node(bench):
    bench.nodes[TWO].status = "exception"


def busy(bench):
    bench.emulator.outside.start_job(TWO, owner="test2@scheduler")


def own_image(gone=False, **changes):
    """The cluster is made of the account's image, which has changed since."""

    def spoil(bench):
        cluster(image_id="m-bp1own", image_owner_alias="self")(bench)
        image(**changes)(bench)
        if gone:
            del bench.emulator.world.images["m-bp1own"]

    return spoil


def own_image_not_offered(bench):
    bench.emulator.world.images[IMAGE].listed = False


def being_detached(bench):
    """A node that an interrupted run, say, takes out of the cluster just now."""
    bench.emulator.outside.attach(ONE, CLUSTER)
    bench.nodes[ONE].status = "releasing"


def in_another_cluster(bench):
    world = bench.emulator.world
    world.clusters["ehpc-hz-other"] = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64")
    world.add_node(world.clusters["ehpc-hz-other"], Node(ONE, "compute1", status="stopped"))


def another_cluster_unseen(bench):
    world = bench.emulator.world
    world.clusters["ehpc-hz-other"] = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64")
    bench.fault("error", "ListNodes", after=1, code="ManagerNotFound", status=400, times=None)


def of_older_state(*instance_ids):
    nodes = {i: NodeState(status="running") for i in instance_ids}
    return State(
        cluster_id=CLUSTER, region="cn-hangzhou", instance_ids=[*instance_ids], nodes=nodes
    )


OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}
ROWS: dict[str, Any] = {
    "cluster not running": (
        cluster(status="stopped"),
        {},
        "cluster_id",
        f"cluster {CLUSTER} is stopped, not running: wait until it is running",
    ),
    "not stopped": (
        instance(1, status="Running"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is Running, not Stopped: stop it, or set stop_running=True",
    ),
    "not stopped yet": (
        instance(1, status="Stopping"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is Stopping, not Stopped yet: wait until it is Stopped, then run again",
    ),
    "cannot be stopped yet": (
        instance(1, status="Pending"),
        {"stop_running": True},
        "instance_ids",
        (
            f"compute1 ({ONE}) is Pending, not Stopped, and cannot be stopped yet: wait until it is Running,"
            " then run again"
        ),
    ),
    "a node that is being detached": (
        being_detached,
        {},
        "instance_ids",
        (
            f"compute1 ({ONE}) is being detached, and is not Stopped. Wait until it is no longer a node, then"
            " stop it; or set stop_running=True"
        ),
    ),
    "another vpc": (
        instance(1, vpc_id="vpc-other"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is in vpc-other, but the cluster is in vpc-test. Both must be in the same VPC",
    ),
    "classic network": (
        instance(1, network_type="classic"),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is in the classic network, not in the cluster's VPC",
    ),
    "host name of a node": (
        instance(1, host_name="LOGIN0"),
        {},
        "instance_ids",
        f"{ONE} has the same host name as node i-bp1login, 'login0': rename one of them",
    ),
    "locked": (
        instance(1, locks=["financial", "security"]),
        {},
        "instance_ids",
        f"compute1 ({ONE}) is locked (financial, security): unlock it first",
    ),
    "owned by another resource": (
        instance(1, tags={"ehpc-nodes": "other/prod/nodes"}),
        {},
        "instance_ids",
        (
            f"compute1 ({ONE}) belongs to another resource, 'other/prod/nodes': remove it from instance_ids, or add an"
            " alias if this resource was renamed. To take it over (no disk is replaced), set take_ownership=True for"
            " one up, and move it to retain_ids of the other resource"
        ),
    ),
    "possibly being attached by another resource": (
        instance(
            1,
            tags={"ehpc-nodes": "other/prod/nodes", "ehpc-nodes-ref": f"other/{CLUSTER}/1-ab/m-1"},
        ),
        {"take_ownership": True},
        "take_ownership",
        (
            f"compute1 ({ONE}) may be being attached by resource 'other/prod/nodes'. Run pulumi up again when"
            " it is a node; if the console shows no task for it, remove its ECS tags 'ehpc-nodes' and"
            " 'ehpc-nodes-ref'"
        ),
    ),
    "a node of another cluster": (
        in_another_cluster,
        {},
        "instance_ids",
        f"compute1 ({ONE}) is a node of cluster ehpc-hz-other, or is being attached to it: detach it there first",
    ),
    "another cluster that cannot be listed": (
        another_cluster_unseen,
        {},
        "instance_ids",
        (
            "the nodes of ehpc-hz-other in the same VPC cannot be listed, and an instance may already be a node"
            " there. Run again when ehpc-nodes nodes works for it, or delete that cluster if it is permanently"
            " broken."
        ),
    ),
    "image of another architecture": (
        image(architecture="arm64"),
        OWN,
        "image_id",
        (
            f"image m-bp1own is for arm64, but compute1 ({ONE}) seems to have another processor architecture"
        ),
        True,
    ),
    "instances of another architecture": (
        instance(1, instance_type="ecs.g8y.large"),
        OWN,
        "image_id",
        (
            f"image m-bp1own is for x86_64, but compute1 ({ONE}) seems to have another processor architecture"
        ),
        True,
    ),
    "image not found": (
        None,
        {"image_id": "m-none", "image_owner_alias": "self"},
        "image_id",
        (
            "image m-none is not among the 'self' images. Check image_id, and image_owner_alias:"
            " 'self' for your own images, 'others' for shared ones"
        ),
    ),
    "image under another alias": (
        None,
        {"image_id": "m-bp1own", "image_owner_alias": "system"},
        "image_id",
        (
            "image m-bp1own is not among the 'system' images. Check image_id, and image_owner_alias:"
            " 'self' for your own images, 'others' for shared ones"
        ),
    ),
    "image not available": (
        image(status="Creating"),
        OWN,
        "image_id",
        "image m-bp1own is Creating, not Available: wait until it is, or set another image_id",
    ),
    "image of another family": (
        image(platform="Ubuntu", os_tag="Ubuntu_20.04_64", version="20.04"),
        OWN,
        "image_id",
        "image m-bp1own is ubuntu, but the cluster is centos. Set an image_id of centos",
    ),
    "image of another major version": (
        image(version="8.2", os_tag="CentOS_8.2_64"),
        OWN,
        "image_id",
        "image m-bp1own is centos 8.2, but the cluster is centos 7.6. Set an image_id of centos 7",
    ),
    "an image in a hybrid cluster": (
        cluster(os_tag="WindowsServer_2016_64"),
        OWN,
        "image_id",
        (
            "image m-bp1own is centos 7.6, but the cluster is windows 2016. Only a hybrid cluster with several"
            " operating systems accepts it"
        ),
        True,
    ),
    "an image of unknown system": (
        image(os_tag="", platform="", version=""),
        OWN,
        "image_id",
        (
            "image m-bp1own cannot be checked, because its operating system or version is not known. Make sure"
            " that it has the cluster's operating system and major version"
        ),
        True,
    ),
    "a cluster of unknown system": (
        cluster(os_tag=""),
        OWN,
        "image_id",
        (
            "image m-bp1own cannot be checked, because the cluster's operating system or version is not known."
            " Make sure that it has the cluster's operating system and major version"
        ),
        True,
    ),
    "the cluster's image, no longer offered": (
        own_image_not_offered,
        {},
        "image_id",
        (
            f"the cluster's image {IMAGE} is not among the 'system' images. If E-HPC rejects it (ImageNotFound),"
            " set another image_id and image_owner_alias"
        ),
        True,
    ),
    "the cluster's image, deleted": (
        own_image(gone=True),
        {},
        "image_id",
        (
            "the cluster's image m-bp1own is not among the 'self' images. Set another image_id and"
            " image_owner_alias"
        ),
    ),
    "the cluster's image, not available": (
        own_image(status="Creating"),
        {},
        "image_id",
        "image m-bp1own is Creating, not Available: wait until it is, or set another image_id",
    ),
    "marketplace": (
        None,
        {"image_id": "m-market", "image_owner_alias": "marketplace"},
        "image_id",
        "marketplace image m-market cannot be checked. Make sure that its operating system fits the cluster",
        True,
    ),
    "no such queue": (
        None,
        {"job_queue": "workk"},
        "job_queue",
        f"queue 'workk' does not exist in {CLUSTER}: did you mean workq?",
    ),
    "instances that may be released": (
        lasting(spot_strategy="SpotAsPriceGo", expired_time="2025-07-10T16:00Z"),
        {"wanted": [ONE, TWO, *ids(3)]},
        "instance_ids",
        (
            "ECS may release some instances, and their nodes are then lost:"
            f" compute1 ({ONE}) is a spot instance, compute2 ({TWO}) expires on 2025-07-10"
        ),
        True,
    ),
    "a queue that scales in": (
        scales_in("i-old", workq=False),
        {"wanted": [ONE, TWO], "job_queue": "gpu"},
        "instance_ids",
        (
            "queue 'gpu' scales in: E-HPC removes nodes that are idle for 6 minutes. To keep these, add them to"
            f" ExcludeNodes in the cluster's auto scaling: {ONE},{TWO}"
        ),
        True,
    ),
    "a cluster that scales in": (
        scales_in(ONE, gpu=False),
        {"wanted": [ONE, TWO]},
        "instance_ids",
        (
            "the cluster scales in: E-HPC removes nodes that are idle for 6 minutes. To keep these, add them to"
            f" ExcludeNodes in the cluster's auto scaling: {TWO}"
        ),
        True,
    ),
    "no opt-in": (
        None,
        {"replace_system_disks": False},
        "replace_system_disks",
        (
            f"attaching replaces the system disks of compute1 ({ONE}) by {IMAGE}, and their data is lost."
            " Set replace_system_disks=True to allow this"
        ),
    ),
    "an instance that is not there": (
        None,
        {"wanted": [NOWHERE]},
        "instance_ids",
        f"{NOWHERE} does not exist in cn-hangzhou: check the id and the region",
    ),
    "a manager": (
        None,
        {"wanted": ["i-bp1manager"]},
        "instance_ids",
        (
            f"scheduler0 (i-bp1manager) is not a compute node of {CLUSTER} but Scheduler, and is never"
            " changed. Remove it from instance_ids"
        ),
    ),
    "a login node": (
        None,
        {"wanted": ["i-bp1login"]},
        "instance_ids",
        (
            f"login0 (i-bp1login) is not a compute node of {CLUSTER} but Login, and is never changed. Remove it"
            " from instance_ids"
        ),
    ),
    "a login node in an older state": (
        None,
        {"wanted": [], "saved": of_older_state("i-bp1login")},
        "instance_ids",
        (
            f"login0 (i-bp1login) is not a compute node of {CLUSTER} but Login, and is never changed. Add it to"
            " retain_ids"
        ),
    ),
    "host names within the set": (
        instance(2, host_name="compute1"),
        {"wanted": [ONE, TWO]},
        "instance_ids",
        f"{TWO} has the same host name as {ONE}, 'compute1': rename one of them",
    ),
    "types that differ": (
        instance(2, instance_type="ecs.g6.large"),
        {"wanted": [ONE, TWO]},
        "instance_ids",
        (
            "the instances have several types (ecs.c5.large, ecs.g6.large), and E-HPC may accept only one type in a"
            " call"
        ),
        True,
    ),
    "a busy node to detach": (
        busy,
        {"wanted": [], "has": [2]},
        "busy_nodes",
        (
            f"compute2 ({TWO}) runs 1.scheduler (test2). pulumi up fails until the jobs end. Wait for them,"
            ' or set busy_nodes="wait" (the update waits for them) or "detach" (the jobs are lost)'
        ),
        True,
    ),
    "a busy node to detach, waited for": (
        busy,
        {"wanted": [], "has": [2], "busy_nodes": "wait"},
        "busy_nodes",
        (
            f"compute2 ({TWO}) runs 1.scheduler (test2). The update waits until the jobs end, then detaches the"
            " nodes"
        ),
        True,
    ),
    "a busy node to detach all the same": (
        busy,
        {"wanted": [], "has": [2], "busy_nodes": "detach"},
        "busy_nodes",
        (
            f"compute2 ({TWO}) runs 1.scheduler (test2). The update detaches the nodes, and these jobs are lost"
        ),
        True,
    ),
    "a node that has failed": (
        failed_node,
        {"wanted": [TWO], "has": [2]},
        "instance_ids",
        (
            f"compute2 ({TWO}) has the status exception, and pulumi up fails until this changes. Repair it in the"
            " console, or remove it from instance_ids to detach it"
        ),
        True,
    ),
    "a node with another image": (
        attached,
        {"wanted": [TWO], **OWN},
        "image_id",
        (
            f"compute2 ({TWO}) was attached with image {OLD_IMAGE}, not m-bp1own. It is adopted as it is: its"
            " system disk is kept"
        ),
        True,
    ),
    "no queue with a similar name": (
        None,
        {"job_queue": "zzz"},
        "job_queue",
        f"queue 'zzz' does not exist in {CLUSTER}: the cluster has workq, gpu",
    ),
    "a cluster without queues": (
        lambda bench: bench.emulator.world.clusters[CLUSTER].queues.clear(),
        {"job_queue": "gpu"},
        "job_queue",
        f"queue 'gpu' does not exist in {CLUSTER}: the cluster has no queue",
    ),
    "a shared image": (
        image(owner_alias="others", status="Deleting"),
        {"image_id": "m-bp1own", "image_owner_alias": "others"},
        "image_id",
        "image m-bp1own is Deleting, not Available: wait until it is, or set another image_id",
    ),
}


@pytest.mark.parametrize(
    ("expired_time", "told"),
    [
        ("2025-07-15T15:06Z", True),
        ("2025-07-15T15:07Z", False),
        ("2099-12-31T15:59Z", False),
        ("", False),
        ("soon", False),
    ],
)
def test_what_expires_within_thirty_days_is_told(expired_time, told):
    bench = Bench()  # on 2025-06-15 at 15:06:40
    lasting("NoSpot", expired_time)(bench)
    assert bool(plan(bench, [TWO]).findings) == told


def test_adopted_instances_that_may_not_last_are_told_and_kept_ones_are_not():
    bench = Bench(attached=(1, 2))
    lasting("SpotWithPriceLimit", "2025-06-10T00:00Z")(bench)
    (found,) = plan(bench, [ONE, TWO]).findings
    assert found.reason.endswith(
        "is a spot instance, compute2 (i-bp1test0002) expires on 2025-06-10"
    )
    saved = bench.up(1, 2)
    assert plan(bench, [ONE, TWO, *ids(3)], saved).findings == []


@pytest.mark.parametrize(
    ("spoil", "queue"),
    [
        (scales_in(ONE, TWO), ""),
        (scales_in(gpu=False), "gpu"),
        (cluster(status="running"), ""),
    ],
)
def test_where_scale_in_takes_no_node_there_is_nothing_to_say(spoil, queue):
    bench = Bench(attached=(2,))
    spoil(bench)
    assert plan(bench, [ONE, TWO], job_queue=queue).findings == []
    assert len(bench.calls("GetAutoScaleConfig")) == 1


def test_scale_in_is_read_only_where_nodes_come():
    bench = Bench()
    saved = bench.up(1, 2)
    scales_in()(bench)
    plan(bench, [ONE], saved, job_queue="gpu")
    assert bench.calls("GetAutoScaleConfig") == []
    assert bench.calls("SetAutoScaleConfig") == []


GROUPED = {
    "unknown": (lambda _: None, "does not exist in cn-hangzhou: check the id and the region", 13),
    "running": (
        lambda i: setattr(i, "status", "Running"),
        "is Running, not Stopped: stop it, or set stop_running=True",
        0,
    ),
}


@pytest.mark.parametrize("kind", GROUPED)
def test_many_instances_with_one_trouble_are_one_finding(kind):
    spoil, said, unknown = GROUPED[kind]
    bench = Bench(13)
    for n in range(1, 14):
        spoil(bench.emulator.world.instances[ids(n)[0]])
    wanted = [f"i-bp1none{n:04d}" for n in range(13)] if unknown else ids(*range(1, 14))
    (found,) = plan(bench, wanted=wanted).findings
    assert found.reason.startswith("each of ")
    assert found.reason.endswith(f" and 3 more {said}")
    assert len(plan(bench, wanted=wanted[:10]).findings) == 10


def plan(bench, wanted=(ONE,), saved=None, **changes):
    desired = Desired(CLUSTER, "cn-hangzhou", replace_system_disks=True)
    desired = Desired(**{**vars(desired), **changes})
    ids_ = Wanted(frozenset(wanted), frozenset(), desired.take_ownership, desired.job_queue)
    return bench.operations().plan_changes(desired, ids_, saved)


def planned_for(row):
    """The plan in the world of a row, of which nothing was written."""
    spoil, changes, *_ = ROWS[row]
    changes = {**changes}
    has = changes.pop("has", ())
    bench = Bench(attached=has)
    saved = bench.up(*has) if has else changes.pop("saved", None)
    if spoil:
        spoil(bench)
    bench.emulator.journal.entries.clear()
    planned = plan(bench, saved=saved, **changes)
    assert bench.writes() == []
    return planned


@pytest.mark.parametrize("row", ROWS)
def test_row(row):
    _, _, name, said, *warning = ROWS[row]
    assert planned_for(row).findings == [Finding(name, said, warning=bool(warning))]


@pytest.mark.parametrize(
    ("permission", "what"),
    [
        ("ehpc:ListNodes", "already nodes"),
        ("ehpc:ListTasks", "being attached now"),
        ("ecs:DescribeInstances", "possibly sent by an interrupted run"),
    ],
)
def test_what_has_to_be_seen_before_an_attach_is_an_error(permission, what):
    bench = Bench()
    forbidden(permission.partition(":")[2])(bench)
    warning, error = plan(bench).findings
    assert (warning.property, warning.warning) == ("instance_ids", True)
    assert f"not checked (permission {permission} is missing)" in warning.reason
    assert error == Finding(
        "instance_ids",
        f"cannot check which instances are {what}: permission {permission} is missing. Give it to the access"
        " key's RAM user; until then nothing is attached, because a second attach would replace the system disk"
        " again",
    )


def test_the_clusters_image_that_cannot_be_seen_has_to_be_named():
    bench = Bench()
    forbidden("DescribeCluster")(bench)
    warning, error = plan(bench).findings
    assert (warning.property, warning.warning) == ("cluster_id", True)
    assert error == Finding(
        "image_id",
        "the cluster's image is not known. Set image_id and image_owner_alias, or give the access key's RAM user"
        " the permission ehpc:DescribeCluster",
    )
    assert [f.warning for f in plan(bench, **OWN).findings] == [True]
    assert [f.warning for f in plan(bench, image_known=False).findings] == [True]


def everything_wrong(bench):
    world = bench.emulator.world
    for spoil in (
        cluster(status="stopped"),
        instance(1, status="Running", locks=["financial"]),
        instance(2, vpc_id="vpc-other"),
        instance(3, network_type="classic"),
        instance(4, host_name="login0"),
        instance(5, host_name="compute6", instance_type="ecs.g6.large"),
        image(os_tag="", platform="Ubuntu", version="20.04", status="Creating"),
    ):
        spoil(bench)
    world.clusters[CLUSTER].queues["gpu"].auto_grow = True


def test_a_program_with_many_mistakes_hears_of_all_at_once():
    bench = Bench()
    everything_wrong(bench)
    found = plan(
        bench,
        [*ids(1, 2, 3, 4, 5, 6), NOWHERE, "i-bp1manager"],
        job_queue="gpux",
        **OWN,
        replace_system_disks=False,
    ).findings
    assert [(f.property, re.split(r"[:.] |, and", f.reason)[0], f.warning) for f in found] == [
        ("cluster_id", f"cluster {CLUSTER} is stopped, not running", False),
        ("job_queue", f"queue 'gpux' does not exist in {CLUSTER}", False),
        ("image_id", "image m-bp1own is Creating, not Available", False),
        ("image_id", "image m-bp1own is ubuntu, but the cluster is centos", False),
        (
            "replace_system_disks",
            (
                "attaching replaces the system disks of "
                + ", ".join(
                    f"{host} ({i})"
                    for host, i in zip(
                        ["compute1", "compute2", "compute3", "login0", "compute6", "compute6"],
                        ids(1, 2, 3, 4, 5, 6),
                        strict=True,
                    )
                )
                + f", {NOWHERE} by m-bp1own"
            ),
            False,
        ),
        ("instance_ids", f"compute1 ({ONE}) is locked (financial)", False),
        ("instance_ids", f"compute1 ({ONE}) is Running, not Stopped", False),
        (
            "instance_ids",
            f"compute2 ({TWO}) is in vpc-other, but the cluster is in vpc-test",
            False,
        ),
        (
            "instance_ids",
            f"compute3 ({ids(3)[0]}) is in the classic network, not in the cluster's VPC",
            False,
        ),
        ("instance_ids", f"{NOWHERE} does not exist in cn-hangzhou", False),
        (
            "instance_ids",
            ("the instances have several types (ecs.c5.large, ecs.g6.large)"),
            True,
        ),
        (
            "instance_ids",
            f"{ids(4)[0]} has the same host name as node i-bp1login, 'login0'",
            False,
        ),
        (
            "instance_ids",
            f"{ids(6)[0]} has the same host name as {ids(5)[0]}, 'compute6'",
            False,
        ),
        (
            "instance_ids",
            f"scheduler0 (i-bp1manager) is not a compute node of {CLUSTER} but Scheduler",
            False,
        ),
    ]
    assert bench.writes() == []


def test_a_malformed_id_and_one_listed_twice_are_found_before_any_read():
    """See test_provider.test_check_of_bad_input for the texts."""
    _, found = check_form({"cluster_id": CLUSTER, "instance_ids": ["compute1", "i-ä"]}, ())
    assert found == [
        Finding(
            "instance_ids",
            f"{wrong!r} is not an instance id (such as i-bp16mxn6mt3t7ftkabcd) (entry {n})",
        )
        for n, wrong in enumerate(["compute1", "i-ä"])
    ]
    _, found = check_form({"cluster_id": CLUSTER, "instance_ids": [ONE, TWO, ONE, TWO]}, ())
    assert found == [
        Finding("instance_ids", f"{ONE}, {TWO} is listed more than once; list it once")
    ]


def test_nothing_is_found_where_nothing_is_wrong():
    assert plan(Bench(), [ONE, TWO], job_queue="gpu", **OWN).findings == []


@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("RedHat_7.6_64", "Red Hat"),
        ("AliyunLinux_2.1903_64", "Aliyun"),
        ("AlibabaCloudLinux_3_64", "Alibaba Cloud Linux"),
        ("SUSE_12_64", "SUSE Linux"),
        ("CentOS_7.6_64", "centos"),
        ("Own", "Anything"),  # no version: equal tags are one system nevertheless
    ],
)
def test_an_image_with_the_clusters_tag_fits_however_its_platform_is_spelt(tag, platform):
    bench = Bench()
    cluster(os_tag=tag)(bench)
    image(os_tag=tag, platform=platform, version="")(bench)
    assert plan(bench, **OWN).findings == []


@pytest.mark.parametrize(
    ("tag", "platform", "version"),
    [
        ("RedHat_7.6_64", "Red Hat", "7.2"),
        ("AliyunLinux_2.1903_64", "Aliyun", "2"),
        ("SUSE_12_64", "SUSE Linux", "12.5"),
    ],
)
def test_a_platform_fits_the_clusters_tag_however_it_is_spelt(tag, platform, version):
    bench = Bench()
    cluster(os_tag=tag)(bench)
    image(os_tag="", platform=platform, version=version)(bench)
    assert plan(bench, **OWN).findings == []


@pytest.mark.parametrize("changes", [{"version": "", "os_tag": "CentOS"}, {"os_tag": "CentOS_64"}])
def test_an_image_of_unknown_version_is_warned_of_once(changes):
    bench = Bench()
    image(**{"version": "", **changes})(bench)
    (found,) = plan(bench, **OWN).findings
    assert found.warning
    assert "its operating system or version is not known" in found.reason


def test_another_family_is_refused_though_its_version_is_unknown():
    bench = Bench()
    image(os_tag="Ubuntu", platform="Ubuntu", version="")(bench)
    (found,) = plan(bench, **OWN).findings
    assert found.reason.endswith("Set an image_id of centos")
    assert not found.warning


def test_the_clusters_own_image_is_not_compared_with_its_system():
    bench = Bench()
    own_image(os_tag="Ubuntu_20.04_64")(bench)
    assert plan(bench).findings == []
    assert plan(bench, **OWN).findings == []


def test_an_image_is_not_looked_up_where_nothing_is_attached():
    bench = Bench(attached=(1,))
    own_image(gone=True)(bench)
    saved = bench.up(1)
    bench.emulator.journal.entries.clear()
    assert plan(bench, [ONE], saved).findings == []
    assert plan(bench, [], saved).findings == []
    assert bench.calls("ListImages", "ListCustomImages") == []


@pytest.mark.parametrize(
    ("instance_type", "arm"),
    [
        *((f"ecs.{family}.large", True) for family in ("g8y", "c8y", "r8y", "g6r", "c6r")),
        *((f"ecs.{family}.32xlarge", True) for family in ("ebmg8y", "ebmc8y", "ebmr8y")),
        ("ecs.gn7r-c16g1.4xlarge", True),
        ("ecs.i4r.4xlarge", False),  # Intel, for all its name
        ("ecs.r6.large", False),
        ("ecs.g8i.large", False),
        ("ecs.gn7i-c16g1.4xlarge", False),
    ],
)
def test_which_instances_have_arm_processors(instance_type, arm):
    bench = Bench()
    instance(1, instance_type=instance_type)(bench)
    assert bool(plan(bench, **OWN).findings) is arm
    image(architecture="arm64")(bench)
    assert bool(plan(bench, **OWN).findings) is not arm


def test_minor_versions_may_differ():
    bench = Bench()
    image(version="7.2", os_tag="CentOS_7.2_64")(bench)
    assert plan(bench, **OWN).findings == []


@pytest.mark.parametrize(
    ("platform", "version", "said"),
    [("CentOS", "8.2", "centos 8.2"), ("Windows Server", "2019", "windows 2019")],
)
def test_only_a_hybrid_cluster_with_windows_takes_both(platform, version, said):
    """No answer of the API tells whether a cluster is hybrid."""
    bench = Bench()
    cluster(os_tag="WindowsServer_2016_64", multi_os=True)(bench)
    image(platform=platform, os_tag="", version=version)(bench)
    assert plan(bench, **OWN).findings == [
        Finding(
            "image_id",
            f"image m-bp1own is {said}, but the cluster is windows 2016. Only a hybrid cluster with several"
            " operating systems accepts it",
            warning=True,
        )
    ]


def test_windows_on_windows_is_fine():
    bench = Bench()
    cluster(os_tag="WindowsServer_2016_64")(bench)
    image(platform="windows", os_tag="", version="2016")(bench)
    assert plan(bench, **OWN).findings == []


def test_ubuntu_does_not_go_with_windows():
    bench = Bench()
    cluster(os_tag="WindowsServer_2016_64", multi_os=True)(bench)
    image(platform="Ubuntu", os_tag="", version="20.04")(bench)
    assert plan(bench, **OWN).findings == [
        Finding(
            "image_id",
            "image m-bp1own is ubuntu, but the cluster is windows. Set an image_id of windows",
        )
    ]


def test_the_clusters_own_image_under_another_alias_is_not_found():
    assert plan(Bench(), image_id=IMAGE, image_owner_alias="self").findings == [
        Finding(
            "image_id",
            f"image {IMAGE} is not among the 'self' images. Check image_id, and image_owner_alias:"
            " 'self' for your own images, 'others' for shared ones",
        )
    ]


def test_the_clusters_own_marketplace_image_needs_no_warning():
    bench = Bench()
    cluster(image_id="m-market", image_owner_alias="marketplace")(bench)
    planned = plan(bench)
    assert (planned.desired.image_id, planned.findings) == ("m-market", [])


def test_a_queue_that_is_not_there_is_found_for_members_too():
    bench = Bench(attached=(2,))
    (found,) = plan(bench, [ONE, TWO], bench.up(2), job_queue="nosuch").findings
    assert found == Finding(
        "job_queue", f"queue 'nosuch' does not exist in {CLUSTER}: the cluster has workq, gpu"
    )


@pytest.mark.parametrize("status", ["Running", "Stopping"])
def test_with_stop_running_an_instance_that_runs_or_stops_is_fine(status):
    bench = Bench()
    instance(1, status=status)(bench)
    assert plan(bench, stop_running=True).findings == []


@pytest.mark.parametrize("status", ["Pending", "Starting"])
@pytest.mark.parametrize("stop_running", [False, True])
def test_what_can_not_be_stopped_yet_is_waited_for(status, stop_running):
    bench = Bench()
    instance(1, status=status)(bench)
    (found,) = plan(bench, stop_running=stop_running).findings
    assert f"is {status}, not Stopped, and cannot be stopped yet: wait" in found.reason
    assert not found.warning


def test_a_cluster_that_says_another_region():
    """Where an endpoint of one region answers for a cluster of another."""
    (found,) = plan(Bench(), region="cn-beijing").findings
    assert found == Finding(
        "region", f"cluster {CLUSTER} is in cn-hangzhou, not in cn-beijing: set the region"
    )
