"""One exchange, against a plain HTTP server on loopback."""

import logging
import ssl
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from ehpc_nodes.api.signing import Credentials
from ehpc_nodes.api.transport import HttpExchange, clock_skew, redacted
from ehpc_nodes.errors import (
    ApiError,
    CertificateError,
    NotSentError,
    NotTheServiceError,
    ThrottledError,
    TransportError,
)
from unit.certificates import self_signed

KEY = Credentials("fake-id", "fake-secret", "fake-token")
XML_ERROR = (
    b'<?xml version="1.0"?><Error><RequestId>R-9</RequestId><HostId>h</HostId>'
    b"<Code>Throttling.User</Code><Message>Slow down.</Message></Error>"
)
ENTITY = b'<!DOCTYPE x [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>'


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.answer: Iterable[Any] = (200, b"{}", {})
        # the interval is how long shutdown waits
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def next_answer(self):
        return self.answer

    def handle_error(self, _request, _client_address):
        """A client that goes away in the middle is what some tests are about."""
        assert isinstance(sys.exc_info()[1], OSError)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        status, body, headers = self.server.next_answer()
        if status == 0:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        yield running
        running.shutdown()


def exchange(url, method="GET", credentials=lambda: KEY, read_timeout=5.0, source=""):
    return HttpExchange(
        url,
        version="2018-04-12",
        method=method,
        credentials=credentials,
        user_agent="ehpc-nodes/test",
        read_timeout=read_timeout,
        source=source,
    )


def fails(url, kind=TransportError, match=None, **options):
    """A call that fails with an error of this kind, in words like these: the error."""
    with pytest.raises(kind, match=match) as caught:
        exchange(url, **options)("ListNodes", {})
    return caught.value


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_parameters_stand_in_the_query_and_the_rest_in_signed_headers(server, method):
    exchange(server.url, method)("ListNodes", {"ClusterId": "a b*~ü/", "PageSize": "100"})
    command, path, headers = server.requests[0]
    assert command == method
    assert parse_qs(urlsplit(path).query) == {"ClusterId": ["a b*~ü/"], "PageSize": ["100"]}
    assert headers["x-acs-action"] == "ListNodes"
    assert headers["x-acs-version"] == "2018-04-12"
    assert headers["x-acs-security-token"] == "fake-token"
    assert headers["Authorization"].startswith("ACS3-HMAC-SHA256 Credential=fake-id,SignedHeaders=")


def test_each_exchange_is_signed_afresh_on_one_connection(server):
    call = exchange(server.url)
    call("ListNodes", {})
    call("ListNodes", {})
    first, second = (headers for _, _, headers in server.requests)
    assert first["x-acs-signature-nonce"] != second["x-acs-signature-nonce"]
    assert first["Authorization"] != second["Authorization"]


def test_an_error_in_json_is_told_with_code_and_request_id(server):
    server.answer = (404, b'{"Code":"ClusterNotFound","Message":"No.","RequestId":"R-2"}', {})
    error = fails(server.url, ApiError)
    found = (error.code, error.request_id, error.http_status)
    assert found == ("ClusterNotFound", "R-2", 404)


@pytest.mark.parametrize("content_type", ["text/xml;charset=utf-8", "text/xml", "text/html"])
def test_an_error_in_xml_is_understood_whatever_its_content_type(server, content_type):
    server.answer = (400, XML_ERROR, {"Content-Type": content_type})
    assert fails(server.url, ThrottledError).request_id == "R-9"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((502, b"<html><body>Bad gateway</body></html>", {}), "HTTP 502 with an unreadable"),
        ((200, b'{"RequestId": ', {}), "HTTP 200 with an unreadable body"),
        ((200, b"[]", {}), "HTTP 200 with an unreadable body"),
        ((200, b"\xff\xfe\x00", {}), "HTTP 200 with an unreadable body"),
        ((200, b"<Ok/>", {}), "HTTP 200 with an unreadable body"),
        ((500, b"{}", {}), "HTTP 500 without an error code"),
        ((400, ENTITY, {}), "HTTP 400 with an unreadable body"),
    ],
)
def test_an_answer_that_cant_be_read_is_no_answer(server, answer, reason):
    server.answer = answer
    fails(server.url, match=reason)


