"""Jobs: what runs on which nodes, and what a list of them tells."""

import json

import pytest

from ehpc_nodes.emulator import World, WorldError

JOBS = [
    {"id": "7.scheduler", "state": "FINISHED", "host_names": ["gone"], "owner": "test1@scheduler"},
    {"id": "8.scheduler", "host_names": ["old"], "owner": "test2@scheduler", "seconds": 60},
    {"id": "9.scheduler", "host_names": ["old"], "owner": "test3@scheduler", "cores": 3},
    {"id": "10.scheduler", "state": "QUEUED", "queue": "gpu", "owner": "test2@scheduler"},
]


@pytest.fixture
def cloud(make):
    return make(lambda data: data["clusters"][0].update(jobs=JOBS))


def rows(cloud, **params):
    return cloud.ehpc("ListJobsWithFilters", **params).body["Jobs"]


def names(cloud, **params):
    return [row["Id"].partition(".")[0] for row in rows(cloud, **params)]


def used(cloud):
    return cloud.nodes()["i-old"]["UsedResources"]["Cpu"]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["7", "8", "9", "10"]),
        ({"JobStatus": "all"}, ["7", "8", "9", "10"]),
        ({"JobStatus": "finished"}, ["7"]),
        ({"JobStatus": "notfinish"}, ["8", "9", "10"]),
        ({"Nodes.1": "compute1", "Nodes.2": "old"}, ["8", "9"]),
        ({"Nodes.1": "compute1"}, []),
        ({"Queues.1": "gpu"}, ["10"]),
        ({"Users.1": "test2"}, ["8", "10"]),
        ({"Users.1": "test2@scheduler", "Nodes.1": "old"}, ["8"]),
        ({"PageSize": "3"}, ["7", "8", "9"]),
        ({"PageSize": "3", "PageNumber": "2"}, ["10"]),
    ],
)
def test_which_jobs_are_listed(cloud, params, found):
    assert names(cloud, **params) == found


@pytest.mark.parametrize(
    "params", [{"PageSize": "51"}, {"JobStatus": "running"}, {"Nodes.2": "old"}, {"Host": "old"}]
)
def test_what_the_list_refuses(cloud, params):
    assert cloud.ehpc("ListJobsWithFilters", **params).body["Code"] == "InvalidParams"


def test_jobs_use_their_nodes_until_they_end(cloud):
    assert used(cloud) == 4
    (summary,) = [
        c
        for c in cloud.ehpc("ListClusters", ClusterId=None).body["Clusters"]["ClusterInfoSimple"]
        if c["Id"] == "ehpc-1"
    ]
    assert summary["UsedResources"]["Cpu"] == 4
    cloud.emulator.advance(59)
    assert used(cloud) == 4
    cloud.emulator.advance(1)
    assert used(cloud) == 3
    cloud.emulator.outside.end_job("ehpc-1", "9.scheduler")
    cloud.emulator.outside.use("i-old", 1)
    assert used(cloud) == 1
    assert names(cloud, JobStatus="finished") == ["7", "8", "9"]


def test_a_declared_job_begins_with_the_world(cloud):
    """A clock that shows the time of day has not run since 1970 for it."""
    cloud.emulator.advance(1)
    assert cloud.cluster.jobs["8.scheduler"].since == cloud.clock.now() - 1


def test_starting_jobs(cloud):
    outside = cloud.emulator.outside
    outside.attach("i-1", "ehpc-1")
    outside.start_job("i-1", owner="test4@scheduler", cores=2, seconds=10)
    outside.start_job("i-1", "10.scheduler")  # which waited
    outside.start_job("i-old", "10.scheduler")  # runs on another node, too
    found = {
        row["Id"]: row for row in rows(cloud, JobStatus="notfinish", **{"Nodes.1": "compute1"})
    }
    assert list(found) == ["10.scheduler", "5.scheduler"]
    assert json.loads(found["10.scheduler"]["NodeList"]) == ["compute1", "old"]
    assert found["10.scheduler"]["Owner"] == "test2@scheduler"
    assert cloud.nodes()["i-1"]["UsedResources"]["Cpu"] == 3
    cloud.emulator.advance(10)
    assert names(cloud, JobStatus="notfinish", **{"Nodes.1": "compute1"}) == ["10"]


@pytest.mark.parametrize("leave", ["detach", "stop", "DeleteNodes"])
def test_jobs_end_with_their_node(cloud, leave):
    if leave == "DeleteNodes":
        cloud.ehpc(leave, Instance=["i-old"], ReleaseInstance="false")
    else:
        getattr(cloud.emulator.outside, leave)("i-old")
    assert names(cloud, JobStatus="notfinish") == ["10"]
    World.from_dict(cloud.world.to_dict())  # can be read again


def test_slips(cloud):
    with pytest.raises(WorldError, match=r"no job 11\.scheduler"):
        cloud.emulator.outside.end_job("ehpc-1", "11.scheduler")
    with pytest.raises(WorldError, match="i-1 is a node of no cluster"):
        cloud.emulator.outside.start_job("i-1")
    data = cloud.world.to_dict()
    data["clusters"][0]["jobs"][1]["host_names"] = ["nope"]
    with pytest.raises(
        WorldError, match=r"job 8\.scheduler runs on nope, which is no node of ehpc-1"
    ):
        World.from_dict(data)
