"""Faults of the network that only a setting mends: told at once, with the variable that is at fault and the mend."""

import socket
from contextlib import contextmanager

import pytest

from ehpc_nodes.api import transport
from ehpc_nodes.api.transport import clock_skew
from ehpc_nodes.errors import CertificateError, LastingError, NotSentError, TransportError
from ehpc_nodes.reconcile.actuator import may_have_acted
from unit.certificates import self_signed
from unit.test_broken_connections import Loopback, head_from, running
from unit.test_transport import exchange

ENDPOINT = "https://ehpc.invalid"
PROXIES = [
    *(("HTTPS_PROXY",), ("https_proxy",), ("ALL_PROXY",), ("all_proxy",)),
    ("HTTPS_PROXY", "ALL_PROXY"),
]


class RefusingProxy(Loopback):
    """It answers every CONNECT with a status."""

    def __init__(self, status):
        self.status = status
        super().__init__()

    def finish_request(self, request, _client_address):
        head_from(request)
        request.sendall(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())


@contextmanager
def refusing(status):
    with RefusingProxy(status) as proxy:
        yield f"127.0.0.1:{proxy.port}"
        proxy.shutdown()


@pytest.fixture
def resolver(monkeypatch):
    """Lets the resolver answer with an error for all but this machine."""
    real = socket.getaddrinfo

    def answering(code):
        def resolve(host, *args, **options):
            if host in ("127.0.0.1", "localhost"):
                return real(host, *args, **options)
            raise socket.gaierror(code, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return answering


def refused(kind=LastingError, deed=None):
    """What a call says; it was never sent."""
    with pytest.raises(kind) as caught:
        (deed or (lambda: exchange(ENDPOINT)("AddExistedNodes", {})))()
    assert not may_have_acted(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("info", ["", "me:hunter2@"])
@pytest.mark.parametrize("names", PROXIES, ids=",".join)
def test_a_socks_proxy_without_pysocks_names_the_variable_and_what_to_install(
    monkeypatch, names, info
):
    for name in names:
        monkeypatch.setenv(name, f"socks5://{info}127.0.0.1:1080")
    told = (
        f"the proxy 127.0.0.1:1080 ({names[0]}) needs PySocks, which is not installed. Run: pip"
        " install 'requests[socks]'"
    )
    assert refused().reason == told
    assert refused(deed=lambda: clock_skew(ENDPOINT)).reason == told


@pytest.mark.parametrize(
    "proxy", ["htp://127.0.0.1:1", "http://", "http://a..b:1", "http://h:99999"]
)
def test_a_proxy_of_another_form_is_named_by_its_variable(monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert refused().reason == ("ALL_PROXY is not the address of a proxy, such as http://host:3128")


@pytest.mark.parametrize("info", ["", "me:hunter2@", "hunter2:12#34@"])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_nobody_listens_at_is_named_and_not_the_endpoint(monkeypatch, name, info):
    monkeypatch.setenv(name, f"http://{info}127.0.0.1:9")
    error = refused(NotSentError)
    if "#" not in info:  # or a part of the password is the host
        assert (
            error.reason == f"no connection to the proxy 127.0.0.1:9 ({name}): Connection refused"
        )
        assert not isinstance(error, LastingError), "it may be starting again"


@pytest.mark.parametrize(
    ("status", "lasts"), [(403, True), (407, True), (502, False), (503, False)]
)
def test_a_proxy_that_does_not_let_through_is_named_with_its_status(monkeypatch, status, lasts):
    with refusing(status) as place:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@{place}")
        error = refused(NotSentError)
    assert error.reason == (
        f"no connection to ehpc.invalid: the proxy {place} (HTTPS_PROXY) answers HTTP {status}"
    )
    assert isinstance(error, LastingError) is lasts


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("", "ehpc.invalid"),
        ("http://me:hunter2@nowhere.invalid:3128", "the proxy nowhere.invalid:3128 (HTTPS_PROXY)"),
    ],
)
def test_an_unknown_host_is_no_passing_trouble(monkeypatch, resolver, proxy, told):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    resolver(socket.EAI_NONAME)
    assert refused().reason == f"no connection to {told}: Name or service not known"
    resolver(socket.EAI_AGAIN)
    assert not isinstance(refused(NotSentError), LastingError)


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("proxy", ["", "http://me:hunter2@127.0.0.1:9"])
def test_authorities_that_cannot_be_read_are_named_by_their_variable(
    monkeypatch, tmp_path, name, proxy
):
    monkeypatch.delenv(
        "REQUESTS_CA_BUNDLE", raising=False
    )  # it goes first, and this machine may have one
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv(name, "/nowhere/authorities.pem")
    assert refused(CertificateError).reason == (
        f"{name} is /nowhere/authorities.pem, and this file does not exist"
    )
    odd = tmp_path / "authorities.pem"
    odd.write_text("no certificate")
    monkeypatch.setenv(name, str(odd))
    monkeypatch.setenv("HTTPS_PROXY", "")
    with running(Loopback()) as server:
        place = f"https://localhost:{server.port}"
        error = refused(CertificateError, lambda: exchange(place)("AddExistedNodes", {}))
    assert error.reason == (f"{name} is {odd}, which is not a readable file of certificates (PEM)")


def test_what_goes_wrong_behind_a_proxy_that_works_is_not_the_proxys(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(self_signed(tmp_path)))
    assert transport._unusable_authorities(str(tmp_path)) == ""
    with pytest.raises(TransportError, match=r"no connection to 127\.0\.0\.1:1: Connection ref"):
        exchange("https://127.0.0.1:1")("ListNodes", {})
