"""Whatever a program gives: check and diff answer, or say what is wrong; they never write."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.dynamic import CheckResult, ConfigureRequest, DiffResult
from pulumi.output import UNKNOWN

from ehpc_nodes.emulator import Emulator, EmulatorServer
from ehpc_nodes.engine import CallFailedError
from ehpc_nodes.provider import AttachedNodesProvider
from unit.emulated import CLUSTER, WRITES, ids, world

NAMES = [
    *("cluster_id", "region", "instance_ids", "image_id", "image_owner_alias", "job_queue"),
    *("replace_system_disks", "stop_running", "detach_busy", "__provider", "task_id", "nodes"),
    *("failed", "tasks", "request_id"),
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.just(UNKNOWN),
    st.floats(),
    st.integers(),
    st.text(max_size=20),
    st.sampled_from(["cn-hangzhou", "system", "self", "gpu", "nosuch", "m-bp1own", "\x00", "i-"]),
)
SENSIBLE = {
    "cluster_id": st.sampled_from([CLUSTER, "ehpc-hz-none"]),
    "instance_ids": st.lists(st.sampled_from([*ids(1, 2, 3, 99), "i-bp1login"]), max_size=4),
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
    max_examples=400, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
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
    made = AttachedNodesProvider()
    config: Any = {
        "ehpc:region": "cn-hangzhou",
        "ehpc:endpoint": server.url,
        "ehpc:ecsEndpoint": server.url,
        "ehpc:accessKeyId": server.access_key_id,
        "ehpc:accessKeySecret": server.access_key_secret,
        "ehpc:graceSeconds": "0.01",
    }
    made.configure(ConfigureRequest(config=config))
    return made


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


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(bag=BAGS)
def test_delete_and_read_of_a_mangled_state_write_nothing(provider, emulator, bag):
    mangled = {**bag, "cluster_id": "ehpc-hz-none"}
    for deed in (lambda: provider.read("x", mangled), lambda: provider.delete("x", mangled)):
        with suppress(CallFailedError):
            deed()
    assert writes(emulator) == []


def test_ten_thousand_ids(provider, emulator):
    many = [f"i-bp1many{n:06d}" for n in range(10_000)]
    result = provider.check({}, {"cluster_id": CLUSTER, "instance_ids": many})
    assert len(result.failures) > 0
    assert writes(emulator) == []
