"""What is looked at before anything is written: only what the wish depends on; what may not be seen is a note."""

from typing import Any

import pytest

from ehpc_nodes import sight
from ehpc_nodes.api import responses
from ehpc_nodes.emulator.world import Cluster
from ehpc_nodes.errors import ApiError, AuthError, EhpcError
from ehpc_nodes.marks import ATTACHING_KEY, TAG_KEY
from ehpc_nodes.models import Finding
from ehpc_nodes.sight import (
    NOT_SEEN,
    Desired,
    ImageFacts,
    Sight,
    facts_of,
    members_of_others,
    system_of,
)
from unit.emulated import CLUSTER, IMAGE, OLD_IMAGE, OWNER, VPC, Bench, ids, iid

ONE, TWO = ids(1, 2)
OTHER = "ehpc-hz-other"
FORBIDDEN: dict[str, Any] = {
    "status": 403,
    "code": "NotAuthorized",
    "message": "No",
    "times": None,
}
OWN = {"image_id": "m-bp1own", "image_owner_alias": "self"}


def look(bench, wanted=(ONE,), owned=(), *, mark=OWNER, nodes=None, **wished):
    wish = Desired(**{"cluster_id": CLUSTER, "region": "cn-hangzhou", **wished})
    cloud = bench.operations().cloud
    return sight.look(cloud, wish, set(wanted), set(owned), mark=mark, nodes=nodes)


def survey(bench, wanted=(ONE,), owned=(), **changes):
    wish = Desired(CLUSTER, "cn-hangzhou", replace_system_disks=True)
    wish = Desired(**{**vars(wish), **changes})
    return bench.operations().survey(wish, set(wanted), set(owned))


def add_cluster(bench, name=OTHER, *members, vpc=VPC, status="running"):
    cluster = Cluster(name, vpc, IMAGE, "CentOS_7.6_64", status=status)
    bench.emulator.world.clusters[name] = cluster
    for n in members:
        bench.emulator.outside.attach(iid(n), name)


# -- what is looked at --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "owned", "wished", "calls"),
    [
        (
            [ONE],
            [],
            {},
            [
                *("DescribeCluster", "ListNodes", "DescribeInstances"),
                *("ListTasks", "DescribeInstances", "ListImages", "ListClusters"),
            ],
        ),
        (
            [ONE],
            [],
            {"mark": ""},
            [
                *("DescribeCluster", "ListNodes", "ListTasks", "DescribeInstances"),
                *("ListImages", "ListClusters"),
            ],
        ),
        (
            [ONE],  # in the state, but no node (any more)
            [ONE],
            {"mark": ""},
            [
                *("DescribeCluster", "ListNodes", "ListTasks", "DescribeInstances"),
                *("ListImages", "ListClusters"),
            ],
        ),
        ([iid(6)], [iid(6)], {"mark": ""}, ["DescribeCluster", "ListNodes"]),
        (
            [iid(6)],
            [iid(6)],
            {"mark": "", "job_queue": "gpu"},
            ["DescribeCluster", "ListNodes", "ListQueues", "ListNodesByQueue"],
        ),
        (
            [iid(6)],
            [iid(6)],
            {"mark": "", "job_queue": "nosuch"},
            ["DescribeCluster", "ListNodes", "ListQueues"],
        ),
        (
            [iid(6)],  # an adopted one is looked at, but is no other cluster's
            [],
            {"mark": ""},
            ["DescribeCluster", "ListNodes", "ListTasks", "DescribeInstances"],
        ),
        (
            [],
            [],
            {"mark": "", "job_queue": "gpu"},
            ["DescribeCluster", "ListNodes", "ListQueues"],
        ),
    ],
)
def test_only_what_the_wish_depends_on_is_looked_at(wanted, owned, wished, calls):
    bench = Bench(attached=(6,))
    look(bench, wanted, owned, **wished)
    assert bench.calls() == calls


@pytest.mark.parametrize(
    ("image", "alias", "calls"),
    [
        ("m-bp1own", "self", ["ListCustomImages"]),
        ("m-bp1own", "others", ["ListCustomImages"]),
        (OLD_IMAGE, "system", ["ListImages"]),
        (IMAGE, "system", ["ListImages"]),  # the cluster's own: it may be gone by now
        (IMAGE, "self", ["ListCustomImages"]),
        ("m-market", "marketplace", []),
        ("", "", ["ListImages"]),  # the cluster's own
    ],
)
def test_images_are_listed_by_their_alias_unless_they_are_in_no_list(image, alias, calls):
    bench = Bench()
    look(bench, image_id=image, image_owner_alias=alias)
    assert bench.calls("ListImages", "ListCustomImages") == calls


