"""What can be an endpoint, and what can't."""

import pytest

from ehpc_nodes.api import endpoints
from ehpc_nodes.errors import ConfigError


@pytest.mark.parametrize(
    ("value", "endpoint"),
    [
        ("ehpc-vpc.cn-x.aliyuncs.com", "https://ehpc-vpc.cn-x.aliyuncs.com"),
        ("https://proxy.example:8443/", "https://proxy.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTPS://[2001:DB8::1]", "https://[2001:db8::1]"),
        ("https://192.0.2.7:65535", "https://192.0.2.7:65535"),
    ],
)
def test_endpoint_forms(value, endpoint):
    assert endpoints.address(value, "ehpc:endpoint") == endpoint


NO_ENDPOINTS = [
    *("ftp://x", "https://x/path", "https://", "https://x?y=1", "https://x#y", "://x", ":443"),
    *("http://[::1", "https://::1", "https://[x]", "https://[127.0.0.1]", "https://[fe80::1%eth0]"),
    *("https://a..b", "https://.a", "https://-a.b", "https://a_b", "https://1.2.3.999", "h…st"),
    *(f"https://{'a' * 64}.b", f"https://{'a.' * 127}b", "https://a\\b", "${ENDPOINT}"),
    *("https://x:abc", "https://x:0", "https://x:99999", "https://x:", "https://x:-1", "x:²"),
    *(" https://x", "https://x\n", "https://x y", "https://x: 80", "https://x\t.y", "  "),
]


@pytest.mark.parametrize("value", NO_ENDPOINTS)
def test_endpoints_of_other_forms_are_refused(value):
    with pytest.raises(ConfigError) as caught:
        endpoints.address(value, "ehpc:endpoint")
    assert str(caught.value) == (
        f"ehpc:endpoint is {value!r}; it must be a host name or https://host, with a port (1 to"
        " 65535) if it needs one."
    )


@pytest.mark.parametrize("value", ["127.0.0.1:8642", "localhost", "LOCALHOST:1/", "[::1]:8642"])
def test_a_loopback_host_without_a_scheme_is_refused_with_what_is_meant(value):
    with pytest.raises(ConfigError) as caught:
        endpoints.address(value, "ehpc:endpoint")
    assert str(caught.value) == (
        f"ehpc:endpoint is {value!r}, without http or https. For the emulator, write"
        f" http://{value.rstrip('/')}."
    )
    assert endpoints.address(f"https://{value}", "ehpc:endpoint").startswith("https://")


def test_a_password_in_an_endpoint_is_not_repeated():
    with pytest.raises(ConfigError, match="ehpc:endpoint must be a host name") as caught:
        endpoints.address("https://me:hunter2@proxy.example", "ehpc:endpoint")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("proxies", "secret"),
    [
        ([], False),
        (["http://proxy.example:3128", "localhost,127.0.0.1"], False),
        (["http://proxy.example", "http://me:hunter2@proxy.example"], True),
        (["me:hunter2%40proxy.example"], True),
        (["http://me:hunt#er/2@"], True),
    ],
)
def test_what_may_hold_a_password(proxies, secret):
    assert endpoints.hold_password(proxies) is secret
