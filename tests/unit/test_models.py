"""The form of what a program declares."""

import pytest

from ehpc_nodes.models import Inputs, ResourceId, State, check_form

GOOD = {"cluster_id": "ehpc-hz-FYUr32abcd", "instance_ids": ["i-b", "i-a"]}


def findings(**changes):
    known = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    return [(f.property, f.reason) for f in check_form(known, ())[1]]


def test_a_good_form_is_sorted_and_complete():
    declared, found = check_form(GOOD, ())
    assert found == []
    assert declared.instance_ids == ["i-a", "i-b"]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"cluster_id": None}, ("cluster_id", "cluster_id is required")),
        ({"instance_ids": None}, ("instance_ids", "instance_ids is required")),
        (
            {"cluster_id": "x"},
            ("cluster_id", "'x' is not a cluster id (such as ehpc-hz-FYUr32abcd)"),
        ),
        (
            {"instance_ids": ["i-a", "j-b"]},
            (
                "instance_ids",
                "'j-b' is not an instance id (such as i-bp16mxn6mt3t7ftkabcd) (entry 1)",
            ),
        ),
        (
            {"instance_ids": ["i-a", "i-b", "i-a"]},
            ("instance_ids", "i-a is listed more than once; list it once"),
        ),
        (
            {"instance_ids": []},
            ("instance_ids", "name at least one instance; to detach all, remove the resource"),
        ),
        ({"instance_ids": "i-a"}, ("instance_ids", "Input should be a valid list")),
        ({"instance_ids": [7]}, ("instance_ids", "Input should be a valid string (entry 0)")),
        (
            {"image_owner_alias": "mine"},
            (
                "image_owner_alias",
                "Input should be 'system', 'self', 'others' or 'marketplace'",
            ),
        ),
        ({"stop_running": "yes"}, ("stop_running", "Input should be a valid boolean")),
        ({"colour": "red"}, ("colour", "colour is not an argument of AttachedNodes")),
        ({"region": "CN"}, ("region", "'CN' is not a region (such as cn-hangzhou)")),
    ],
)
def test_findings_are_exact_and_on_their_property(changes, finding):
    assert findings(**changes) == [finding]


def test_everything_wrong_is_said_at_once():
    assert {name for name, _ in findings(cluster_id="x", region="!", instance_ids=["q"])} == {
        *("cluster_id", "region", "instance_ids")
    }


def test_unknown_values_are_not_missing():
    assert check_form({"cluster_id": GOOD["cluster_id"]}, {"instance_ids"})[1] == []


def test_id_follows_from_the_inputs_in_any_order():
    one = Inputs(cluster_id="ehpc-hz-a", region="cn-x", instance_ids=["i-a", "i-b"])
    as_a_map = {
        "cluster_id": "ehpc-hz-a",
        "region": "cn-x",
        "instance_ids": {"i-b": "x", "i-a": ""},
    }
    two = Inputs.model_validate(as_a_map)
    other = Inputs(cluster_id="ehpc-hz-a", region="cn-x", instance_ids=["i-c"])
    assert ResourceId.of(one) == ResourceId.of(two) != ResourceId.of(other)
    assert ResourceId.parse(str(ResourceId.of(one))) == ResourceId.of(one)
    assert ResourceId.parse("ehpc-hz-a").cluster_id == "ehpc-hz-a"


def test_state_of_another_version_is_read():
    state = State.model_validate(
        {"cluster_id": "ehpc-hz-a", "region": "cn-x", "instance_ids": [], "something": "new"}
    )
    assert state.nodes == {}
