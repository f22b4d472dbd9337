"""Hostile review 8: sequences that break a promise. Each test fails on dbdc9d1."""

import socket
import ssl
import subprocess
import threading

from contextlib import suppress

import pytest

from ehpc_nodes import errors
from ehpc_nodes.errors import CancelledError, EhpcError
from ehpc_nodes.lifecycle import IncompleteError
from ehpc_nodes.operation import may_have_acted
from ehpc_nodes.sight import Wish
from ehpc_nodes.transport import Credentials, HttpExchange
from unit.emulated import CLUSTER, IMAGE, MARK, Bench, Killed, ids, iid, killed, right_after

FORBIDDEN = {"code": "Forbidden.RAM", "status": 403, "times": None}
HIDDEN = {"task_result_names_instances": False, "task_listed": False}


# -- transport ---------------------------------------------------------------------------------


class Tls:
    """A TLS server that reads one request and then does something to the raw connection."""

    def __init__(self, tmp_path, deed):
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "1",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost",
                "-keyout",
                str(key),
                "-out",
                str(cert),
            ],
            check=True,
            capture_output=True,
        )
        self.cert, self.requests, self.deed = cert, [], deed
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            try:
                tls = self.context.wrap_socket(raw, server_side=True)
                data = b""
                while b"\r\n\r\n" not in data:
                    data += tls.recv(65536)
                self.requests.append(data)
                self.deed(tls)
            except OSError:
                continue


def reset(tls):
    """RST instead of an answer: the request was read, and may have had its effect."""
    import struct

    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    fd = tls.detach()
    socket.socket(fileno=fd).close()


def closed(tls):
    fd = tls.detach()
    socket.socket(fileno=fd).close()


def broken_record(tls):
    """An answer that a middlebox has broken on its way: no TLS record."""
    fd = tls.detach()
    raw = socket.socket(fileno=fd)
    raw.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
    raw.close()


def half_answer_then_broken(tls):
    tls.sendall(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    )
    broken_record(tls)


def connect_proxy():
    """A proxy that answers CONNECT and pipes bytes; a reset is passed on."""
    listener = socket.create_server(("127.0.0.1", 0))

    def pipe(a, b):
        import struct

        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            for s in (a, b):
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                except OSError:
                    pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def serve():
        while True:
            client, _ = listener.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(65536)
            host, port = head.split()[1].decode().rsplit(":", 1)
            up = socket.create_connection(("127.0.0.1", int(port)))
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            threading.Thread(target=pipe, args=(client, up), daemon=True).start()
            threading.Thread(target=pipe, args=(up, client), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def exchange_with(server):
    return HttpExchange(
        f"https://localhost:{server.port}",
        version="2018-04-12",
        method="GET",
        credentials=lambda: Credentials("id", "secret"),
        user_agent="test",
        read_timeout=3,
    )


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
@pytest.mark.parametrize("deed", [reset, closed, broken_record, half_answer_then_broken])
def test_a_request_that_was_read_may_have_acted(tmp_path, monkeypatch, deed, proxied):
    server = Tls(tmp_path, deed)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.cert))
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    if proxied:
        monkeypatch.setenv("HTTPS_PROXY", connect_proxy())
    with pytest.raises(errors.TransportError) as told:
        exchange_with(server)("AddExistedNodes", {"ClusterId": CLUSTER})
    assert len(server.requests) == 1
    assert may_have_acted(told.value), f"{type(told.value).__name__}: {told.value}"


def test_a_request_whose_answer_is_lost_behind_a_proxy_is_not_sent_again_blindly(
    tmp_path, monkeypatch
):
    """AddExistedNodes: read by the service, its answer lost: sent again at once, without a look (P1)."""
    from ehpc_nodes.client import Client
    from ehpc_nodes.waiting import Deadline, RealClock

    server = Tls(tmp_path, closed)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.cert))
    monkeypatch.setenv("HTTPS_PROXY", connect_proxy())
    exchange = exchange_with(server)
    deadline = Deadline.after(RealClock(threading.Event()), 5.0)
    client = Client(exchange, exchange, region="cn-hangzhou", deadline=deadline)
    with pytest.raises(EhpcError):
        client.add_existed_nodes(CLUSTER, ids(1), image=(IMAGE, "system"), queue="")
    assert [r.count(b"x-acs-action: AddExistedNodes") for r in server.requests] == [1]


