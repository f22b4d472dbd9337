"""What was read before anything is written, for people and for plans; the plan in one line."""

import pytest

from ehpc_nodes.api import responses
from ehpc_nodes.preflight.images import ImageFacts, image_facts, system_of
from ehpc_nodes.preflight.snapshot import Changes, Desired, Snapshot, describe
from unit.emulated import ids, iid

ONE, TWO = ids(1, 2)


def test_an_image_for_people():
    assert Desired(image_id="m-1").image == "m-1"
    assert Desired().image == "the cluster's image"
    assert Desired(image_known=False).image == "an image that is not known yet"


def test_a_host_name_is_the_nodes_else_the_instances():
    seen = Snapshot(
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
    assert Snapshot().name(ONE) == ONE


def test_what_was_not_asked_for_is_not_stopped():
    stopped = responses.Instance(instance_id=ONE, status="Stopped")
    running = responses.Instance(instance_id=TWO, status="Running")
    seen = Snapshot(instances={ONE: stopped, TWO: running})
    assert [seen.is_stopped(i) for i in ids(1, 2, 3)] == [True, False, False]
    assert not Snapshot().is_stopped(ONE)


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
    seen = Snapshot(tasks=[task(kind, iid(n)) for n, kind in enumerate(kinds, start=1)])
    assert seen.attaching == {ONE, *ids(3, 4, 5)}
    assert Snapshot(tasks=None).attaching == set()


@pytest.mark.parametrize(
    ("told", "wished", "elsewhere"),
    [("cn-a", "cn-a", False), ("cn-a", "cn-b", True), ("", "cn-b", False), ("cn-a", "", False)],
)
def test_another_region_is_one_that_the_cluster_says(told, wished, elsewhere):
    seen = Snapshot(cluster=responses.Cluster(region_id=told))
    assert seen.is_wrong_region(Desired(region=wished)) is elsewhere
    assert not Snapshot().is_wrong_region(Desired(region="cn-b"))


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
    seen = Snapshot(cluster=responses.Cluster(image_id="i", image_owner_alias=alias))
    assert seen.is_own_image(Desired(image_id=image, image_owner_alias=wished)) is own
    assert not Snapshot().is_own_image(Desired(image_id="i"))


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
    assert image_facts(system) == ImageFacts("centos", "7.6", "arm64", "Available", "CentOS_7.6_64")
    base = responses.OsTag(platform="Ubuntu", version="20.04", architecture="x86_64")
    custom = responses.CustomImage(image_id="i", base_os_tag=base, status="Creating")
    assert image_facts(custom) == ImageFacts("ubuntu", "20.04", "x86_64", "Creating")
    own = responses.OsTag(platform="CentOS", version="7.6", architecture="arm64")
    custom = responses.CustomImage(image_id="i", os_tag=own, base_os_tag=base)
    assert image_facts(custom) == ImageFacts("centos", "7.6", "arm64", "Available")


def test_a_plan_names_verbs_images_and_calls():
    changes = Changes(
        attach=("i-4",),
        wait=("i-3",),
        adopt=("i-2",),
        keep=("i-1",),
        move=("i-1",),
        detach=("i-9",),
    )
    told = describe(changes, {"i-4": "compute4"}, "centos.vhd", queue="gpu")
    for part in (
        "attach 1",
        "centos.vhd",
        "compute4",
        "i-3",
        "adopt 1: i-2",
        "keep 1",
        "move 1 to queue gpu: i-1",
    ):
        assert part in told
    assert "detach 1 (the instances are not released): i-9" in told
    assert told.endswith("3 calls")


def test_a_plan_of_many_is_short_and_of_nothing_says_so():
    many = describe(Changes(attach=tuple(f"i-{n:03}" for n in range(250))), {}, "x")
    assert many.startswith("attach 250 (system disk replaced by x): i-000, i-001")
    assert many.endswith("and 244 more; 3 calls")
    assert describe(Changes(keep=("i-1",)), {}, "x") == "keep 1; no call"
