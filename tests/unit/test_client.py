"""The client: what it sends, what it repeats."""

import json
from collections import Counter

import pytest

from ehpc_nodes.api.client import Client
from ehpc_nodes.clock import Deadline
from ehpc_nodes.emulator import Emulator, World
from ehpc_nodes.emulator.world import Instance
from ehpc_nodes.errors import (
    CertificateError,
    ConflictError,
    LastingError,
    NotSentError,
    NotTheServiceError,
    ThrottledError,
    TransportError,
    api_error,
)
from unit.fakes import FakeClock

DEADLINE = Deadline.after(FakeClock(), 3600)


class Answers:
    """An exchange that gives answers in order (the last one again and again) and notes the calls."""

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), []

    def __call__(self, action, params):
        self.calls.append((action, dict(params)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(params)
        if isinstance(answer, Exception):
            raise answer
        return answer


def client(ehpc=None, ecs=None, seconds=3600):
    clock = FakeClock()
    unused = Answers(AssertionError("not to be called"))
    return Client(
        ehpc or unused, ecs or unused, region="cn-x", deadline=Deadline.after(clock, seconds)
    ), clock


def error(code, status=400):
    return api_error("X", code, "m", http_status=status, request_id="R")


def nodes(*ids, total=None):
    listed = [{"Id": i} for i in ids]
    return {"Nodes": {"NodeInfo": listed}, "TotalCount": len(ids) if total is None else total}


# -- what is sent ---------------------------------------------------------------------------------


def test_attach_sends_numbered_ids_and_the_image():
    sent = {
        "ClusterId": "ehpc-hz-a",
        "ImageId": "img",
        "ImageOwnerAlias": "self",
        "Instance.1.Id": "i-1",
        "Instance.2.Id": "i-2",
    }
    for queue in ({"JobQueue": "workq"}, {}):
        exchange = Answers({"TaskId": "T", "RequestId": "R"})
        accepted = client(exchange)[0].add_existed_nodes(
            "ehpc-hz-a", ["i-1", "i-2"], image=("img", "self"), queue="workq" if queue else ""
        )
        assert (accepted.task_id, accepted.request_id) == ("T", "R")
        assert exchange.calls == [("AddExistedNodes", sent | queue)]


def test_instances_are_described_a_hundred_at_a_time_along_the_token():
    pages = [
        {"Instances": {"Instance": [{"InstanceId": "i-1"}]}, "NextToken": "more"},
        {"Instances": {"Instance": [{"InstanceId": "i-2"}]}, "NextToken": ""},
        {"Instances": {"Instance": [{"InstanceId": "i-3"}]}},
    ]
    exchange = Answers(*pages)
    ids = [f"i-{n}" for n in range(150)]
    found = client(ecs=exchange)[0].describe_instances(ids)
    assert [instance.instance_id for instance in found] == ["i-1", "i-2", "i-3"]
    sent = [params for _, params in exchange.calls]
    assert json.loads(sent[0]["InstanceIds"]) == json.loads(sent[1]["InstanceIds"]) == ids[:100]
    assert sent[1]["NextToken"] == "more"
    assert json.loads(sent[2]["InstanceIds"]) == ids[100:]


def tagged_world(number):
    world = World.demo()
    world.instances = {
        f"i-{n}": Instance(f"i-{n}", f"h{n}", "v", "i", tags={"k": "v", "other": str(n)})
        for n in range(number)
    }
    return world


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "calls"),
    [
        (7, {"DescribeInstances": 1}),
        (999, {"DescribeInstances": 10}),
        # 2100 and 2002 tags in pages of 50; the instances beyond the first thousand, a hundred a call
        (1050, {"DescribeInstances": 11, "ListTagResources": 42}),
        (1001, {"DescribeInstances": 11, "ListTagResources": 41}),
    ],
)
def test_all_instances_of_a_tag_are_found_beyond_what_its_filter_gives(number, calls):
    emulator = Emulator(tagged_world(number))

    def exchange(action, params):
        return emulator.call(action, "2014-05-26", params).body

    the_client = Client(exchange, exchange, region=emulator.world.region, deadline=DEADLINE)
    found = [instance.instance_id for instance in the_client.instances_tagged({"k": "v"})]
    assert found == list(emulator.world.instances)
    assert Counter(entry.action for entry in emulator.journal.entries) == calls


# -- lists ----------------------------------------------------------------------------------------


