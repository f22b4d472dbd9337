"""The signature, step by step, against the official SDK's own signing code."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from alibabacloud_tea_openapi import utils as official
from hypothesis import given
from hypothesis import strategies as st

from ehpc_nodes.api import signing
from ehpc_nodes.api.signing import Credentials

NOW = datetime(2025, 1, 1, 8, 0, 0, tzinfo=timezone(timedelta(hours=8)))
KEY = Credentials("fake-access-key-id", "fake-access-key-secret")
HEADERS = {
    "host": "ehpc.cn-hangzhou.aliyuncs.com",
    "accept": "application/json",
    "user-agent": "ehpc-nodes/0",
    "x-acs-action": "ListNodes",
    "x-acs-version": "2018-04-12",
}
params = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    st.text(st.characters(codec="utf-8"), max_size=20),
    max_size=8,
)


def test_names_are_sorted_and_encoded():
    assert signing.canonical_query({"b": "x y", "a": "*~/", "Ä": ""}) == "a=%2A~%2F&b=x%20y&%C3%84="


@pytest.mark.slow
@given(params, st.sampled_from(["GET", "POST"]), st.sampled_from(["", "fake-security-token"]))
def test_authorization_is_the_official_sdks(query, method, token):
    plain = {f"P{n}": value for n, value in enumerate(query.values())}
    credentials = Credentials(KEY.access_key_id, KEY.access_key_secret, token)
    ours = signing.signed_headers(
        method, signing.canonical_query(plain), HEADERS, credentials, now=NOW, nonce="n-1"
    )
    request = SimpleNamespace(
        method=method,
        pathname="/",
        query=plain,
        headers={k: v for k, v in ours.items() if k != "Authorization"},
    )
    assert ours["Authorization"] == official.Utils.get_authorization(
        request,
        "ACS3-HMAC-SHA256",
        signing.EMPTY_BODY_SHA256,
        KEY.access_key_id,
        KEY.access_key_secret,
    )


def test_time_is_utc_to_the_second():
    assert signing.timestamp(NOW) == "2025-01-01T00:00:00Z"


@pytest.mark.parametrize("token", ["", "fake-security-token"])
def test_token_headers_only_with_a_token(token):
    headers = signing.signed_headers(
        "GET", "", HEADERS, Credentials("id", "secret", token), now=NOW, nonce="n"
    )
    assert headers.get("x-acs-security-token", "") == token
    assert ("x-acs-accesskey-id" in headers) == bool(token)


def test_repr_shows_no_secret():
    assert repr(Credentials("id", "the-secret", "the-token")) == "Credentials(access_key_id='id')"
