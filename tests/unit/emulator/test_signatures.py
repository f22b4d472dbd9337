"""The signature check, against requests signed by code of this file."""

import base64
import hashlib
import hmac
from datetime import datetime, timezone
from urllib.parse import quote, urlencode

import pytest

from ehpc_nodes.emulator import ApiError, World
from ehpc_nodes.emulator.request import Request
from ehpc_nodes.emulator.signatures import Gate

NOW = 1_750_000_000
EMPTY = hashlib.sha256(b"").hexdigest()
PARAMS = {
    "ClusterId": "ehpc-1",
    "Instance.1.Id": "i *~/+&=ü",
    "Instance": "",
    "A.1": "",
    "A": "b c",
}
FORM = "application/x-www-form-urlencoded"


def stamp(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def encoded(params):
    return "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(params.items()))


def acs3(*, secret="secret", method="GET", body=b"", signed=None, **headers):
    """A request as the SDK signs it; headers named here (x_acs_date=…) replace its own, or go for None."""
    given = {
        "host": "127.0.0.1:1",
        "accept": "application/json",
        "x-acs-action": "ListNodes",
        "x-acs-version": "2018-04-12",
        "x-acs-date": stamp(NOW),
        "x-acs-signature-nonce": "nonce-1",
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in given.items() if value is not None}
    names = sorted(signed if signed is not None else given)
    lines = "".join(f"{name}:{given.get(name, '')}\n" for name in names)
    hashed = given.get("x-acs-content-sha256", EMPTY)
    text = "\n".join([method, "/", encoded(PARAMS), lines, ";".join(names), hashed])
    to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(text.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    fields = f"Credential=key,SignedHeaders={';'.join(names)},Signature={signature}"
    given.setdefault("authorization", f"ACS3-HMAC-SHA256 {fields}")
    # on the wire a space is a plus, as the SDK sends it
    return Request.of(method, f"/?{urlencode(PARAMS)}", given, body)


def rpc(*, secret="secret", method="GET", in_form=False, **changes):
    params = {
        **PARAMS,
        "Action": "ListNodes",
        "Version": "2018-04-12",
        "AccessKeyId": "key",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": "nonce-1",
        "Timestamp": stamp(NOW),
        **changes,
    }
    params = {name: value for name, value in params.items() if value is not None}
    text = f"{method}&%2F&{quote(encoded(params), safe='~')}"
    made = hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()
    params.setdefault("Signature", base64.b64encode(made).decode())
    query = urlencode(params)
    if in_form:
        return Request.of(method, "/", {"content-type": FORM}, query.encode())
    return Request.of(method, f"/?{query}", {}, b"")


@pytest.fixture
def admit():
    keys = [{"id": "key", "secret": "secret"}, {"id": "sts", "secret": "secret", "token": "token"}]
    world, gate = World.from_dict({"access_keys": keys}), Gate(now=lambda: NOW)

    def admit(request, **knobs):
        world.knobs = world.knobs.changed(knobs)
        return gate.admit(request, world).id

    return admit


def refused(admit, request, **knobs):
    with pytest.raises(ApiError) as caught:
        admit(request, **knobs)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize(
    "request_",
    [
        acs3(),
        acs3(method="POST", body=b"C=d+e", content_type=FORM),
        acs3(signed=[name for name in acs3().headers if name not in ("accept", "authorization")]),
        rpc(),
        rpc(method="POST"),
        rpc(method="POST", in_form=True),
        rpc(SignatureMethod=None),
    ],
)
def test_a_request_that_is_signed_well_is_let_in(admit, request_):
    assert admit(request_) == "key"


MISMATCH = (403, "SignatureDoesNotMatch")
MISSING = (400, "MissingParameter")
INCOMPLETE = (400, "IncompleteSignature")


def without(name):
    return [each for each in acs3().headers if each not in (name, "authorization")]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (Request.of("GET", "/?Action=ListNodes", {}, b""), MISSING),
        (acs3(secret="other"), MISMATCH),
        (acs3(x_acs_content_sha256=hashlib.sha256(b"x").hexdigest()), MISMATCH),
        (acs3(x_acs_content_sha256=None), INCOMPLETE),
        (acs3(x_acs_date=None), MISSING),
        (acs3(x_acs_signature_nonce=None), MISSING),
        (acs3(x_acs_action=None), MISSING),
        (acs3(host=None), INCOMPLETE),
        (acs3(signed=without("host")), INCOMPLETE),
        (acs3(signed=without("x-acs-action")), INCOMPLETE),
        (acs3(signed=without("x-acs-content-sha256")), INCOMPLETE),
        (acs3(content_type=FORM, signed=without("content-type")), INCOMPLETE),
        (acs3(x_acs_more="1", signed=without("")), INCOMPLETE),
        (acs3(signed=[*without(""), "x-acs-absent"]), INCOMPLETE),
        (acs3(signed=[]), INCOMPLETE),
        (acs3(authorization="Basic a2V5"), INCOMPLETE),
        (acs3(authorization="ACS3-HMAC-SHA256 Credential=key"), INCOMPLETE),
        (acs3(authorization=""), INCOMPLETE),
        (
            acs3(authorization="ACS3-HMAC-SHA256 Credential=nobody,SignedHeaders=host,Signature=a"),
            INCOMPLETE,
        ),
        (rpc(secret="other"), MISMATCH),
        (rpc(Signature="ü"), MISMATCH),
        (rpc(Signature=""), MISSING),
        (rpc(Timestamp=None), MISSING),
        (rpc(SignatureNonce=None), MISSING),
        (rpc(SignatureVersion=None), INCOMPLETE),
        (rpc(SignatureMethod="HMAC-SHA256"), (400, "InvalidSignatureMethod")),
        (rpc(AccessKeyId="nobody"), (404, "InvalidAccessKeyId.NotFound")),
        (rpc(AccessKeyId="sts"), (400, "MissingSecurityToken")),
        (rpc(AccessKeyId="sts", SecurityToken="x"), (404, "InvalidSecurityToken.NotFound")),
        (rpc(SecurityToken="x"), (404, "InvalidSecurityToken.NotFound")),
        (acs3(x_acs_security_token="x"), (404, "InvalidSecurityToken.NotFound")),
        (rpc(Timestamp="yesterday"), (400, "InvalidTimeStamp.Format")),
    ],
)
def test_any_other_is_refused(admit, request_, answer):
    assert refused(admit, request_) == answer