# -- lifecycle ---------------------------------------------------------------------------------


def cancelled_when(bench, due):
    """Ctrl-C as soon as this is so: the next pause raises."""
    sleep = bench.clock.sleep

    def interrupted(seconds):
        if due():
            raise CancelledError("Cancelled while waiting.")
        sleep(seconds)

    bench.clock.sleep = interrupted
    return lambda: setattr(bench.clock, "sleep", sleep)


@pytest.mark.parametrize("mark", ["", MARK])
def test_ctrl_c_keeps_in_the_state_the_nodes_that_were_ready_already(mark):
    """Of one task, one node is ready early and the other late; Ctrl-C in between."""
    bench = Bench(3, mark=mark, pace={"seconds": 900})
    ready = []

    def due():
        node = bench.nodes.get(iid(1))
        if node and bench.clock.now() - started > 60 and node.status != "running":
            node.status = "running"
        return bench.clock.now() - started > 300

    started = bench.clock.now()
    undo = cancelled_when(bench, due)
    with pytest.raises(IncompleteError) as told:
        bench.up(1, 2)
    undo()
    state = told.value.state
    assert state.instance_ids == ids(1, 2)


def test_a_destroy_after_ctrl_c_leaves_nothing_attached():
    bench = Bench(3, mark="", pace={"seconds": 900})
    started = bench.clock.now()

    def due():
        node = bench.nodes.get(iid(1))
        if node and bench.clock.now() - started > 60 and node.status != "running":
            node.status = "running"
        return bench.clock.now() - started > 300

    undo = cancelled_when(bench, due)
    with pytest.raises(IncompleteError) as told:
        bench.up(1, 2)
    undo()
    bench.lifecycle().remove(told.value.state)
    assert bench.nodes == {}


def test_a_create_killed_right_before_detaching_loses_no_node():
    """The create has no state: its identity is gone with it, and only the announcement tells whose the node is."""
    bench = Bench(3)
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.fault("error", "DeleteNodes", status=403, code="ConflictOpt", times=1)
    killed(bench, 2, after="DeleteNodes")
    assert sorted(bench.nodes) == ids(1, 2)
    state = bench.up(2)
    assert sorted(bench.nodes) == ids(2) == state.instance_ids


@pytest.mark.parametrize("fault", ["SetQueue", "ListNodesByQueue"])
def test_a_create_that_fails_without_a_state_does_not_take_the_announcements(fault):
    """The first create was killed; the second adopts its node and fails at the queue: no state."""
    bench = Bench(3)
    killed(bench, 1, 2, after="AddExistedNodes")
    bench.fault("error", fault, **FORBIDDEN)
    with pytest.raises(EhpcError) as told:
        bench.up(1, 2, job_queue="gpu")
    assert not isinstance(told.value, IncompleteError)  # so the engine holds nothing
    bench.emulator.faults.clear()
    state = bench.up(2, job_queue="gpu")
    assert sorted(bench.nodes) == ids(2) == state.instance_ids


@pytest.mark.parametrize("mark", ["", MARK])
def test_a_call_that_is_repeated_after_a_conflict_is_not_sent_blindly(mark):
    """Somebody's own attach is what the call conflicts with; minutes later it is sent all the same."""
    bench = Bench(3, mark=mark, pace={"seconds": 300})
    outside = bench.lifecycle().cloud

    def conflicting():
        bench.emulator.outside.attach(iid(1), CLUSTER)

    bench.fault("error", "AddExistedNodes", status=403, code="ConflictOpt", times=8)
    with right_after(bench, "AddExistedNodes", conflicting):
        try:
            bench.up(1, 2)
        except EhpcError:
            pass
    assert bench.harm.double_attach == []


