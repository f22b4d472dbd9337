"""World files: what is in them, and errors that name the place."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehpc_nodes.emulator import Emulator, World, WorldError

CLUSTER = {"id": "c", "vpc_id": "v", "image_id": "i", "os_tag": "CentOS_7.6_64"}
NODE = {"id": "i", "host_name": "h"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "World: expected a mapping, got []"),
        ({"regoin": "x"}, "World: unknown regoin; known: access_keys, account_uid, clusters,"),
        ({"region": 7}, "region: expected str, got 7"),
        ({"region": None}, "region: expected str, got None"),
        ({"clusters": {}}, "clusters: expected a list, got {}"),
        ({"clusters": [{"id": "c"}]}, "clusters[0]: "),
        ({"clusters": [CLUSTER, CLUSTER]}, "clusters: c is there twice"),
        (
            {"clusters": [{**CLUSTER, "nodes": [{**NODE, "role": "x"}]}]},
            "clusters[0].nodes[0]: unknown role; known: ",
        ),
        (
            {"clusters": [{**CLUSTER, "nodes": [{**NODE, "roles": "x"}]}]},
            "clusters[0].nodes[0].roles: expected a list, got 'x'",
        ),
        (
            {"images": [{"id": "i", "os_tag": "CentOS_7.6_64", "owner_alias": "me"}]},
            "images[0].owner_alias: expected one of system, self, others, marketplace, got 'me'",
        ),
        (
            {"clusters": [{**CLUSTER, "id": name, "nodes": [NODE]} for name in "ab"]},
            "i is a node of two clusters",
        ),
        ({"knobs": {"task_pace": {"look": 1}}}, "knobs.task_pace: expected instant, held, never,"),
        ({"knobs": {"task_pace": {"reads": -1}}}, "knobs.task_pace: expected instant, held,"),
        ({"knobs": {"task_listed": "yes"}}, "knobs.task_listed: expected bool, got 'yes'"),
        ({"knobs": {"throttle_per_second": 1.5}}, "knobs.throttle_per_second: expected int"),
        ({"access_keys": [{"id": "a"}]}, "access_keys[0]: "),
    ],
)
def test_a_slip_is_an_error_that_names_its_place(data, message):
    with pytest.raises(WorldError) as caught:
        World.from_dict(data)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("fault", [{"kind": "nope"}, {"kind": "slow", "second": 1}])
def test_faults_of_a_world_are_checked_when_it_is_loaded(fault):
    with pytest.raises(WorldError, match="fault"):
        Emulator(World.from_dict({"faults": [fault]}))


def test_the_demo_has_a_cluster_and_instances_to_attach():
    world = World.demo()
    assert list(world.clusters) == ["ehpc-hz-demo"]
    assert sum(item.status == "Stopped" for item in world.instances.values()) == 6
    assert world.default_key.id == "emulator-access-key-id"


def test_what_is_written_can_be_read_again():
    emulator = Emulator()
    cluster, *_ = emulator.world.clusters.values()
    params = {"ClusterId": cluster.id, "ImageId": cluster.image_id, "ImageOwnerAlias": "system"}
    ids = {"Instance.1.Id": "i-bp1demo00000000001"}
    emulator.call("AddExistedNodes", "2018-04-12", params | ids)  # a task is open
    text = emulator.world.to_json()
    again = World.from_dict(json.loads(text))
    assert again.to_json() == text
    assert again.member_of == emulator.world.member_of
    assert list(again.open_tasks) == list(emulator.world.open_tasks) != []


def test_files_are_yaml_or_json(tmp_path):
    (tmp_path / "a.yaml").write_text("region: cn-yaml\n")
    (tmp_path / "a.json").write_text('{"region": "cn-json"}')
    assert World.from_file(tmp_path / "a.yaml").region == "cn-yaml"
    assert World.from_file(tmp_path / "a.json").region == "cn-json"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"region: cn\nclusters: [\n", "line 3, column 1: expected the node content"),
        (b"a: b: c\n", "line 1, column 5: mapping values are not allowed here"),
        (b"region: 1\n", "region: expected str, got 1"),
        (b"\xff\xfe\xfd", "'utf-8' codec can't decode byte 0xff"),
        (b"!!python/object:os.system {}", "line 1, column 1: could not determine a constructor"),
        (b"", "World: expected a mapping, got None"),
    ],
)
def test_a_file_that_is_no_world_says_which_and_where(tmp_path, content, message):
    path = tmp_path / "world.yaml"
    path.write_bytes(content)
    with pytest.raises(WorldError) as caught:
        World.from_file(path)
    assert str(caught.value).startswith(f"{path}: {message}")


NAMES = ["region", "clusters", "nodes", "id", "host_name", "knobs", "task_pace", "faults", "images"]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
data = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@given(data)
def test_anything_else_is_refused_in_one_line(value):
    with contextlib.suppress(WorldError):
        Emulator(World.from_dict(value))
        return
    with pytest.raises(WorldError, match=r"\A.+\Z"):
        Emulator(World.from_dict(value))
