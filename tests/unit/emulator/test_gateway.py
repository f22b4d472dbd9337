"""What a request may look like, and the two forms of answers."""

import json
import xml.etree.ElementTree as ET  # of our own making, so safe to parse

import pytest

from ehpc_nodes.emulator import Answer, declared
from ehpc_nodes.emulator.formats import encode
from ehpc_nodes.emulator.gateway import Gateway
from ehpc_nodes.emulator.request import Request


def reply(cloud, method="GET", target="/", headers=None, body=b""):
    return Gateway(cloud.emulator).reply(Request.of(method, target, headers or {}, body))


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (("PUT", "/?Action=ListNodes", {}, b""), 400, "UnsupportedHTTPMethod"),
        (("GET", "/v1?Action=ListNodes", {}, b""), 404, "InvalidAction.NotFound"),
        (("GET", "/?A=1&A=2", {}, b""), 400, "InvalidParameter"),
        (("POST", "/", {"content-type": "application/json"}, b"{}"), 400, "InvalidParameter"),
        (("GET", "/?Action=ListNodes", {}, b""), 400, "MissingParameter"),
    ],
)
def test_requests_that_are_none(cloud, sent, status, code):
    answer = reply(cloud, *sent)
    assert (answer.status, json.loads(answer.body)["Code"]) == (status, code)
    assert answer.headers["x-acs-request-id"] == json.loads(answer.body)["RequestId"]
    assert cloud.emulator.journal.entries[-1].code == code


@pytest.mark.parametrize(
    ("target", "accept", "is_xml"),
    [
        ("/", None, False),
        ("/", "application/json", False),
        ("/", "*/*", False),
        ("/", "application/xml", True),
        ("/", "text/xml, application/json", False),
        ("/?Format=XML", "application/json", True),
        ("/?Format=xml", None, True),
        ("/?Format=JSON", "application/xml", False),
    ],
)
def test_the_form_of_the_answer(cloud, target, accept, is_xml):
    answer = reply(cloud, target=target, headers={"accept": accept} if accept else {})
    types = ["application/json;charset=utf-8", "text/xml;charset=utf-8"]
    assert answer.content_type == types[is_xml]
    assert answer.body.startswith(b"<?xml" if is_xml else b"{")


def xml(body, status=200):
    content_type, raw = encode(Answer(status, body), "ListNodes", as_xml=True)
    assert content_type == "text/xml;charset=utf-8"
    return ET.fromstring(raw)


def test_xml_repeats_the_items_of_lists():
    root = xml({"Nodes": {"NodeInfo": [{"Id": "a"}, {"Id": "b"}]}, "Tasks": [], "None": {"X": []}})
    assert root.tag == "ListNodesResponse"
    assert [row.findtext("Id") for row in root.find("Nodes")] == ["a", "b"]
    assert root.find("Tasks") is None
    assert len(root.find("None")) == 0


def test_xml_of_scalars():
    root = xml({"T": True, "F": False, "N": 7, "S": "ü<&>\"' \n", "Z": "\x00\ud800"})
    assert [item.text for item in root] == ["true", "false", "7", "ü<&>\"' \n", "\ufffd\ufffd"]


def test_xml_of_errors():
    root = xml({"RequestId": "r", "HostId": "h", "Code": "C", "Message": "m"}, status=400)
    assert root.tag == "Error"
    assert [item.tag for item in root] == ["RequestId", "HostId", "Code", "Message"]


def test_every_answer_can_be_xml(cloud):
    for service, version in (("ehpc", "2018-04-12"), ("ecs", "2014-05-26")):
        for action in declared.ACTIONS[service]:
            answer = cloud.emulator.call(
                action, version, {"ClusterId": "ehpc-1", "RegionId": "cn-test"}
            )
            _, raw = encode(answer, action, as_xml=True)
            tag = "Error" if answer.status >= 400 else f"{action}Response"
            assert ET.fromstring(raw).tag == tag