RIVAL = "project/other/nodes"


def while_tagging(bench, deed):
    """Do something once, while our first TagResources is on its way (it is throttled and repeated, say)."""
    call, due = bench.emulator.call, [deed]

    def hooked(action, version, params):
        if action == "TagResources" and params.get("Tag.2.Key") and due:
            due.pop()()
        return call(action, version, params)

    bench.emulator.call = hooked


@pytest.mark.parametrize(
    "knobs", [{"list_lag": {"seconds": 20}}, {"nodes_listed": "at_end", **HIDDEN}]
)
def test_what_another_stack_has_marked_and_sent_while_we_were_marking_is_not_sent(knobs):
    """Our mark replaces theirs; the instance is on its way to Running with another image by then."""
    bench = Bench(3, pace={"seconds": 300}, instance_pace={"seconds": 5}, **knobs)

    def rival():
        cloud = bench.lifecycle().cloud
        tags = {"ehpc-nodes": RIVAL, "ehpc-nodes-attaching": CLUSTER, "ehpc-nodes-id": "theirs"}
        cloud.tag_instances(ids(1), tags)
        cloud.add_existed_nodes(CLUSTER, ids(1), image=(IMAGE, "system"), queue="")

    while_tagging(bench, rival)
    try:
        bench.up(1, 2)
    except EhpcError as error:
        print(error)
    print(bench.marked)
    assert bench.harm.double_attach == []


def test_marks_off_a_timed_out_nodes_detaching_is_not_given_up_with_exit_code_0():
    """State: 1 is being attached. Program: only 3. E-HPC takes longer than ten minutes and lists nothing."""
    bench = Bench(4, mark="", pace={"seconds": 3000}, nodes_listed="at_end", **HIDDEN)
    with pytest.raises(IncompleteError) as told:
        bench.up(1, seconds=60)
    from ehpc_nodes.emulator.knobs import Pace

    bench.emulator.world.knobs.task_pace = Pace()
    before = told.value.state
    state = bench.up(3, before=before)
    bench.emulator.advance(4000)
    state = bench.up(3, 4, before=state)
    assert sorted(bench.nodes) == state.instance_ids


def test_an_expired_token_while_waiting_loses_no_ready_node():
    bench = Bench(3, mark="", pace={"seconds": 900})
    sleep, started = bench.clock.sleep, bench.clock.now()

    def later(seconds):
        node = bench.nodes.get(iid(1))
        if node and bench.clock.now() - started > 60 and node.status != "running":
            node.status = "running"
        if bench.clock.now() - started > 300 and not bench.emulator.faults.rules:
            bench.fault("error", "*", code="InvalidSecurityToken.Expired", status=403, times=None)
        sleep(seconds)

    bench.clock.sleep = later
    with pytest.raises(IncompleteError) as told:
        bench.up(1, 2)
    assert told.value.state.instance_ids == ids(1, 2)


@pytest.mark.parametrize("identity", ["with the permission", "without"])
def test_marks_turned_off_after_a_killed_run_the_announcement_is_still_seen(identity):
    """The instance's own tags, which preflight reads anyway, say that it may have been sent."""
    bench = Bench(3, pace={"seconds": 300}, nodes_listed="at_end", **HIDDEN)
    killed(bench, 1, after="AddExistedNodes")
    if identity == "without":
        bench.fault("error", "TagResources", **FORBIDDEN)
    else:
        bench.mark = ""  # pulumi config set ehpc:ownershipTags false
    try:
        bench.up(1, stop_running=True)
    except EhpcError as error:
        print(error)
    assert bench.harm.double_attach == []
    assert bench.writes() == ["AddExistedNodes"]


