"""What E-HPC's reading actions tell, and how they page."""

import json

import pytest


@pytest.fixture
def full(make):
    """Twelve compute nodes."""

    def fill(data):
        nodes = data["clusters"][0]["nodes"]
        del nodes[2:]
        for n in range(12):
            queue = "gpu" if n % 2 else "workq"
            name = {"id": f"i-n{n}", "host_name": f"c{11 - n:02}", "ip": f"10.1.0.{n}"}
            nodes.append({**name, "queue": queue, "status": "stopped" if n == 5 else "running"})

    return make(fill)


def ids(answer):
    return [row["Id"] for row in answer.body["Nodes"]["NodeInfo"]]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["i-head", "i-login", *(f"i-n{n}" for n in range(8))]),
        ({"PageNumber": "2"}, [f"i-n{n}" for n in range(8, 12)]),
        ({"PageNumber": "3"}, []),
        ({"PageSize": "3", "PageNumber": "2"}, ["i-n1", "i-n2", "i-n3"]),
        ({"Role": "Manager"}, ["i-head"]),
        ({"Role": "Login"}, ["i-login"]),
        ({"Role": "Compute", "Sequence": "Backward", "PageSize": "2"}, ["i-n11", "i-n10"]),
        ({"SortBy": "HostName", "PageSize": "2"}, ["i-n11", "i-n10"]),
        ({"HostName": "c0[12]"}, ["i-n9", "i-n10"]),
        ({"HostName": "[[a]"}, []),  # of which Python warns
        ({"HostNamePrefix": "log"}, ["i-login"]),
        ({"HostNameSuffix": "11"}, ["i-n0"]),
        ({"PrivateIpAddress": "10.1.0.4"}, ["i-n4"]),
        ({"Filter": '{"status":"stopped"}'}, ["i-n5"]),
    ],
)
def test_list_nodes(full, params, found):
    assert ids(full.ehpc("ListNodes", **params)) == found


def test_list_nodes_counts_all_pages(full):
    body = full.ehpc("ListNodes").body
    assert (body["TotalCount"], body["PageSize"], body["PageNumber"]) == (14, 10, 1)


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("ListNodes", {"PageSize": "101"}),
        ("ListNodes", {"PageSize": "0"}),
        ("ListNodes", {"PageNumber": "0"}),
        ("ListNodes", {"PageNumber": "x"}),
        ("ListNodes", {"Role": "Boss"}),
        ("ListNodes", {"HostName": "("}),
        ("ListNodes", {"HostName": "a{99999999999}"}),
        ("ListNodes", {"Filter": "[" * 5000}),
        ("ListNodes", {"Filter": "nope"}),
        ("ListNodes", {"Filter": '{"state":"x"}'}),
        ("ListNodes", {"InstanceId": ["i-1"]}),
        ("ListNodesByQueue", {"QueueName": "nope"}),
        ("ListNodesByQueue", {"QueueName": "gpu", "PageSize": "51"}),
        ("ListTasks", {"PageNumber": "1000"}),
        ("ListTasks", {"Archived": "maybe"}),
        ("ListClusters", {"ClusterId": "ehpc-1"}),
    ],
)
def test_what_lists_refuse(cloud, action, params):
    answer = cloud.ehpc(action, **params)
    assert (answer.status, answer.body["Code"]) == (400, "InvalidParams")


@pytest.mark.parametrize(
    "action", ["ListNodes", "ListNodesNoPaging", "ListTasks", "ListQueues", "DescribeCluster"]
)
def test_an_unknown_cluster(cloud, action):
    answer = cloud.ehpc(action, ClusterId="ehpc-9")
    assert (answer.status, answer.body["Code"]) == (404, "ClusterNotFound")


def test_list_nodes_by_queue(full):
    answer = full.ehpc("ListNodesByQueue", QueueName="gpu", PageSize="50")
    assert ids(answer) == [f"i-n{n}" for n in (1, 3, 5, 7, 9, 11)]
    row = answer.body["Nodes"]["NodeInfo"][0]
    assert not {"Roles", "InstanceType", "QueueName"} & set(row)


