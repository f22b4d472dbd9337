"""Connections that break before or after a request was read, which may then have had its effect, and odd answers."""

import socket
import socketserver
import ssl
import struct
import sys
import threading
import traceback
from contextlib import contextmanager, suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ehpc_nodes.api.transport import clock_skew
from ehpc_nodes.errors import NotSentError, NotTheServiceError, TransportError
from ehpc_nodes.reconcile.actuator import may_have_acted
from unit.certificates import self_signed
from unit.emulated import CLUSTER, Bench, ids
from unit.test_transport import exchange


class Loopback(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, _request, _client_address):
        """A connection that breaks is what these tests are about."""
        assert isinstance(sys.exc_info()[1], OSError)


class Service(Loopback):
    """It speaks TLS, reads a request, and does something to the connection."""

    def __init__(self, certificate, deed):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.requests, self.deed = [], deed
        super().__init__()

    def finish_request(self, request, _client_address):
        connection = self.context.wrap_socket(request, server_side=True)
        self.requests.append(head_from(connection))
        self.deed(connection)


class Proxy(Loopback):
    """It connects whoever asks it to, and passes on what comes, ends and resets too."""

    def __init__(self):
        self.asked = []
        super().__init__()

    def finish_request(self, request, _client_address):
        place = head_from(request).split()[1].decode()
        self.asked.append(place)
        port = int(place.rpartition(":")[2])
        with request, socket.create_connection(("127.0.0.1", port)) as service:
            request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=passed_on, args=(service, request))
            back.start()
            passed_on(request, service)
            back.join()


class HandingProxy(Loopback):
    """It connects to a service that speaks plain HTTP."""

    def finish_request(self, request, _client_address):
        head_from(request)
        request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        request.recv(65536)
        request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def head_from(connection):
    told = b""
    while b"\r\n\r\n" not in told and (more := connection.recv(65536)):
        told += more
    return told


def passed_on(source, target):
    """Until either ends; then nothing comes from the other any more."""
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        with suppress(OSError):
            reset_when_closed(target)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RD)


def reset_when_closed(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def without_tls(connection):
    """The connection itself, whose end is no end of TLS."""
    return socket.socket(fileno=connection.detach())


def reset(connection):
    reset_when_closed(connection)
    without_tls(connection).close()


def closed(connection):
    without_tls(connection).close()


def answered_by_a_middlebox(connection):
    """What comes is no TLS."""
    with without_tls(connection) as raw:
        raw.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")


def half_answered(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    answered_by_a_middlebox(connection)


@contextmanager
def running(server):
    with server:
        yield server
        server.shutdown()


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "through a proxy"])
@pytest.mark.parametrize("deed", [reset, closed, answered_by_a_middlebox, half_answered])
def test_a_request_that_was_read_may_have_acted(tmp_path, monkeypatch, deed, proxied):
    certificate = self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with running(Service(certificate, deed)) as service, running(Proxy()) as proxy:
        if proxied:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        place = f"localhost:{service.port}"
        with pytest.raises(TransportError) as caught:
            exchange(f"https://{place}")("AddExistedNodes", {"ClusterId": CLUSTER})
    assert may_have_acted(caught.value), repr(caught.value)
    assert len(service.requests) == 1, "never repeated by the HTTP library"
    assert proxy.asked == [place] * proxied


@pytest.mark.parametrize("info", ["", "me:hunter2@"])
def test_what_is_no_tls_somewhere_else_is_told_as_that(monkeypatch, info):
    """A proxy that hands over to no TLS, say."""
    with running(HandingProxy()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{info}127.0.0.1:{proxy.port}")
        with pytest.raises(NotTheServiceError) as caught:
            exchange("https://ehpc.invalid", source="ehpc:endpoint")("AddExistedNodes", {})
    assert may_have_acted(caught.value)
    through = f"(through the proxy 127.0.0.1:{proxy.port} (HTTPS_PROXY))"
    told = f"the answer from ehpc.invalid (ehpc:endpoint) {through} is not TLS: "
    assert caught.value.reason.startswith(told)
    assert ("WRONG_VERSION" in caught.value.reason) is not bool(info)
    assert "hunter2" not in str(caught.value)


def assert_not_sent(url):
    with pytest.raises(NotSentError) as caught:
        exchange(url)("AddExistedNodes", {"ClusterId": CLUSTER})
    assert not may_have_acted(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:1", "https://127.0.0.1:1"])
def test_what_nobody_listened_to_was_never_sent(monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert_not_sent("https://localhost:1")


#: What makes a part of a user or password be taken for the host, the port or the path.
PARTS = ["hunter2", *"2:@/#?%[].*\\é² ", "..", "\t", "%40", ":1", ":99999", "http://", "me:12#"]
SOME = st.lists(st.sampled_from(PARTS), max_size=5).map("".join)


@pytest.mark.slow
@given(
    scheme=st.sampled_from(["http://", "https://", "socks5://", "", "http:/"]),
    before=SOME,
    after=SOME,
    host=st.sampled_from(["127.0.0.1:1", "", "nowhere.invalid", "127.0.0.1:99999"]),
    deed=st.sampled_from([lambda url: exchange(url)("ListNodes", {}), clock_skew]),
)
@example("http://", "", ":12#3", "127.0.0.1:1", clock_skew)
@example("http://", "me:1@", "/3", "127.0.0.1:1", clock_skew)
def test_no_part_of_a_proxys_password_is_ever_told(scheme, before, after, host, deed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", only_loopback)
        patch.setenv("HTTPS_PROXY", f"{scheme}{before}hunter2{after}@{host}")
        with pytest.raises(TransportError) as caught:
            deed("https://localhost:1")
    assert "hunter2" not in shown(caught.value)


def shown(error):
    """What a script that doesn't catch the error prints, without the lines of code."""
    lines = traceback.format_exception(error)
    return "".join(line for line in lines if not line.startswith("  File"))


def only_loopback(host, port, *args, **options):
    if host in ("127.0.0.1", "localhost"):
        return GETADDRINFO(host, port, *args, **options)
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


GETADDRINFO = socket.getaddrinfo


def test_a_list_that_no_parser_reads_is_asked_for_again():
    bench = Bench(3)
    odd = {"body": "[" * 200_000, "status": 200, "content_type": "application/json"}
    rule = bench.fault("garbage", "ListNodes", **odd)
    assert bench.up(1, 2).instance_ids == sorted(bench.nodes) == ids(1, 2)
    assert rule.fired == 1
