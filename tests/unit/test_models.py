"""The form of what a program declares."""

import pytest

from ehpc_nodes.models import Declared, Inputs, ResourceId, State, check_form

GOOD = {"cluster_id": "ehpc-hz-FYUr32abcd", "instance_ids": ["i-b", "i-a"]}


def findings(**changes):
    known = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    return [(f.property, f.reason) for f in check_form(known, ())[1]]


def test_a_good_form_is_sorted_and_complete():
    declared, found = check_form(GOOD, ())
    assert found == []
    assert declared.instance_ids == ["i-a", "i-b"]


A_LIST = (
    "give a list of instance ids, like ['i-bp16mxn6mt3t7ftkabcd'] (from config: require_object)"
)
NO_ID = "is not an instance id (such as i-bp16mxn6mt3t7ftkabcd)"
NONE_LISTED = (
    "list at least one instance. To detach all, or after all went to other resources, remove this"
    " resource"
)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("cluster_id", None, "cluster_id is required"),
        ("instance_ids", None, "instance_ids is required"),
        ("cluster_id", "x", "'x' is not a cluster id (such as ehpc-hz-FYUr32abcd)"),
        ("instance_ids", ["i-a", "j-b"], f"'j-b' {NO_ID} (entry 1)"),
        ("instance_ids", ["i-a", "i-ä"], f"'i-ä' {NO_ID} (entry 1)"),
        (
            "instance_ids",
            ["i-a", "i-b", "i-a", "i-c", "i-b"],
            "i-a, i-b is listed more than once; list it once",
        ),
        ("instance_ids", ["i-a", "i-a\r"], "i-a is listed more than once; list it once"),
        ("instance_ids", [], NONE_LISTED),
        ("instance_ids", [7], f"{A_LIST}; entry 0 is a number"),
        ("image_owner_alias", "self", "is set without image_id: set image_id too"),
        ("retain_ids", ["i-a"], "i-a is in retain_ids and in instance_ids: list it in one of them"),
        ("colour", "red", "colour is not an argument of AttachedNodes"),
        ("region", "CN", "'CN' is not a region (such as cn-hangzhou)"),
        ("job_queue", "a b", "'a b' is not a queue's name (such as workq)"),
    ],
)
def test_findings_are_exact_and_on_their_property(name, value, reason):
    assert findings(**{name: value}) == [(name, reason)]


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


# -- values of another type -----------------------------------------------------------------------

KINDS = {"a string": "yes", "a number": 7.0, "True": True, "a map": {"i-a": ""}, "a list": ["i-z"]}
TAKEN = {
    "cluster_id": ("a string", "give a cluster id, like 'ehpc-hz-FYUr32abcd'"),
    "region": ("a string", "give a region, like 'cn-hangzhou'"),
    "instance_ids": ("a list", A_LIST),
    "retain_ids": ("a list", "give a list of instance ids, like ['i-bp16mxn6mt3t7ftkabcd']"),
    "image_id": ("a string", "give an image id, like 'centos_7_06_64_20G.vhd' or 'm-bp1…'"),
    "image_owner_alias": ("", "give 'system', 'self', 'others' or 'marketplace'"),
    "job_queue": ("a string", "give a queue's name, like 'workq'"),
    "busy_nodes": ("", "give 'refuse', 'wait' or 'detach'"),
    **dict.fromkeys(
        ("replace_system_disks", "stop_running", "take_ownership"),
        ("True", "give True or False (from config: get_bool)"),
    ),
}


def test_every_argument_is_in_the_table():
    assert TAKEN.keys() == Declared.model_fields.keys()


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_of_another_type_is_told_in_plain_words(name, kind):
    right, advice = TAKEN[name]
    found = [] if kind == right else [(name, f"{advice}; got {kind}")]
    if name in {"image_owner_alias", "busy_nodes"} and kind == "a string":
        found = [(name, f"{advice}; got 'yes'")]
    assert [f for f in findings(**{name: KINDS[kind]}) if "such as" not in f[1]] == found


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "a string"])
def test_an_entry_of_another_type_is_told_in_plain_words(kind):
    told = f"{A_LIST}; entry 1 is {kind}"
    assert findings(instance_ids=["i-a", KINDS[kind]]) == [("instance_ids", told)]


# -- what files and shells leave around a value ----------------------------------------------------


@pytest.mark.parametrize("around", [" {}", "{}\r", "{}\r\n", "\t{}\n"])
def test_blanks_and_line_ends_around_an_argument_are_left_off(around):
    texts = {
        "cluster_id": "ehpc-hz-a",
        "region": "cn-x",
        "image_id": "m-bp1own",
        "job_queue": "gpu",
    }
    given = {name: around.format(text) for name, text in texts.items()}
    declared, found = check_form({**given, "instance_ids": [around.format("i-a")]}, ())
    assert found == []
    assert declared.model_dump(exclude_none=True) == {**texts, "instance_ids": ["i-a"]}
    assert ResourceId.parse(around.format("ehpc-hz-a/1234")) == ResourceId("ehpc-hz-a", "1234")
