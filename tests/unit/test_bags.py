"""Property bags: what check keeps of a program's arguments, and what makes a difference."""

import pytest
from pulumi.output import UNKNOWN

from ehpc_nodes.bags import (
    changed,
    checked_inputs,
    inputs_of,
    is_replacement,
    known_ids,
    needs_update,
    split_unknown,
)
from ehpc_nodes.models import NodeState, State, check_form

CLUSTER = "ehpc-hz-a"


def checked(news, olds=None):
    known, unknown = split_unknown(news)
    declared, findings = check_form(known, unknown)
    assert findings == []
    return checked_inputs(declared, news, unknown, olds or {})


def test_the_set_becomes_a_map_that_keeps_known_host_names():
    olds = {"instance_ids": {"i-a": "compute1 (stopped)", "i-b": "compute2"}}
    bag = checked({"cluster_id": CLUSTER, "instance_ids": ["i-c", "i-a"]}, olds)
    assert bag["instance_ids"] == {"i-a": "compute1", "i-c": ""}


def test_what_the_program_leaves_out_keeps_its_value_in_the_same_cluster_only():
    olds = {
        "cluster_id": CLUSTER,
        "region": "cn-x",
        "image_id": "img",
        "image_owner_alias": "self",
        "instance_ids": {"i-a": ""},
    }
    same = checked({"cluster_id": CLUSTER, "instance_ids": ["i-a"]}, olds)
    assert (same["region"], same["image_id"], same["image_owner_alias"]) == ("cn-x", "img", "self")
    assert not is_replacement(olds, same)
    other = checked({"cluster_id": "ehpc-hz-b", "instance_ids": ["i-a"]}, olds)
    assert "image_id" not in other
    assert is_replacement(olds, other)


def test_an_image_without_an_alias_is_a_system_image():
    bag = checked({"cluster_id": CLUSTER, "instance_ids": ["i-a"], "image_id": "img"})
    assert bag["image_owner_alias"] == "system"


def test_unknown_values_stay_unknown_and_unknown_ids_get_placeholders():
    news = {"cluster_id": UNKNOWN, "instance_ids": ["i-a", UNKNOWN, UNKNOWN], "__provider": "x"}
    bag = checked(news)
    assert bag["cluster_id"] is UNKNOWN
    assert list(bag["instance_ids"]) == ["i-a", "(new instance 1)", "(new instance 2)"]
    assert known_ids(bag) == {"i-a"}
    assert checked({"cluster_id": CLUSTER, "instance_ids": UNKNOWN})["instance_ids"] is UNKNOWN


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("a", "a", False),
        ("a", "b", True),
        ("a", None, False),
        ("", "b", False),
        ("a", UNKNOWN, True),
    ],
)
def test_changed(old, new, differs):
    assert changed({"image_id": old}, {"image_id": new}, "image_id") is differs


def state(**changes):
    nodes = {"i-a": {"status": "running", "queue": "workq"}}
    return {"instance_ids": ["i-a"], "nodes": nodes, "failed": {}, "job_queue": "", **changes}


@pytest.mark.parametrize(
    ("olds", "news", "needed"),
    [
        (state(), {}, False),
        (state(), {"stop_running": True, "detach_busy": True, "replace_system_disks": True}, False),
        (state(), {"instance_ids": {"i-a": "", "i-b": ""}}, True),
        (state(instance_ids=["i-a", "i-b"]), {}, True),
        (state(), {"job_queue": "gpu"}, True),
        (state(job_queue="workq"), {"job_queue": "workq"}, False),
        (state(failed={"i-a": {"code": "exception"}}), {}, True),
        (state(nodes={"i-a": {"status": "attaching"}}), {}, True),
        (state(nodes={"i-a": {"status": "uninit"}}), {}, True),
        (state(nodes={"i-a": {"status": "stopped"}}), {}, False),
        (state(nodes={"i-a": {"status": "a new word"}}), {}, False),
    ],
)
def test_needs_update(olds, news, needed):
    assert needs_update(olds, {"instance_ids": {"i-a": "compute1"}, **news}) is needed


def test_inputs_of_a_read_show_drift_behind_the_host_name():
    nodes = {
        "i-a": NodeState(host_name="compute1", status="running", queue="workq"),
        "i-b": NodeState(host_name="compute2", status="stopped", queue="gpu"),
        "i-c": NodeState(host_name="compute3", status="running", queue="gpu"),
    }
    found = State(
        cluster_id=CLUSTER,
        region="cn-x",
        instance_ids=sorted(nodes),
        nodes=nodes,
        job_queue="workq",
    )
    assert inputs_of(found, {"job_queue": "workq", "cluster_id": CLUSTER, "__provider": "x"}) == {
        "job_queue": "workq",
        "cluster_id": CLUSTER,
        "instance_ids": {
            "i-a": "compute1",
            "i-b": "compute2 (stopped)",
            "i-c": "compute3 (queue gpu)",
        },
    }
