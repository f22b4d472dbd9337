"""Property maps: what check keeps of a program's arguments, and what makes a difference."""

from typing import Any

import pytest
from pulumi.output import UNKNOWN

from ehpc_nodes.models import ATTACHING, Declared, NodeState, State, check_form
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.provider.properties import (
    changed,
    checked_inputs,
    desired_from,
    drift_messages,
    hosts_of,
    ignored_set,
    inputs_of,
    is_replacement,
    known_ids,
    needs_update,
    split_unknown,
    why_due,
)

CLUSTER, IMAGE = "ehpc-hz-a", "m-1"
ONE, TWO = "i-a", "i-b"
#: What a check makes of a program that names cluster and instance only.
CHECKED: dict[str, Any] = {
    "cluster_id": CLUSTER,
    "region": "cn-hangzhou",
    "instance_ids": {ONE: "compute1"},
    "image_id": IMAGE,
    "image_owner_alias": "system",
    "replace_system_disks": True,
    "stop_running": False,
    "busy_nodes": "refuse",
    "take_ownership": False,
}


def test_unknown_values_are_split_off_and_nothing_else_is():
    known, unknown = split_unknown(
        {
            "cluster_id": UNKNOWN,
            "instance_ids": [ONE, UNKNOWN, TWO],
            "job_queue": None,
            "stop_running": False,
            "__provider": "pickled",
            "__uid": "0123456789ab",
        }
    )
    assert known == {"instance_ids": [ONE, TWO], "stop_running": False}
    assert unknown == {"cluster_id", "instance_ids"}


def test_a_list_of_unknown_entries_only_has_nothing_to_check():
    assert split_unknown({"instance_ids": [UNKNOWN, UNKNOWN]}) == ({}, {"instance_ids"})


def checked(news, olds=None):
    known, unknown = split_unknown(news)
    declared, findings = check_form(known, unknown)
    assert findings == []
    return checked_inputs(declared, news, unknown, olds or {})


def test_the_set_becomes_a_map_that_keeps_known_host_names():
    olds = {"instance_ids": {ONE: "compute1 (stopped)", TWO: "compute2"}}
    bag = checked({"cluster_id": CLUSTER, "instance_ids": [TWO, "i-new", ONE]}, olds)
    assert bag["instance_ids"] == {ONE: "compute1", TWO: "compute2", "i-new": ""}


def test_instances_that_are_not_known_yet_get_places_in_the_map():
    bag = checked({"cluster_id": CLUSTER, "instance_ids": [UNKNOWN, ONE, UNKNOWN]})
    assert bag["instance_ids"] == {
        ONE: "",
        "(new instance 1)": UNKNOWN,
        "(new instance 2)": UNKNOWN,
    }
    assert known_ids(bag) == {ONE}


def test_a_set_that_is_not_known_at_all_stays_so():
    bag = checked({"cluster_id": CLUSTER, "instance_ids": UNKNOWN})
    assert bag["instance_ids"] is UNKNOWN
    assert known_ids(bag) == set()


def test_what_the_program_leaves_out_keeps_its_value_on_the_same_cluster_only():
    olds = {
        "cluster_id": CLUSTER,
        "region": "cn-beijing",
        "image_id": "m-1",
        "image_owner_alias": "self",
    }
    news = {"cluster_id": CLUSTER, "instance_ids": [ONE]}
    bag = checked(news, olds)
    assert {name: bag[name] for name in olds} == olds
    assert not is_replacement(olds, bag)
    other = checked({**news, "cluster_id": "ehpc-hz-other"}, olds)
    assert is_replacement(olds, other)
    assert not {"region", "image_id", "image_owner_alias"} & other.keys()
    unknown = checked({**news, "cluster_id": UNKNOWN}, olds)
    assert not {"region", "image_id", "image_owner_alias"} & unknown.keys()


def test_a_named_image_takes_no_alias_from_before():
    olds = {"cluster_id": CLUSTER, "image_id": "m-1", "image_owner_alias": "self"}
    news = {"cluster_id": CLUSTER, "instance_ids": [ONE], "image_id": IMAGE}
    assert checked(news, olds)["image_owner_alias"] == "system"


def test_an_unknown_image_is_not_filled_from_before():
    olds = {"cluster_id": CLUSTER, "image_id": "m-1", "image_owner_alias": "self"}
    bag = checked({"cluster_id": CLUSTER, "instance_ids": [ONE], "image_id": UNKNOWN}, olds)
    assert bag["image_id"] is UNKNOWN
    assert "image_owner_alias" not in bag