def test_a_clusters_own_image_is_looked_up_where_its_owner_has_it():
    bench = Bench()
    bench.emulator.world.clusters[CLUSTER].image_owner_alias = "others"
    assert look(bench).images == {}
    bench.emulator.world.clusters[CLUSTER].image_owner_alias = "marketplace"
    assert look(bench).images is None
    assert bench.calls("ListImages", "ListCustomImages") == ["ListCustomImages"]


def test_an_image_that_is_named_but_not_known_yet_is_not_looked_up():
    bench = Bench()
    assert look(bench, image_known=False).images is None
    assert bench.calls("ListImages", "ListCustomImages") == []


def test_what_goes_without_saying_is_not_asked_for():
    """Members are kept without consent, images, permissions to look at instances, or calls that change."""
    bench = Bench(attached=(1, 2))
    surveyed = survey(bench, [ONE, TWO], [ONE, TWO], replace_system_disks=False)
    assert (surveyed.findings, surveyed.plan.keep) == ([], (ONE, TWO))
    assert not {"DescribeInstances", "ListImages", "ListTasks"} & {
        e.action for e in bench.emulator.journal.entries if "Tag.1.Key" not in e.params
    }


def test_nodes_that_were_looked_at_already_are_not_listed_again():
    bench = Bench(attached=(1,))
    nodes = bench.operation().see_nodes()
    assert look(bench, [ONE], [ONE], nodes=nodes).nodes is nodes
    assert bench.calls("ListNodes") == ["ListNodes"]


def test_what_is_seen():
    bench = Bench(attached=(2,), pace="held")
    bench.emulator.call(
        "AddExistedNodes",
        "2018-04-12",
        {
            "ClusterId": CLUSTER,
            "ImageId": IMAGE,
            "ImageOwnerAlias": "system",
            "Instance.1.Id": iid(3),
        },
    )
    bench.emulator.world.instances[iid(4)].tags |= {TAG_KEY: OWNER, ATTACHING_KEY: CLUSTER}
    bench.emulator.world.instances[iid(5)].tags[TAG_KEY] = OWNER
    bench.emulator.world.instances[iid(6)].tags[TAG_KEY] = "another/stack/nodes"
    seen = look(bench, [ONE, TWO], job_queue="workq", **OWN)
    assert seen.cluster is not None
    assert seen.cluster.id == CLUSTER
    assert (seen.attaching, seen.marked, seen.begun) == (
        {iid(3)},
        {iid(4), iid(5)},
        {iid(4)},
    )
    assert [queue.queue_name for queue in seen.queues or ()] == ["workq", "gpu"]
    assert seen.in_queue == {TWO, iid(3)}
    assert set(seen.instances or ()) == {ONE, TWO}
    assert seen.images == {
        "m-bp1own": ImageFacts("centos", "7.6", "x86_64", os_tag="CentOS_7.6_64")
    }
    assert (seen.elsewhere, seen.notes) == ({}, [])


# -- what can't be seen -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "name", "missing", "attribute"),
    [
        ("DescribeCluster", "cluster_id", "ehpc:DescribeCluster", "cluster"),
        ("ListNodes", "instance_ids", "ehpc:ListNodes", "nodes"),
        ("ListQueues", "job_queue", "ehpc:ListQueues", "queues"),
        ("ListNodesByQueue", "job_queue", "ehpc:ListNodesByQueue", "in_queue"),
        ("ListTasks", "instance_ids", "ehpc:ListTasks", "tasks"),
        ("DescribeInstances", "instance_ids", "ecs:DescribeInstances", "instances"),
        ("ListCustomImages", "image_id", "ehpc:ListCustomImages", "images"),
    ],
)
def test_what_may_not_be_seen_is_not_seen_and_noted_once(action, name, missing, attribute):
    bench = Bench(attached=(2,))
    bench.fault("error", action, **FORBIDDEN)
    seen = look(bench, [ONE, TWO], job_queue="gpu", **OWN)
    assert getattr(seen, attribute) is None
    (note,) = seen.notes
    assert (note.property, note.warning) == (name, True)
    assert note.reason.startswith(
        f"not checked, for want of the permission {missing}: {action}: NotAuthorized: No (HTTP 403, "
    )


