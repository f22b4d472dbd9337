"""The marks in the cloud: whose an instance is, what a run began, and what is taken away at its end."""

import pytest

from ehpc_nodes.api.paging import one
from ehpc_nodes.api.responses import Instance
from ehpc_nodes.errors import AuthError, CancelledError
from ehpc_nodes.marks import (
    ATTACHING_KEY,
    IDENTITY_KEY,
    TAG_KEY,
    announce,
    begun_of,
    owner_of,
    settle,
    unmark,
)
from unit.emulated import CLUSTER, OWNER, Bench, ids, iid

ALL = {TAG_KEY, ATTACHING_KEY, IDENTITY_KEY}


def instance(number=1, **tags):
    pairs = [{"TagKey": k.replace("_", "-"), "TagValue": v} for k, v in tags.items()]
    return one("", Instance, {"InstanceId": iid(number), "Tags": {"Tag": pairs}})


def tags(bench, number):
    return set(bench.emulator.world.instances[iid(number)].tags)


def announced(*numbers, **options):
    """A bench where these instances are announced, and the operation that did it."""
    bench = Bench(**options)
    bench.identity = "abc"
    operation = bench.operation()
    assert announce(operation, ids(*numbers), {}, list)
    return bench, operation


@pytest.mark.parametrize(
    ("seen", "owner"),
    [
        (instance(), ""),
        (instance(ehpc_nodes=OWNER), ""),
        (instance(ehpc_nodes="other", ehpc_nodes_id="xyz"), "other"),
        (instance(ehpc_nodes="other"), "other"),
        (instance(ehpc_nodes="former name", ehpc_nodes_id="abc"), ""),
    ],
)
def test_an_instance_is_anothers_by_its_mark_unless_the_identity_is_this_ones(seen, owner):
    assert owner_of(seen, OWNER, "abc") == owner


def test_without_an_identity_the_name_alone_counts():
    assert owner_of(instance(ehpc_nodes="other"), OWNER, "") == "other"
    assert begun_of([instance(ehpc_nodes=OWNER)], CLUSTER, "", ids(1)) == set()


@pytest.mark.parametrize(
    ("seen", "begun"),
    [
        (instance(), False),
        (instance(ehpc_nodes_attaching=CLUSTER), True),
        (instance(ehpc_nodes_attaching="ehpc-hz-other"), False),
        (instance(ehpc_nodes_id="abc"), True),
        (instance(ehpc_nodes_id="xyz"), False),
        (instance(2, ehpc_nodes_id="abc"), False),  # no node: detached by somebody since
    ],
)
def test_begun_is_what_is_announced_for_the_cluster_or_a_node_with_the_identity(seen, begun):
    assert bool(begun_of([seen], CLUSTER, "abc", ids(1))) is begun


def test_settling_takes_away_announcements_and_where_there_is_no_node_all_marks():
    bench, operation = announced(1, 2, 3)
    operation.sent = set(ids(2))
    settle(operation, ids(1), ids(1))
    assert [tags(bench, n) for n in (1, 2, 3)] == [ALL - {ATTACHING_KEY}, ALL, set()]


@pytest.mark.parametrize("notes", [{}, {"announced": {iid(1)}, "sent": {iid(1)}}])
def test_nothing_to_take_away_is_no_call(notes):
    bench = Bench()
    settle(bench.operation(**notes), ids(1), ids(1))
    unmark(bench.operation(), [])
    assert bench.calls() == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            {"kind": "error", "status": 400, "code": "NoSuchTag", "message": "No."},
            "UntagResources: NoSuchTag: No (HTTP 400, RequestId ",
        ),
        (
            {"kind": "reset_before", "times": None},
            "UntagResources: no usable answer: connection reset.",
        ),
    ],
)
def test_an_announcement_that_stays_is_a_warning(fault, said):
    bench, operation = announced(1)
    bench.fault(action="UntagResources", **fault)
    settle(operation, ids(1), ids(1))
    (warning,) = bench.said.warnings
    assert warning.startswith(
        f"The tags ehpc-nodes-attaching stay on {iid(1)} until the next change: {said}"
    )


def test_cancelled_at_the_very_end_is_a_warning_too(monkeypatch):
    """What was attached has to reach the state."""
    bench, operation = announced(1)

    def cancelled(*_):
        raise CancelledError

    monkeypatch.setattr(operation.cloud, "untag_instances", cancelled)
    settle(operation, ids(1), ids(1))
    assert len(bench.said.warnings) == 1


def test_an_announcement_whose_answer_is_lost_is_taken_away_too():
    bench = Bench()
    operation = bench.operation()
    bench.fault("reset_after", "TagResources", times=None)
    with pytest.raises(Exception, match="connection reset"):
        announce(operation, ids(1), {}, list)
    settle(operation, [], [])
    assert tags(bench, 1) == set()


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("code", ["InvalidSecurityToken.Expired", "SignatureDoesNotMatch"])
def test_a_key_that_is_refused_turns_no_marks_off(code, running):
    """It is no missing permission: what can't be announced isn't sent, nor stopped before."""
    bench = Bench(3)
    if running:
        bench.emulator.outside.start(iid(1))
    bench.fault("error", "TagResources", code=code, status=403)
    with pytest.raises(AuthError):
        bench.up(1, stop_running=running)
    assert bench.calls("StopInstances") == []
    assert bench.calls("AddExistedNodes") == []
    assert bench.said.warnings == []
