"""Keys from the official library: profiles, roles, its default chain; and why a place has none, in one line each.

The library is imported when it is used. Its messages are never shown as they are: they can contain the address that
was called, with a token in it, or an answer, with a key in it.
"""

from __future__ import annotations

import codecs
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ehpc_nodes.errors import ConfigError, NoCredentialsError

from . import endpoints
from .signing import Credentials

log = logging.getLogger("ehpc_nodes.api.credentials")

#: The characters of a key that a header can have: printable ASCII, no blanks.
SENDABLE = re.compile(r"[!-~]*")
#: Where the official library reads profiles, for people.
CLI_FILE, INI_FILE = "~/.aliyun/config.json", "~/.alibabacloud/credentials.ini"
FIX = (
    "Set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run: aliyun configure."
)
LONGEST_REASON = 200
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

#: The library's messages for what a variable turned off, and the variable.
TURNED_OFF = {
    "IMDS credentials is disabled": "ALIBABA_CLOUD_ECS_METADATA_DISABLED",
    "cli credentials file is disabled": "ALIBABA_CLOUD_CLI_PROFILE_DISABLED",
}

Get = Callable[[], Credentials]


class Place(NamedTuple):
    """A place that may have a key: its name and how to fix it, for people, and what makes the library's provider."""

    name: str
    make: Callable[[Any], Any]
    fix: str = FIX


class UnusableError(Exception):
    """Why a place gives no key, in a few words without secrets."""


def sendable(*parts: tuple[str, str]) -> Credentials:
    """Credentials from their three named parts. Characters that no header can have are an error, which never shows them.

    Blanks around the parts are removed: keys from files often end with a line break.
    """
    parts = tuple((name, text.strip()) for name, text in parts)
    for name, text in parts:
        if not SENDABLE.fullmatch(text):
            raise ConfigError(
                f"{name} has a blank, a line break or a character that is not ASCII. Set it again, exactly as"
                " Alibaba Cloud showed it."
            )
    return Credentials(*(text for _, text in parts))


def of(place: Place) -> Get:
    """The key of one place, which the settings name."""
    return _asking(
        [place], lambda why: f"No access key from {place.name}: {why[place.name]} {place.fix}"
    )


def of_default_chain(value: Callable[[str], str]) -> Get:
    """The key of the first place that has one, in the order of the library's default chain.

    Args:
        value: of an environment variable.
    """
    heading = (
        "No access key is set in the stack config or the environment, and these places have none:"
    )

    def text(why: Mapping[str, str]) -> str:
        return "\n".join([heading, *(f"- {name}: {reason}" for name, reason in why.items()), FIX])

    return _asking(_chain(value), text)


def of_role(name: str, base: Get, options: Mapping[str, Any], arn: str) -> Get:
    """The key of a role that is assumed with another key.

    Args:
        name: the role, for people.
        options: session name, duration, policy and external id, as the library's provider names them.
    """

    def make(library: Any) -> Any:
        from alibabacloud_credentials.provider.refreshable import Credentials as Key

        class Base:
            def get_credentials(self) -> Any:
                key = base()
                return Key(
                    access_key_id=key.access_key_id,
                    access_key_secret=key.access_key_secret,
                    security_token=key.security_token,
                    provider_name="ehpc-nodes",
                )

        return library.RamRoleArnCredentialsProvider(
            credentials_provider=Base(), role_arn=arn, **options
        )

    return of(
        Place(
            name,
            make,
            "Check that the role exists, and that its trust policy names the key's user.",
        )
    )


def profile(name: str, source: str, file: str = "") -> Place:
    """A profile of the aliyun command line tool.

    Args:
        file: other than the tool's own.
    """
    shown = f"profile {name!r} ({source}) in {file or CLI_FILE}"
    return Place(shown, lambda library: _profile(library, file, name))


def uri(address: str, source: str) -> Place:
    """An address that returns keys; it may contain a secret."""
    check = f"Check the address in {source}."
    return Place(source, lambda library: library.URLCredentialsProvider(uri=address), check)


def instance_role(name: str, source: str) -> Place:
    """A RAM role of this ECS instance."""
    shown = f"the instance's RAM role {name!r} ({source})"
    check = "Run on an ECS instance that has this role."
    return Place(
        shown, lambda library: library.EcsRamRoleCredentialsProvider(role_name=name), check
    )


def oidc(options: Mapping[str, Any], source: str) -> Place:
    """A role that is assumed with a token of an identity provider, as the library's provider names its options."""
    check = "Check the token's file, the role and its trust policy."
    return Place(source, lambda library: library.OIDCRoleArnCredentialsProvider(**options), check)


def _chain(value: Callable[[str], str]) -> list[Place]:
    """The library's chain, without its variables for keys, which were read before."""
    named, ini = value("ALIBABA_CLOUD_PROFILE"), value("ALIBABA_CLOUD_CREDENTIALS_FILE")
    suffix = f", profile {named!r} (ALIBABA_CLOUD_PROFILE)" if named else ""
    tokens = ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", "ALIBABA_CLOUD_OIDC_PROVIDER_ARN")
    places = [
        Place(f"{CLI_FILE}{suffix}", lambda library: _profile(library, "", named)),
        Place(f"{ini or INI_FILE}{suffix}", lambda library: _ini(library, ini)),
        Place("the instance's RAM role", lambda library: library.EcsRamRoleCredentialsProvider()),
    ]
    if any(value(variable) for variable in tokens):
        places.insert(0, oidc({}, f"OIDC ({tokens[0]})"))
    address = "ALIBABA_CLOUD_CREDENTIALS_URI"
    if value(address):
        places.append(uri(value(address), address))
    return places