@pytest.mark.parametrize("how", ["conflict", "lost"])
def test_a_detach_that_is_repeated_for_minutes_does_not_take_nodes_that_run_jobs_by_then(how):
    bench = Bench(3)
    state = bench.up(1, 2)
    if how == "conflict":
        bench.fault("error", "DeleteNodes", status=403, code="ConflictOpt", times=12)
    else:
        bench.fault("reset_before", "DeleteNodes")

    def jobs():
        bench.emulator.outside.use(iid(1), 4)

    began = bench.clock.now()
    with right_after(bench, "DeleteNodes", jobs):
        try:
            bench.up(2, before=state)
        except EhpcError as error:
            print(error)
    print(bench.clock.now() - began)
    assert sorted(bench.nodes) == ids(1, 2)


def test_of_more_than_a_thousand_marked_instances_none_is_lost(monkeypatch):
    """API.md 1.15: a tag filter that matches more than 1,000 resources needs ListTagResources."""
    from ehpc_nodes.client import Client

    tagged = Client.instances_tagged
    monkeypatch.setattr(Client, "instances_tagged", lambda *a: tagged(*a)[:1000])
    bench = Bench(1003)
    bench.emulator.world.clusters[CLUSTER].node_quota = 5000
    many = range(1, 1002)
    saved = bench.up(*many)
    killed(bench, *range(1, 1003), before=saved, after="AddExistedNodes")
    state = bench.up(*range(1, 1001), before=saved)
    assert len(state.instance_ids) == 1000
    assert len(bench.nodes) == 1000


@pytest.mark.parametrize(
    "body", ['{"RequestId": "R", "TaskId": ["T"]}', '{"RequestId": "R", "TaskId": {"Id": "T"}}']
)
@pytest.mark.parametrize("mark", [MARK, ""])
def test_an_accepted_call_whose_answer_has_another_form_is_looked_after(mark, body):
    """HTTP 200 and JSON, but not of the documented form: as good as no answer."""
    bench = Bench(3, mark=mark)
    bench.fault(
        "garbage",
        "AddExistedNodes",
        body=body,
        status=200,
        after_effect=True,
        content_type="application/json",
    )
    state = bench.up(1, 2)
    assert state.instance_ids == sorted(bench.nodes) == ids(1, 2)


def test_the_same_of_a_detach():
    bench = Bench(3)
    saved = bench.up(1, 2)
    bench.fault(
        "garbage",
        "DeleteNodes",
        body='{"RequestId": "R", "TaskId": ["T"]}',
        status=200,
        after_effect=True,
        content_type="application/json",
    )
    assert bench.up(2, before=saved).instance_ids == ids(2)


@pytest.mark.parametrize("body", ['{"Nodes": {"NodeInfo": []}, "TotalCount": 1e999}', "[" * 200000])
def test_an_odd_answer_of_a_look_is_no_traceback(body):
    bench = Bench(3)
    bench.fault("garbage", "ListNodes", body=body, status=200, content_type="application/json")
    with suppress(EhpcError):
        bench.up(1, 2)
    assert bench.calls()