def test_consent_is_never_carried_over():
    olds = {"cluster_id": CLUSTER, "replace_system_disks": True, "stop_running": True}
    bag = checked({"cluster_id": CLUSTER, "instance_ids": [ONE]}, {**olds, "busy_nodes": "detach"})
    assert (bag["replace_system_disks"], bag["stop_running"]) == (False, False)
    assert bag["busy_nodes"] == "refuse"


@pytest.mark.parametrize(
    ("bag", "found"),
    [
        ({}, set()),
        ({"instance_ids": [ONE, TWO]}, {ONE, TWO}),
        ({"instance_ids": {ONE: "a", "(new instance 1)": UNKNOWN}}, {ONE}),
        ({"instance_ids": [ONE, UNKNOWN, 3, None]}, {ONE}),
        ({"instance_ids": "i-1"}, set()),
        ({"instance_ids": UNKNOWN}, set()),
    ],
)
def test_known_ids(bag, found):
    assert known_ids(bag) == found


@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("m-1", "m-2", True),
        ("m-1", "m-1", False),
        ("m-1", UNKNOWN, True),
        ("m-1", None, False),
        ("", "m-1", False),
        (None, "m-1", False),
    ],
)
def test_changed(old, new, differs):
    assert changed({"image_id": old}, {"image_id": new}, "image_id") is differs
    assert is_replacement({"image_id": old}, {"image_id": new}) is differs


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({ONE: "a", TWO: "b (stopped)"}, {"instance_ids": [ONE, TWO]}),
        ({ONE: "a"}, {}),
        ([ONE, TWO], {}),
        (UNKNOWN, {}),
    ],
)
def test_of_maps_only_the_one_that_ignore_changes_hands_back_is_a_set(given, taken):
    olds = {"instance_ids": {TWO: "b (stopped)", ONE: "a"}}
    assert ignored_set({"instance_ids": given}, olds) == taken
    assert ignored_set({"instance_ids": given}, {}) == {}


def test_an_update_that_the_program_did_not_ask_for_says_why():
    node = {"host_name": "compute1", "status": "running"}
    olds = {
        "instance_ids": [ONE, TWO],
        "nodes": {ONE: node, TWO: {"status": "attaching"}},
        "failed": {TWO: {}, "i-bp1gone": {}},
    }
    assert why_due(olds, {"instance_ids": {TWO: "", "i-bp1new": ""}}) == (
        f"still in the state: compute1; not in the state: i-bp1new; failed before: {TWO};"
        f" still being attached: {TWO}"
    )
    assert why_due({"nodes": [], "failed": 1}, {}) == ""
    assert why_due({"instance_ids": [ONE], "nodes": {ONE: node}}, {"instance_ids": {ONE: ""}}) == ""


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        ("project/dev/old", "owner tags name project/dev/old: compute1"),
        ("", "without owner tags: compute1"),
        ("project/dev/nodes", ""),
    ],
)
def test_owner_tags_without_the_resource_s_name_are_written_by_the_next_update(owner, why):
    """A former one, or none, as an import file has it for nodes without tags."""
    node = {"host_name": "compute1", "status": "running"}
    outputs = {"instance_ids": [ONE], "nodes": {ONE: node}, "owner": owner}
    news = {"instance_ids": {ONE: ""}}
    assert needs_update(outputs, news, "project/dev/nodes") is bool(why)
    assert why_due(outputs, news, "project/dev/nodes") == why
    assert needs_update(outputs, news) is False


STATE = {
    "instance_ids": [ONE, TWO],
    "job_queue": "gpu",
    "nodes": {ONE: {"queue": "gpu", "status": "running"}, TWO: {"queue": "", "status": "running"}},
    "failed": {},
}


