"""The part of ECS that there is."""

import json

import pytest


def found(answer):
    return [row["InstanceId"] for row in answer.body["Instances"]["Instance"]]


def test_unknown_ids_are_absent_from_the_answer(cloud):
    answer = cloud.ecs("DescribeInstances", InstanceIds='["i-2","i-9","i-2","i-1"]')
    assert found(answer) == ["i-2", "i-1"]
    assert answer.body["TotalCount"] == 2
    assert found(cloud.ecs("DescribeInstances", InstanceIds="[]")) == []


def test_a_spot_instance_that_expires(make):
    spot = {"spot_strategy": "SpotAsPriceGo", "expired_time": "2026-12-01T04:00Z"}
    cloud = make(lambda data: data["instances"][1].update(spot))
    row = cloud.instance("i-1")
    assert (row["ExpiredTime"], row["SpotStrategy"]) == ("2026-12-01T04:00Z", "SpotAsPriceGo")
    cloud.add("i-1")
    assert cloud.nodes()["i-1"]["SpotStrategy"] == "SpotAsPriceGo"


def test_pages_by_token(cloud):
    first = cloud.ecs("DescribeInstances", MaxResults="4")
    second = cloud.ecs("DescribeInstances", MaxResults="4", NextToken=first.body["NextToken"])
    assert found(first) == ["i-old", "i-1", "i-2", "i-3"]
    assert found(second) == ["i-4", "i-5"]
    assert second.body["NextToken"] == ""


def test_pages_by_number(cloud):
    answer = cloud.ecs("DescribeInstances", PageSize="4", PageNumber="2")
    assert found(answer) == ["i-4", "i-5"]
    assert answer.body["TotalCount"] == 6


def test_default_pages_have_ten(make):
    def fill(data):
        data["instances"] += [
            {"id": f"i-x{n}", "host_name": f"x{n}", "vpc_id": "v", "image_id": "i"}
            for n in range(10)
        ]

    cloud = make(fill)
    assert len(found(cloud.ecs("DescribeInstances"))) == 10
    assert len(found(cloud.ecs("DescribeInstances", Status="Stopped", VpcId="vpc-1"))) == 5


@pytest.mark.parametrize(
    "params",
    [
        {"InstanceIds": "i-1"},
        {"InstanceIds": '{"a":1}'},
        {"InstanceIds": "[1]"},
        {"InstanceIds": "[" * 5000},
        {"InstanceIds": json.dumps([f"i-{n}" for n in range(101)])},
        {"MaxResults": "101"},
        {"NextToken": "nope"},
        {"Status": "stopped"},
        {"Nonsense": "1"},
    ],
)
def test_what_describe_instances_refuses(cloud, params):
    answer = cloud.ecs("DescribeInstances", **params)
    assert (answer.status, answer.body["Code"]) == (400, "InvalidParameter")


def test_another_region(cloud):
    assert cloud.ecs("DescribeInstances", RegionId="cn").body["Code"] == "InvalidRegionId.NotFound"
    assert cloud.ecs("DescribeInstances", RegionId=None).body["Code"] == "MissingParameter"


def test_stopping_takes_its_time(make):
    cloud = make(instance_pace={"reads": 2})
    cloud.emulator.outside.start("i-1")
    (row,) = cloud.ecs("StopInstances", InstanceId=["i-1"], StoppedMode="KeepCharging").body[
        "InstanceResponses"
    ]["InstanceResponse"]
    assert (row["PreviousStatus"], row["CurrentStatus"]) == ("Running", "Stopping")
    assert [cloud.instance("i-1")["Status"] for _ in range(2)] == ["Stopping", "Stopped"]
    assert cloud.instance("i-1")["StoppedMode"] == "KeepCharging"


@pytest.mark.parametrize(
    ("ids", "code"),
    [
        (["i-9"], "InvalidInstanceId.NotFound"),
        (["i-2"], "IncorrectInstanceStatus"),
        (["i-old", "i-2"], "IncorrectInstanceStatus"),
        (["i-3"], "InstanceLockedForSecurity"),
        ([], "MissingParameter"),
    ],
)
def test_stopping_all_together_or_none(make, ids, code):
    cloud = make(lambda data: data["instances"][3].update(status="Running", locks=["security"]))
    assert cloud.ecs("StopInstances", InstanceId=ids).body["Code"] == code
    assert cloud.instance("i-old")["Status"] == "Running"


@pytest.mark.parametrize("status", ["Pending", "Starting", "Stopping", "Stopped"])
def test_only_what_is_running_can_be_stopped(cloud, status):
    cloud.world.instances["i-1"].status = status
    answer = cloud.ecs("StopInstances", InstanceId=["i-1"])
    assert answer.body["Code"] == "IncorrectInstanceStatus"


def test_stopping_as_many_as_can_be(cloud):
    answer = cloud.ecs(
        "StopInstances", InstanceId=["i-old", "i-2", "i-9"], BatchOptimization="SuccessFirst"
    )
    rows = answer.body["InstanceResponses"]["InstanceResponse"]
    assert [row["Code"] for row in rows] == [
        "200",
        "IncorrectInstanceStatus",
        "InvalidInstanceId.NotFound",
    ]
    assert cloud.instance("i-old")["Status"] == "Stopped"
    assert cloud.statuses() == {"i-old": "stopped"}  # the node shows it