def test_a_ca_bundle_that_is_not_there_is_no_traceback(monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    exchange = HttpExchange(
        "https://localhost:1",
        version="2018-04-12",
        method="GET",
        credentials=lambda: Credentials("id", "secret"),
        user_agent="test",
    )
    with pytest.raises(EhpcError):
        exchange("ListNodes", {})


def test_a_second_batch_with_an_odd_answer_does_not_lose_the_first():
    """More than 100: the state of what was accepted before has to reach the engine."""
    bench = Bench(150, mark="")
    bench.fault(
        "garbage",
        "AddExistedNodes",
        body='{"TaskId": {}}',
        status=200,
        after=1,
        after_effect=True,
        content_type="application/json",
    )
    try:
        state = bench.up(*range(1, 151))
    except IncompleteError as error:
        state = error.state
    assert len(state.instance_ids) >= 100


@pytest.mark.parametrize("action", ["ListTasks", "TagResources", "AddExistedNodes"])
def test_ctrl_c_that_comes_while_a_call_is_under_way_stops_the_writes(action):
    """The clock's pauses alone hear it: what needs no pause goes on, batch after batch."""
    bench = Bench(250)
    bench.emulator.world.clusters[CLUSTER].node_quota = 500
    call = bench.emulator.call

    def pressed(called, *rest):
        answer = call(called, *rest)
        if called == action:
            bench.clock.cancel_at(0)
        return answer

    bench.emulator.call = pressed
    with pytest.raises(EhpcError):
        bench.up(*range(1, 251))
    assert len(bench.writes()) == (1 if action == "AddExistedNodes" else 0)


def test_a_time_limit_is_kept_to_the_second_where_a_call_is_repeated():
    over = []
    for _ in range(20):
        bench = Bench(3)
        bench.fault("error", "AddExistedNodes", status=403, code="ConflictOpt", times=None)
        began = bench.clock.now()
        with pytest.raises(EhpcError):
            bench.up(1, seconds=30)
        over.append(bench.clock.now() - began - 30)
    assert max(over) <= 1.0, over


def test_no_batch_is_sent_after_the_time_limit():
    bench = Bench(250)
    bench.emulator.world.clusters[CLUSTER].node_quota = 500
    bench.fault("slow", "AddExistedNodes", seconds=40, times=None)
    began, sent = bench.clock.now(), []
    call = bench.emulator.call

    def noted(action, version, params):
        if action == "AddExistedNodes":
            sent.append(bench.clock.now() - began)
        return call(action, version, params)

    bench.emulator.call = noted
    with pytest.raises(EhpcError):
        bench.up(*range(1, 251), seconds=60)
    assert max(sent) <= 60


def test_what_another_stack_marks_and_sends_while_we_try_whether_marks_can_be_set():
    """The trial tag replaces the other stack's mark, and is then taken away."""
    bench = Bench(3, pace={"seconds": 300}, nodes_listed="at_end", **HIDDEN)
    bench.emulator.outside.start(iid(1))
    call, due = bench.emulator.call, [1]

    def hooked(action, version, params):
        if action == "TagResources" and not params.get("Tag.2.Key") and due:
            due.pop()
            bench.emulator.outside.stop(iid(1))
            cloud = bench.lifecycle().cloud
            tags = {"ehpc-nodes": RIVAL, "ehpc-nodes-attaching": CLUSTER, "ehpc-nodes-id": "theirs"}
            cloud.tag_instances(ids(1), tags)
            cloud.add_existed_nodes(CLUSTER, ids(1), image=(IMAGE, "system"), queue="")
        return call(action, version, params)

    bench.emulator.call = hooked
    try:
        bench.up(1, stop_running=True)
    except EhpcError as error:
        print(error)
    assert bench.harm.double_attach == []
    assert bench.marked == {iid(1): RIVAL}


def killed_with(bench, *numbers, **changes):
    def die():
        raise Killed

    with right_after(bench, "AddExistedNodes", die), pytest.raises(Killed):
        bench.up(*numbers, **changes)


@pytest.mark.parametrize("listed", ["at_end", "at_acceptance"])
def test_what_a_killed_run_sent_to_another_queue_is_in_the_programs_queue_after_an_up(listed):
    bench = Bench(3, pace={"seconds": 60}, nodes_listed=listed)
    killed_with(bench, 1, 2, job_queue="workq")
    state = bench.up(1, 2, job_queue="gpu")  # no error
    assert {n.queue for n in bench.nodes.values()} == {"gpu"}
    assert {n.queue for n in state.nodes.values()} == {"gpu"}


@pytest.mark.parametrize("listed", ["at_end", "at_acceptance"])
def test_what_a_killed_run_sent_with_another_image_is_told(listed):
    """As it is of a node that is adopted: «is attached with image X and is adopted as it is, not Y»."""
    bench = Bench(3, pace={"seconds": 60}, nodes_listed=listed)
    killed_with(bench, 1, 2)
    own = {"image_id": "m-bp1own", "image_owner_alias": "self"}
    wish = Wish(CLUSTER, "cn-hangzhou", replace_system_disks=True, **own)
    said = bench.lifecycle().survey(wish, set(ids(1, 2)), set())
    print(said.line, said.findings)
    state = bench.up(1, 2, **own)  # no error, and its state says m-bp1own
    assert {n.image_id for n in bench.nodes.values()} == {IMAGE}
    told = [f.reason for f in said.findings] + bench.said.warnings + bench.said.infos
    assert any(IMAGE in text for text in told), (state.image_id, told)


def test_marks_off_an_unsettled_detaching_does_not_advise_to_remove_a_tag_that_is_not_there():
    """State: 1 is being attached by a call whose answer was lost; it failed; its owner runs the instance."""
    bench = Bench(3, mark="", nodes_listed="at_end", pace={"seconds": 3000}, **HIDDEN)
    bench.fault("lost", "AddExistedNodes", seconds=1)
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(1), status="absent")
    with pytest.raises(IncompleteError) as first:
        bench.up(1, seconds=60)
    bench.emulator.advance(4000)
    with pytest.raises(EhpcError) as told:
        bench.lifecycle().remove(first.value.state)
    assert "tag" not in str(told.value), told.value