@pytest.mark.parametrize(
    ("action", "name", "wished"),
    [
        ("DescribeCluster", "cluster_id", OWN),
        ("ListQueues", "job_queue", {"job_queue": "gpu"}),
        ("ListClusters", "instance_ids", {}),
        ("ListImages", "image_id", {"image_id": OLD_IMAGE, "image_owner_alias": "system"}),
        ("ListCustomImages", "image_id", OWN),
    ],
)
def test_a_check_that_a_missing_permission_prevents_is_a_warning(action, name, wished):
    bench = Bench()
    bench.fault("error", action, **FORBIDDEN)
    (found,) = survey(bench, **wished).findings
    assert (found.property, found.warning) == (name, True)
    assert found.reason.startswith(
        f"not checked, for want of the permission ehpc:{action}: {action}: NotAuthorized: No (HTTP"
    )
    assert bench.writes() == []


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ({**FORBIDDEN, "code": "SignatureDoesNotMatch"}, AuthError),
        ({"status": 400, "code": "InvalidParams", "times": None}, ApiError),
        ({"code": "ServiceUnavailable", "times": None}, ApiError),
    ],
)
def test_another_error_ends_the_look(fault, raised):
    bench = Bench()
    bench.fault("error", "DescribeCluster", **fault)
    with pytest.raises(raised):
        look(bench)


def test_a_cluster_that_is_not_there_is_the_only_note_and_ends_the_look():
    bench = Bench()
    seen = look(bench, cluster_id="ehpc-hz-none")
    (note,) = seen.notes
    assert (note.property, note.warning) == ("cluster_id", False)
    assert "a cluster is seen only in its own region" in note.reason
    assert bench.calls() == ["DescribeCluster"]


def test_another_cluster_is_said_with_its_hint():
    bench = Bench()
    wish = Desired("ehpc-hz-none", "cn-hangzhou", replace_system_disks=True)
    (found,) = bench.operations().survey(wish, {ONE}, set()).findings
    assert found.property == "cluster_id"
    assert "ClusterNotFound" in found.reason
    assert "a cluster is seen only in its own region" in found.reason


def test_instances_are_not_asked_for_in_another_region_than_the_clusters():
    bench = Bench()
    seen = look(bench, region="cn-beijing")
    assert (seen.instances, seen.notes) == (None, [])
    assert bench.calls() == ["DescribeCluster", "ListNodes"]


# -- other clusters -----------------------------------------------------------------------------


def test_nodes_of_other_clusters_of_the_vpc_are_seen():
    bench = Bench(attached=(5,))
    add_cluster(bench, OTHER, 1, 2)
    add_cluster(bench, "ehpc-hz-apart", 3, vpc="vpc-apart")
    add_cluster(bench, "ehpc-hz-new", 4, status="creating")
    cloud = bench.operation().cloud
    others = {ONE: OTHER, TWO: OTHER}
    assert members_of_others(cloud, CLUSTER, VPC) == (others, [])
    assert members_of_others(cloud, CLUSTER, "") == ({**others, iid(3): "ehpc-hz-apart"}, [])
    assert look(bench).elsewhere == others


@pytest.mark.parametrize("kind", ["error", "reset_before"])
def test_other_clusters_that_cannot_be_seen_are_named(kind):
    bench = Bench()
    add_cluster(bench, OTHER)
    bench.fault(kind, "ListNodes", after=1, times=None)
    assert look(bench).notes == [Finding("instance_ids", f"the nodes of {OTHER} {NOT_SEEN}")]


def test_a_stopped_node_of_a_cluster_that_does_not_answer_is_not_wiped():
    """In the preview, and where it stops answering between the preview's look and the call."""
    for after in (1, 3):
        bench = Bench(3)
        add_cluster(bench, OTHER)
        bench.emulator.outside.attach(ONE, OTHER)
        bench.emulator.outside.stop(ONE)
        gone = {"code": "ManagerNotFound", "status": 404, "times": None, "after": after}
        bench.fault("error", "ListNodes", **gone)
        with pytest.raises(EhpcError, match=f"the nodes of {OTHER} can't be seen|is in cluster"):
            bench.up(1)
        assert bench.harm.disk_replacements == {}


def test_a_cluster_that_was_deleted_meanwhile_has_no_nodes():
    bench = Bench()
    add_cluster(bench, OTHER)
    bench.fault("error", "ListNodes", status=404, code="ClusterNotFound")
    assert members_of_others(bench.operation().cloud, CLUSTER, VPC) == ({}, [])


# -- what was seen, for people and for plans ----------------------------------------------------


def test_an_image_for_people():
    assert Desired(image_id="m-1").image == "m-1"
    assert Desired().image == "the cluster's image"
    assert Desired(image_known=False).image == "an image that is not known yet"


def test_a_host_name_is_the_nodes_else_the_instances():
    seen = Sight(
        nodes={ONE: responses.Node(id=ONE, host_name="node1")},
        instances={
            ONE: responses.Instance(instance_id=ONE, host_name="ecs1"),
            TWO: responses.Instance(instance_id=TWO, host_name="ecs2"),
        },
    )
    assert [seen.name(i) for i in ids(1, 2, 3)] == [
        f"node1 ({ONE})",
        f"ecs2 ({TWO})",
        iid(3),
    ]
    assert Sight().name(ONE) == ONE