def test_tasks_are_a_flat_list():
    exchange = Answers({"Tasks": [{"TaskId": "T-1"}, {"TaskId": "T-2"}], "TotalCount": 2})
    the_client = client(exchange)[0]
    assert [t.task_id for t in the_client.list_running_tasks("c")] == ["T-1", "T-2"]
    assert the_client.get_task("c", "T-2").task_id == "T-2"
    assert the_client.get_task("c", "T-3") is None


def test_jobs_of_many_nodes_are_asked_for_a_hundred_nodes_at_a_time_and_told_once():
    both = {"Id": "8", "Name": "j", "State": "RUNNING"}
    exchange = Answers(
        {"Jobs": [both, {"Id": "9"}], "TotalCount": 2}, {"Jobs": [both], "TotalCount": 1}
    )
    hosts = [f"compute{n}" for n in range(150)]
    assert [job.id for job in client(exchange)[0].list_jobs("c", hosts)] == ["8", "9"]
    first, second = (params for _, params in exchange.calls)
    assert (first["Nodes.100"], second["Nodes.1"]) == ("compute99", "compute100")
    assert first["JobStatus"] == "notfinish"
    assert "Nodes.101" not in first
    assert client()[0].list_jobs("c", []) == []


# -- repeats --------------------------------------------------------------------------------------

PASSING = [
    error("Throttling.User"),
    error("ConflictOpt", 403),
    error("ServiceUnavailable", 503),
    TransportError("X", "reset"),
    NotSentError("X", "refused"),
]


@pytest.mark.parametrize("first", PASSING, ids=lambda e: type(e).__name__)
def test_reads_are_repeated(first):
    exchange = Answers(first, nodes("i-1"))
    the_client, clock = client(exchange)
    assert len(the_client.list_nodes("c")) == 1
    assert len(exchange.calls) == 2
    assert len(clock.slept) == 1


@pytest.mark.parametrize(
    "first",
    [
        error("Throttling"),
        error("ConflictOpt"),
        NotSentError("X", "refused"),
        error("ServiceUnavailable", 503),
        error("InvalidParams"),
        TransportError("X", "no answer within the read timeout"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "write",
    [
        lambda it: it.add_existed_nodes("c", ["i-1"], image=("a", "b"), queue=""),
        lambda it: it.delete_nodes("c", ["i-1"]),
        lambda it: it.set_queue("c", "q", ["h"]),
        lambda it: it.stop_instances(["i-1"]),
        lambda it: it.tag_instances(["i-1"], {"k": "v"}),
        lambda it: it.untag_instances(["i-1"], "k"),
    ],
)
def test_a_write_is_sent_once_for_who_reads_before_each_attempt(first, write):
    exchange = Answers(first)
    with pytest.raises(type(first)):
        write(client(exchange, exchange)[0])
    assert len(exchange.calls) == 1


@pytest.mark.parametrize(
    ("error", "kind", "most", "seconds"),
    [
        (error("Throttling"), ThrottledError, 3600, (120, 140)),
        (error("InvalidOpt", 403), ConflictError, 3600, (120, 140)),  # E-HPC: invalid for now
        (error("ConflictOpt", 403), ConflictError, 900, (900, 901)),
        (NotTheServiceError("X", "speaks no TLS"), NotTheServiceError, 3600, (1, 20)),
    ],
    ids=str,
)
def test_how_long_a_read_is_repeated_before_it_is_told(error, kind, most, seconds):
    exchange = Answers(error)
    the_client, clock = client(exchange, seconds=most)
    least, longest = seconds
    with pytest.raises(kind):
        the_client.list_nodes("c")
    assert least <= clock.time - 1000 <= longest
    assert 1 < len(exchange.calls) < max(60, least / 2)


@pytest.mark.parametrize("kind", [LastingError, CertificateError])
def test_what_only_a_setting_mends_is_not_repeated(kind):
    exchange = Answers(kind("X", "untrusted"))
    with pytest.raises(kind):
        client(exchange)[0].list_nodes("c")
    assert len(exchange.calls) == 1


def test_a_host_that_answered_before_is_not_unknown_for_good():
    unknown = LastingError("X", "no connection to x: Name or service not known")
    exchange = Answers(nodes("i-1"), unknown, nodes("i-1"))
    it = client(exchange)[0]
    assert it.list_nodes("c") == it.list_nodes("c")
    exchange.answers = [unknown]
    with pytest.raises(NotSentError, match="Name or service not known") as caught:
        it.list_nodes("c")
    assert not isinstance(caught.value, LastingError)
