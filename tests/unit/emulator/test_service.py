"""What all calls have in common: names, permissions, the journal, the account of harm."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehpc_nodes.emulator import ApiError, Emulator, World, declared, service


def test_every_action_that_is_declared_is_served():
    assert set(service._HANDLERS) == {*declared.ACTIONS["ehpc"], *declared.ACTIONS["ecs"]}
    assert set(declared.LISTS) <= set(service._HANDLERS)


@pytest.mark.parametrize(
    ("action", "version", "status", "code"),
    [
        ("ListNode", "2018-04-12", 404, "InvalidAction.NotFound"),
        ("ListNodes", "2014-05-26", 404, "InvalidAction.NotFound"),
        ("ListNodes", "2024-07-30", 400, "NoSuchVersion"),
        ("ListNodes", "", 400, "NoSuchVersion"),
    ],
)
def test_unknown_names(action, version, status, code):
    answer = Emulator().call(action, version, {})
    assert (answer.status, answer.body["Code"]) == (status, code)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "MissingParameter"),
        ({"ClusterId": ""}, "MissingParameter"),
        ({"ClusterId": "ehpc-1", "Instance.1.Id": ""}, "InvalidParams"),
        ({"ClusterId": "ehpc-1", "Instance.0.Id": "i-1"}, "InvalidParams"),
        ({"ClusterId": "ehpc-1", "Instance.01.Id": "i-1"}, "InvalidParams"),
        ({"ClusterId": "ehpc-1", "Instance.2.Id": "i-1"}, "InvalidParams"),
        ({"ClusterId": "ehpc-1", "Instance.N.Id": "i-1"}, "InvalidParams"),
        ({"ClusterId": "ehpc-1", "Instance.1": "i-1"}, "InvalidParams"),
        ({"ClusterId": "ehpc-1", "Instance.1.Id": "i-1", "clusterid": "x"}, "InvalidParams"),
        ({"ClusterId": "ehpc-1", "Instance.1.Id": "i-1", "Sync": "1"}, "InvalidParams"),
    ],
)
def test_parameters_as_they_may_not_be(cloud, params, code):
    answer = cloud.emulator.call("DeleteNodes", "2018-04-12", params)
    assert (answer.status, answer.body["Code"]) == (400, code)


def test_the_envelope_names_the_service(cloud):
    assert cloud.ehpc("Nope").body["HostId"] == "ehpc.aliyuncs.com"
    assert cloud.ecs("Nope").body["HostId"] == "ecs.aliyuncs.com"


def test_keys_may_have_few_permissions(make):
    keys = [{"id": "reader", "secret": "s", "allow": ["ehpc:List*", "ecs:DescribeInstances"]}]
    cloud = make(lambda data: data.update(access_keys=keys))
    assert cloud.ehpc("ListNodes").ok
    assert cloud.ecs("DescribeInstances").ok
    refused = cloud.add("i-1")
    assert (refused.status, refused.body["Code"]) == (407, "NotAuthorized")
    refused = cloud.ecs("StopInstances", InstanceId=["i-old"])
    assert (refused.status, refused.body["Code"]) == (403, "Forbidden.RAM")
    assert "ecs:StopInstances" in refused.body["Message"]


def test_the_journal(cloud):
    answer = cloud.add("i-1")
    cloud.ehpc("ListNodes", ClusterId="nope")
    cloud.emulator.refuse(ApiError(403, "SignatureDoesNotMatch", "no"), "ListNodes", "key")
    first, second, third = cloud.emulator.journal.entries
    assert (first.number, first.service, first.action) == (1, "ehpc", "AddExistedNodes")
    assert (first.status, first.params["Instance.1.Id"]) == (200, "i-1")
    ids = answer.body["RequestId"], answer.body["TaskId"]
    assert (first.request_id, first.task_id) == ids
    assert (second.status, second.code, second.task_id) == (404, "ClusterNotFound", None)
    assert (third.code, third.access_key_id) == ("SignatureDoesNotMatch", "key")
    assert cloud.emulator.journal.of("ListNodes") == [second, third]
    assert cloud.emulator.journal.dump("AddExistedNodes")[0]["params"] == first.params


def test_the_journal_keeps_no_signatures(cloud):
    params = {"ClusterId": "ehpc-1", "Signature": "abc", "SecurityToken": "t"}
    cloud.emulator.call("ListNodes", "2018-04-12", params)
    assert cloud.emulator.journal.entries[0].params == {"ClusterId": "ehpc-1"}


def test_loading_a_world_begins_anew(cloud):
    cloud.add("i-1")
    cloud.fault("throttle")
    cloud.emulator.load(World.from_dict({"faults": [{"kind": "slow"}]}))
    assert cloud.emulator.journal.entries == []
    assert [rule["kind"] for rule in cloud.emulator.faults.dump()] == ["slow"]
    assert cloud.emulator.harm.to_dict() == {
        "disk_replacements": {},
        "releases": [],
        "double_attach": [],
        "touched": [],
    }


def test_calls_from_many_threads_take_turns(make):
    cloud = make(lambda data: data["clusters"][0].update(node_quota=100))

    def work(n):
        cloud.add(f"i-{n}")
        cloud.nodes()
        cloud.emulator.outside.detach(f"i-{n}")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(cloud.statuses()) == ["i-old"]
    assert cloud.harm.disk_replacements == {f"i-{n}": 1 for n in range(1, 6)}
    assert [entry.number for entry in cloud.emulator.journal.entries] == list(range(1, 12))


NASTY = [
    "",
    "0",
    "-1",
    "9" * 30,
    "true",
    "[]",
    "[" * 3000,
    '{"status":[1]}',
    "(",
    "a{99999999999}",
    "ü\x00\ud800",
]
KNOWN = [
    "ehpc-hz-demo",
    "i-bp1demo00000000001",
    "i-bp1demologin000001",
    "cn-hangzhou",
    "compute1",
    "workq",
]
ACTIONS = [
    (version, action, list(params))
    for version, service in declared.SERVICES.items()
    for action, params in declared.ACTIONS[service].items()
]


@pytest.mark.slow
@given(st.data())
def test_whatever_is_asked_gets_an_answer(data):
    version, action, names = data.draw(st.sampled_from(ACTIONS))
    texts = st.sampled_from(NASTY + KNOWN) | st.text(max_size=5)
    given_ = data.draw(st.dictionaries(st.sampled_from([*names, "Other"]), texts, max_size=6))
    params = {"ClusterId": KNOWN[0]} if "ClusterId" in names else {}
    params |= {"RegionId": KNOWN[3]} if "RegionId" in names else {}
    params |= {name.replace(".N", ".1"): text for name, text in given_.items()}
    answer = Emulator().call(action, version, params)
    assert "RequestId" in answer.body
    assert answer.status == 200 or set(answer.body) == {"RequestId", "HostId", "Code", "Message"}
