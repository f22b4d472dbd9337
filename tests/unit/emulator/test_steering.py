"""Steering, without sockets."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ehpc_nodes.emulator import Emulator, ManualClock
from ehpc_nodes.emulator.gateway import Gateway
from ehpc_nodes.emulator.request import Request

HOST = "127.0.0.1:5000"


class Desk:
    """Where the emulator is steered from."""

    def __init__(self, emulator):
        self.emulator = emulator
        self.gateway = Gateway(emulator)

    def send(self, method, path, body=None, **headers):
        raw = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        given = {"host": HOST, **headers}
        reply = self.gateway.reply(Request.of(method, f"/_emulator/{path}", given, raw))
        assert reply.content_type == "application/json;charset=utf-8"
        assert reply.body.endswith(b"\n")
        assert reply.body.count(b"\n") == 1
        return reply.status, json.loads(reply.body)

    def said(self, *args, **kwargs):
        status, said = self.send(*args, **kwargs)
        assert status == 200, said
        return said


@pytest.fixture
def desk(cloud):
    return Desk(cloud.emulator)


def test_the_world_is_read_and_put(desk, cloud):
    world = desk.said("GET", "world")
    assert world["region"] == "cn-test"
    world["region"] = "cn-other"
    desk.said("PUT", "world", world)
    assert cloud.emulator.world.region == "cn-other"
    assert desk.said("GET", "world") == world


def test_reset_brings_back_the_first_world(desk, cloud):
    first = desk.said("GET", "world")
    desk.said("PUT", "world", {"region": "cn-other"})
    desk.said("POST", "reset")
    assert desk.said("GET", "world") == first
    cloud.add("i-1")
    assert desk.said("GET", "harm")["disk_replacements"] == {"i-1": 1}
    desk.said("POST", "reset")
    assert desk.said("GET", "world") == first
    assert desk.said("GET", "journal") == []
    assert desk.said("GET", "harm")["disk_replacements"] == {}


def test_the_clock(make):
    """Also time that goes by without it is seen."""
    cloud = make(task_pace={"seconds": 10})
    desk = Desk(cloud.emulator)
    cloud.add("i-1")
    before = cloud.clock.now()
    assert desk.said("POST", "clock", {"advance": 9}) == {"now": before + 9}
    assert desk.said("GET", "tasks")[0]["status"] == "Processing"
    cloud.clock.advance(1)
    assert desk.said("GET", "tasks")[0]["status"] == "Success"


def test_faults(desk, cloud):
    desk.said("POST", "faults", {"kind": "throttle", "action": "ListNodes"})
    assert desk.send("POST", "faults", [{"kind": "slow"}, {"kind": "nope"}])[0] == 400
    rules = desk.said("POST", "faults", [{"kind": "slow"}, {"kind": "error"}])
    assert [rule["kind"] for rule in rules] == ["throttle", "slow", "error"]
    assert cloud.ehpc("ListNodes").status == 400
    assert [rule["fired"] for rule in desk.said("GET", "faults")] == [1, 1, 0]
    desk.said("DELETE", "faults")
    assert desk.said("GET", "faults") == []


def test_a_fault_is_removed_by_its_number(desk):
    desk.said("POST", "faults", [{"kind": "slow"}, {"kind": "error"}, {"kind": "throttle"}])
    desk.said("DELETE", "faults?number=2")
    assert [(rule["number"], rule["kind"]) for rule in desk.said("GET", "faults")] == [
        (1, "slow"),
        (3, "throttle"),
    ]
    (added,) = desk.said("POST", "faults", {"kind": "slow"})[2:]
    assert added["number"] == 4


def test_a_fault_is_switched_off_and_on_again(desk, cloud):
    desk.said("POST", "faults", {"kind": "throttle", "times": 2, "after": 1})
    desk.said("PATCH", "faults", {"number": 1, "off": True})
    assert all(cloud.ehpc("ListNodes").ok for _ in range(3)), "what it doesn't meet isn't counted"
    (rule,) = desk.said("PATCH", "faults", {"number": 1, "off": False})
    assert (rule["off"], rule["matched"], rule["fired"]) == (False, 0, 0)
    assert [cloud.ehpc("ListNodes").ok for _ in range(4)] == [True, False, False, True]


def test_knobs(desk, cloud):
    knobs = desk.said("PATCH", "knobs", {"task_pace": {"reads": 3}, "failed_word": "Fail"})
    assert knobs == desk.said("GET", "knobs")
    assert (knobs["task_pace"], knobs["failed_word"], knobs["task_listed"]) == (
        {"reads": 3},
        "Fail",
        True,
    )
    assert cloud.emulator.world.knobs.task_pace.amount == 3


def test_the_journal(desk, cloud):
    cloud.ehpc("ListNodes")
    cloud.ehpc("ListQueues")
    assert [entry["action"] for entry in desk.said("GET", "journal")] == ["ListNodes", "ListQueues"]
    (entry,) = desk.said("GET", "journal?action=ListQueues")
    assert (entry["number"], entry["params"]) == (2, {"ClusterId": "ehpc-1"})
    desk.said("DELETE", "journal")
    assert desk.said("GET", "journal") == []


def test_tasks_are_released(make):
    cloud = make(task_pace="held")
    desk = Desk(cloud.emulator)
    tasks = [cloud.add(f"i-{n}").body["TaskId"] for n in (1, 2, 3)]
    assert [task["status"] for task in desk.said("GET", "tasks")] == ["Processing"] * 3
    assert desk.said("POST", "tasks", {"release": tasks[1]}) == {"released": [tasks[1]]}
    assert desk.said("POST", "tasks", {"release": "all"}) == {"released": [tasks[0], tasks[2]]}
    assert desk.said("POST", "tasks", {"release": "all"}) == {"released": []}
    error = {"error": f"no task {tasks[0]} is open"}
    assert desk.send("POST", "tasks", {"release": tasks[0]}) == (400, error)


def test_what_people_do(desk, cloud):
    for deed in (
        {"do": "attach", "instance_id": "i-1", "cluster_id": "ehpc-1", "queue": "gpu"},
        {"do": "attach", "instance_id": "i-2", "cluster_id": "ehpc-1"},
        {"do": "move", "instance_id": "i-2", "queue": "gpu"},
        {"do": "stop", "instance_id": "i-old"},
        {"do": "use", "instance_id": "i-2", "cpu": 1},
        {"do": "start_job", "instance_id": "i-2", "owner": "test2@scheduler", "seconds": 60},
        {"do": "start_job", "instance_id": "i-2", "job_id": "9.scheduler", "cores": 2},
        {"do": "end_job", "cluster_id": "ehpc-1", "job_id": "1.scheduler"},
        {"do": "set_scheduler_state", "instance_id": "i-2", "state": "drain"},
        {"do": "set_status", "instance_id": "i-1", "status": "exception"},
        {"do": "start", "instance_id": "i-5"},
        {"do": "remove_instance", "instance_id": "i-4"},
        {"do": "set_cluster_status", "cluster_id": "ehpc-2", "status": "stopped"},
    ):
        desk.said("POST", "outside", deed)
    assert cloud.statuses() == {"i-old": "stopped", "i-1": "exception", "i-2": "running"}
    assert cloud.nodes()["i-2"]["UsedResources"]["Cpu"] == 3
    assert cloud.nodes()["i-2"]["StateInSched"] == "drain"
    assert {job.id: job.state for job in cloud.cluster.jobs.values()} == {
        "1.scheduler": "FINISHED",
        "9.scheduler": "RUNNING",
    }
    assert cloud.cluster.nodes["i-2"].queue == "gpu"
    assert cloud.instance("i-5")["Status"] == "Running"
    assert "i-4" not in cloud.world.instances
    assert cloud.world.clusters["ehpc-2"].status == "stopped"
    desk.said("POST", "outside", {"do": "detach", "instance_id": "i-1"})
    assert "i-1" not in cloud.statuses()
    assert desk.said("GET", "journal?action=AddExistedNodes") == []


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        (("GET", "nope", None), 404, "nothing is at 'nope'; known: world, reset, clock, faults,"),
        (("PUT", "", None), 404, "nothing is at ''; known: world,"),
        (("POST", "world", {}), 405, "world takes GET, PUT, not POST"),
        (("PUT", "world", b"{"), 400, "the body is not JSON: Expecting"),
        (("PUT", "world", b"\xff"), 400, "the body is not JSON: 'utf-8' codec"),
        (("PUT", "world", b"[" * 100_000), 400, "the body is not JSON: maximum recursion depth"),
        (("PUT", "world", None), 400, "the body is not JSON: Expecting value"),
        (("PUT", "world", {"regoin": 1}), 400, "World: unknown regoin; known: "),
        (("PUT", "world", {"faults": [{"kind": "x"}]}), 400, "a fault needs a kind of "),
        (("POST", "clock", {}), 400, "advance is missing"),
        (("POST", "clock", {"advance": "1"}), 400, "advance: expected float, got '1'"),
        (("POST", "clock", {"advance": True}), 400, "advance: expected float, got True"),
        (("POST", "clock", {"advance": -1}), 400, "advance: cannot be -1"),
        (("POST", "clock", {"advance": 1e300}), 400, "advance: cannot be 1e+300"),
        (("POST", "clock", b'{"advance": NaN}'), 400, "advance: expected float, got nan"),
        (("POST", "clock", {"advance": 1, "x": 1}), 400, "unknown x; known: advance"),
        (("POST", "clock", []), 400, "expected a mapping, got []"),
        (("POST", "faults", {"kind": "nope"}), 400, "a fault needs a kind of "),
        (("POST", "faults", {"kind": {}}), 400, "a fault needs a kind of "),
        (("DELETE", "faults?number=1", None), 400, "there is no fault 1"),
        (("PATCH", "faults", {"number": 1, "off": True}), 400, "there is no fault 1"),
        (("PATCH", "faults", {"number": 1}), 400, "off is missing"),
        (
            ("POST", "faults", {"kind": "half_page", "action": "AddExistedNodes"}),
            400,
            "fault half_page is not possible for AddExistedNodes, only for DescribeInstances, ListClusters",
        ),
        (("DELETE", "faults?number=x", None), 400, "number: expected int, got 'x'"),
        (("DELETE", "faults?n=1", None), 400, "faults: unknown parameter n"),
        (("PATCH", "knobs", {"x": 1}), 400, "knobs: unknown x; known: "),
        (("PATCH", "knobs", []), 400, "knobs: expected a mapping, got []"),
        (("GET", "journal?acton=x", None), 400, "journal: unknown parameter acton"),
        (("GET", "harm?action=x", None), 400, "harm: unknown parameter action"),
        (("POST", "tasks", {"release": "x"}), 400, "no task x is open"),
        (("POST", "tasks", {"release": None}), 400, "release: expected str, got None"),
        (
            ("POST", "outside", {"do": "dance"}),
            400,
            "do must be one of stop, start, detach, attach,",
        ),
        (("POST", "outside", {"do": []}), 400, "do must be one of "),
        (("POST", "outside", []), 400, "do must be one of "),
        (("POST", "outside", {"do": "stop"}), 400, "instance_id is missing"),
        (("POST", "outside", {"do": "stop", "instance_id": "i-9"}), 400, "no instance i-9"),
        (
            ("POST", "outside", {"do": "use", "instance_id": "i-old", "cpu": "1"}),
            400,
            "cpu: expected int, got '1'",
        ),
        (
            ("POST", "outside", {"do": "stop", "instance_id": "i-1", "queue": "q"}),
            400,
            "unknown queue; known: do, instance_id",
        ),
    ],
)
def test_slips_are_told_in_one_line(desk, cloud, sent, status, error):
    before = cloud.world.to_json()
    got, said = desk.send(*sent)
    assert got == status
    assert list(said) == ["error"]
    assert said["error"].startswith(error)
    assert cloud.emulator.world.to_json() == before


@pytest.mark.parametrize("host", [HOST, "localhost:5000", "[::1]:5000", "127.8.8.8"])
def test_loopback_hosts_steer(desk, host):
    assert desk.send("GET", "harm", host=host)[0] == 200
    assert desk.send("GET", "harm", host=host, origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example:5000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "192.168.0.1"},
        {"host": ""},
        {"host": "[::1"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:5001"},
        {"origin": f"https://{HOST}"},
    ],
)
def test_web_pages_of_other_sites_do_not(desk, cloud, headers):
    before = cloud.world.to_json()
    status, said = desk.send("PUT", "world", {}, **headers)
    assert status == 403
    assert "error" in said
    assert cloud.emulator.world.to_json() == before


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["do", "kind", "advance", "release", "knobs", "instance_id", "action"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
WRITES = [
    ("PUT", "world"),
    ("POST", "clock"),
    ("POST", "faults"),
    ("PATCH", "knobs"),
    ("POST", "tasks"),
    ("POST", "outside"),
]


@pytest.mark.slow
@given(st.sampled_from(WRITES), anything)
def test_whatever_is_sent_gets_an_answer(write, body):
    method, path = write
    desk = Desk(Emulator(clock=ManualClock()))
    status, said = desk.send(method, path, body)
    assert status in (200, 400)
    assert status == 200 or list(said) == ["error"]