def test_list_nodes_by_queue_has_words_of_its_own(make):
    cloud = make(task_pace={"seconds": 10})
    cloud.add("i-1", JobQueue="gpu")
    cloud.emulator.advance(6)
    assert cloud.statuses()["i-1"] == "initing"
    (row,) = cloud.ehpc("ListNodesByQueue", QueueName="gpu").body["Nodes"]["NodeInfo"]
    assert row["Status"] == "init"


def test_list_nodes_no_paging(full):
    answer = full.ehpc("ListNodesNoPaging")
    assert len(ids(answer)) == 12
    row = answer.body["Nodes"]["NodeInfo"][0]
    assert set(row) == {"HostName", "Id", "ImageId", "InstanceType", "Status"}
    assert ids(full.ehpc("ListNodesNoPaging", Role="Manager")) == ["i-head"]
    assert ids(full.ehpc("ListNodesNoPaging", Sequence="Backward"))[0] == "i-n11"


def test_list_tasks_shows_open_ones_or_all_or_one(make):
    cloud = make(task_pace="held")
    first, second = cloud.add("i-1").body["TaskId"], cloud.add("i-2").body["TaskId"]
    cloud.release(first)

    def listed(**params):
        return [row["TaskId"] for row in cloud.ehpc("ListTasks", **params).body["Tasks"]]

    assert listed() == [second]
    assert listed(Archived="true") == [first, second]
    assert listed(TaskId=first) == [first]  # Archived is ignored then
    assert listed(TaskId="nope") == []
    assert listed(Archived="true", PageSize="1", PageNumber="2") == [second]


def test_a_task_in_full(make):
    cloud = make(task_pace={"seconds": 10})
    answer = cloud.add("i-1")
    cloud.emulator.advance(5)
    row = cloud.task(answer)
    assert (row["TaskType"], row["Status"]) == ("AddComputes", "Processing")
    assert (row["CurrentStep"], row["TotalSteps"]) == (4, 8)
    assert json.loads(row["Request"])["requestId"] == answer.body["RequestId"]
    assert json.loads(row["Result"])["Instances"][0] == {
        "InstanceId": "i-1",
        "Ip": "10.0.0.1",
        "Hostname": "compute1",
        "role": "compute",
    }
    assert json.loads(row["Errors"]) == []


def test_describe_cluster(cloud):
    """In full: tests/contract/test_emulator_sdk.py."""
    info = cloud.ehpc("DescribeCluster").body["ClusterInfo"]
    assert (info["RegionId"], info["EcsInfo"]["Compute"]["Count"]) == ("cn-test", 1)


def test_list_clusters(cloud):
    body = cloud.ehpc("ListClusters", ClusterId=None, PageSize="1").body
    (row,) = body["Clusters"]["ClusterInfoSimple"]
    assert (row["Id"], row["Count"], body["TotalCount"]) == ("ehpc-1", 1, 2)
    assert row["Computes"] == {
        "Total": 1,
        "NormalCount": 1,
        "ExceptionCount": 0,
        "StoppedCount": 0,
        "OperatingCount": 0,
    }


def test_system_images_and_custom_images_are_two_lists(cloud):
    system = cloud.ehpc("ListImages", ClusterId=None).body["OsTags"]["OsInfo"]
    assert [row["ImageId"] for row in system] == [
        "centos76",
        "centos72",
        "centos80",
        "ubuntu18",
        "win2016",
    ]
    assert system[1]["Version"] == "7.2"

    def custom(**params):
        rows = cloud.ehpc("ListCustomImages", ClusterId=None, **params).body["Images"]["ImageInfo"]
        return [row["ImageId"] for row in rows]

    assert custom() == ["m-own", "m-theirs"]
    assert custom(ImageOwnerAlias="self") == ["m-own"]
    assert custom(BaseOsTag="CentOS_8.0_64") == []
