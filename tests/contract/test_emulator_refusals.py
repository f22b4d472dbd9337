"""What the emulator refuses over plain HTTP, in JSON and in XML. Requests are signed with the official SDK's
own utilities, so that nothing but what a test says is wrong with them.
"""

import uuid
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest
import requests
from alibabacloud_tea_openapi.utils import Utils

from ehpc_nodes.emulator import EmulatorServer

CLUSTER = "ehpc-hz-demo"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ADD = {"ClusterId": CLUSTER, "ImageId": "x", "ImageOwnerAlias": "system"}
CODES = {"json": lambda r: r.json(), "xml": lambda r: _elements(r.content)}


def _elements(content):
    root = ET.fromstring(content)
    assert root.tag == "Error"
    return {item.tag: item.text for item in root}


def stamp(minutes=0):
    moment = datetime.now(timezone.utc) + timedelta(minutes=minutes)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Caller:
    """Sends calls with either signature, asking for JSON or XML."""

    def __init__(self, server, session, scheme, form):
        self.server, self.session, self.scheme, self.form = server, session, scheme, form

    def __call__(self, action, params, **changes):
        """`key_id`, `secret`, `nonce`, `date` and `version` may differ from what is right."""
        right = {
            "key_id": self.server.access_key_id,
            "secret": self.server.access_key_secret,
            "nonce": str(uuid.uuid4()),
            "date": stamp(),
            "version": "2018-04-12",
        }
        said = SimpleNamespace(**{**right, **changes})
        send = {"acs3": self._acs3, "rpc": self._rpc}[self.scheme]
        return send(action, params, said)

    def _acs3(self, action, params, said):
        headers = {
            "host": self.server.address,
            "accept": f"application/{self.form}",
            "x-acs-action": action,
            "x-acs-version": said.version,
            "x-acs-date": said.date,
            "x-acs-signature-nonce": said.nonce,
            "x-acs-content-sha256": EMPTY,
        }
        request = SimpleNamespace(method="GET", pathname="/", query=params, headers=headers)
        headers["Authorization"] = Utils.get_authorization(
            request, "ACS3-HMAC-SHA256", EMPTY, said.key_id, said.secret
        )
        return self.session.get(self.server.url, params=params, headers=headers)

    def _rpc(self, action, params, said):
        signed = {
            **params,
            "Action": action,
            "Version": said.version,
            "Format": self.form,
            "Timestamp": said.date,
            "SignatureNonce": said.nonce,
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "AccessKeyId": said.key_id,
        }
        signed["Signature"] = Utils.get_rpcsignature(signed, "POST", said.secret)
        return self.session.post(self.server.url, data=signed)

    def code(self, answer, status):
        """The code, after the envelope was looked at."""
        kind = "text/xml" if self.form == "xml" else "application/json"
        assert answer.headers["Content-Type"] == f"{kind};charset=utf-8"
        error = CODES[self.form](answer)
        assert set(error) == {"RequestId", "HostId", "Code", "Message"}
        assert all(error.values())
        assert error["RequestId"] == answer.headers["x-acs-request-id"]
        assert answer.status_code == status
        return error["Code"]


@pytest.fixture(scope="module")
def server():
    with EmulatorServer() as server:
        yield server


@pytest.fixture(params=["json", "xml"])
def form(request):
    return request.param


@pytest.fixture(params=["acs3", "rpc"])
def call(request, server, form):
    with requests.Session() as session:
        yield Caller(server, session, request.param, form)


def test_a_call_that_is_right(call, form):
    answer = call("ListQueues", {"ClusterId": CLUSTER})
    assert answer.status_code == 200
    if form == "json":
        assert answer.json()["Queues"]["QueueInfo"][1]["QueueName"] == "gpu"
    else:
        root = ET.fromstring(answer.content)
        assert root.tag == "ListQueuesResponse"
        assert [row.text for row in root.iterfind("Queues/QueueInfo/QueueName")] == ["workq", "gpu"]


@pytest.mark.parametrize(
    ("action", "params", "status", "code"),
    [
        ("DescribeNodes", {"ClusterId": CLUSTER}, 404, "InvalidAction.NotFound"),
        ("ListQueues", {"ClusterId": CLUSTER, "Colour": "red"}, 400, "InvalidParams"),
        ("ListQueues", {}, 400, "MissingParameter"),
        ("ListQueues", {"ClusterId": "ehpc-hz-nope"}, 404, "ClusterNotFound"),
        ("AddExistedNodes", ADD, 400, "MissingParameter"),
        (
            "AddExistedNodes",
            {**ADD, **{f"Instance.{n}.Id": f"i-{n}" for n in range(1, 102)}},
            400,
            "InvalidParams",
        ),
        ("AddExistedNodes", {**ADD, "Instance.2.Id": "i-2"}, 400, "InvalidParams"),
    ],
)
def test_calls_that_are_wrong(call, action, params, status, code):
    assert call.code(call(action, params), status) == code


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"secret": "another"}, 403, "SignatureDoesNotMatch"),
        ({"key_id": "nobody"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"date": stamp(-16)}, 400, "InvalidTimeStamp.Expired"),
        ({"date": stamp(60)}, 400, "InvalidTimeStamp.Expired"),
        ({"date": "now"}, 400, "InvalidTimeStamp.Format"),
        ({"version": "2024-07-30"}, 400, "NoSuchVersion"),
    ],
)
def test_callers_that_are_wrong(call, changes, status, code):
    assert call.code(call("ListQueues", {"ClusterId": CLUSTER}, **changes), status) == code


def test_a_nonce_that_was_used(call):
    nonce = str(uuid.uuid4())
    assert call("ListQueues", {"ClusterId": CLUSTER}, nonce=nonce).ok
    answer = call("ListQueues", {"ClusterId": CLUSTER}, nonce=nonce)
    assert call.code(answer, 400) == "SignatureNonceUsed"


def test_nobody(server):
    answer = requests.get(
        server.url, params={"Action": "ListQueues", "Version": "2018-04-12"}, timeout=100
    )
    assert (answer.status_code, answer.json()["Code"]) == (400, "MissingParameter")


def test_what_was_refused_stands_in_the_journal(server, call):
    server.emulator.journal.entries.clear()
    call("ListQueues", {"ClusterId": CLUSTER}, secret="another")
    (entry,) = server.emulator.journal.entries
    assert (entry.action, entry.status, entry.code) == ("ListQueues", 403, "SignatureDoesNotMatch")
    assert entry.access_key_id == server.access_key_id
    assert entry.params == {}
