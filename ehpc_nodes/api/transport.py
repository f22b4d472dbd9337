"""One signed exchange with the service: sign, send, read the answer. The only module that speaks HTTP."""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
import uuid
from calendar import timegm
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import requests
from pydantic_core import from_json
from requests.utils import select_proxy
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ProxyError
from urllib3.util import parse_url

from ehpc_nodes.errors import (
    CertificateError,
    LastingError,
    NotSentError,
    NotTheServiceError,
    TransportError,
    api_error,
)

from .endpoints import FORM, hold_password, is_loopback
from .signing import Credentials, canonical_query, signed_headers

log = logging.getLogger("ehpc_nodes.api.transport")

CONNECT_TIMEOUT = 10.0
LONGEST_MESSAGE = 300
UNUSABLE = "a header of the request or of the answer is not valid"
SECRET_NAME = re.compile(r"secret|token|password|signature|accesskey", re.IGNORECASE)


class Exchange(Protocol):
    """One call of one API product; a client has one for each of the two products."""

    def __call__(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """The answer's JSON object; raises ApiError or TransportError."""


#: The text of http.client if a proxy refused to connect to the endpoint, with the status.
NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})\b")
PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
PYSOCKS = "needs PySocks, which is not installed. Run: pip install 'requests[socks]'"
#: The resolver's codes for an unknown host; its other errors are temporary.
UNKNOWN_HOST = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
#: OpenSSL's names for the answer of a server with plain HTTP.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL"})
TRUST = " (for an authority of your own, set REQUESTS_CA_BUNDLE to its file)"


class HttpExchange:
    """Calls of one product over HTTP(S), on a kept-alive session. Safe in one thread only, except `close`.

    Args:
        endpoint: ``https://host`` (``http`` for loopback only: the settings refuse others).
        version: the API version, e.g. ``2018-04-12``.
        method: as the official SDK calls this product: GET for E-HPC, POST for ECS; the parameters
            are in the query with both.
        credentials: called for each request, so that temporary keys are renewed.
        read_timeout: seconds to wait for the answer.
        source: the setting that the endpoint was set with, for people; empty: the region's own.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        version: str,
        method: str,
        credentials: Callable[[], Credentials],
        user_agent: str,
        read_timeout: float = 30.0,
        source: str = "",
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._method = method
        self._credentials = credentials
        set_with = f" ({source})" if source else ""
        self._where = f" to {urlsplit(endpoint).netloc.rpartition('@')[2]}{set_with}"
        self._timeout = (CONNECT_TIMEOUT, read_timeout)
        self._closed = False
        self._session = requests.Session()
        self._session.trust_env = not self._endpoint.startswith("http://")
        self._headers = {
            "host": urlsplit(endpoint).netloc,
            "accept": "application/json",
            "user-agent": user_agent,
            "x-acs-version": version,
        }

    def __call__(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        credentials = self._credentials()
        if self._closed:  # the key took too long, and the run ended
            raise NotSentError(action, "the run ended before the request was sent")
        log.debug("%s %s", action, redacted(params))
        try:
            answer = self._send(action, canonical_query(params), credentials)
        except (OSError, ValueError, TypeError) as error:
            way = _Way(self._session, self._endpoint, self._where)
            raise way.failed(action, error) from (None if way.hides(error) else error)
        log.debug("%s: HTTP %s", action, answer.status_code)
        body = hidden(answer.content, credentials)
        return read_answer(action, answer.status_code, body, answer.headers)

    def _send(self, action: str, query: str, credentials: Credentials) -> requests.Response:
        """Sign with the present time and a random nonce, and send, with the environment's proxies and authorities."""
        headers = signed_headers(
            self._method,
            query,
            {**self._headers, "x-acs-action": action},
            credentials,
            now=datetime.now(timezone.utc),
            nonce=uuid.uuid4().hex,
        )
        request = (
            requests.PreparedRequest()
        )  # a session's own preparation takes longer than the rest
        url = f"{self._endpoint}/?{query}" if query else f"{self._endpoint}/"
        request.prepare(self._method, url, {**self._session.headers, **headers})
        environment = self._session.merge_environment_settings(url, {}, None, None, None)
        # not by the session, which parses the target of a redirect
        adapter: Any = self._session.get_adapter(url)
        answer: requests.Response = adapter.send(request, timeout=self._timeout, **environment)
        _ = answer.content  # read here, where its errors are handled
        return answer

    def close(self) -> None:
        """Start no more calls; a call that connects or was sent continues."""
        self._closed = True
        self._session.close()