def test_what_was_not_asked_for_is_not_stopped():
    stopped = responses.Instance(instance_id=ONE, status="Stopped")
    running = responses.Instance(instance_id=TWO, status="Running")
    seen = Sight(instances={ONE: stopped, TWO: running})
    assert [seen.is_stopped(i) for i in ids(1, 2, 3)] == [True, False, False]
    assert not Sight().is_stopped(ONE)


def test_only_tasks_that_may_attach_are_attaching():
    def task(kind, *instances):
        named = ", ".join(f'{{"InstanceId": "{i}"}}' for i in instances)
        return responses.Task(task_id="T", task_type=kind, result=f'{{"Instances": [{named}]}}')

    kinds = [
        "AddComputes",
        "StopComputes",
        "New",
        "ResetComputes",
        "StartComputes",
        "DeleteComputes",
    ]
    seen = Sight(tasks=[task(kind, iid(n)) for n, kind in enumerate(kinds, start=1)])
    assert seen.attaching == {ONE, *ids(3, 4, 5)}
    assert Sight(tasks=None).attaching == set()


@pytest.mark.parametrize(
    ("told", "wished", "elsewhere"),
    [("cn-a", "cn-a", False), ("cn-a", "cn-b", True), ("", "cn-b", False), ("cn-a", "", False)],
)
def test_another_region_is_one_that_the_cluster_says(told, wished, elsewhere):
    seen = Sight(cluster=responses.Cluster(region_id=told))
    assert seen.is_elsewhere(Desired(region=wished)) is elsewhere
    assert not Sight().is_elsewhere(Desired(region="cn-b"))


@pytest.mark.parametrize(
    ("alias", "image", "wished", "own"),
    [
        ("system", "i", "system", True),
        ("", "i", "self", True),
        ("self", "i", "system", False),
        ("system", "other", "system", False),
    ],
)
def test_the_clusters_own_image(alias, image, wished, own):
    seen = Sight(cluster=responses.Cluster(image_id="i", image_owner_alias=alias))
    assert seen.is_own_image(Desired(image_id=image, image_owner_alias=wished)) is own
    assert not Sight().is_own_image(Desired(image_id="i"))


@pytest.mark.parametrize(
    ("platform", "version", "tag", "system"),
    [
        ("", "", "CentOS_7.6_64", ("centos", "7.6")),
        ("CentOS", "8.2", "", ("centos", "8.2")),
        ("CentOS", "", "CentOS_7.6_64", ("centos", "7.6")),
        ("Windows Server", "2019", "", ("windows", "2019")),
        ("", "", "WindowsServer_2016_64", ("windows", "2016")),
        ("", "", "", ("", "")),
        ("Red Hat", "7.6", "RedHat_7.6_64", ("redhat", "7.6")),
        ("Red Hat", "7.6", "", ("redhat", "7.6")),
        ("Aliyun", "3", "", ("aliyun", "3")),
        ("", "", "AliyunLinux_2.1903_64", ("aliyun", "2.1903")),
        ("Alibaba Cloud Linux", "3", "", ("aliyun", "3")),
        ("", "", "AlibabaCloudLinux_3_64", ("aliyun", "3")),
        ("SUSE Linux", "12", "", ("suse", "12")),
        ("", "", "SUSE_12_64", ("suse", "12")),
        ("CentOS", "8.2", "CentOS", ("centos", "8.2")),
        ("", "", "CentOS_64", ("centos", "")),
        ("", "", "CentOS_Stream_8_64", ("centosstream", "8")),
        ("Linux", "", "", ("linux", "")),
        ("Ubuntu", "20.04", "CentOS_7.6_64", ("centos", "7.6")),  # the tag is E-HPC's own word
    ],
)
def test_family_and_version_of_a_system(platform, version, tag, system):
    assert system_of(platform, version, tag) == system


def test_the_facts_of_images():
    system = responses.SystemImage(image_id="i", os_tag="CentOS_7.6_64", architecture="arm64")
    assert facts_of(system) == ImageFacts("centos", "7.6", "arm64", "Available", "CentOS_7.6_64")
    base = responses.OsTag(platform="Ubuntu", version="20.04", architecture="x86_64")
    custom = responses.CustomImage(image_id="i", base_os_tag=base, status="Creating")
    assert facts_of(custom) == ImageFacts("ubuntu", "20.04", "x86_64", "Creating")
    own = responses.OsTag(platform="CentOS", version="7.6", architecture="arm64")
    custom = responses.CustomImage(image_id="i", os_tag=own, base_os_tag=base)
    assert facts_of(custom) == ImageFacts("centos", "7.6", "arm64", "Available")
