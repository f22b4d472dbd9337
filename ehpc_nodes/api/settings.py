"""Region, endpoints, credentials: from the stack config, then the environment.

The first place that has a setting is used, in this order (a key and its secret are always from one place):
stack config ``ehpc:*``, stack config ``alicloud:*`` (Pulumi's alicloud provider), environment variables
(three families of names), the default chain of ``alibabacloud-credentials``. Blanks and line breaks around a value
are removed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ehpc_nodes.errors import ConfigError, NoRegionError

from . import credentials, endpoints
from .credentials import Place
from .signing import Credentials

ConfigGet = Callable[[str], Any]
#: The value of a setting by its name, a config key or a variable; empty: not set.
Value = Callable[[str], str]

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


@dataclass(frozen=True)
class Family:
    """The settings of one place that name a key; the first that is set is used."""

    keys: tuple[tuple[str, str, str], ...]
    profile: str
    file: str = ""
    uri: str = ""
    instance_role: str = ""
    oidc: str = ""


OWN = Family(KEY_CONFIG[:1], "ehpc:profile")
#: As Pulumi's alicloud provider has them.
ALICLOUD = Family(
    KEY_CONFIG[1:],
    "alicloud:profile",
    "alicloud:sharedCredentialsFile",
    "alicloud:credentialsUri",
    "alicloud:ecsRoleName",
    "alicloud:assumeRoleWithOidc",
)
ENVIRONMENT = Family(
    KEY_VARIABLES,
    "ALICLOUD_PROFILE",
    "ALICLOUD_SHARED_CREDENTIALS_FILE",
    "ALICLOUD_CREDENTIALS_URI",
    "ALICLOUD_ECS_ROLE_NAME",
)
#: Variables that name the profile if only a file is set.
ANY_PROFILE = ("ALICLOUD_PROFILE", "ALIBABA_CLOUD_PROFILE")
ROLE = "alicloud:assumeRole"
#: Fields of the two roles: as the library names them, and the variables that replace them.
ROLE_FIELDS = {
    "roleArn": ("role_arn", "ALICLOUD_ASSUME_ROLE_ARN"),
    "sessionName": ("role_session_name", "ALICLOUD_ASSUME_ROLE_SESSION_NAME"),
    "sessionExpiration": ("duration_seconds", "ALICLOUD_ASSUME_ROLE_SESSION_EXPIRATION"),
    "policy": ("policy", ""),
    "externalId": ("external_id", ""),
}
#: The library has variables of its own for these.
OIDC_FIELDS = {
    "roleArn": ("role_arn", ""),
    "oidcProviderArn": ("oidc_provider_arn", ""),
    "oidcTokenFile": ("oidc_token_file_path", ""),
    "roleSessionName": ("role_session_name", ""),
    "sessionExpiration": ("duration_seconds", ""),
    "policy": ("policy", ""),
}
GRACE_SECONDS = 30.0
READ_TIMEOUT_SECONDS = 30.0
SCHEDULER_SECONDS = 120.0


@dataclass(frozen=True)
class Settings:
    """Everything from the stack config and the environment.

    Attributes:
        region: of the cluster and its instances.
        ehpc_endpoint, ecs_endpoint: base addresses, with scheme.
        credentials: called for each request; raises ConfigError if there are none.
        grace_seconds: how long a write without an answer is checked before it counts as not accepted.
        read_timeout_seconds: how long to wait for one answer.
        scheduler_seconds: how long to wait until an attached node is active in the scheduler.
        region_source, credentials_source: where they were found, for people.
        ehpc_endpoint_source, ecs_endpoint_source: the same; empty: the region's own endpoint.
    """

    region: str
    ehpc_endpoint: str
    ecs_endpoint: str
    credentials: Callable[[], Credentials]
    grace_seconds: float = GRACE_SECONDS
    read_timeout_seconds: float = READ_TIMEOUT_SECONDS
    scheduler_seconds: float = SCHEDULER_SECONDS
    region_source: str = ""
    credentials_source: str = ""
    ehpc_endpoint_source: str = ""
    ecs_endpoint_source: str = ""


def resolve(get: ConfigGet, environ: Mapping[str, str], *, region: str = "") -> Settings:
    """The settings of one operation.

    Args:
        get: the stack config: a full key (``ehpc:region``) to its value, or None.
        region: the resource's own argument, used first.

    Raises:
        ConfigError: no region; an endpoint or a value that is not valid; half a key, or a key with wrong
            characters.
    """
    given = region.strip()
    chosen, region_source = (_checked(given), "given") if given else find_region(get, environ)
    key, key_source = _credentials(partial(_value, get, environ))
    ehpc, ehpc_source = _endpoint(get, environ, "ehpc:endpoint")
    ecs, ecs_source = _endpoint(get, environ, "ehpc:ecsEndpoint")
    return Settings(
        region=chosen,
        ehpc_endpoint=ehpc or endpoints.ehpc(chosen),
        ecs_endpoint=ecs or endpoints.ecs(chosen),
        credentials=key,
        grace_seconds=_seconds(get, "ehpc:graceSeconds", GRACE_SECONDS),
        read_timeout_seconds=_seconds(get, "ehpc:readTimeoutSeconds", READ_TIMEOUT_SECONDS),
        scheduler_seconds=_seconds(get, "ehpc:schedulerSeconds", SCHEDULER_SECONDS),
        region_source=region_source,
        credentials_source=key_source,
        ehpc_endpoint_source=ehpc_source,
        ecs_endpoint_source=ecs_source,
    )


def resolve_region(get: ConfigGet, environ: Mapping[str, str]) -> str:
    """The region of resources without a region argument."""
    return find_region(get, environ)[0]


def find_region(get: ConfigGet, environ: Mapping[str, str]) -> tuple[str, str]:
    """The region of resources without a region argument, and the setting that it is from."""
    names = ("ehpc:region", "alicloud:region", *REGION_VARIABLES)
    places = [(name, _value(get, environ, name)) for name in names]
    source, found = next(((name, value) for name, value in places if value), ("", ""))
    if not found:
        raise NoRegionError(
            "No region is set. Run: pulumi config set ehpc:region cn-hangzhou (or set"
            " ALIBABA_CLOUD_REGION_ID, or the region argument)."
        )
    return _checked(found), source


def _checked(region: str) -> str:
    if len(region) > 63 or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", region):
        raise ConfigError(f"{region!r} is not a region, such as cn-hangzhou.")
    return region


def _value(get: ConfigGet, environ: Mapping[str, str], name: str) -> str:
    """The value of a config key or of a variable, without blanks around it."""
    value = get(name) if ":" in name else environ.get(name)
    text = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
    return "" if value is None else text.strip()


def _text(get: ConfigGet, key: str) -> str:
    return _value(get, {}, key)


def _seconds(get: ConfigGet, key: str, default: float) -> float:
    value = _text(get, key)
    try:
        seconds = float(value) if value else default
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise ConfigError(
            f"{key} is {value!r}; it must be a number of seconds, more than 0 and at most 3600."
        )
    return seconds


def _endpoint(get: ConfigGet, environ: Mapping[str, str], key: str) -> tuple[str, str]:
    """The address that is set, and the setting that it is from; both empty if none is set."""
    for name in (key, ENDPOINT_VARIABLES[key]):
        value = _value(get, environ, name)
        if value:
            return endpoints.address(value, name), name
    return "", ""


def _credentials(value: Value) -> tuple[credentials.Get, str]:
    """What gives the key, and where it is set, for people.

    A key of ``ehpc:`` is used as it is; any other key assumes the role of the alicloud settings, if they have one.

    Raises:
        ConfigError: half a key, or a setting that is not valid: no other key is used instead.
    """
    own = _of_family(OWN, value)
    if own:
        return own
    base, source = (
        _of_family(ALICLOUD, value)
        or _of_family(ENVIRONMENT, value)
        or (credentials.of_default_chain(value), "default chain")
    )
    role = _fields(ROLE, ROLE_FIELDS, value)
    arn = str(role.pop("role_arn", ""))
    if not arn:
        return base, source
    shown = f"role {arn!r} ({ROLE}), assumed with the key of: {source}"
    return credentials.of_role(shown, base, {"role_session_name": "ehpc-nodes", **role}, arn), shown


def _of_family(family: Family, value: Value) -> tuple[credentials.Get, str] | None:
    for names in family.keys:
        key = _key(*((name, value(name)) for name in names))
        if key:
            return _always(key), names[0]
    place = _place(family, value)
    return (credentials.of(place), place.name) if place else None


def _place(family: Family, value: Value) -> Place | None:
    file = value(family.file) if family.file else ""
    names = (family.profile, *(ANY_PROFILE if file else ()))
    source = next((name for name in names if value(name)), "")
    if source:
        if family is ALICLOUD:
            file = file or value(ENVIRONMENT.file)
        return credentials.profile(value(source), source, file)
    if file:
        raise ConfigError(f"{family.file} is set, but {family.profile} is not: set both.")
    if value(family.uri):
        return credentials.uri(value(family.uri), family.uri)
    if value(family.instance_role):
        return credentials.instance_role(value(family.instance_role), family.instance_role)
    oidc = _fields(family.oidc, OIDC_FIELDS, value) if value(family.oidc) else {}
    return credentials.oidc(oidc, family.oidc) if oidc else None


def _fields(name: str, fields: Mapping[str, tuple[str, str]], value: Value) -> dict[str, Any]:
    """The fields of a setting that is an object, by the library's names; else the values of its variables."""
    given = _object(name, fields, value)
    found = {ours: given.get(field) or value(other) for field, (ours, other) in fields.items()}
    if isinstance(found["policy"], dict):
        found["policy"] = json.dumps(found["policy"])
    seconds = str(found.get("duration_seconds") or "")
    if seconds and not (seconds.isdecimal() and 900 <= int(seconds) <= 43200):
        raise ConfigError(
            f"{name} has sessionExpiration {seconds!r}; it must be 900 to 43200 seconds."
        )
    found["duration_seconds"] = int(seconds) if seconds else None
    return {ours: held for ours, held in found.items() if held}


def _object(name: str, fields: Collection[str], value: Value) -> dict[str, Any]:
    try:
        held = json.loads(value(name) or "{}")
    except ValueError:
        held = None
    if not isinstance(held, dict):
        raise ConfigError(
            f"{name} is not a JSON object. Set it again: pulumi config set --path '{name}.roleArn' ARN."
        )
    unknown = sorted(held.keys() - fields)
    if unknown:
        raise ConfigError(
            f"{name} has an unknown field, {unknown[0]!r}. Its fields are {', '.join(fields)}."
        )
    return held


def _always(key: Credentials) -> credentials.Get:
    return lambda: key


def _key(*parts: tuple[str, str]) -> Credentials | None:
    """A key from its three named parts; None if neither id nor secret is set."""
    (id_name, key_id), (secret_name, secret), _ = parts
    if not key_id and not secret:
        return None
    if not key_id or not secret:
        missing, present = (id_name, secret_name) if not key_id else (secret_name, id_name)
        raise ConfigError(f"{present} is set, but {missing} is not: set both.")
    return credentials.sendable(*parts)
