"""The page to watch, without a browser: what it says, what its forms do, whom it answers."""

import html
import json
import re
import sys
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest

from ehpc_nodes.emulator import Emulator, SystemClock, World, page, page_view
from ehpc_nodes.emulator.faults import KINDS, Fault
from ehpc_nodes.emulator.gateway import Gateway
from ehpc_nodes.emulator.page_faults import KINDS as WORDS
from ehpc_nodes.emulator.page_faults import rule
from ehpc_nodes.emulator.request import Request

HOST = "127.0.0.1:5000"
PAGE = "/_emulator/"
FORM = "application/x-www-form-urlencoded"
HOSTILE = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"


class Reader(HTMLParser):
    """The elements of a page, as a browser's parser finds them."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


class Visitor:
    """A browser without a screen."""

    def __init__(self, cloud):
        self.gateway = Gateway(cloud.emulator)

    def send(self, method, target, body=b"", **headers):
        given = {"host": HOST, "accept": "text/html,*/*;q=0.8"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return self.gateway.reply(Request.of(method, target, given, body))

    def page(self, target=PAGE):
        reply = self.send("GET", target)
        assert (reply.status, reply.content_type) == (200, "text/html; charset=utf-8")
        return reply.body.decode()

    def text(self):
        """What stands on the page, in one line."""
        main = re.sub(r"(?s).*<main|</main>.*", "", self.page())
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())

    def post(self, do, target=PAGE, origin=f"http://{HOST}", **fields):
        body = urlencode({"do": do, **fields}).encode()
        return self.send("POST", target, body, content_type=FORM, origin=origin)

    def does(self, *args, **fields):
        reply = self.post(*args, **fields)
        assert reply.status == 303, reply.body.decode()
        return reply.headers["Location"]


@pytest.fixture
def visitor(cloud):
    return Visitor(cloud)


# ------------------------------------------------------------------------- who gets there


@pytest.mark.parametrize("target", ["/", "/_emulator"])
def test_a_browser_is_led_to_the_page(visitor, cloud, target):
    for method in ("GET", "HEAD"):
        reply = visitor.send(method, target)
        assert (reply.status, reply.headers["Location"]) == (302, PAGE)
    assert cloud.emulator.journal.entries == []


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET", "/?Action=ListNodes", {}),
        ("GET", "/", {"x_acs_action": "ListNodes"}),
        ("POST", "/", {}),
        ("GET", "/", {"accept": "application/json"}),
        ("GET", "/", {"accept": "*/*"}),
        ("GET", "/", {"accept": ""}),
    ],
)
def test_a_call_of_the_api_is_none_of_the_pages(visitor, cloud, method, target, headers):
    reply = visitor.send(method, target, **headers)
    assert reply.status == 400
    assert "RequestId" in json.loads(reply.body)
    assert len(cloud.emulator.journal.entries) == 1


def test_looking_changes_nothing(make):
    cloud = make(task_pace={"reads": 1}, instance_pace={"reads": 1})
    cloud.add("i-1")
    cloud.fault("throttle")
    before = cloud.world.to_json(), cloud.emulator.journal.dump(), cloud.emulator.faults.dump()
    visitor = Visitor(cloud)
    for _ in range(3):
        visitor.page()
    assert visitor.send("HEAD", PAGE).status == 200
    after = cloud.world.to_json(), cloud.emulator.journal.dump(), cloud.emulator.faults.dump()
    assert after == before


@pytest.mark.parametrize("headers", [{"host": "evil.example:5000"}, {"origin": "null"}])
def test_other_sites_get_nowhere(visitor, cloud, headers):
    """Which these are: test_steering.py."""
    body = urlencode({"do": "add-fault", "kind": "throttle", "action": "*"}).encode()
    for method, sent in (("POST", body), ("GET", b"")):
        reply = visitor.send(method, PAGE, sent, content_type=FORM, **headers)
        assert (reply.status, reply.content_type[:10]) == (403, "text/plain")
        assert b"ehpc-1" not in reply.body
    assert cloud.emulator.faults.rules == []


def test_the_page_is_fenced(visitor):
    """No script but its own, by its hash; nobody frames it; its own forms keep their Origin."""
    reply = visitor.send("GET", PAGE)
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["Referrer-Policy"] == "same-origin"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


# --------------------------------------------------------------------------- what it says


def test_a_world_without_anything(cloud):
    cloud.emulator.load(World.from_dict({}))
    text = Visitor(cloud).text()
    assert "There is no cluster in this world." in text
    assert "No call yet." in text
    assert "None. Every call is answered as it should be." in text


def test_clusters_queues_and_nodes(visitor, cloud):
    cloud.add("i-1", "i-2", JobQueue="gpu")
    cloud.emulator.outside.set_node_status("i-2", "exception")
    text = visitor.text()
    assert "ehpc-1 running" in text
    assert "Manager and login nodes 2 running" in text
    assert "Queue workq 1 running" in text
    assert "Queue gpu 1 running, 1 exception" in text
    assert "compute2 exception i-2 10.0.0.2 disk replaced once" in text
    assert "Instances not attached 3 Stopped" in text


def test_compute10_stands_after_compute9(make):
    def change(data):
        data["instances"] += [
            {"id": f"i-{n}", "host_name": f"compute{n}", "vpc_id": "vpc-1", "image_id": "centos72"}
            for n in (10, 9)
        ]

    text = Visitor(make(change)).text()
    assert text.index("compute5 ") < text.index("compute9 ") < text.index("compute10 ")


@pytest.mark.slow
def test_of_very_many_nodes_the_unusual_are_shown(make):
    def change(data):
        data["clusters"][0]["nodes"] += [
            {"id": f"i-n{n}", "host_name": f"n{n}", "queue": "gpu"} for n in range(1, 1001)
        ]

    cloud = make(change)
    cloud.emulator.outside.set_node_status("i-n900", "exception")
    visitor = Visitor(cloud)
    assert "Queue gpu 999 running, 1 exception" in visitor.text()
    assert f"and {1000 - page_view.MANY_NODES} more" in visitor.text()
    page = visitor.page()
    assert 'id="node-i-n900"' in page
    assert 'id="node-i-n2"' in page
    assert 'id="node-i-n800"' not in page


JOBS = [
    {"id": "7.scheduler", "state": "FINISHED", "owner": "test1@scheduler"},
    {"id": "8.scheduler", "name": "fluid", "owner": "test2@scheduler", "host_names": ["old"]},
    {"id": "9.scheduler", "state": "QUEUED", "owner": "test3@scheduler"},
]


@pytest.mark.slow
def test_jobs_and_the_scheduler_s_word(make):
    cloud = make(lambda data: data["clusters"][0].update(jobs=JOBS))
    visitor = Visitor(cloud)
    text = visitor.text()
    assert "old running i-old runs 8.scheduler" in " ".join(text.split())
    assert (
        "Jobs 1 RUNNING, 1 QUEUED, 1 FINISHED"
        " 8.scheduler RUNNING fluid of test2@scheduler on old End it now"
        " 9.scheduler QUEUED job of test3@scheduler End it now 7.scheduler FINISHED"
    ) in text
    cloud.emulator.outside.set_scheduler_state("i-old", "drain")
    assert "runs 8.scheduler drain in the scheduler" in visitor.text()
    assert visitor.does("end-job", cluster="ehpc-1", job="8.scheduler") == f"{PAGE}#clusters"
    assert "8.scheduler FINISHED" in visitor.text()
    refused = visitor.post("end-job", cluster="ehpc-1", job="99.scheduler")
    assert (refused.status, "no job 99.scheduler" in refused.body.decode()) == (400, True)


def test_of_many_jobs_the_latest_are_shown(make):
    jobs = [{"id": f"{n}.scheduler", "state": "FINISHED"} for n in range(1, 101)]
    text = Visitor(make(lambda data: data["clusters"][0].update(jobs=jobs))).text()
    assert "Jobs 100 FINISHED 100.scheduler" in text
    assert f"and {100 - page_view.MANY_JOBS} more" in text


def test_owner_tags(make):
    tags = {"ehpc-nodes": "shop/prod/nodes", "ehpc-nodes-ref": "ab12/ehpc-1/3/m-1"}
    text = Visitor(make(lambda data: data["instances"][1].update(tags=tags))).text()
    assert "ehpc-nodes=shop/prod/nodes ehpc-nodes-ref=ab12/ehpc-1/3/m-1" in text


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        ({}, False),
        ({"knobs": {"scheduler_pace": {"seconds": 5}}}, True),
        ({"jobs": [{"id": "1", "seconds": 5}]}, True),
        ({"jobs": [{"id": "1"}]}, False),
        ({"auto_scale": {"shrink": True}}, True),
    ],
)
def test_what_goes_by_the_clock(world, expected):
    knobs = world.pop("knobs", {})
    cluster = {"id": "c", "vpc_id": "v", "image_id": "i", "os_tag": "t", "queues": [{"name": "q"}]}
    emulator = Emulator(World.from_dict({"clusters": [cluster | world], "knobs": knobs}))
    assert page_view.view(emulator)["by_clock"] is expected


@pytest.mark.slow
def test_tasks_with_their_steps(make):
    cloud = make(task_pace={"seconds": 8})
    task = cloud.add("i-1", "i-2").body["TaskId"]
    cloud.clock.advance(6)
    visitor = Visitor(cloud)
    assert f"Attach compute1, compute2 to queue workq Processing {task} step 6 of 8" in (
        visitor.text()
    )
    (bar,) = Reader(visitor.page()).all("progress")
    assert (bar["value"], bar["max"]) == ("6", "8")
    assert bar["aria-label"] == "Attach compute1, compute2 to queue workq"
    cloud.clock.advance(2)
    assert f"to queue workq Success {task}" in visitor.text()
    assert Reader(visitor.page()).all("progress") == []


@pytest.mark.slow
def test_a_task_that_failed_says_what(visitor, cloud):
    cloud.fault("fail_nodes", instances=["i-2"], errors="No such disk.")
    cloud.add("i-1", "i-2")
    assert "PartialFail" in visitor.text()
    assert "compute2: No such disk." in visitor.text()


@pytest.mark.slow
def test_the_journal(visitor, cloud):
    cloud.fault("throttle", "ListQueues")
    cloud.fault("lost", "SetQueue")
    for _ in range(3):
        cloud.ehpc("ListNodes")
    cloud.ehpc("ListQueues")
    with pytest.raises(Exception, match="lost"):
        cloud.ehpc("SetQueue", QueueName="gpu", Node=["old"])
    text = visitor.text()
    assert "Journal 5 calls" in text
    order = [text.index(f"{action} ") for action in ("SetQueue", "ListQueues", "ListNodes × 3")]
    assert order == sorted(order)
    assert "SetQueue no answer fault: lost old, QueueName=gpu" in text
    assert "ListQueues 400 Throttling.User fault: throttle" in text


@pytest.mark.slow
def test_the_account_of_harm(visitor, cloud):
    assert "0 System disks replaced none 0 Instances released none 0 Double attaches none" in (
        visitor.text()
    )
    cloud.add("i-1")
    assert "1 System disks replaced each instance once" in visitor.text()
    cloud.ehpc("DeleteNodes", Instance=["i-1"], ReleaseInstance="false")
    cloud.emulator.outside.stop("i-1")
    cloud.add("i-1")
    assert "2 System disks replaced 1 instance more than once" in visitor.text()
    cloud.add("i-1")
    assert "1 Double attaches harm" in visitor.text()
    cloud.ehpc("DeleteNodes", Instance=["i-1"], ReleaseInstance="true")
    assert "1 Instances released harm" in visitor.text()
    cloud.ehpc("StopNodes", Instance=["i-login"])
    assert "1 Manager or login nodes touched harm" in visitor.text()


def test_the_news_are_about_what_happened_not_about_calls(cloud):
    before = page_view.news(cloud.emulator)
    cloud.ehpc("ListNodes")
    assert page_view.news(cloud.emulator) == before
    cloud.add("i-1")
    cloud.fault("throttle")
    assert page_view.news(cloud.emulator) == (
        "Compute nodes: 2 running. Open tasks: none. Faults armed: 1. System disks replaced: 1."
    )


def test_without_a_script_it_reloads_itself_unless_told_not_to(visitor):
    (refresh,) = [m for m in Reader(visitor.page()).all("meta") if "http-equiv" in m]
    # with its address: of one that ends in #faults, a browser would only scroll there
    assert refresh == {"http-equiv": "refresh", "content": f"5; url={PAGE}"}
    still = visitor.page(f"{PAGE}?still")
    assert "http-equiv" not in still
    assert {form["action"] for form in Reader(still).all("form")} == {f"{PAGE}?still"}
    assert visitor.does("clear-faults", f"{PAGE}?still") == f"{PAGE}?still#faults"


def test_names_from_a_world_file_are_text(make):
    """Whatever stands in a world, and whatever a caller sends, no element comes of it."""

    def change(data):
        cluster = data["clusters"][0]
        cluster |= {"name": HOSTILE, "status": HOSTILE, "scheduler": HOSTILE, "os_tag": HOSTILE}
        cluster["queues"].append({"name": HOSTILE})
        hostile = dict.fromkeys(("id", "name", "owner"), HOSTILE)
        cluster["jobs"] = [{**hostile, "state": "QUEUED", "host_names": [HOSTILE]}]
        node = dict.fromkeys(("host_name", "queue", "status", "ip"), HOSTILE)
        cluster["nodes"].append({**node, "id": f"i-{HOSTILE}", "roles": [HOSTILE]})
        data["instances"][1] |= {"host_name": HOSTILE, "tags": {HOSTILE: HOSTILE}}
        data["region"] = HOSTILE
        data["faults"] = [{"kind": "unknown_status", "word": HOSTILE, "instance": HOSTILE}]

    cloud = make(change)
    plain = {name for name, _ in Reader(Visitor(make()).page()).tags}
    visitor = Visitor(cloud)
    cloud.ehpc(HOSTILE, HostName=HOSTILE)
    cloud.add("i-1", HOSTILE)
    tampered = visitor.post("add-fault", kind=HOSTILE, action=HOSTILE, times=HOSTILE).body.decode()
    for shown in (visitor.page(), tampered):
        tags = Reader(shown).tags
        own = {"b", "dd", "details", "dl", "dt", "ol", "summary"}
        assert {name for name, _ in tags} <= plain | own
        assert len([name for name, _ in tags if name == "script"]) == 1
        assert not [a for _, attributes in tags for a in attributes if a.startswith("on")]
        assert "alert(2)" in shown


# --------------------------------------------------------------------------- what it does


def test_every_kind_of_fault_has_its_words_and_fields():
    assert set(WORDS) == set(KINDS)
    for kind, words in WORDS.items():
        assert {option.name for option in words.options} == set(KINDS[kind])


def filled(kind):
    """A form for a kind with something in each field, as a person types it."""
    typed = {
        "retry_after": "500",
        "status": "exception" if kind == "fail_nodes" else "503",
        "seconds": "0.5",
        "after_effect": "yes",
        "instances": "i-1, i-2",
        "count": "1",
    }
    fields = {f"{kind}-{o.name}": typed.get(o.name, "word") for o in WORDS[kind].options}
    action = "ListNodes" if kind in ("half_page", "unknown_status") else "AddExistedNodes"
    return {"kind": kind, "action": action, "times": "2", **fields}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[] if k in ("lost", "error") else [pytest.mark.long]) for k in KINDS],
)
def test_every_kind_is_added_and_removed(visitor, cloud, kind):
    form = filled(kind)
    assert visitor.does("add-fault", **form) == f"{PAGE}#faults"
    (fault,) = cloud.emulator.faults.rules
    assert (fault.kind, fault.action, fault.times) == (kind, form["action"], 2)
    assert set(fault.options) == set(KINDS[kind])
    assert f"{WORDS[kind].label} on {fault.action} armed twice" in visitor.text()
    visitor.does("switch-fault-off", number=str(fault.number))
    assert f"{WORDS[kind].label} on {fault.action} off twice" in visitor.text()
    visitor.does("switch-fault-on", number=str(fault.number))
    assert not fault.off
    assert visitor.does("remove-fault", number=str(fault.number)) == f"{PAGE}#faults"
    assert cloud.emulator.faults.rules == []


def test_fields_of_other_kinds_count_for_nothing():
    form = {**filled("slow"), **filled("lost"), "times": "", "after": "3", "instance": "i-1"}
    met = {"action": "AddExistedNodes", "times": None, "after": 3, "instance": "i-1"}
    assert rule(form) == {"kind": "lost", "seconds": 0.5, **met}
    assert Fault.parse(rule(form)).options == {"seconds": 0.5}


def test_one_fault_of_several_is_removed(visitor, cloud):
    for kind in ("slow", "throttle", "error"):
        visitor.does("add-fault", kind=kind, action="*", times="1")
    visitor.does("remove-fault", number="2")
    assert [fault.kind for fault in cloud.emulator.faults.rules] == ["slow", "error"]
    # somebody else was quicker
    reply = visitor.post("remove-fault", number="2")
    assert (reply.status, b"there is no fault 2" in reply.body) == (400, True)
    visitor.does("clear-faults")
    assert cloud.emulator.faults.rules == []


def test_a_slip_is_told_and_what_was_typed_stays(visitor, cloud):
    reply = visitor.post("add-fault", kind="slow", action="*", times="1", **{"slow-seconds": "abc"})
    assert reply.status == 400
    text = reply.body.decode()
    assert 'role="alert"' in text
    assert "fault slow: seconds cannot be &#39;abc&#39;" in text
    assert {"name": "slow-seconds", "value": "abc"}.items() <= next(
        a for a in Reader(text).all("input") if a["name"] == "slow-seconds"
    ).items()
    assert cloud.emulator.faults.rules == []


@pytest.mark.parametrize("seconds", ["", "x", "-1", "nan", "inf", "1e300"])
def test_the_clock_goes_forward_only(make, seconds):
    cloud = make(task_pace={"seconds": 10})
    before = cloud.clock.now()
    assert Visitor(cloud).post("advance", seconds=seconds).status == 400
    assert cloud.clock.now() == before


def test_tasks_are_ended_and_time_is_turned(make):
    cloud = make(task_pace="held")
    visitor = Visitor(cloud)
    tasks = [cloud.add(f"i-{n}").body["TaskId"] for n in (1, 2)]
    assert visitor.does("release", task=tasks[1]) == f"{PAGE}#tasks"
    assert [cloud.world.tasks[task].is_open for task in tasks] == [True, False]
    visitor.does("release", task="all")
    assert not cloud.world.open_tasks
    assert visitor.does("pace", pace="s10") == f"{PAGE}#time"
    task = cloud.add("i-3").body["TaskId"]
    visitor.does("advance", seconds="9.5")
    assert cloud.world.tasks[task].is_open
    visitor.does("advance", seconds="0.5")
    assert not cloud.world.tasks[task].is_open
    assert visitor.post("pace", pace="nope").status == 400
    visitor.does("clear-journal")
    assert cloud.emulator.journal.entries == []
    visitor.does("reset")
    assert cloud.emulator.world.tasks == {}


@pytest.mark.slow
def test_the_clock_is_offered_where_something_goes_by_it(visitor, cloud, monkeypatch):
    assert "Advance the clock" in visitor.text()  # a clock that stands still
    monkeypatch.setattr(cloud.emulator, "clock", SystemClock())
    assert "Advance the clock" not in visitor.text()
    visitor.does("pace", pace="s2")
    assert "Advance the clock" in visitor.text()


@pytest.mark.parametrize("body", [b"", b"do=dance", b"do", b"\xff\xfe", b"do=pace&do=dance"])
def test_what_is_no_form_of_the_page(visitor, body):
    reply = visitor.send("POST", PAGE, body, content_type=FORM)
    assert (reply.status, reply.content_type) == (400, "text/plain; charset=utf-8")


def test_the_extra_is_not_installed(visitor, monkeypatch):
    page._template.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    reply = visitor.send("GET", PAGE)
    assert reply.status == 503
    assert reply.body.startswith(b"the page needs another package: ")
    assert reply.body.endswith(b": pip install 'ehpc-nodes[emulator]'\n")
