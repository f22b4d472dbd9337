"""Region, endpoints, credentials: from the stack config, then the environment.

In this order, the first that is set wins (per setting; a key and its secret always from one place):
stack config ``ehpc:*``, stack config ``alicloud:*`` (Pulumi's alicloud provider), environment variables
(three families of names), the default chain of ``alibabacloud-credentials``.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ehpc_nodes.errors import ConfigError, NoCredentialsError, NoRegionError

from . import endpoints
from .signing import Credentials

log = logging.getLogger("ehpc_nodes.api.settings")
ConfigGet = Callable[[str], Any]

REGION_VARIABLES = (
    *("ALIBABA_CLOUD_REGION_ID", "ALIBABA_CLOUD_REGION", "ALIBABACLOUD_REGION_ID"),
    *("ALICLOUD_REGION", "ALICLOUD_REGION_ID"),
)
#: Endpoints of another service, such as the emulator.
ENDPOINT_VARIABLES = {
    "ehpc:endpoint": "ALIBABA_CLOUD_EHPC_ENDPOINT",
    "ehpc:ecsEndpoint": "ALIBABA_CLOUD_ECS_ENDPOINT",
}
#: Key id, secret and token of one family each.
KEY_VARIABLES = (
    (
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
    ),
    (
        "ALIBABACLOUD_ACCESS_KEY_ID",
        "ALIBABACLOUD_ACCESS_KEY_SECRET",
        "ALIBABACLOUD_SECURITY_TOKEN",
    ),
    ("ALICLOUD_ACCESS_KEY", "ALICLOUD_SECRET_KEY", "ALICLOUD_SECURITY_TOKEN"),
    ("ALICLOUD_ACCESS_KEY_ID", "ALICLOUD_ACCESS_KEY_SECRET", "ALICLOUD_SECURITY_TOKEN"),
)
#: The same as stack config keys, and the key of a profile of the aliyun command line tool.
KEY_CONFIG = (
    ("ehpc:accessKeyId", "ehpc:accessKeySecret", "ehpc:securityToken"),
    ("alicloud:accessKey", "alicloud:secretKey", "alicloud:securityToken"),
)
#: Where the official library looks for profiles, for people.
CLI_FILE, INI_FILE = "~/.aliyun/config.json", "~/.alibabacloud/credentials.ini"
PROFILE_CONFIG = ("ehpc:profile", "alicloud:profile")
#: What a header can hold of a key: printable ASCII, no blanks.
SENDABLE = re.compile(r"[!-~]*")
GRACE_SECONDS = 30.0
READ_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Settings:
    """All that the outside gives.

    Attributes:
        region: of the cluster and its instances.
        ehpc_endpoint, ecs_endpoint: base addresses, with scheme.
        credentials: called for each request; raises ConfigError where there are none.
        grace_seconds: for how long a lost answer is looked after before a write counts as not accepted.
        read_timeout_seconds: how long one answer is waited for.
        region_source, credentials_source: where they were found, for people.
        ehpc_endpoint_source, ecs_endpoint_source: the same; empty where they are the region's own.
    """

    region: str
    ehpc_endpoint: str
    ecs_endpoint: str
    credentials: Callable[[], Credentials]
    grace_seconds: float = GRACE_SECONDS
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS
    region_source: str = ""
    credentials_source: str = ""
    ehpc_endpoint_source: str = ""
    ecs_endpoint_source: str = ""


def resolve(get: ConfigGet, environ: Mapping[str, str], *, region: str = "") -> Settings:
    """The settings of one operation.

    Args:
        get: the stack config: a full key (``ehpc:region``) to its value, or None.
        region: the resource's own, which goes first.

    Raises:
        ConfigError: no region; an endpoint or a value that can't be used; half a key, or one that can't be
            sent.
    """
    chosen, region_source = (_checked(region), "given") if region else find_region(get, environ)
    credentials, credentials_source = _credentials(get, environ)
    ehpc, ehpc_source = _endpoint(get, environ, "ehpc:endpoint")
    ecs, ecs_source = _endpoint(get, environ, "ehpc:ecsEndpoint")
    return Settings(
        region=chosen,
        ehpc_endpoint=ehpc or endpoints.ehpc(chosen),
        ecs_endpoint=ecs or endpoints.ecs(chosen),
        credentials=credentials,
        grace_seconds=_seconds(get, "ehpc:graceSeconds", GRACE_SECONDS),
        read_timeout_seconds=_seconds(get, "ehpc:readTimeoutSeconds", READ_TIMEOUT_SECONDS),
        region_source=region_source,
        credentials_source=credentials_source,
        ehpc_endpoint_source=ehpc_source,
        ecs_endpoint_source=ecs_source,
    )


def resolve_region(get: ConfigGet, environ: Mapping[str, str]) -> str:
    """The region that holds where a resource names none."""
    return find_region(get, environ)[0]


def find_region(get: ConfigGet, environ: Mapping[str, str]) -> tuple[str, str]:
    """The region that holds where a resource names none, and the name of the setting that says so."""
    places = [(key, _text(get, key)) for key in ("ehpc:region", "alicloud:region")]
    places += [(name, environ.get(name, "")) for name in REGION_VARIABLES]
    source, found = next(((name, value) for name, value in places if value), ("", ""))
    if not found:
        raise NoRegionError(
            "No region is set. Run: pulumi config set ehpc:region cn-hangzhou (or set"
            " ALIBABA_CLOUD_REGION_ID, or the region argument)."
        )
    return _checked(found), source


def _checked(region: str) -> str:
    if len(region) > 63 or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", region):
        raise ConfigError(f"The region {region!r} has not the form of one, such as cn-hangzhou.")
    return region


def _text(get: ConfigGet, key: str) -> str:
    value = get(key)
    return "" if value is None else str(value)


def _seconds(get: ConfigGet, key: str, default: float) -> float:
    value = _text(get, key)
    try:
        seconds = float(value) if value else default
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise ConfigError(f"{key} is {value!r}; it has to be a number of seconds from 0 to 3600.")
    return seconds


def _endpoint(get: ConfigGet, environ: Mapping[str, str], key: str) -> tuple[str, str]:
    """The address that is set, and the name of the setting that says so; both empty where none is."""
    variable = ENDPOINT_VARIABLES[key]
    for name, value in ((key, _text(get, key)), (variable, environ.get(variable, ""))):
        if value:
            return endpoints.address(value, name), name
    return "", ""


def _credentials(
    get: ConfigGet, environ: Mapping[str, str]
) -> tuple[Callable[[], Credentials], str]:
    """What gives the credentials, and where they are set, for people."""
    for names, profile_key in zip(KEY_CONFIG, PROFILE_CONFIG, strict=True):
        key = _key(*((name, _text(get, name)) for name in names))
        if key:
            return _always(key), names[0]
        profile = _text(get, profile_key)
        if profile:
            return _from_library(profile, profile_key)
    for names in KEY_VARIABLES:
        key = _key(*((name, environ.get(name, "")) for name in names))
        if key:
            return _always(key), names[0]
    profile = environ.get("ALICLOUD_PROFILE", "")
    if profile:
        return _from_library(profile, "ALICLOUD_PROFILE")
    return _from_chain(environ)


def _always(key: Credentials) -> Callable[[], Credentials]:
    return lambda: key


def _key(*parts: tuple[str, str]) -> Credentials | None:
    """A key of its three named parts; None where neither id nor secret is set."""
    # keys that come from files often end in a line end
    parts = tuple((name, text.strip()) for name, text in parts)
    (id_name, key_id), (secret_name, secret), _ = parts
    if not key_id and not secret:
        return None
    if not key_id or not secret:
        missing, present = (id_name, secret_name) if not key_id else (secret_name, id_name)
        raise ConfigError(f"{present} is set, but {missing} is not: set both.")
    return _sendable(*parts)


def _sendable(*parts: tuple[str, str]) -> Credentials:
    """Credentials of their three named parts; what no header can hold is refused, and never told."""
    for name, text in parts:
        if not SENDABLE.fullmatch(text):
            raise ConfigError(
                f"{name} holds a blank, a line end or a character outside ASCII, which no key has:"
                " set it again, as Alibaba Cloud gave it out."
            )
    return Credentials(*(text for _, text in parts))


def _from_library(profile: str, source: str) -> tuple[Callable[[], Credentials], str]:
    """Credentials of a profile of the aliyun command line tool."""

    def why(error: Exception) -> str:
        return f"No usable profile {profile!r} ({source}) in {CLI_FILE}: {_first_line(error)}"

    def make(library: Any) -> Any:
        return library.CLIProfileCredentialsProvider(profile_name=profile)

    told = f"profile {profile!r} ({source})"
    return _asking(make, why, told), told


def _from_chain(environ: Mapping[str, str]) -> tuple[Callable[[], Credentials], str]:
    """Credentials of the official library's default chain."""

    def why(_: Exception) -> str:
        profile = environ.get("ALIBABA_CLOUD_PROFILE", "")
        if profile:
            own = environ.get("ALIBABA_CLOUD_CREDENTIALS_FILE", "") or INI_FILE
            return (
                f"No usable profile {profile!r} (ALIBABA_CLOUD_PROFILE) in {CLI_FILE} or {own},"
                " and no other credentials."
            )
        return (
            "No credentials in the stack config, the environment, a profile or the instance's role."
        )

    told = "default chain"
    return _asking(lambda library: library.DefaultCredentialsProvider(), why, told), told