def test_a_dry_run_stops_nothing(cloud):
    answer = cloud.ecs("StopInstances", InstanceId=["i-old"], DryRun="true")
    assert answer.body["Code"] == "DryRunOperation"
    assert cloud.instance("i-old")["Status"] == "Running"


MARK = {"ResourceType": "instance", "ResourceId": ["i-1", "i-2"]}


def test_tags_are_put_found_and_taken(cloud):
    assert cloud.ecs("TagResources", **MARK, Tag={"ehpc-nodes": "a", "plain": None}).ok
    assert cloud.instance("i-1")["Tags"]["Tag"] == [
        {"TagKey": "ehpc-nodes", "TagValue": "a"},
        {"TagKey": "plain", "TagValue": ""},
    ]
    assert found(cloud.ecs("DescribeInstances", Tag={"ehpc-nodes": "a"})) == ["i-1", "i-2"]
    assert found(cloud.ecs("DescribeInstances", Tag={"ehpc-nodes": "b"})) == []
    rows = cloud.ecs("ListTagResources", ResourceType="instance", Tag={"plain": None}).body
    assert len(rows["TagResources"]["TagResource"]) == 4
    assert cloud.ecs("UntagResources", **MARK, TagKey=["plain", "absent"]).ok
    assert cloud.ecs("UntagResources", ResourceType="instance", ResourceId=["i-2"], All="true").ok
    assert cloud.world.instances["i-1"].tags == {"ehpc-nodes": "a"}
    assert cloud.world.instances["i-2"].tags == {}


def test_replacing_the_disk_leaves_tags_alone(cloud):
    cloud.ecs("TagResources", **MARK, Tag={"ehpc-nodes": "a"})
    cloud.add("i-1")
    assert cloud.world.instances["i-1"].tags == {"ehpc-nodes": "a"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"Tag": {"acs:x": "1"}}, "InvalidParameter"),
        ({"Tag": {"aliyun-x": "1"}}, "InvalidParameter"),
        ({"Tag": {"k" * 129: "1"}}, "InvalidParameter"),
        ({"Tag": {"k": "v" * 129}}, "InvalidParameter"),
        ({"Tag": {f"k{n}": "" for n in range(21)}}, "InvalidParameter"),
        ({"ResourceId": ["i-1", "i-9"], "Tag": {"k": "v"}}, "InvalidResourceId.NotFound"),
        ({"ResourceId": [f"i-{n}" for n in range(51)], "Tag": {"k": "v"}}, "InvalidParameter"),
        ({"ResourceType": "disk", "Tag": {"k": "v"}}, "InvalidParameter"),
        ({"Tag": {}}, "MissingParameter"),
    ],
)
def test_what_tagging_refuses(cloud, params, code):
    assert cloud.ecs("TagResources", **{**MARK, **params}).body["Code"] == code
    assert cloud.world.instances["i-1"].tags == {}


def test_twenty_tags_are_enough(cloud):
    cloud.ecs("TagResources", **MARK, Tag={f"k{n}": "" for n in range(20)})
    answer = cloud.ecs("TagResources", **MARK, Tag={"one-more": ""})
    assert answer.body["Code"] == "LimitExceeded.Tags"


def test_too_many_tags_for_one_tag_none(make):
    cloud = make(lambda data: data.update(tags_per_instance=2))
    cloud.world.instances["i-2"].tags = {"a": "", "b": ""}
    answer = cloud.ecs("TagResources", **MARK, Tag={"c": "1"})
    assert answer.body["Code"] == "LimitExceeded.Tags"
    assert cloud.world.instances["i-1"].tags == {}
    assert cloud.ecs("TagResources", **MARK, Tag={"b": "new"}).ok  # no more tags than before


def test_a_tag_filter_finds_so_many_and_no_more(make):
    def tag(data):
        data["tag_filter_limit"] = 3
        for item in data["instances"]:
            item["tags"] = {"k": "v"}

    cloud = make(tag)
    first = cloud.ecs("DescribeInstances", MaxResults="2", Tag={"k": "v"}).body
    rest = cloud.ecs(
        "DescribeInstances", MaxResults="2", Tag={"k": "v"}, NextToken=first["NextToken"]
    )
    assert len(first["Instances"]["Instance"]) + len(found(rest)) == 3
    assert rest.body["NextToken"] == ""
    assert len(found(cloud.ecs("DescribeInstances"))) == 6
    rows = cloud.ecs("ListTagResources", ResourceType="instance", Tag={"k": "v"}).body
    assert len(rows["TagResources"]["TagResource"]) == 6


def test_tag_lists_have_pages_of_fifty(make):
    def tag(data):
        for item in data["instances"][1:4]:
            item["tags"] = {f"k{n}": "v" for n in range(20)}

    cloud = make(tag)
    params = {"ResourceType": "instance", "ResourceId": ["i-1", "i-2", "i-3", "i-9"]}
    first = cloud.ecs("ListTagResources", **params).body
    second = cloud.ecs("ListTagResources", **params, NextToken=first["NextToken"]).body
    assert [len(page["TagResources"]["TagResource"]) for page in (first, second)] == [50, 10]
    assert second["NextToken"] == ""