def clock_skew(endpoint: str, timeout: float = CONNECT_TIMEOUT) -> float | None:
    """By how many seconds this computer's clock is ahead of an endpoint's; None if the answer has no date.

    Raises:
        TransportError: no connection to the endpoint.
    """
    with requests.Session() as session:
        session.trust_env = not endpoint.startswith("http://")
        try:
            answer = session.get(f"{endpoint}/", timeout=timeout, allow_redirects=False)
        except (OSError, ValueError, TypeError) as error:
            way = _Way(session, endpoint)
            raise way.failed("GET", error) from (None if way.hides(error) else error)
    date = parsedate(answer.headers.get("date", ""))
    return None if date is None else time() - timegm(date)


def redacted(params: Mapping[str, str]) -> dict[str, str]:
    """Parameters for a log: values that could be secret, by their names, are hidden."""
    return {k: "***" if SECRET_NAME.search(k) else v for k, v in params.items()}


def hidden(body: bytes, credentials: Credentials) -> bytes:
    """The body without secrets: the message about a wrong signature repeats the signed headers."""
    for secret in (credentials.access_key_secret, credentials.security_token):
        if secret:
            body = body.replace(secret.encode(), b"***")
    return body


def read_answer(
    action: str, status: int, body: bytes, headers: Mapping[str, str]
) -> dict[str, Any]:
    """The answer's object, or its error.

    Raises:
        ApiError: the service answered with an error, in JSON or in XML.
        TransportError: a redirect (not followed), or a body that is neither.
    """
    if 300 <= status < 400:
        place = headers.get("location", "?")
        raise NotTheServiceError(action, f"redirected to {place}; redirects are not followed")
    parsed = _parse(body)
    if parsed is None:
        kind = NotTheServiceError if status < 500 else TransportError
        raise kind(action, f"HTTP {status} with an unreadable body")
    if status < 400:
        return parsed
    code = str(parsed.get("Code") or "")
    if not code:
        raise TransportError(action, f"HTTP {status} without an error code")
    raise api_error(
        action,
        code,
        _shortened(str(parsed.get("Message") or "")),
        http_status=status,
        request_id=str(parsed.get("RequestId") or ""),
    )