@pytest.mark.parametrize(
    ("olds", "news", "needed"),
    [
        ({}, {"job_queue": "gpu"}, False),
        ({}, {}, False),
        ({}, {"instance_ids": {ONE: ""}}, True),
        ({}, {"instance_ids": {ONE: "", TWO: "", "(new instance 1)": UNKNOWN}}, True),
        ({}, {"instance_ids": UNKNOWN}, True),
        ({}, {"job_queue": "workq"}, True),
        ({}, {"job_queue": UNKNOWN}, True),
        ({"job_queue": ""}, {"job_queue": "gpu"}, True),
        ({"nodes": {ONE: {"queue": "workq"}}}, {"job_queue": "gpu"}, True),
        ({"nodes": {ONE: {"queue": "workq"}}}, {}, False),
        ({"nodes": {ONE: {"status": ATTACHING}}}, {}, True),
        ({"nodes": {ONE: {"status": "uninit"}}}, {}, True),
        ({"nodes": {ONE: {"status": "stopped"}}}, {}, False),
        ({"nodes": {ONE: {"status": "a new word"}}}, {}, False),
        ({"failed": {ONE: {"code": "PartialFail"}}}, {}, True),
        ({}, {"stop_running": True, "busy_nodes": "detach", "replace_system_disks": True}, False),
    ],
)
def test_needs_update(olds, news, needed):
    wanted = {"instance_ids": {ONE: "compute1", TWO: "compute2"}}
    assert needs_update({**STATE, **olds}, {**wanted, **news}) is needed


def state(**nodes):
    return State(
        cluster_id=CLUSTER,
        region="cn-hangzhou",
        instance_ids=sorted(nodes),
        image_id=IMAGE,
        image_owner_alias="system",
        replace_system_disks=True,
        nodes={i: NodeState(**n) for i, n in nodes.items()},
    )


def test_what_was_read_becomes_inputs_that_show_what_has_drifted():
    seen = state(
        **{
            ONE: {"host_name": "compute1", "status": "running", "queue": "gpu"},
            TWO: {"host_name": "compute2", "status": "stopped", "queue": "gpu"},
            "i-3": {"host_name": "compute3", "status": "running", "queue": "workq"},
        }
    )
    old = {"cluster_id": CLUSTER, "job_queue": "gpu", "instance_ids": {ONE: ""}, "__provider": "x"}
    assert inputs_of(seen, old) == {
        "cluster_id": CLUSTER,
        "job_queue": "gpu",
        "instance_ids": {
            ONE: "compute1",
            TWO: "compute2 (stopped)",
            "i-3": "compute3 (queue workq)",
        },
    }


def test_what_the_scheduler_says_is_told_and_is_no_drift():
    seen = state(
        **{
            ONE: {"host_name": "compute1", "status": "running", "scheduler_state": "down"},
            TWO: {"host_name": "compute2", "status": "running", "scheduler_state": "active"},
        }
    )
    assert drift_messages(seen, seen, "") == [f"compute1 ({ONE}) is down in the scheduler"]
    assert inputs_of(seen, CHECKED)["instance_ids"] == {ONE: "compute1", TWO: "compute2"}


def test_without_inputs_of_before_the_state_gives_them():
    seen = state(**{ONE: {"host_name": "compute1", "status": "running", "queue": "gpu"}})
    assert inputs_of(seen, {}) == {**CHECKED, "instance_ids": {ONE: "compute1"}}


def test_declared_is_what_the_arguments_are():
    """A new argument has to be thought of in `checked_inputs` too."""
    assert set(Declared.model_fields) == {*CHECKED, "job_queue", "retain_ids"}


def test_what_checked_inputs_want():
    bag = {**CHECKED, "job_queue": "gpu", "stop_running": UNKNOWN}
    assert desired_from(bag) == Desired(
        cluster_id=CLUSTER,
        region="cn-hangzhou",
        image_id=IMAGE,
        image_owner_alias="system",
        job_queue="gpu",
        replace_system_disks=True,
        stop_running=True,
    )


def test_what_is_wanted_of_what_is_not_known_yet():
    bag = {"cluster_id": CLUSTER, "image_id": UNKNOWN, "job_queue": UNKNOWN, "busy_nodes": "refuse"}
    assert desired_from(bag) == Desired(cluster_id=CLUSTER, image_known=False)


def test_hosts_of_a_mangled_state_are_left_out():
    assert hosts_of({"nodes": {ONE: None, "x": {"host_name": "compute1"}}}) == {"x": "compute1"}


def test_a_refresh_names_the_nodes_that_are_gone():
    confirmed = {"status": "running", "confirmed_at": 1}
    before = state(
        **{
            ONE: {"host_name": "compute1", **confirmed},
            TWO: {"host_name": "compute2", **confirmed},
            "i-3": {"host_name": "", "status": "attaching"},
        }
    )
    found = state(**{ONE: {"host_name": "compute1", **confirmed}})
    assert drift_messages(before, found, "") == [
        f"compute2 ({TWO}) is no longer a node of this resource"
    ]
