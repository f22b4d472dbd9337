"""Alibaba Cloud's V3 request signature, ACS3-HMAC-SHA256, its steps as pure functions.

Time and nonce are arguments. The steps are those of the V3 signature page of the OpenAPI documentation
and of the official SDK (`alibabacloud-tea-openapi`): canonical request, string to sign, signature.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
EMPTY_BODY_SHA256 = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class Credentials:
    """An access key, with a security token if it is temporary. Its repr shows no secret."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str = field(default="", repr=False)


def canonical_query(params: Mapping[str, str]) -> str:
    """Parameters sorted by name and percent-encoded by RFC 3986; sent as the query as it is."""
    return "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(params.items())
    )


def canonical_request(
    method: str, query: str, headers: Mapping[str, str], body_sha256: str = EMPTY_BODY_SHA256
) -> str:
    """The canonical text of a request to the path ``/``; all given headers are signed."""
    by_name = sorted((name.lower(), value.strip()) for name, value in headers.items())
    lines = "".join(f"{name}:{value}\n" for name, value in by_name)
    names = ";".join(name for name, _ in by_name)
    return f"{method}\n/\n{query}\n{lines}\n{names}\n{body_sha256}"


def string_to_sign(canonical: str) -> str:
    """The algorithm's name and the SHA-256 of the canonical request."""
    return f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


def signature(secret: str, to_sign: str) -> str:
    """Hex HMAC-SHA256 with the access key secret itself."""
    return hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


def timestamp(moment: datetime) -> str:
    """UTC, to the second, in the form of ``x-acs-date``: ``2025-01-01T00:00:00Z``."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def signed_headers(
    method: str,
    query: str,
    headers: Mapping[str, str],
    credentials: Credentials,
    *,
    now: datetime,
    nonce: str,
) -> dict[str, str]:
    """The headers to send: those given, the ``x-acs-`` ones of this attempt, and ``Authorization``.

    Args:
        query: the canonical query, which is also what is sent.
        headers: what else is sent and signed: host, accept, user-agent, x-acs-action, x-acs-version.
        nonce: never used before with this key.
    """
    signed = {
        **headers,
        "x-acs-date": timestamp(now),
        "x-acs-signature-nonce": nonce,
        "x-acs-content-sha256": EMPTY_BODY_SHA256,
    }
    if credentials.security_token:
        signed["x-acs-accesskey-id"] = credentials.access_key_id
        signed["x-acs-security-token"] = credentials.security_token
    to_sign = string_to_sign(canonical_request(method, query, signed))
    names = ";".join(sorted(name.lower() for name in signed))
    signed["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id},SignedHeaders={names}"
        f",Signature={signature(credentials.access_key_secret, to_sign)}"
    )
    return signed