@pytest.mark.parametrize("error", ["ThrottledError", "NotSentError"])
def test_nor_one_that_is_repeated_for_other_reasons(error):
    """Throttled, or never sent, for up to two minutes: somebody attaches it meanwhile."""
    bench = Bench(3)
    if error == "ThrottledError":
        bench.fault("throttle", "AddExistedNodes", times=8)
    else:
        exchange = bench.exchange

        def unreachable(version):
            call, left = exchange(version), [4]

            def refused(action, params):
                if action == "AddExistedNodes" and left[0]:
                    left[0] -= 1
                    if left[0] == 2:
                        bench.emulator.outside.attach(iid(1), CLUSTER)
                    raise errors.NotSentError(action, "no connection")
                return call(action, params)

            return refused

        bench.exchange = unreachable

    def attach():
        if error == "ThrottledError":
            bench.emulator.outside.attach(iid(1), CLUSTER)

    with right_after(bench, "AddExistedNodes", attach):
        try:
            bench.up(1, 2)
        except EhpcError:
            pass
    assert bench.harm.double_attach == []


def test_a_repeated_conflict_wipes_no_node_that_its_owner_stopped_meanwhile():
    """As above, where E-HPC itself would not refuse it: the node that somebody made is Stopped again."""
    bench = Bench(3)
    bench.fault("error", "AddExistedNodes", status=403, code="ConflictOpt", times=8)

    def theirs():
        bench.emulator.outside.attach(iid(1), CLUSTER)
        bench.emulator.outside.stop(iid(1))

    with right_after(bench, "AddExistedNodes", theirs):
        try:
            bench.up(1, 2)
        except EhpcError:
            pass
    assert bench.harm.double_attach == []


def test_a_detach_repeated_after_a_conflict_leaves_what_another_resource_holds_by_then():
    """The mark says so; found at the start of a run it is left attached."""
    bench = Bench(3)
    state = bench.up(1, 2)
    bench.fault("error", "DeleteNodes", status=403, code="ConflictOpt", times=12)

    def theirs():
        bench.emulator.world.instances[iid(1)].tags |= {
            "ehpc-nodes": RIVAL,
            "ehpc-nodes-id": "theirs",
        }

    with right_after(bench, "DeleteNodes", theirs):
        try:
            bench.up(2, before=state)
        except EhpcError:
            pass
    assert sorted(bench.nodes) == ids(1, 2)


def test_a_second_batch_that_waits_for_the_first_ones_task_is_looked_at_before_it_is_sent():
    """One task at a time: the second call is repeated for ten minutes; its instance is somebody's node by then."""
    bench = Bench(150, pace={"seconds": 600}, one_task_at_a_time=True)
    sleep, due, began = bench.clock.sleep, [1], bench.clock.now()

    def later(seconds):
        sleep(seconds)
        if due and bench.clock.now() - began > 100:
            due.pop()
            bench.emulator.outside.attach(iid(150), CLUSTER)

    bench.clock.sleep = later
    try:
        bench.up(*range(1, 151))
    except EhpcError as error:
        print(str(error)[:300])
    print(len(bench.calls("AddExistedNodes")))
    assert bench.harm.double_attach == []