def _asking(
    make: Callable[[Any], Any], why: Callable[[Exception], str], source: str
) -> Callable[[], Credentials]:
    """Credentials by a provider of the official library, which is imported when used."""
    provider: Any = None

    def get() -> Credentials:
        nonlocal provider
        try:
            provider = provider or make(_library())
            found = provider.get_credentials()
        except Exception as error:  # noqa: BLE001 - whatever the library raises
            hides = _proxy_may_be_secret()
            log.debug("credentials: %s", type(error).__name__ if hides else error)
            raise NoCredentialsError(
                f"{why(error)} Set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET,"
                " or run: aliyun configure."
            ) from (None if hides else error)
        parts = {
            "access key id": found.get_access_key_id(),
            "access key secret": found.get_access_key_secret(),
            "security token": found.get_security_token(),
        }
        return _sendable(*((f"The {n} ({source})", (t or "").strip()) for n, t in parts.items()))

    return get


def _library() -> Any:
    from alibabacloud_credentials import provider

    logging.getLogger("credentials").setLevel(logging.CRITICAL)  # it prints tracebacks on stderr
    return provider


def _proxy_may_be_secret() -> bool:
    """Whether a proxy's password may stand in the words of the library, which takes the environment's proxies."""
    proxies = (value for name, value in os.environ.items() if name.lower().endswith("_proxy"))
    return endpoints.hold_password(proxies)


def _first_line(error: Exception) -> str:
    if _proxy_may_be_secret():
        return f"{type(error).__name__} (through the proxy that HTTPS_PROXY names, perhaps)."
    line = (str(error) or type(error).__name__).splitlines()[0][:200].rstrip(".")
    return f"{line}."