def _shortened(message: str) -> str:
    """One line of a message that may be a page."""
    line = " ".join(message.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}…"


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        parsed = _parse_xml(body) if body.lstrip().startswith(b"<") else from_json(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _parse_xml(body: bytes) -> dict[str, Any] | None:
    """An error in XML. A success in XML is not expected (the request asks for JSON) and not read."""
    from xml.etree.ElementTree import ParseError  # late: only gateways send XML, for an error

    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(body)
    except ParseError:
        return None
    return {child.tag: child.text or "" for child in root} if root.tag == "Error" else None


class _Way:
    """The way to an endpoint: its proxy and authorities; and what an error on this way means.

    Args:
        where: the endpoint, for people.
    """

    def __init__(self, session: requests.Session, endpoint: str, where: str = "") -> None:
        environment = session.merge_environment_settings(endpoint, {}, None, None, None)
        self._endpoint, self._where = endpoint, where
        self._proxy = select_proxy(endpoint, environment["proxies"]) or ""
        self._authorities = environment["verify"]

    def hides(self, error: BaseException) -> bool:
        """Whether the error's own text may contain a secret.

        In a proxy's address with an unescaped # or / in the password, a part of the password is read as the host.
        """
        return not isinstance(error, OSError) or self._is_secret

    @property
    def _is_secret(self) -> bool:
        return hold_password([self._proxy])

    def failed(self, action: str, error: Exception) -> TransportError:
        """What an error of requests means."""
        if isinstance(error, (ValueError, TypeError)):  # some are RequestExceptions, too
            unusable = self._unusable_proxy()
            return LastingError(action, unusable) if unusable else TransportError(action, UNUSABLE)
        tls = isinstance(error, requests.exceptions.SSLError)
        if tls or not isinstance(error, requests.RequestException):
            untrusting = _unusable_authorities(self._authorities)
            if untrusting:
                return CertificateError(action, untrusting)
        if _has(error, ssl.SSLCertVerificationError):
            return CertificateError(action, self._untrusted(error))
        if isinstance(error, requests.exceptions.ReadTimeout):
            return TransportError(action, "no answer within the read timeout")
        if _status_of_tunnel(error) or _has(error, ConnectTimeoutError, NewConnectionError):
            return self._not_connected(action, error)
        if any(getattr(cause, "reason", None) in NO_TLS for cause in _causes(error)):
            return NotTheServiceError(action, self._no_tls(error))
        return TransportError(action, self._root(error) + (f", connected{self._where}" * tls))

    def _unusable_proxy(self) -> str:
        """Why no connection is possible through this proxy; empty: one may be."""
        if not self._proxy:
            return ""
        scheme, colon, _ = self._proxy.partition("://")
        scheme = scheme.lower() if colon else "http"
        try:
            host = parse_url(self._proxy if colon else f"http://{self._proxy}").host or ""
            usable = scheme in PROXY_SCHEMES and bool(host.encode("idna"))
        except ValueError:
            usable = False
        if not usable:
            return (
                f"{_variable(self._proxy)} is not the address of a proxy, such as http://host:3128"
            )
        lacks_socks = scheme.startswith("socks") and find_spec("socks") is None
        return f"{self._called()} {PYSOCKS}" if lacks_socks else ""

    def _not_connected(self, action: str, error: BaseException) -> NotSentError:
        """The error about a connection, or a proxy's tunnel, that was not possible."""
        status = _status_of_tunnel(error)
        if status:
            kind = LastingError if status < 500 else NotSentError
            refused = f"{self._called()} answers HTTP {status}"
            return kind(action, f"no connection{self._where}: {refused}")
        place = f" to {self._called()}" if self._proxy else self._where
        unknown = any(
            isinstance(cause, socket.gaierror) and cause.errno in UNKNOWN_HOST
            for cause in _causes(error)
        )
        kind = LastingError if unknown else NotSentError
        return kind(action, f"no connection{place}: {_system_words(error)}")

    def _untrusted(self, error: BaseException) -> str:
        server = self._called() if _has(error, ProxyError) else "the endpoint"
        untrusted = f"{server}'s certificate is not trusted"
        return f"{untrusted}; no connection{self._where}: {self._root(error)}{TRUST}"

    def _no_tls(self, error: BaseException) -> str:
        """The error about an endpoint without TLS on this computer; on another, a middlebox may have answered."""
        address, place = urlsplit(self._endpoint), self._where.removeprefix(" to ")
        if is_loopback(address.hostname or ""):
            http = f"http://{address.netloc.rpartition('@')[2]}"
            return f"{place or 'it'} does not use TLS. For the emulator, write {http}"
        through = f" (through {self._called()})" if self._proxy else ""
        return f"the answer from {place or 'it'}{through} is not TLS: {self._root(error)}"

    def _root(self, error: BaseException) -> str:
        return type(_innermost(error)).__name__ if self._is_secret else _root(error)

    def _called(self) -> str:
        """The proxy and the variable that names it, for people: never with a user or password."""
        place = self._proxy.rpartition("@")[2]
        if place == self._proxy:
            place = "" if "@" in unquote(place) else place.rpartition("://")[2]
        name = _variable(self._proxy)
        return f"the proxy {place} ({name})" if FORM.fullmatch(place) else f"the proxy of {name}"


def _variable(proxy: str) -> str:
    """The environment variable that names a proxy."""
    names = ("https_proxy", "all_proxy")
    found = [n for n, value in os.environ.items() if value == proxy and n.lower() in names]
    return min(found, key=lambda n: names.index(n.lower()), default="the system's settings")


def _unusable_authorities(path: bool | str | None) -> str:  # noqa: FBT001 - requests' own
    """What is wrong with the authorities that the environment names; empty: nothing."""
    if not isinstance(path, str):
        return ""
    ours = os.environ.get("REQUESTS_CA_BUNDLE") == path
    name = "REQUESTS_CA_BUNDLE" if ours else "CURL_CA_BUNDLE"
    place = "capath" if Path(path).is_dir() else "cafile"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(**{place: path})
    except FileNotFoundError:
        return f"{name} is {path}, and this file does not exist"
    except OSError:
        return f"{name} is {path}, which is not a readable file of certificates (PEM)"
    return ""


def _status_of_tunnel(error: BaseException) -> int:
    """The HTTP status of a proxy that refused to connect to the endpoint; 0: no refusal.

    A ProxyError alone proves nothing: urllib3 raises it for every broken connection through a proxy.
    """
    found = (NO_TUNNEL.match(str(cause)) for cause in _causes(error))
    return next((int(match[1]) for match in found if match), 0)


def _system_words(error: BaseException) -> str:
    """Why there is no connection, in the system's words: without addresses, which may contain a secret."""
    words = [c.strerror for c in _causes(error) if isinstance(c, OSError) and c.strerror]
    if words:
        return words[-1]
    timed_out = _has(error, ConnectTimeoutError) and not _has(error, NewConnectionError)
    return "timed out" if timed_out else type(_innermost(error)).__name__


def _has(error: BaseException, *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps, as requests, urllib3 and ssl do: in its arguments, as its reason or its cause."""
    inside = (
        *(*error.args, getattr(error, "reason", None), getattr(error, "original_error", None)),
        error.__cause__,
    )
    yield error
    for cause in inside:
        if isinstance(cause, BaseException):
            yield from _causes(cause)


def _root(error: BaseException) -> str:
    """The innermost reason, in a few words, without object addresses."""
    error = _innermost(error)
    return (
        re.sub(r"<[^>]*>:?\s*|HTTPS?Connection\([^)]*\):?\s*", "", str(error))
        or type(error).__name__
    )


def _innermost(error: BaseException) -> BaseException:
    while True:
        inner = next((a for a in error.args if isinstance(a, BaseException)), None)
        inner = inner or getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            return error
        error = inner
