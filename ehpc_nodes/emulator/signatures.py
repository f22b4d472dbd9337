"""Who is calling: both of Alibaba Cloud's signature schemes, checked with the emulator's own code.

ACS3-HMAC-SHA256 signs method, path, query, headers and the body's hash; the signature is in headers. The
classic RPC scheme signs method and parameters with HMAC-SHA1; the signature is in parameters. Codes and
statuses are those of the public error lists, except where guessed: IncompleteSignature for headers
that are not signed, SignatureDoesNotMatch for a wrong hash of the body (lists differ on its status:
403 or 400), MissingParameter for a missing part of the signature, InvalidSecurityToken.NotFound for any
token but the key's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote

from .answers import ApiError, missing
from .request import Pairs, Request
from .world import AccessKey, World

ALGORITHM = "ACS3-HMAC-SHA256"
TOLERANCE = 15 * 60

_NEEDED = ("x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce")


@dataclass(frozen=True)
class Claim:
    """The signer, as a request names it. `server_text` is the text to sign, as the server computes it;
    `matches`: whether a secret gives the signature.
    """

    key_id: str
    token: str
    time: str
    nonce: str
    server_text: str
    matches: Callable[[str], bool]


class Gate:
    """Admits requests that a known key signed, recently and once. Thread-safe.

    Time is the computer's, not the emulator's clock, which tests move.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._nonces: dict[tuple[str, str], float] = {}

    def admit(self, request: Request, world: World) -> AccessKey:
        """The key that signed the request, or the error."""
        claim = read_claim(request)
        key = world.access_keys.get(claim.key_id)
        if key is None:
            text = "Specified access key is not found."
            raise ApiError(404, "InvalidAccessKeyId.NotFound", text)
        _check_token(key, claim.token)
        now = self._now()
        _check_time(claim.time, now + world.knobs.signature_clock_skew)
        if not claim.matches(key.secret):
            text = "Specified signature is not matched with our calculation."
            raise ApiError(403, "SignatureDoesNotMatch", f"{text} {claim.server_text}")
        self._use_nonce((key.id, claim.nonce), now)
        return key

    def _use_nonce(self, nonce: tuple[str, str], now: float) -> None:
        with self._lock:
            oldest = next(iter(self._nonces.values()), now)
            if oldest < now - 4 * TOLERANCE:
                kept = {k: v for k, v in self._nonces.items() if v >= now - 2 * TOLERANCE}
                self._nonces = kept
            if nonce in self._nonces:
                text = "Specified signature nonce was used already."
                raise ApiError(400, "SignatureNonceUsed", text)
            self._nonces[nonce] = now


def claimed_key_id(request: Request) -> str:
    """The id of the key that a request claims to be signed with, proved or not."""
    fields = _authorization(request.headers.get("authorization", ""))
    return fields.get("Credential") or request.params.get("AccessKeyId", "")


def read_claim(request: Request) -> Claim:
    """Find the signature of either scheme."""
    if "authorization" in request.headers:
        return _acs3(request)
    if "Signature" in request.params or "AccessKeyId" in request.params:
        return _rpc(request)
    raise missing("AccessKeyId")


# ---------------------------------------------------------------- ACS3-HMAC-SHA256


def _acs3(request: Request) -> Claim:
    headers = request.headers
    fields = _authorization(headers["authorization"])
    signed = fields.get("SignedHeaders", "").split(";")
    if not (fields.get("Credential") and fields.get("Signature") and signed[0]):
        raise _incomplete("The Authorization header cannot be read.")
    for name in _NEEDED:
        in_parameter = {"x-acs-action": "Action", "x-acs-version": "Version"}.get(name, "")
        if not request.named(name, in_parameter):
            raise missing(name)
    _check_signed(request, signed)
    body_hash = hashlib.sha256(request.body).hexdigest()
    canonical = _canonical_request(request, signed, body_hash)
    to_sign = f"{ALGORITHM}\n{_sha256(canonical)}"
    hash_holds = headers.get("x-acs-content-sha256", "") == body_hash

    def matches(secret: str) -> bool:
        expected = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        return _same(expected, fields["Signature"]) and hash_holds

    return Claim(
        key_id=fields["Credential"],
        token=headers.get("x-acs-security-token", ""),
        time=headers["x-acs-date"],
        nonce=headers["x-acs-signature-nonce"],
        server_text=f"server StringToSign is [{to_sign}], server CanonicalRequest is [{canonical}]",
        matches=matches,
    )


