"""Where requests go: never in the clear off the machine, never to a place that can't be trusted."""

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engine.program import PROGRAM, declare

pytestmark = pytest.mark.long


def test_plain_http_off_the_machine_is_refused(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, **{"ehpc:endpoint": "http://ehpc.example.com"})
    declare(stack, 1)
    refused = stack.preview(expect_failure=True)
    assert any("ehpc:endpoint" in text and "https" in text for text in refused.errors), refused.text
    assert it.calls() == []


def test_a_token_that_cannot_be_sent_is_refused_and_told_nowhere(cloud, stack_on):
    it = cloud()
    stack = stack_on(it, **{"ehpc:securityToken": "TOPSECRET\nmore"})
    declare(stack, 1)
    refused = stack.preview(expect_failure=True)
    assert any("ehpc:securityToken has a blank" in text for text in refused.errors), refused.text
    assert "TOPSECRET" not in refused.text
    assert "Traceback" not in refused.text
    assert it.calls() == []


def test_a_redirect_is_not_followed(cloud, stack_on):
    it, elsewhere = cloud(), cloud()
    it.fault("redirect", "*", location=f"{elsewhere.server.url}/?taken=1", times=None)
    stack = stack_on(it, **{"ehpc:readTimeoutSeconds": "2"})
    declare(stack, 1)
    running = stack.start("preview")
    running.wait_until(lambda: len(it.calls()) >= 3)
    running.kill_all()
    assert elsewhere.calls() == []


@pytest.fixture
def untrusted(tmp_path):
    """An HTTPS server whose certificate nobody knows; it counts the requests that reach it."""
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
            "-keyout",
            str(key),
            "-out",
            str(cert),
        ],
        check=True,
        capture_output=True,
    )
    served = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            served.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"https://localhost:{server.server_port}", served
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_certificate_that_is_not_trusted_is_one_clear_line(cloud, stack_on, untrusted):
    url, served = untrusted
    stack = stack_on(cloud(), **{"ehpc:endpoint": url})
    declare(stack, 1)
    refused = stack.preview(expect_failure=True)
    (error,) = [text for text in refused.errors if "certificate" in text]
    assert "the endpoint's certificate is not trusted" in error
    assert "\n" not in error
    assert "Traceback" not in refused.text
    assert served == []


def test_an_endpoint_that_speaks_no_tls_is_one_clear_line_within_seconds(cloud, stack_on):
    it = cloud()
    place = it.url.removeprefix("http://")
    stack = stack_on(it, **{"ehpc:endpoint": f"https://{place}"})
    declare(stack, 1)
    refused = stack.preview(expect_failure=True)
    told = f"{place} (ehpc:endpoint) does not use TLS. For the emulator, write {it.url}"
    assert any(told in text and "\n" not in text for text in refused.errors), refused.text
    assert "Traceback" not in refused.text
    assert it.calls() == []


KEY = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "fake-key-id",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "fake-key-secret",
}


def test_a_socks_proxy_without_pysocks_is_told_at_once(pulumi_stack):
    stack = pulumi_stack(PROGRAM, env={**KEY, "ALL_PROXY": "socks5://127.0.0.1:1080"})
    stack.config("ehpc:region", "cn-hangzhou")
    declare(stack, 1)
    refused = stack.preview(expect_failure=True)
    (error,) = [text for text in refused.errors if "ALL_PROXY" in text]
    assert error.endswith(
        "the proxy 127.0.0.1:1080 (ALL_PROXY) needs PySocks, which is not installed."
        " Run: pip install 'requests[socks]'."
    )
    assert "trying again" not in str(refused.events)


def test_a_proxy_that_refuses_is_named_without_its_password(pulumi_stack):
    stack = pulumi_stack(PROGRAM, env={**KEY, "HTTPS_PROXY": "http://me:hunter2@127.0.0.1:9"})
    stack.config("ehpc:region", "cn-hangzhou")
    declare(stack, 1)
    refused = stack.preview(expect_failure=True)
    assert any(
        text.endswith("no connection to the proxy 127.0.0.1:9 (HTTPS_PROXY): Connection refused.")
        for text in refused.errors
    ), refused.text
    assert "hunter2" not in refused.text
