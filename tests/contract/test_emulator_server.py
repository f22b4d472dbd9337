"""The emulator's sockets: connections that stay, break, hang, and end with the server."""

import contextlib
import http.client
import re
import socket
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode

import pytest
import requests
from alibabacloud_ehpc20180412 import models as ehpc
from alibabacloud_ehpc20180412.client import Client
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_util.models import RuntimeOptions

from ehpc_nodes.emulator import EmulatorServer

HARM = "/_emulator/harm"


@pytest.fixture
def server():
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def steer(server):
    with requests.Session() as session:

        def steer(method, path, body=None):
            answer = session.request(
                method, f"{server.url}/_emulator/{path}", json=body, timeout=100
            )
            answer.raise_for_status()
            return answer.json()

        yield steer


@pytest.fixture
def list_nodes(server):
    """One signed call over a connection of its own; the bytes of the answer."""
    config = Config(
        access_key_id=server.access_key_id,
        access_key_secret=server.access_key_secret,
        endpoint=server.address,
        protocol="HTTP",
        region_id="cn-hangzhou",
    )
    client = Client(config)

    def call(timeout=5000):
        request = ehpc.ListNodesRequest(cluster_id="ehpc-hz-demo")
        return client.list_nodes_with_options(request, RuntimeOptions(read_timeout=timeout)).body

    return call


def test_connections_stay_open(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    sockets = set()
    for _ in range(3):
        connection.request("GET", HARM)
        sockets.add(connection.sock)
        assert connection.getresponse().read()
    connection.close()
    assert len(sockets) == 1


def test_answers_come_at_once(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=100)
    took = []
    for _ in range(100):
        began = time.perf_counter()
        connection.request("GET", HARM)
        connection.getresponse().read()
        took.append(time.perf_counter() - began)
    assert min(took) < 0.04  # each takes longer, where the second half of it waits for a receipt
    connection.close()


def test_many_at_once(server):
    def ask(_):
        with requests.Session() as session:
            return [session.get(server.url + HARM, timeout=100).status_code for _ in range(10)]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(ask, range(20))) == [[200] * 10] * 20


def test_reset(server, steer):
    steer("POST", "faults", {"kind": "reset_after", "action": "ListQueues"})
    with pytest.raises(ConnectionResetError):
        signed(server, "ListQueues")
    assert signed(server, "ListQueues").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(("kind", "answer"), [("lost", b""), ("slow", b"HTTP/1.1 200 OK\r\n")])
def test_lost_is_silence_then_the_end_and_slow_is_an_answer_after_it(server, steer, kind, answer):
    steer("POST", "faults", {"kind": kind, "action": "ListQueues", "seconds": 0.2})
    began = time.perf_counter()
    assert signed(server, "ListQueues")[:17] == answer
    assert time.perf_counter() - began >= 0.2
    (entry,) = steer("GET", "journal?action=ListQueues")
    assert (entry["status"], entry["fault"]) == (None if kind == "lost" else 200, kind)


def test_truncated(server, steer):
    steer("POST", "faults", {"kind": "truncated"})
    head, _, body = signed(server, "ListQueues").partition(b"\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
    assert int(length.split()[1]) > len(body) > 0


def test_answers_are_dated_by_the_time_that_signatures_are_judged_by(server):
    server.emulator.world.knobs.signature_clock_skew = 600
    (date,) = re.findall(rb"\r\nDate: (.*?)\r\n", signed(server, "ListQueues"))
    ahead = parsedate_to_datetime(date.decode()).timestamp() - time.time()
    assert 590 < ahead < 610


def test_redirect_and_garbage(server, steer):
    redirect = {"kind": "redirect", "location": "http://127.0.0.1:9/"}
    steer("POST", "faults", [redirect, {"kind": "garbage"}])
    assert b"\r\nLocation: http://127.0.0.1:9/\r\n" in signed(server, "ListQueues")
    answer = signed(server, "ListQueues")
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"\r\nContent-Type: text/html\r\n" in answer


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "reset_before"}, "Connection"),
        ({"kind": "lost", "seconds": 0.1}, "Connection"),
        ({"kind": "lost", "seconds": 5}, "[Tt]imed out"),
        ({"kind": "truncated"}, "IncompleteRead|Connection broken|json"),
        ({"kind": "garbage"}, "json"),
    ],
)
def test_the_official_sdk_feels_it(steer, list_nodes, fault, said):
    steer("POST", "faults", {"action": "ListNodes", **fault})
    with pytest.raises(Exception, match=said):
        list_nodes(timeout=300)
    assert list_nodes().total_count == 2


