"""What the API sends is read tolerantly, and statuses are sorted in one place."""

import pytest

from ehpc_nodes.api import responses
from ehpc_nodes.api.paging import one


def read(model, answer):
    return one("ListNodes", model, answer)


def test_nulls_unknown_fields_and_absent_ones_do_no_harm():
    node = read(
        responses.Node,
        {"Id": "i-1", "HostName": None, "Status": "brand-new-word", "Shiny": {"New": 1}},
    )
    assert (node.host_name, node.status) == ("", "brand-new-word")
    assert node.is_compute
    assert not node.busy


@pytest.mark.parametrize(
    ("roles", "compute"),
    [
        ([], True),
        (["Compute"], True),
        (["compute"], True),
        (["Login"], False),
        (["Scheduler", "Account"], False),
        (["Compute", "Scheduler"], False),
    ],
)
def test_only_pure_compute_nodes_are_compute(roles, compute):
    assert read(responses.Node, {"Id": "i-1", "Roles": {"Role": roles}}).is_compute is compute


def test_load_is_told_in_words():
    node = read(
        responses.Node, {"Id": "i-1", "UsedResources": {"Cpu": 4, "Gpu": 0, "Memory": 2048}}
    )
    assert node.busy
    assert str(node.used_resources) == "4 CPU, 2048 memory"


@pytest.mark.parametrize(
    ("status", "over"),
    [
        *(("Success", True), ("Failed", True), ("Fail", True), ("PartialFail", True)),
        *(("Processing", False), ("Thinking", False), ("", False)),
    ],
)
def test_unknown_task_words_count_as_running(status, over):
    assert responses.Task(task_id="T", status=status).over is over


@pytest.mark.parametrize(
    ("result", "ids"),
    [
        ('{"Instances":[{"InstanceId":"i-1"},{"InstanceId":"i-2"}]}', {"i-1", "i-2"}),
        *(
            ("{}", set()),
            ("", set()),
            ("not json", set()),
            ("[]", set()),
            ('{"Instances":7}', set()),
        ),
        ('{\\"Instances\\":[{\\"InstanceId\\":\\"i-1\\"}]}', {"i-1"}),  # escaped twice
        ('"{\\"Instances\\":[{\\"InstanceId\\":\\"i-1\\"}]}"', {"i-1"}),
        *(('{"Instances":null}', set()), ('{"Instances":[{}]}', set()), ('"text"', set())),
    ],
)
def test_a_tasks_result_names_instances_or_none(result, ids):
    assert responses.Task(task_id="T", result=result).instance_ids == ids


@pytest.mark.parametrize(
    ("node_list", "names"),
    [
        ('["compute1","compute2"]', {"compute1", "compute2"}),
        ('[\\"compute1\\"]', {"compute1"}),
        ("[]", set()),
        ("", set()),
        ("compute1", set()),
        ("7", set()),
        (None, set()),
    ],
)
def test_a_job_names_its_nodes_or_none(node_list, names):
    job = read(responses.Job, {"Id": "8.scheduler", "NodeList": node_list})
    assert job.host_names == names


@pytest.mark.parametrize(
    ("owner", "text"),
    [
        ("test2@scheduler", "8.scheduler (test2)"),
        ("test2", "8.scheduler (test2)"),
        ("", "8.scheduler"),
    ],
)
def test_a_job_in_words(owner, text):
    assert str(read(responses.Job, {"Id": "8.scheduler", "Owner": owner})) == text


@pytest.mark.parametrize(
    ("cluster", "queues", "shrinks"),
    [
        (True, [], True),
        (False, [], False),
        (None, [], False),
        (True, [{"QueueName": "workq", "EnableAutoShrink": False}], False),
        (False, [{"QueueName": "workq", "EnableAutoShrink": True}], True),
        (True, [{"QueueName": "workq"}], True),
        (False, [{"QueueName": "gpu", "EnableAutoShrink": True}], False),
    ],
)
def test_a_queues_own_setting_of_scale_in_wins(cluster, queues, shrinks):
    answer = {"EnableAutoShrink": cluster, "Queues": {"QueueInfo": queues}}
    assert read(responses.AutoScaleConfig, answer).shrinks("workq") is shrinks


def test_how_long_a_node_may_be_idle_and_which_stay():
    answer = {"ShrinkIdleTimes": 2, "ShrinkIntervalInMinutes": 5, "ExcludeNodes": "i-1, i-2,"}
    config = read(responses.AutoScaleConfig, answer)
    assert (config.idle_minutes, config.excluded) == (10, {"i-1", "i-2"})
    config = read(responses.AutoScaleConfig, {})
    assert (config.idle_minutes, config.excluded) == (6, set())


@pytest.mark.parametrize(
    ("state", "active"), [("active", True), ("Active", True), ("", True), ("drain", False)]
)
def test_a_node_takes_jobs_unless_the_scheduler_says_otherwise(state, active):
    assert read(responses.Node, {"Id": "i-1", "StateInSched": state}).active is active


def test_spot_instances():
    for strategy, spot in (("SpotAsPriceGo", True), ("NoSpot", False), ("", False)):
        instance = read(responses.Instance, {"InstanceId": "i-1", "SpotStrategy": strategy})
        assert instance.spot is spot


def test_image_versions_may_be_numbers():
    assert read(responses.SystemImage, {"ImageId": "m-1", "Version": 7.2}).version == "7.2"


def test_instances_tell_vpc_locks_and_tags():
    instance = read(
        responses.Instance,
        {
            "InstanceId": "i-1",
            "Status": "Stopped",
            "VpcAttributes": {"VpcId": "vpc-1"},
            "OperationLocks": {"LockReason": [{"LockReason": "financial"}]},
            "Tags": {"Tag": [{"TagKey": "k", "TagValue": "v"}]},
        },
    )
    assert (instance.vpc_id, instance.locks, instance.stopped) == ("vpc-1", ["financial"], True)
    assert (instance.tag("k"), instance.tag("other")) == ("v", "")
