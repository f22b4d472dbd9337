"""Each row of what a preview finds: on which property, how grave, in which words."""

import re
from typing import Any

import pytest

from ehpc_nodes.emulator.world import Cluster, Node
from ehpc_nodes.models import Finding, NodeState, State
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.observer import Wanted
from unit.emulated import CLUSTER, IMAGE, OLD_IMAGE, VPC, Bench, ids

ONE, TWO = ids(1, 2)
NOWHERE = "i-bp1unknown"


def instance(n, **changes):
    def spoil(bench):
        for name, value in changes.items():
            setattr(bench.instance(n), name, value)

    return spoil


def image(**changes):
    def spoil(bench):
        found = bench.world.images["m-bp1own"]
        for name, value in changes.items():
            setattr(found, name, value)

    return spoil


def cluster(**changes):
    def spoil(bench):
        for name, value in changes.items():
            setattr(bench.world.clusters[CLUSTER], name, value)

    return spoil


def lasting(spot_strategy, expired_time, *, adopted=False):
    """One spot instance, one that expires; nodes already where they are adopted."""

    def spoil(bench):
        for i in (ONE, TWO) if adopted else ():
            bench.outside.attach(i, CLUSTER)
        instances = bench.world.instances
        instances[ONE].spot_strategy = spot_strategy
        instances[TWO].expired_time = expired_time

    return spoil


def scales_in(*excluded, **queues):
    """The cluster scales in; these queues do as they say."""

    def spoil(bench):
        cluster = bench.world.clusters[CLUSTER]
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
    bench.outside.attach(TWO, CLUSTER)
    bench.nodes[TWO].image_id = OLD_IMAGE


def failed_node(bench):
    bench.nodes[TWO].status = "exception"


def busy(bench):
    for i in bench.nodes:
        bench.outside.start_job(i, owner="test2@scheduler")


def own_image(gone=False, **changes):
    """The cluster is made of the account's image, which has changed since."""

    def spoil(bench):
        cluster(image_id="m-bp1own", image_owner_alias="self")(bench)
        image(**changes)(bench)
        if gone:
            del bench.world.images["m-bp1own"]

    return spoil


def own_image_not_offered(bench):
    bench.world.images[IMAGE].listed = False


def being_detached(bench):
    """A node that an interrupted run, say, takes out of the cluster just now."""
    bench.outside.attach(ONE, CLUSTER)
    bench.nodes[ONE].status = "releasing"


def in_another_cluster(bench):
    world = bench.world
    world.clusters["ehpc-hz-other"] = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64")
    world.add_node(world.clusters["ehpc-hz-other"], Node(ONE, "compute1", status="stopped"))


def another_cluster_forbidden(bench):
    """The access key may list the nodes of some clusters only."""
    another_cluster_unseen(bench, code="Forbidden.RAM", status=403)


def another_cluster_unseen(bench, code="ManagerNotFound", status=400):
    world = bench.world
    world.clusters["ehpc-hz-other"] = Cluster("ehpc-hz-other", VPC, IMAGE, "CentOS_7.6_64")
    bench.fault("error", "ListNodes", after=1, code=code, status=status, times=None)


def of_older_state(*instance_ids):
    nodes = {i: NodeState(status="running") for i in instance_ids}
    return State(
        cluster_id=CLUSTER, region="cn-hangzhou", instance_ids=[*instance_ids], nodes=nodes
    )


UNLISTED = (
    "the nodes of ehpc-hz-other in the same VPC cannot be listed, and an instance may already be a node there. Run again"
    " when ehpc-nodes nodes works for it, or delete that cluster if it is permanently broken."
)
THEIRS = {"ehpc-nodes": "other/prod/nodes"}
SENDING = {**THEIRS, "ehpc-nodes-ref": f"other/{CLUSTER}/1-ab/m-1"}
THE_CLUSTERS = "the cluster's"
UBUNTU = {"os_tag": "Ubuntu", "platform": "Ubuntu"}


def windows(**changes):
    """The cluster runs Windows, maybe beside others: no answer of the API tells; the image is as it is, or like this."""

    def spoil(bench):
        cluster(os_tag="WindowsServer_2016_64", multi_os=True)(bench)
        image(**changes)(bench)

    return spoil


def without_queues(bench):
    bench.world.clusters[CLUSTER].queues.clear()


OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}
#: Row -> how the world is spoilt, and what the program says beside an id, its cluster and its opt-in.
ROWS: dict[str, Any] = {
    "cluster not running": (cluster(status="stopped"), {}),
    "not stopped": (instance(1, status="Running"), {}),
    "not stopped yet": (instance(1, status="Stopping"), {}),
    "cannot be stopped yet": (instance(1, status="Pending"), {"stop_running": True}),
    "a node that is being detached": (being_detached, {}),
    "another vpc": (instance(1, vpc_id="vpc-other"), {}),
    "classic network": (instance(1, network_type="classic"), {}),
    "host name of a node": (instance(1, host_name="LOGIN0"), {}),
    "locked": (instance(1, locks=["financial", "security"]), {}),
    "owned by another resource": (instance(1, tags=THEIRS), {}),
    "a node of another cluster": (in_another_cluster, {}),
    "another cluster that cannot be listed": (another_cluster_unseen, {}),
    "another cluster that may not be listed": (another_cluster_forbidden, {}),
    "image of another architecture": (image(architecture="arm64"), OWN),
    "instances of another architecture": (instance(1, instance_type="ecs.g8y.large"), OWN),
    "image not found": (None, {**OWN, "image_id": "m-none"}),
    "image under another alias": (None, {**OWN, "image_owner_alias": "system"}),
    "image not available": (image(status="Creating"), OWN),
    "a shared image": (
        image(owner_alias="others", status="Deleting"),
        {**OWN, "image_owner_alias": "others"},
    ),
    "image of another family": (image(**UBUNTU, version="20.04"), OWN),
    "image of another major version": (image(version="8.2", os_tag="CentOS_8.2_64"), OWN),
    "an image in a hybrid cluster": (windows(), OWN),
    "an image of unknown system": (image(os_tag="", platform="", version=""), OWN),
    "a cluster of unknown system": (cluster(os_tag=""), OWN),
    "the cluster's image, no longer offered": (own_image_not_offered, {}),
    "the cluster's image, deleted": (own_image(gone=True), {}),
    "the cluster's image, not available": (own_image(status="Creating"), {}),
    "marketplace": (None, {"image_id": "m-market", "image_owner_alias": "marketplace"}),
    "no such queue": (None, {"job_queue": "workk"}),
    "no queue with a similar name": (None, {"job_queue": "zzz"}),
    "a cluster without queues": (without_queues, {"job_queue": "gpu"}),
    "instances that may be released": (
        lasting(spot_strategy="SpotAsPriceGo", expired_time="2025-07-10T16:00Z"),
        {"wanted": [ONE, TWO, *ids(3)]},
    ),
    "a queue that scales in": (
        scales_in("i-old", workq=False),
        {"wanted": [ONE, TWO], "job_queue": "gpu"},
    ),
    "a cluster that scales in": (scales_in(ONE, gpu=False), {"wanted": [ONE, TWO]}),
    "no opt-in": (None, {"replace_system_disks": False}),
    "an instance that is not there": (None, {"wanted": [NOWHERE]}),
    "a manager": (None, {"wanted": ["i-bp1manager"]}),
    "a login node": (None, {"wanted": ["i-bp1login"]}),
    "a login node in an older state": (
        None,
        {"wanted": [], "saved": of_older_state("i-bp1login")},
    ),
    "host names within the set": (instance(2, host_name="compute1"), {"wanted": [ONE, TWO]}),
    "types that differ": (instance(2, instance_type="ecs.g6.large"), {"wanted": [ONE, TWO]}),
    "a busy node to detach": (busy, {"wanted": [], "has": [2]}),
    "a busy node to detach, waited for": (busy, {"wanted": [], "has": [2], "busy_nodes": "wait"}),
    "a busy node to detach all the same": (
        busy,
        {"wanted": [], "has": [2], "busy_nodes": "detach"},
    ),
    "a node that has failed": (failed_node, {"wanted": [TWO], "has": [2]}),
    "a node with another image": (attached, {"wanted": [TWO], **OWN}),
}
#: Rows beside those that docs/messages.md shows.
MORE: dict[str, Any] = {
    "another region": (None, {"region": "cn-beijing"}),  # whose endpoint answers for this cluster
    "the cluster's image under another alias": (None, {**OWN, "image_id": IMAGE}),
    "image of another family and no version": (image(**UBUNTU, version=""), OWN),
    "newer image in a hybrid cluster": (windows(version="8.2", os_tag=""), OWN),
    "newer Windows": (windows(platform="Windows Server", version="2019", os_tag=""), OWN),
    "Ubuntu in a hybrid cluster": (windows(platform="Ubuntu", version="20.04", os_tag=""), OWN),
    "image of unknown version": (image(os_tag="CentOS", version=""), OWN),
    "image of unknown version in its tag": (image(os_tag="CentOS_64", version=""), OWN),
    "no such queue, for a node too": (
        None,
        {"wanted": [ONE, TWO], "has": [2], "job_queue": "nosuch"},
    ),
    "adopted, may be released": (
        lasting("SpotWithPriceLimit", "2025-06-10T00:00Z", adopted=True),
        {"wanted": [ONE, TWO]},
    ),
    "busy nodes to detach": (busy, {"wanted": [], "has": [1, 2]}),
}
C1, C2 = f"compute1 ({ONE})", f"compute2 ({TWO})"
RUNS = f"{C2} runs 1.scheduler (test2)."
BOTH_RUN = f"{C1} runs 1.scheduler (test2); {C2} runs 2.scheduler (test2)."
HYBRID = "Only a hybrid cluster with several operating systems accepts it"
NOT_CHECKED = (
    "cannot be checked, because {} operating system or version is not known. Make sure that it has the cluster's operating"
    " system and major version"
)
NOT_AMONG = "is not among the '{}' images. Check image_id, and image_owner_alias: 'self' for your own images, 'others' for shared ones"
NEVER = "and is never changed."
NOT_YET = "not Stopped, and cannot be stopped yet: wait until it is Running, then run again"
SCALE_IN = "scales in: E-HPC removes nodes that are idle for 6 minutes. To keep these, add them to ExcludeNodes in the cluster's auto scaling:"
RELEASED = "ECS may release some instances, and their nodes are then lost:"
#: Property -> what is refused, by row.
REFUSED = {
    "cluster_id": {
        "cluster not running": f"cluster {CLUSTER} is stopped, not running: wait until it is running",
    },
    "region": {
        "another region": f"cluster {CLUSTER} is in cn-hangzhou, not in cn-beijing: set the region",
    },
    "instance_ids": {
        "not stopped": f"{C1} is Running, not Stopped: stop it, or set stop_running=True",
        "not stopped yet": f"{C1} is Stopping, not Stopped yet: wait until it is Stopped, then run again",
        "cannot be stopped yet": f"{C1} is Pending, {NOT_YET}",
        "a node that is being detached": f"{C1} is being detached, and is not Stopped. Wait until it is no longer a node, then stop it; or set stop_running=True",
        "another vpc": f"{C1} is in vpc-other, but the cluster is in vpc-test. Both must be in the same VPC",
        "classic network": f"{C1} is in the classic network, not in the cluster's VPC",
        "host name of a node": f"{ONE} has the same host name as node i-bp1login, 'login0': rename one of them",
        "locked": f"{C1} is locked (financial, security): unlock it first",
        "owned by another resource": (
            f"{C1} belongs to another resource, 'other/prod/nodes': remove it from instance_ids, or add an alias if this resource"
            " was renamed. To take it over (a node's disk is not replaced), set take_ownership=True for one up, and move it to retain_ids"
            " of the other resource if there still is one"
        ),
        "a node of another cluster": f"{C1} is a node of cluster ehpc-hz-other, or is being attached to it: detach it there first",
        "another cluster that cannot be listed": UNLISTED,
        "another cluster that may not be listed": UNLISTED,
        "an instance that is not there": f"{NOWHERE} does not exist in cn-hangzhou: check the id and the region",
        "a manager": f"scheduler0 (i-bp1manager) is not a compute node of {CLUSTER} but Scheduler, {NEVER} Remove it from instance_ids",
        "a login node": f"login0 (i-bp1login) is not a compute node of {CLUSTER} but Login, {NEVER} Remove it from instance_ids",
        "a login node in an older state": f"login0 (i-bp1login) is not a compute node of {CLUSTER} but Login, {NEVER} Add it to retain_ids",
        "host names within the set": f"{TWO} has the same host name as {ONE}, 'compute1': rename one of them",
    },
    "take_ownership": {},
    "image_id": {
        "image not found": f"image m-none {NOT_AMONG.format('self')}",
        "image under another alias": f"image m-bp1own {NOT_AMONG.format('system')}",
        "the cluster's image under another alias": f"image {IMAGE} {NOT_AMONG.format('self')}",
        "image not available": "image m-bp1own is Creating, not Available: wait until it is, or set another image_id",
        "a shared image": "image m-bp1own is Deleting, not Available: wait until it is, or set another image_id",
        "image of another family": "image m-bp1own is ubuntu, but the cluster is centos. Set an image_id of centos",
        "image of another family and no version": "image m-bp1own is ubuntu, but the cluster is centos. Set an image_id of centos",
        "image of another major version": "image m-bp1own is centos 8.2, but the cluster is centos 7.6. Set an image_id of centos 7",
        "Ubuntu in a hybrid cluster": "image m-bp1own is ubuntu, but the cluster is windows. Set an image_id of windows",
        "the cluster's image, deleted": "the cluster's image m-bp1own is not among the 'self' images. Set another image_id and image_owner_alias",
        "the cluster's image, not available": "image m-bp1own is Creating, not Available: wait until it is, or set another image_id",
    },
    "job_queue": {
        "no such queue": f"queue 'workk' does not exist in {CLUSTER}: did you mean workq?",
        "no queue with a similar name": f"queue 'zzz' does not exist in {CLUSTER}: the cluster has workq, gpu",
        "a cluster without queues": f"queue 'gpu' does not exist in {CLUSTER}: the cluster has no queue",
        "no such queue, for a node too": f"queue 'nosuch' does not exist in {CLUSTER}: the cluster has workq, gpu",
    },
    "replace_system_disks": {
        "no opt-in": f"attaching replaces the system disks of {C1} by {IMAGE}, and their data is lost. Set replace_system_disks=True to allow this",
    },
}
#: Property -> what is warned of.
WARNED = {
    "image_id": {
        "image of another architecture": f"image m-bp1own is for arm64, but {C1} seems to have another processor architecture",
        "instances of another architecture": f"image m-bp1own is for x86_64, but {C1} seems to have another processor architecture",
        "an image in a hybrid cluster": f"image m-bp1own is centos 7.6, but the cluster is windows 2016. {HYBRID}",
        "newer image in a hybrid cluster": f"image m-bp1own is centos 8.2, but the cluster is windows 2016. {HYBRID}",
        "newer Windows": f"image m-bp1own is windows 2019, but the cluster is windows 2016. {HYBRID}",
        "an image of unknown system": f"image m-bp1own {NOT_CHECKED.format('its')}",
        "image of unknown version": f"image m-bp1own {NOT_CHECKED.format('its')}",
        "image of unknown version in its tag": f"image m-bp1own {NOT_CHECKED.format('its')}",
        "a cluster of unknown system": f"image m-bp1own {NOT_CHECKED.format(THE_CLUSTERS)}",
        "the cluster's image, no longer offered": (
            f"the cluster's image {IMAGE} is not among the 'system' images. If E-HPC rejects it (ImageNotFound), set another image_id"
            " and image_owner_alias"
        ),
        "marketplace": "marketplace image m-market cannot be checked. Make sure that its operating system fits the cluster",
        "a node with another image": f"{C2} was attached with image {OLD_IMAGE}, not m-bp1own. It is adopted as it is: its system disk is kept",
    },
    "instance_ids": {
        "instances that may be released": f"{RELEASED} {C1} is a spot instance, {C2} expires on 2025-07-10",
        "adopted, may be released": f"{RELEASED} {C1} is a spot instance, {C2} expires on 2025-06-10",
        "a queue that scales in": f"queue 'gpu' {SCALE_IN} {ONE},{TWO}",
        "a cluster that scales in": f"the cluster {SCALE_IN} {TWO}",
        "types that differ": "the instances have several types (ecs.c5.large, ecs.g6.large), and E-HPC may accept only one type in a call",
        "a node that has failed": (
            f"{C2} has the status exception, and pulumi up fails until this changes. Repair it in the console, or remove it from"
            " instance_ids to detach it"
        ),
    },
    "busy_nodes": {
        "a busy node to detach": (
            f'{RUNS} pulumi up fails until the jobs end. Wait for them, or set busy_nodes="wait" (the update waits for them) or'
            ' "detach" (the jobs are lost)'
        ),
        "busy nodes to detach": (
            f'{BOTH_RUN} pulumi up fails until the jobs end. Wait for them, or set busy_nodes="wait" (the update waits for them) or'
            ' "detach" (the jobs are lost)'
        ),
        "a busy node to detach, waited for": f"{RUNS} The update waits until the jobs end, then detaches the nodes",
        "a busy node to detach all the same": f"{RUNS} The update detaches the nodes, and these jobs are lost",
    },
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


def test_kept_nodes_that_may_not_last_are_not_told():
    bench = Bench(attached=(1, 2))
    saved = bench.up(1, 2)
    lasting("SpotWithPriceLimit", "2025-06-10T00:00Z")(bench)
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
        spoil(bench.instance(n))
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
    spoil, changes = {**ROWS, **MORE}[row]
    changes = {**changes}
    has = changes.pop("has", ())
    bench = Bench(attached=has)
    saved = bench.up(*has) if has else changes.pop("saved", None)
    if spoil:
        spoil(bench)
    bench.journal.entries.clear()
    planned = plan(bench, saved=saved, **changes)
    assert bench.writes() == []
    return planned


@pytest.mark.parametrize("row", [*ROWS, *MORE])
def test_row(row):
    found = [
        Finding(name, texts[row], warning=table is WARNED)
        for table in (REFUSED, WARNED)
        for name, texts in table.items()
        if row in texts
    ]
    assert len(found) == 1
    assert planned_for(row).findings == found


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
    world = bench.world
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
    wanted = [*ids(1, 2, 3, 4, 5, 6), NOWHERE, "i-bp1manager"]
    changes = {"job_queue": "gpux", **OWN, "replace_system_disks": False}
    hosts = ["compute1", "compute2", "compute3", "login0", "compute6", "compute6"]
    named = [*(f"{host} ({i})" for host, i in zip(hosts, wanted[:6], strict=True)), NOWHERE]
    wiped = f"attaching replaces the system disks of {', '.join(named)} by m-bp1own"
    three, four, five, six = ids(3, 4, 5, 6)
    assert [
        f"{'(warning) ' * f.warning}{f.property}: {re.split(r'[:.] |, and', f.reason)[0]}"
        for f in plan(bench, wanted, **changes).findings
    ] == [
        f"cluster_id: cluster {CLUSTER} is stopped, not running",
        f"job_queue: queue 'gpux' does not exist in {CLUSTER}",
        "image_id: image m-bp1own is Creating, not Available",
        "image_id: image m-bp1own is ubuntu, but the cluster is centos",
        f"replace_system_disks: {wiped}",
        f"instance_ids: compute1 ({ONE}) is locked (financial)",
        f"instance_ids: compute1 ({ONE}) is Running, not Stopped",
        f"instance_ids: compute2 ({TWO}) is in vpc-other, but the cluster is in vpc-test",
        f"instance_ids: compute3 ({three}) is in the classic network, not in the cluster's VPC",
        f"instance_ids: {NOWHERE} does not exist in cn-hangzhou",
        "(warning) instance_ids: the instances have several types (ecs.c5.large, ecs.g6.large)",
        f"instance_ids: {four} has the same host name as node i-bp1login, 'login0'",
        f"instance_ids: {six} has the same host name as {five}, 'compute6'",
        f"instance_ids: scheduler0 (i-bp1manager) is not a compute node of {CLUSTER} but Scheduler",
    ]
    assert bench.writes() == []


@pytest.mark.parametrize(
    ("tag", "changes"),
    [
        ("CentOS_7.6_64", {"platform": "centos", "version": ""}),
        ("CentOS_7.6_64", {"os_tag": "CentOS_7.2_64", "version": "7.2"}),  # a minor version
        ("RedHat_7.6_64", {"os_tag": "", "platform": "Red Hat", "version": "7.2"}),
        ("WindowsServer_2016_64", {"os_tag": "", "platform": "windows", "version": "2016"}),
        ("Own", {"os_tag": "Own", "platform": "Anything", "version": ""}),  # equal tags: one system
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(tag, changes):
    bench = Bench()
    cluster(os_tag=tag)(bench)
    image(**changes)(bench)
    assert plan(bench, [ONE, TWO], job_queue="gpu", **OWN).findings == []


def test_the_clusters_own_image_is_not_compared_with_its_system():
    bench = Bench()
    own_image(os_tag="Ubuntu_20.04_64")(bench)
    assert plan(bench).findings == []
    assert plan(bench, **OWN).findings == []


def test_an_image_is_not_looked_up_where_nothing_is_attached():
    bench = Bench(attached=(1,))
    own_image(gone=True)(bench)
    saved = bench.up(1)
    bench.journal.entries.clear()
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


def test_the_clusters_own_marketplace_image_needs_no_warning():
    bench = Bench()
    cluster(image_id="m-market", image_owner_alias="marketplace")(bench)
    planned = plan(bench)
    assert (planned.desired.image_id, planned.findings) == ("m-market", [])


@pytest.mark.parametrize(
    ("status", "stop_running", "fine"),
    [
        *(("Running", True, True), ("Stopping", True, True)),
        *(("Pending", False, False), ("Starting", False, False)),
        *(("Pending", True, False), ("Starting", True, False)),
    ],
)
def test_what_can_not_be_stopped_yet_is_waited_for(status, stop_running, fine):
    bench = Bench()
    instance(1, status=status)(bench)
    found = [] if fine else [Finding("instance_ids", f"{C1} is {status}, {NOT_YET}")]
    assert plan(bench, stop_running=stop_running).findings == found