@pytest.mark.parametrize("what", ["method", "query", "header"])
def test_what_was_changed_on_the_way_is_noticed(admit, what):
    good = acs3()
    method = "POST" if what == "method" else "GET"
    query = good.query + "x" if what == "query" else good.query
    headers = {**good.headers, **({"x-acs-action": "DeleteNodes"} if what == "header" else {})}
    assert refused(admit, Request(method, "/", query, headers)) == MISMATCH
    assert admit(good) == "key"


@pytest.mark.parametrize("sign", [acs3, rpc])
def test_a_nonce_is_good_for_once(admit, sign):
    assert admit(sign()) == "key"
    assert refused(admit, sign()) == (400, "SignatureNonceUsed")


def test_a_request_that_was_refused_uses_no_nonce(admit):
    refused(admit, rpc(secret="other"))
    assert admit(rpc()) == "key"


def test_the_token_of_an_sts_key(admit):
    assert admit(rpc(AccessKeyId="sts", SecurityToken="token")) == "sts"


EXPIRED = (400, "InvalidTimeStamp.Expired")


@pytest.mark.parametrize("sign", [-1, 1])
def test_a_timestamp_may_be_a_quarter_of_an_hour_off(admit, sign):
    assert admit(rpc(Timestamp=stamp(NOW + sign * 899))) == "key"
    assert refused(admit, rpc(Timestamp=stamp(NOW + sign * 901))) == EXPIRED
    assert refused(admit, acs3(x_acs_date=stamp(NOW + sign * 901))) == EXPIRED


def test_the_check_may_see_another_time(admit):
    assert refused(admit, rpc(), signature_clock_skew=1000) == EXPIRED
    assert admit(rpc(Timestamp=stamp(NOW + 1000)), signature_clock_skew=1000) == "key"


def test_old_nonces_are_forgotten():
    time = [NOW]
    gate = Gate(now=lambda: time[0])
    world = World.from_dict({"access_keys": [{"id": "key", "secret": "secret"}]})
    for _ in range(5):
        gate.admit(rpc(Timestamp=stamp(time[0]), SignatureNonce=f"n{time[0]}"), world)
        time[0] += 3600
    assert len(gate._nonces) <= 2
