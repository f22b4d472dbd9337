"""Where E-HPC and ECS are: a region's own endpoints, and the form of one that is set. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote

from ehpc_nodes.errors import ConfigError

#: ECS endpoints that differ from the rule ``ecs.<region>.aliyuncs.com`` (the official ECS SDK's map).
ECS_ENDPOINTS = {
    "cn-hangzhou": "ecs-cn-hangzhou.aliyuncs.com",
    "cn-hangzhou-finance": "ecs.aliyuncs.com",
    "cn-shanghai-finance-1": "ecs-cn-hangzhou.aliyuncs.com",
    "cn-shenzhen-finance-1": "ecs-cn-hangzhou.aliyuncs.com",
    "cn-north-2-gov-1": "ecs.aliyuncs.com",
}
#: Scheme, host (an IPv6 address in brackets), port.
FORM = re.compile(
    r"(?:(https?)://)?(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([0-9]{1,5}))?/?",
    re.ASCII | re.IGNORECASE,
)
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
LONGEST_HOST = 253


def ehpc(region: str) -> str:
    """The base address of a region's E-HPC."""
    return f"https://ehpc.{region}.aliyuncs.com"


def ecs(region: str) -> str:
    """The base address of a region's ECS."""
    return f"https://{ECS_ENDPOINTS.get(region, f'ecs.{region}.aliyuncs.com')}"


def address(value: str, name: str) -> str:
    """The base address of an endpoint, ``https://host`` or ``https://host:port``.

    Args:
        value: a host name, ``host:port`` or either with a scheme.
        name: of the setting that has it.

    Raises:
        ConfigError: the value has another form, is plain http to another computer, or is a loopback host
            without a scheme.
    """
    scheme, host, port = _parts(value)
    if not _is_host(host) or not (port is None or 1 <= int(port) <= 65535):
        held = "" if "@" in value else f"is {value!r}; it "  # there may be a password before an @
        raise ConfigError(
            f"{name} {held}must be a host name or https://host, with a port (1 to 65535) if it needs"
            " one."
        )
    if scheme == "http" and not is_loopback(host):
        raise ConfigError(
            f"{name} is {value!r}: plain http is allowed for a loopback address only. Use https."
        )
    if not scheme and is_loopback(host):  # nearly always the emulator, which has no TLS
        raise ConfigError(
            f"{name} is {value!r}, without http or https. For the emulator, write"
            f" http://{value.removesuffix('/')}."
        )
    return f"{scheme or 'https'}://{host}{'' if port is None else f':{int(port)}'}"


def hold_password(proxies: Iterable[str]) -> bool:
    """Whether one of these proxies' addresses, however it was written, may hold a password."""
    return any("@" in unquote(proxy) for proxy in proxies)


def _parts(value: str) -> tuple[str, str, str | None]:
    """Scheme (empty: none is given), host and port; an empty host if the value has another form."""
    found = FORM.fullmatch(value)
    if not found:
        return "", "", None
    scheme, host, port = found.groups()
    return (scheme or "").lower(), host.lower(), port


def _is_host(host: str) -> bool:
    """Whether it is an IP address or has the form of a host name."""
    if _ip(host) is not None:
        return ("[" in host) == (":" in host)
    labels = host.removesuffix(".").split(".")
    # only numbers would be an address, and this is none
    named = all(LABEL.fullmatch(label) for label in labels) and not labels[-1].isdigit()
    return named and len(host) <= LONGEST_HOST


def is_loopback(host: str) -> bool:
    """Whether a host is this computer, by its name or address."""
    found = _ip(host)
    return host == "localhost" if found is None else found.is_loopback


def _ip(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None
