"""One signed exchange with the service: sign, send, read the answer. The only module that speaks HTTP."""

from __future__ import annotations

import json
import logging
import re
import ssl
import uuid
from calendar import timegm
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from email.utils import parsedate
from time import time
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from ehpc_nodes.errors import CertificateError, NoTlsError, NotSentError, TransportError, api_error

from .endpoints import hold_password, is_loopback
from .signing import Credentials, canonical_query, signed_headers

log = logging.getLogger("ehpc_nodes.api.transport")

CONNECT_TIMEOUT = 10.0
LONGEST_MESSAGE = 300
UNUSABLE = (
    "a header can't be sent, or an address can't be read: the proxy's (HTTPS_PROXY) or a redirect's"
)
SECRET_NAME = re.compile(r"secret|token|password|signature|accesskey", re.IGNORECASE)


class Exchange(Protocol):
    """One call of one API product; the client stands on two of them."""

    def __call__(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """The answer's JSON object; raises ApiError or TransportError."""


#: How http.client says that a proxy refused to reach the endpoint.
NO_TUNNEL = "Tunnel connection failed"
PROXIED = "(through the proxy that HTTPS_PROXY names)"
NO_AUTHORITIES = "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names no file"
#: How OpenSSL calls what comes of a server that speaks plain HTTP.
NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL"})
UNTRUSTED = "the endpoint's certificate isn't trusted"
TRUST = " (REQUESTS_CA_BUNDLE names the file of an authority of your own)"


class HttpExchange:
    """Calls of one product over HTTP(S), on a kept-alive session. Safe to use from one thread, but for `close`.

    Args:
        endpoint: ``https://host`` (``http`` is for loopback: settings refuse it elsewhere).
        version: the API version, e.g. ``2018-04-12``.
        method: as the official SDK calls this product: GET for E-HPC, POST for ECS; the parameters
            stand in the query with both.
        credentials: called for each request, so that temporary keys are renewed.
        read_timeout: seconds to wait for the answer.
        source: the setting that the endpoint was set with, for people; empty where it is the region's own.
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
        if self._closed:  # keys can take long, and nobody waits for them any more
            raise NotSentError(action, "closed before it was sent")
        log.debug("%s %s", action, redacted(params))
        try:
            answer = self._send(action, canonical_query(params), credentials)
        except (ValueError, TypeError):
            # a secret header, which it may tell; after the answer; TypeError: a proxy's address without a host
            raise TransportError(action, UNUSABLE) from None
        except OSError as error:
            hides = _proxy_may_be_secret(self._session, self._endpoint)
            failed = _transport_error(action, error, self._endpoint, self._where, hides=hides)
            raise failed from (None if hides else error)
        log.debug("%s: HTTP %s", action, answer.status_code)
        body = hidden(answer.content, credentials)
        return read_answer(action, answer.status_code, body, answer.headers)

    def _send(self, action: str, query: str, credentials: Credentials) -> requests.Response:
        """Sign with a fresh date and nonce, and send; by the environment's proxies and authorities."""
        headers = signed_headers(
            self._method,
            query,
            {**self._headers, "x-acs-action": action},
            credentials,
            now=datetime.now(timezone.utc),
            nonce=uuid.uuid4().hex,
        )
        request = requests.PreparedRequest()  # a session's own preparing takes longer than the rest
        url = f"{self._endpoint}/?{query}" if query else f"{self._endpoint}/"
        request.prepare(self._method, url, {**self._session.headers, **headers})
        environment = self._session.merge_environment_settings(url, {}, None, None, None)
        return self._session.send(
            request, timeout=self._timeout, allow_redirects=False, **environment
        )

    def close(self) -> None:
        """Begin nothing more; a call whose connection is being made, or that was sent already, goes on."""
        self._closed = True
        self._session.close()


def clock_skew(endpoint: str, timeout: float = CONNECT_TIMEOUT) -> float | None:
    """By how many seconds this machine's clock is ahead of an endpoint's; None where that doesn't tell.

    Raises:
        TransportError: the endpoint can't be reached.
    """
    with requests.Session() as session:
        session.trust_env = not endpoint.startswith("http://")
        try:
            answer = session.get(f"{endpoint}/", timeout=timeout, allow_redirects=False)
        except (ValueError, TypeError):
            raise TransportError("GET", UNUSABLE) from None
        except OSError as error:
            hides = _proxy_may_be_secret(session, endpoint)
            failed = _transport_error("GET", error, endpoint, hides=hides)
            raise failed from (None if hides else error)
    told = parsedate(answer.headers.get("date", ""))
    return None if told is None else time() - timegm(told)


def redacted(params: Mapping[str, str]) -> dict[str, str]:
    """Parameters fit for a log: the values of those that could be secret are hidden, by name."""
    return {k: "***" if SECRET_NAME.search(k) else v for k, v in params.items()}


def hidden(body: bytes, credentials: Credentials) -> bytes:
    """The body without what is secret: a refused signature's message repeats the headers that were signed."""
    for secret in (credentials.access_key_secret, credentials.security_token):
        if secret:
            body = body.replace(secret.encode(), b"***")
    return body


def read_answer(
    action: str, status: int, body: bytes, headers: Mapping[str, str]
) -> dict[str, Any]:
    """The answer's object, or the error that it stands for.

    Raises:
        ApiError: the service answered with an error, in JSON or in XML.
        TransportError: a redirect (not followed), or a body that is neither.
    """
    if 300 <= status < 400:
        raise TransportError(action, f"redirected to {headers.get('location', '?')}, not followed")
    parsed = _parse(body)
    if parsed is None:
        raise TransportError(action, f"HTTP {status} with a body that can't be read")
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
        parsed = _parse_xml(body) if body.lstrip().startswith(b"<") else json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _parse_xml(body: bytes) -> dict[str, Any] | None:
    """An error in XML. A success in XML is not expected (JSON is asked for) and not understood."""
    from xml.etree.ElementTree import ParseError  # late: a gateway's error is all that comes in XML

    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(body)
    except ParseError:
        return None
    return {child.tag: child.text or "" for child in root} if root.tag == "Error" else None


def _proxy_may_be_secret(session: requests.Session, endpoint: str) -> bool:
    """Whether the way to an endpoint leads through a proxy with a password in its address.

    If it was misspelt (an unescaped # or /), a part of it is taken for the proxy's host, and told.
    """
    proxies = session.merge_environment_settings(endpoint, {}, None, None, None)["proxies"]
    return hold_password(proxies.values())


def _transport_error(
    action: str, error: OSError, endpoint: str, where: str = "", *, hides: bool = False
) -> TransportError:
    """What an error of the connection means.

    Args:
        hides: leave out the error's own words, which may repeat a part of a proxy's password.
    """
    root = _kind(error) if hides else _root(error)
    if not isinstance(error, requests.RequestException):
        return CertificateError(action, NO_AUTHORITIES if hides else root)
    if _has(error, ssl.SSLCertVerificationError):
        return CertificateError(action, f"{UNTRUSTED}; no connection{where}: {root}{TRUST}")
    if isinstance(error, requests.exceptions.ReadTimeout):
        return TransportError(action, "no answer within the read timeout")
    if _never_connected(error):
        return NotSentError(action, f"no connection{where}: {root}")
    if any(getattr(cause, "reason", None) in NO_TLS for cause in _causes(error)):
        return NoTlsError(action, _no_tls(endpoint, where.removeprefix(" to "), root))
    broken = isinstance(error, requests.exceptions.SSLError)
    return TransportError(action, root + (f", connected{where}" if broken else ""))


def _no_tls(endpoint: str, place: str, root: str) -> str:
    """That an endpoint of this machine speaks no TLS; of another, what came may be a middlebox's."""
    address = urlsplit(endpoint)
    if is_loopback(address.hostname or ""):
        http = f"http://{address.netloc.rpartition('@')[2]}"
        return f"{place or 'it'} speaks no TLS: for the emulator write {http}"
    return f"what came from {place or 'it'} is no TLS: {root}"


def _never_connected(error: BaseException) -> bool:
    """Whether a connection, or a proxy's tunnel, could not even be made.

    A proxy's error proves nothing by itself: urllib3 names so whatever breaks a connection that goes through one.
    """
    if _has(error, ConnectTimeoutError, NewConnectionError):
        return True
    return any(str(cause).startswith(NO_TUNNEL) for cause in _causes(error))


def _has(error: BaseException, *kinds: type[BaseException]) -> bool:
    return any(isinstance(cause, kinds) for cause in _causes(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps, as requests, urllib3 and ssl do: in its arguments, or as its reason."""
    inside = (*error.args, getattr(error, "reason", None), getattr(error, "original_error", None))
    yield error
    for cause in inside:
        if isinstance(cause, BaseException):
            yield from _causes(cause)


def _kind(error: BaseException) -> str:
    """The innermost reason by its name alone, or the status by which a proxy refused."""
    told = (re.match(rf"{NO_TUNNEL}: (\d{{3}})\b", str(cause)) for cause in _causes(error))
    status = next((f"HTTP {found[1]}" for found in told if found), "")
    return f"{status or type(_innermost(error)).__name__} {PROXIED}"


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
