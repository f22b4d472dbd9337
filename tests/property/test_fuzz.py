"""Whatever a program gives: check and diff answer, or say what is wrong; they never write."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pulumi.dynamic import CheckResult, DiffResult
from pulumi.output import UNKNOWN
from pydantic import ValidationError

from ehpc_nodes.emulator import Emulator, EmulatorServer
from ehpc_nodes.models import Inputs, State
from ehpc_nodes.provider.engine import CallFailedError
from property.amount import HISTORIES
from unit.emulated import CLUSTER, WRITES, ids, world
from unit.test_provider import Rig

NAMES = [
    *("cluster_id", "region", "instance_ids", "image_id", "image_owner_alias", "job_queue"),
    *("replace_system_disks", "stop_running", "busy_nodes", "__provider", "task_id", "nodes"),
    *("failed", "tasks", "request_id", "retain_ids", "take_ownership", "owner", "generation"),
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.just(UNKNOWN),
    st.floats(),
    st.integers(),
    st.text(max_size=20),
    st.sampled_from(["cn-hangzhou", "system", "self", "gpu", "nosuch", "m-bp1own", "\x00", "i-"]),
    st.sampled_from(
        ["(new instance 1)", "i-\u202egnp", "\ud83d", "ｉ-bp1", "i-bp1test0001\n", 10**400]
    ),
)
SENSIBLE = {
    "cluster_id": st.sampled_from([CLUSTER, "ehpc-hz-none"]),
    "instance_ids": st.lists(
        st.sampled_from([*ids(1, 2, 3, 99), "i-bp1login", UNKNOWN]), max_size=4
    ),
    "replace_system_disks": st.booleans(),
    "stop_running": st.booleans(),
}
ANYTHING = st.recursive(
    ODD,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
BAGS = st.fixed_dictionaries({}, optional={n: SENSIBLE.get(n, ODD) | ANYTHING for n in NAMES})
SETTINGS = settings(
    max_examples=HISTORIES, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)


@pytest.fixture(scope="module")
def server():
    with EmulatorServer(Emulator(world(4, attached=(1,)))) as served:
        yield served


@pytest.fixture
def emulator(server):
    return server.emulator


@pytest.fixture(scope="module")
def provider(server):
    return Rig(server).provider


def writes(emulator):
    return [e.action for e in emulator.journal.entries if e.action in (*WRITES, "TagResources")]


@SETTINGS
@given(olds=BAGS, news=BAGS)
def test_check(provider, emulator, olds, news):
    try:
        result = provider.check(olds, news)
    except CallFailedError:
        pass
    else:
        assert isinstance(result, CheckResult)
        assert all(f.property and f.reason for f in result.failures)
    assert writes(emulator) == []


@SETTINGS
@given(olds=BAGS, news=BAGS)
def test_diff(provider, emulator, olds, news):
    with suppress(CallFailedError):
        assert isinstance(provider.diff("ehpc-hz-a/0", olds, news), DiffResult)
    assert writes(emulator) == []


@SETTINGS
@given(olds=BAGS, news=BAGS)
def test_what_check_returns_is_fit_for_diff(provider, olds, news):
    try:
        checked = provider.check({}, news).inputs
    except CallFailedError:
        return
    provider.diff("ehpc-hz-a/0", olds, checked)


@settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck))
@given(bag=BAGS)
def test_delete_and_read_of_a_mangled_state_write_nothing(provider, emulator, bag):
    mangled = {**bag, "cluster_id": "ehpc-hz-none"}
    for deed in (lambda: provider.read("x", mangled), lambda: provider.delete("x", mangled)):
        with suppress(CallFailedError):
            deed()
    assert writes(emulator) == []


#: A state as this package saves it, for spoiling.
STATE: dict[str, Any] = {
    "cluster_id": CLUSTER,
    "region": "cn-hangzhou",
    "instance_ids": ids(1),
    "image_id": "centos_7_06.vhd",
    "image_owner_alias": "system",
    "job_queue": "",
    "replace_system_disks": True,
    "stop_running": True,
    "busy_nodes": "detach",
    "task_id": "",
    "request_id": "",
    "tasks": [],
    "nodes": {ids(1)[0]: {"host_name": "compute1", "status": "running"}},
    "failed": {},
}
WANTED = {**STATE, "instance_ids": {ids(2)[0]: ""}}


def fits(model, bag):
    try:
        model.model_validate(bag)
    except ValidationError:
        return False
    return True


@SETTINGS
@given(name=st.sampled_from([*STATE]), value=ANYTHING, deed=st.integers(0, 3))
def test_a_bag_with_one_value_spoilt_is_refused_before_any_call(
    provider, emulator, name, value, deed
):
    """It would be a create, update or delete that writes, if it weren't for that value."""
    model, spoilt = (
        (State, {**STATE, name: value}) if deed > 1 else (Inputs, {**WANTED, name: value})
    )
    assume(not fits(model, spoilt))
    before = len(emulator.journal.entries)
    with pytest.raises(CallFailedError, match="is not as this package saves it, at"):
        (
            lambda: provider.create(spoilt),
            lambda: provider.update("ehpc-hz-test/0", STATE, spoilt),
            lambda: provider.update("ehpc-hz-test/0", spoilt, WANTED),
            lambda: provider.delete("ehpc-hz-test/0", spoilt),
        )[deed]()
    assert len(emulator.journal.entries) == before


def test_ten_thousand_ids(server, emulator):
    provider = Rig(
        server
    ).provider  # a fresh one: what the others' diffs replace changes what is found
    many = [f"i-bp1many{n:06d}" for n in range(10_000)]
    result = provider.check({}, {"cluster_id": CLUSTER, "instance_ids": many})
    assert {f.property for f in result.failures} == {"instance_ids", "replace_system_disks"}
    assert len(result.failures) == 2
    assert writes(emulator) == []


def test_ten_thousand_ids_of_which_each_stands_twice(provider, emulator):
    many = [f"i-bp1many{n:06d}" for n in range(5_000)] * 2
    (failure,) = provider.check({}, {"cluster_id": CLUSTER, "instance_ids": many}).failures
    assert failure.reason.startswith("i-bp1many000000, i-bp1many000001, ")
    assert len(failure.reason) < 300


def test_ten_thousand_malformed_ids(provider, emulator):
    many = [f"compute{n}" for n in range(10_000)]
    failures = provider.check({}, {"cluster_id": CLUSTER, "instance_ids": many}).failures
    assert len(failures) == 10_000