@pytest.mark.parametrize(
    "fault", [{"kind": "lost", "seconds": 10_000}, {"kind": "slow", "seconds": 10_000}]
)
def test_stopping_waits_for_nobody(fault):
    with EmulatorServer() as server:
        server.emulator.faults.add(fault)
        answers: list[bytes] = []
        thread = threading.Thread(target=lambda: answers.append(quietly(server)))
        thread.start()
        while not server.emulator.journal.entries:
            time.sleep(0.005)
        with socket.create_connection(("127.0.0.1", server.port)) as idle:
            server.stop()
            assert quietly_received(idle) == b""
        thread.join(5)
        assert answers == [b""]
        with pytest.raises(RuntimeError, match="is not running"):
            _ = server.port


def test_a_server_starts_again():
    server = EmulatorServer()
    for _ in range(2):
        with server:
            assert requests.get(server.url + HARM, timeout=100).ok
    server.stop()  # once more does nothing


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "example.com", ""])
def test_other_hosts_are_refused(host):
    with pytest.raises(ValueError, match="is not a loopback address"):
        EmulatorServer(host=host)


def test_a_name_of_loopback():
    with EmulatorServer(host="localhost") as server:
        assert server.url == f"http://127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"BREW / HTTP/1.1\r\n\r\n", b"501"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /%ff?%ff=%00&=&&a HTTP/1.1\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nAuthorization: ACS3-HMAC-SHA256 =,=\r\n\r\n", b"400"),
    ],
)
def test_what_is_no_request(server, sent, status):
    answer = exchange(server, sent)
    assert answer.split()[1] == status or b"Error code: 400" in answer
    assert exchange(server, b"GET /_emulator/harm HTTP/1.0\r\nHost: localhost\r\n\r\n").endswith(
        b"}\n"
    )


def test_callers_that_go_in_the_middle(server):
    for sent in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(sent)
        connection.close()
    assert requests.get(server.url + HARM, timeout=100).ok


def test_verbose_tells_of_each_request(capfd):
    with EmulatorServer(verbose=True) as server:
        requests.get(server.url + HARM, timeout=100)
        server.emulator.faults.add({"kind": "reset_before"})
        quietly(server)
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == f"GET {HARM}: 200"
    assert lines[1] == "GET / ListQueues: reset, before the effect"


def exchange(server, sent):
    """Send bytes, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=100) as connection:
        connection.sendall(sent)
        with contextlib.suppress(OSError):  # the server may have closed it
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def signed(server, action):
    """The bytes that answer one call, signed as the official SDK signs."""
    params = {
        "Action": action,
        "Version": "2018-04-12",
        "ClusterId": "ehpc-hz-demo",
        "Timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SignatureNonce": str(uuid.uuid4()),
        "SignatureVersion": "1.0",
        "AccessKeyId": server.access_key_id,
    }
    params["Signature"] = Utils.get_rpcsignature(params, "GET", server.access_key_secret)
    return exchange(server, f"GET /?{urlencode(params)} HTTP/1.1\r\n\r\n".encode())


def quietly_received(connection):
    try:
        return connection.recv(1)
    except OSError:
        return b""


def quietly(server):
    try:
        return signed(server, "ListQueues")
    except OSError:
        return b""