def _authorization(text: str) -> dict[str, str]:
    """The fields of the header; none if it has another scheme."""
    scheme, _, rest = text.partition(" ")
    if scheme != ALGORITHM:
        return {}
    found = (part.strip().partition("=") for part in rest.split(","))
    return {name: value for name, _, value in found}


def _check_signed(request: Request, signed: list[str]) -> None:
    """Every header that changes the meaning of a call must exist and be signed."""
    absent = [name for name in signed if name not in request.headers]
    if absent:
        raise _incomplete(f"Signed headers are not there: {', '.join(absent)}.")
    needed = {name for name in request.headers if name.startswith("x-acs-")}
    needed |= {"host", "x-acs-content-sha256", *request.headers.keys() & {"content-type"}}
    unsigned = sorted(needed - set(signed))
    if unsigned:
        raise _incomplete(f"Headers are not signed: {', '.join(unsigned)}.")


def _canonical_request(request: Request, signed: list[str], body_hash: str) -> str:
    query = _canonical_query(request.query_pairs)
    names = sorted(signed)
    lines = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    path = quote(request.path, safe="/-_.~")
    return "\n".join([request.method, path, query, lines, ";".join(names), body_hash])


# ---------------------------------------------------------------- RPC HMAC-SHA1


def _rpc(request: Request) -> Claim:
    params = request.params
    for name in ("AccessKeyId", "Signature", "Timestamp", "SignatureNonce"):
        if not params.get(name):
            raise missing(name)
    if params.get("SignatureMethod", "HMAC-SHA1") != "HMAC-SHA1":
        text = "Specified signature method is not valid."
        raise ApiError(400, "InvalidSignatureMethod", text)
    if params.get("SignatureVersion") != "1.0":
        raise _incomplete("SignatureVersion must be 1.0.")
    query = _canonical_query([pair for pair in params.items() if pair[0] != "Signature"])
    to_sign = f"{request.method}&%2F&{_encode(query)}"

    def matches(secret: str) -> bool:
        made = hmac.new(f"{secret}&".encode(), to_sign.encode(), hashlib.sha1).digest()
        return _same(base64.b64encode(made).decode(), params["Signature"])

    return Claim(
        key_id=params["AccessKeyId"],
        token=params.get("SecurityToken", ""),
        time=params["Timestamp"],
        nonce=params["SignatureNonce"],
        server_text=f"server string to sign is:{to_sign}",
        matches=matches,
    )


# ---------------------------------------------------------------- both


def _check_token(key: AccessKey, token: str) -> None:
    if key.token and not token:
        text = "SecurityToken is mandatory for this action."
        raise ApiError(400, "MissingSecurityToken", text)
    if token != (key.token or ""):
        text = "Specified SecurityToken is not found."
        raise ApiError(404, "InvalidSecurityToken.NotFound", text)


def _check_time(text: str, now: float) -> None:
    try:
        stated = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        why = "Specified time stamp or date value is not well formatted."
        raise ApiError(400, "InvalidTimeStamp.Format", why) from None
    if abs(stated.timestamp() - now) > TOLERANCE:
        why = "Specified time stamp or date value is expired."
        raise ApiError(400, "InvalidTimeStamp.Expired", why)


def _incomplete(why: str) -> ApiError:
    text = f"The request signature does not conform to Aliyun standards. {why}"
    return ApiError(400, "IncompleteSignature", text)


def _canonical_query(pairs: Pairs) -> str:
    return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in sorted(pairs))


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