def test_a_redirect_is_not_followed(server):
    server.answer = (302, b"", {"Location": "http://elsewhere.example/"})
    fails(server.url, match=r"redirected to http://elsewhere\.example/; redirects are not followed")
    assert len(server.requests) == 1


def test_a_refused_connection_was_never_sent():
    with Server() as closed:
        url = closed.url
        closed.shutdown()
    host = f"127.0.0.1:{closed.server_port}"
    fails(url, NotSentError, f"answer: no connection to {host}: .* refused")
    named = rf"no connection to {host} \(ehpc:endpoint\): "
    fails(url, NotSentError, named, source="ehpc:endpoint")
    secret = fails(f"http://me:hunter2@{host}", NotSentError, f"no connection to {host}: ")
    assert "hunter2" not in str(secret)


@pytest.mark.parametrize("location", ["http://a..b/", "http://[::1", "http://h:abc/"])
def test_a_redirect_to_no_address_is_no_usable_answer(server, location):
    server.answer = (302, b"", {"Location": location})
    error = fails(server.url, match="ListNodes: no usable answer: ")
    assert not isinstance(error, NotSentError), "the service answered"


@pytest.mark.parametrize("token", ["hunter2\nmore", "hunter2…"])
def test_a_secret_that_no_header_holds_is_told_nowhere(server, token):
    """Settings refuse it; whoever brings credentials of their own isn't betrayed either."""
    credentials = Credentials("fake-id", "fake-secret", token)
    words = "ListNodes: no usable answer: "
    error = fails(server.url, match=words, credentials=lambda: credentials)
    assert "hunter2" not in str(error)
    assert server.requests == []


def test_an_untrusted_certificate_is_one_clear_line_until_its_authority_is_named(
    tmp_path, monkeypatch
):
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = self_signed(tmp_path)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    place = f"localhost:{server.server_port}"
    try:
        text = str(fails(f"https://{place}", CertificateError, source="ehpc:endpoint"))
        assert server.requests == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        exchange(f"https://{place}")("ListNodes", {})
        assert len(server.requests) == 1
    finally:
        server.shutdown()
        server.server_close()
    assert text.startswith("ListNodes: no usable answer: the endpoint's certificate is not trusted")
    assert f"no connection to {place} (ehpc:endpoint)" in text
    assert text.endswith("(for an authority of your own, set REQUESTS_CA_BUNDLE to its file).")
    assert "\n" not in text


def test_an_endpoint_that_speaks_no_tls_is_told_how_it_is_written(server):
    place = f"127.0.0.1:{server.server_port}"
    told = f"does not use TLS. For the emulator, write http://{place}"
    error = fails(f"https://{place}", NotTheServiceError, source="ehpc:endpoint")
    assert error.reason == f"{place} (ehpc:endpoint) {told}"
    with pytest.raises(NotTheServiceError) as caught:
        clock_skew(f"https://{place}")
    assert caught.value.reason == f"it {told}"


def test_logs_hide_what_could_be_secret_by_name(server, caplog):
    caplog.set_level(logging.DEBUG, logger="ehpc_nodes")
    params = {"ClusterId": "c", "SecurityToken": "hidden-1", "AccessKeyId": "hidden-2"}
    exchange(server.url)("ListNodes", params)
    assert (
        "ListNodes {'ClusterId': 'c', 'SecurityToken': '***', 'AccessKeyId': '***'}" in caplog.text
    )
    for secret in ("hidden", "fake-secret", "fake-token"):
        assert secret not in caplog.text
    assert redacted({"Password": "x"}) == {"Password": "***"}