def _asking(places: Sequence[Place], text: Callable[[Mapping[str, str]], str]) -> Get:
    """The key of the first place that has one; later calls use the same place.

    Args:
        text: makes the error's text from each place and why it has none.
    """
    providers: dict[str, Any] = {}
    left = [*places]

    def get() -> Credentials:
        why: dict[str, str] = {}
        for place in left:
            try:
                provider = providers.get(place.name) or place.make(_library())
                providers[place.name] = provider
                found = provider.get_credentials()
            except ConfigError:  # of the key that a role is assumed with
                raise
            except Exception as error:  # noqa: BLE001 - whatever the library raises
                why[place.name] = f"{_reason(error)}."
                log.debug("credentials: %s: %s", place.name, why[place.name])
                continue
            left[:] = [place]  # never another key during a run
            return sendable(
                (f"The access key id ({place.name})", found.get_access_key_id() or ""),
                (f"The access key secret ({place.name})", found.get_access_key_secret() or ""),
                (f"The security token ({place.name})", found.get_security_token() or ""),
            )
        raise NoCredentialsError(text(why))

    return get


def _library() -> Any:
    from alibabacloud_credentials import provider

    logging.getLogger("credentials").setLevel(logging.CRITICAL)  # it prints tracebacks on stderr
    # it cannot read a file with a BOM, as editors on Windows save it
    vars(sys.modules[provider.CLIProfileCredentialsProvider.__module__])["_load_config"] = _profiles
    return provider


def _profile(library: Any, file: str, name: str) -> Any:
    from alibabacloud_credentials.utils import auth_constant

    path = str(Path(file).expanduser()) if file else f"{auth_constant.HOME}/.aliyun/config.json"
    config = _profiles(path)
    wanted = name or config.get("current")
    if not wanted:
        raise UnusableError("it has no current profile")
    if wanted not in [entry.get("name") for entry in config["profiles"]]:
        current = "" if name else ", its current profile"
        raise UnusableError(f"it has no profile {wanted!r}{current}")
    return library.CLIProfileCredentialsProvider(profile_name=wanted, profile_file=path)


def _profiles(path: str) -> dict[str, Any]:
    """The content of the command line tool's file."""
    data = _read(path)
    try:
        config = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UnusableError("it is not UTF-8: save it as UTF-8") from None
    except ValueError as error:
        raise UnusableError(f"it is not JSON, at line {getattr(error, 'lineno', '?')}") from None
    profiles = config.get("profiles") if isinstance(config, dict) else None
    if not isinstance(profiles, list) or not all(isinstance(entry, dict) for entry in profiles):
        raise UnusableError("it has no profiles")
    return {**config, "profiles": profiles}


def _ini(library: Any, file: str) -> Any:
    from alibabacloud_credentials.utils import auth_constant

    path = file or f"{auth_constant.HOME}/.alibabacloud/credentials.ini"
    if _read(path).startswith(codecs.BOM_UTF8):
        raise UnusableError("it starts with a BOM: save it as UTF-8 without a BOM")
    return library.ProfileCredentialsProvider(profile_file=path)


def _read(path: str) -> bytes:
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UnusableError("the file does not exist") from None
    except OSError as error:
        raise UnusableError(f"it cannot be read: {error.strerror}") from None
    if data.startswith(UTF16):
        raise UnusableError("it is UTF-16: save it as UTF-8")
    return data


def _reason(error: Exception) -> str:
    """Why there is no key, in one line, without possible secrets in the library's message."""
    if isinstance(error, UnusableError):
        return str(error)
    if isinstance(error, OSError) and error.filename:
        return f"{error.strerror}: {error.filename}"
    text = " ".join(str(error).split())
    if "result: " in text:  # an answer, which can contain a key, or what was signed
        return _answer(text)
    if "url: " in text:  # the address that was called, with a token in it
        host = re.search(r"host='([^']+)'", text)
        system = re.search(r"\[Errno -?\d+\] ([A-Za-z ]+)", text)
        why = system[1] if system else "timed out" if "timed out" in text else "no answer"
        return f"no connection to {host[1] if host else 'the service'}: {why}"
    if text in TURNED_OFF:
        return f"turned off ({TURNED_OFF[text]})"
    if _proxy_may_be_secret():
        return f"{type(error).__name__} (possibly through a proxy of the environment)"
    return text[:LONGEST_REASON].rstrip(".") or type(error).__name__


def _answer(text: str) -> str:
    """An answer of the service that returns keys: only its code."""
    head, _, body = text.partition("result: ")
    status = re.search(r"http_code\W+(\d+)", head)
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    parts = answer if isinstance(answer, dict) else {}
    code = re.sub(r"[^\w.]", "", str(parts.get("Code") or ""))[:80] or "an answer without a key"
    request_id = re.sub(r"[^\w-]", "", str(parts.get("RequestId") or ""))[:80]
    shown = [f"HTTP {status[1]}" if status else "", f"RequestId {request_id}" if request_id else ""]
    behind = ", ".join(filter(None, shown))
    return f"{code} ({behind})" if behind else code


def _proxy_may_be_secret() -> bool:
    """Whether the library's messages may contain a proxy's password: it uses the environment's proxies."""
    proxies = (value for name, value in os.environ.items() if name.lower().endswith("_proxy"))
    return endpoints.hold_password(proxies)
