"""What we send is what the official SDKs send: both call one plain HTTP server, which writes down what came.

Our client is put together by the provider itself, so that the HTTP methods, the API versions and the headers
compared are those of a real run.
"""

import inspect
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import call
from urllib.parse import parse_qsl, urlsplit

import pytest
from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_ecs20140526.client import Client as OfficialEcs
from alibabacloud_ehpc20180412 import models as ehpc
from alibabacloud_ehpc20180412.client import Client as OfficialEhpc
from alibabacloud_openapi_util.client import Client as OpenApiUtil
from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_openapi.utils import Utils as TeaOpenApiUtils
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.dynamic import ConfigureRequest
from pulumi.dynamic.config import Config as StackConfig

from ehpc_nodes.api.client import Client
from ehpc_nodes.provider import dynamic
from ehpc_nodes.provider.engine import EngineCall

REGION = "cn-hangzhou"
CLUSTER = "ehpc-hz-a"
KEY_ID, SECRET, TOKEN = "fake-access-key-id", "fake-access-key-secret", "fake-security-token"
NASTY = "a b+c*~ü/&=%20;?#\n'\""
#: Eleven, so that Instance.10.Id has to be sorted before Instance.2.Id where the signature is made.
IDS = [f"i-{n}" for n in range(1, 12)]
#: Enough for every method on either side; no list goes on after its first page.
SUCCESS = {"RequestId": "R-1", "TotalCount": 0, "ClusterInfo": {"Id": CLUSTER}}

#: The SDK signs and sends the name of its own credentials provider (`static_ak`): telemetry about the SDK,
#: not a part of the request. Older SDKs don't send it.
OF_THE_SDK_ALONE = {"x-acs-credentials-provider"}
#: Headers with a value of their own for each request; their form is compared, not their value.
EACH_TIME_ANEW = {
    "x-acs-date": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "x-acs-signature-nonce": r"[0-9a-f]{32}",
}


# -- the server -----------------------------------------------------------------------------------


class Sent(NamedTuple):
    """One request as it came over the wire; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        parts = urlsplit(self.target).query
        return sorted(parse_qsl(parts, keep_blank_values=True, strict_parsing=bool(parts)))

    @property
    def authorization(self) -> "Authorization":
        found = re.fullmatch(
            r"(\S+) Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
            self.headers["authorization"],
        )
        assert found, self.headers["authorization"]
        algorithm, key_id, names, _ = found.groups()
        return Authorization(algorithm, key_id, names.split(";"))


class Authorization(NamedTuple):
    algorithm: str
    key_id: str
    signed: list[str]


class Server(ThreadingHTTPServer):
    """Answers every request with success, or with what was put into ``answers``; keeps what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.came: list[Sent] = []
        self.answers: list[dict[str, object]] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def take(self) -> list[Sent]:
        """What came since the last time."""
        came, self.came = self.came, []
        return came


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet for head and body: two would wait for each other's acknowledgement
    server: Server

    def do_GET(self) -> None:
        names = [name.lower() for name in self.headers]
        assert len(names) == len(set(names)), "a header twice"
        assert "transfer-encoding" not in names
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.came.append(Sent(self.command, self.path, headers, body))
        answer = self.server.answers.pop(0) if self.server.answers else SUCCESS
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture(scope="module")
def running():
    with Server() as started:
        yield started
        started.shutdown()


@pytest.fixture
def server(running):
    running.take()
    running.answers.clear()
    return running


# -- both callers ---------------------------------------------------------------------------------


def our_client(server: Server, token: str = "") -> Client:
    """The client as the provider makes it for an operation on the stack config's endpoints."""
    config = {
        "ehpc:endpoint": f"http://{server.address}",
        "ehpc:ecsEndpoint": f"http://{server.address}",
        "ehpc:accessKeyId": KEY_ID,
        "ehpc:accessKeySecret": SECRET,
        "ehpc:securityToken": token,
    }
    nodes_provider = dynamic.AttachedNodesProvider()
    nodes_provider.configure(ConfigureRequest(StackConfig(config, "project")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic, "Operations", lambda cloud, *_: cloud)
        made: object = nodes_provider._operations(EngineCall(), REGION, 30.0)
    assert isinstance(made, Client)
    return made


class Official:
    """The two official clients, against the same server."""

    def __init__(self, server: Server, token: str = "") -> None:
        def config() -> Config:
            return Config(
                access_key_id=KEY_ID,
                access_key_secret=SECRET,
                security_token=token or None,
                endpoint=server.address,
                protocol="HTTP",
                region_id=REGION,
            )

        self.services = {
            "ehpc": (OfficialEhpc(config()), ehpc),
            "ecs": (OfficialEcs(config()), ecs),
        }

    def send(self, action: str, params: Mapping[str, object]) -> None:
        """The SDK's method of an action (as permissions name it), with the SDK's own request."""
        service, _, name = action.partition(":")
        client, models = self.services[service]
        request = getattr(models, f"{name}Request")().from_map(params)
        known = request.to_map()
        assert {name: known.get(name) for name in params} == params, "the SDK doesn't know one"
        getattr(client, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())(request)


# -- the table ------------------------------------------------------------------------------------


class Case(NamedTuple):
    """One of our methods, its arguments, and the official call that means the same.

    Where the SDK leaves a value to the service (PageSize, Sync, …) it is told the one that we send.
    """

    method: str
    given: object
    action: str
    params: Mapping[str, object]
    note: str = ""


IN_CLUSTER = {"ClusterId": CLUSTER}
IN_REGION = {"RegionId": REGION}
FIRST_PAGE = {"PageNumber": 1, "PageSize": 50}
INSTANCES = [{"Id": i} for i in IDS]
OF_INSTANCES = {**IN_REGION, "ResourceType": "instance"}
ADDED = {**IN_CLUSTER, "ImageId": "m-1", "Instance": INSTANCES}
MARK = {"Key": "ehpc-nodes", "Value": NASTY}

CASES = [
    Case("describe_cluster", call(CLUSTER), "ehpc:DescribeCluster", IN_CLUSTER),
    Case("list_clusters", call(), "ehpc:ListClusters", FIRST_PAGE),
    Case(
        "list_nodes",
        call(CLUSTER),
        "ehpc:ListNodes",
        {**IN_CLUSTER, "SortBy": "AddedTime", "PageNumber": 1, "PageSize": 100},
    ),
    Case(
        "list_queue_nodes",
        call(CLUSTER, NASTY),
        "ehpc:ListNodesByQueue",
        {**IN_CLUSTER, **FIRST_PAGE, "QueueName": NASTY},
    ),
    Case("list_queues", call(CLUSTER), "ehpc:ListQueues", IN_CLUSTER),
    Case(
        "list_jobs",
        call(CLUSTER, ["compute0", NASTY]),
        "ehpc:ListJobsWithFilters",
        {**IN_CLUSTER, **FIRST_PAGE, "JobStatus": "notfinish", "Nodes": ["compute0", NASTY]},
    ),
    Case("get_auto_scale_config", call(CLUSTER), "ehpc:GetAutoScaleConfig", IN_CLUSTER),
    Case(
        "list_running_tasks",
        call(CLUSTER),
        "ehpc:ListTasks",
        {**IN_CLUSTER, **FIRST_PAGE, "Archived": False},
    ),
    Case(
        "list_tasks",
        call(CLUSTER),
        "ehpc:ListTasks",
        {**IN_CLUSTER, **FIRST_PAGE, "Archived": True},
    ),
    Case("get_task", call(CLUSTER, "T-1"), "ehpc:ListTasks", {**IN_CLUSTER, "TaskId": "T-1"}),
    Case("list_system_images", call(), "ehpc:ListImages", {}),
    Case(
        "list_custom_images", call("others"), "ehpc:ListCustomImages", {"ImageOwnerAlias": "others"}
    ),
    Case(
        "add_existed_nodes",
        call(CLUSTER, IDS, image=("m-1", "self"), queue=NASTY),
        "ehpc:AddExistedNodes",
        {**ADDED, "ImageOwnerAlias": "self", "JobQueue": NASTY},
        "to a queue",
    ),
    Case(
        "add_existed_nodes",
        call(CLUSTER, IDS, image=("m-1", "system"), queue=""),
        "ehpc:AddExistedNodes",
        {**ADDED, "ImageOwnerAlias": "system"},
        "to the default queue",
    ),
    Case(
        "delete_nodes",
        call(CLUSTER, IDS),
        "ehpc:DeleteNodes",
        {**IN_CLUSTER, "Instance": INSTANCES, "ReleaseInstance": False, "Sync": False},
    ),
    Case(
        "set_queue",
        call(CLUSTER, "workq", ["compute0", "compute1"]),
        "ehpc:SetQueue",
        {**IN_CLUSTER, "QueueName": "workq", "Node": [{"Name": "compute0"}, {"Name": "compute1"}]},
    ),
    Case(
        "describe_instances",
        call(IDS),
        "ecs:DescribeInstances",
        {**IN_REGION, "InstanceIds": json.dumps(IDS, separators=(",", ":")), "MaxResults": 100},
    ),
    Case(
        "instances_tagged",
        call({"ehpc-nodes": NASTY}),
        "ecs:DescribeInstances",
        {**IN_REGION, "Tag": [MARK], "MaxResults": 100},
    ),
    Case(
        "list_tags",
        call({"ehpc-nodes": NASTY, "any": ""}),
        "ecs:ListTagResources",
        {**OF_INSTANCES, "Tag": [MARK, {"Key": "any"}]},
    ),
    Case(
        "instances_in_vpc",
        call("vpc-bp1"),
        "ecs:DescribeInstances",
        {**IN_REGION, "VpcId": "vpc-bp1", "MaxResults": 100},
    ),
    Case(
        "stop_instances",
        call(IDS),
        "ecs:StopInstances",
        {
            **IN_REGION,
            "InstanceId": IDS,
            "StoppedMode": "KeepCharging",
            "BatchOptimization": "SuccessFirst",
        },
    ),
    Case(
        "tag_instances",
        call(IDS, {"ehpc-nodes": NASTY, "empty": ""}),
        "ecs:TagResources",
        {**OF_INSTANCES, "ResourceId": IDS, "Tag": [MARK, {"Key": "empty", "Value": ""}]},
    ),
    Case(
        "untag_instances",
        call(IDS, "ehpc-nodes", "empty"),
        "ecs:UntagResources",
        {**OF_INSTANCES, "ResourceId": IDS, "TagKey": ["ehpc-nodes", "empty"]},
    ),
]


def test_the_table_holds_every_method_of_the_client():
    public = {
        name
        for name, _ in inspect.getmembers(Client, inspect.isfunction)
        if not name.startswith("_")
    }
    assert {case.method for case in CASES} == public


# -- the comparison -------------------------------------------------------------------------------


def both(server, case, token=""):
    """What each side sends for a case: exactly one request."""
    getattr(our_client(server, token), case.method)(*case.given.args, **case.given.kwargs)
    (ours,) = server.take()
    Official(server, token).send(case.action, case.params)
    (official,) = server.take()
    return ours, official


def meant(query):
    """The parameters, booleans in lower case.

    The SDK for Python writes a boolean as Python prints it, ``True``; those for other languages and the
    documentation write ``true``, and so do we. The service reads either. All else is compared as it is.
    """
    return [(name, value.lower() if value in ("True", "False") else value) for name, value in query]


def same_for_both(headers):
    """The headers that say what is asked for and by whom; not those that belong to the HTTP library."""
    told = {n: v for n, v in headers.items() if n.startswith("x-acs-") or n in ("accept", "host")}
    for name, form in EACH_TIME_ANEW.items():
        assert re.fullmatch(form, told[name]), (name, told[name])
        told[name] = form
    return {name: value for name, value in told.items() if name not in OF_THE_SDK_ALONE}


def authorization_by(official_code, sent, query=None):
    """Authorization made anew by official code, of nothing but what came over the wire and the secret."""
    request = SimpleNamespace(
        method=sent.method,
        pathname=sent.path,
        query=dict(sent.query if query is None else query),
        headers={name: sent.headers[name] for name in sent.authorization.signed},
    )
    algorithm = sent.authorization.algorithm
    payload = official_code.hex_encode(official_code.hash(sent.body, algorithm))
    return official_code.get_authorization(request, algorithm, payload, KEY_ID, SECRET)


@pytest.mark.parametrize("token", ["", TOKEN], ids=["access key", "security token"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.method} {c.note}".strip())
def test_the_same_request_is_sent_and_signed_in_the_same_way(server, case, token):
    ours, official = both(server, case, token)
    assert (ours.method, ours.path) == (official.method, official.path)
    assert meant(ours.query) == meant(official.query)
    assert (ours.body, official.body) == (b"", b"")
    assert "content-type" not in ours.headers | official.headers
    # action, version, hash of the body, the token and its key: equal, and none is more or less
    assert same_for_both(ours.headers) == same_for_both(official.headers)
    assert ours.headers.get("x-acs-security-token", "") == token
    assert not token or token not in ours.target

    assert ours.authorization.algorithm == official.authorization.algorithm == "ACS3-HMAC-SHA256"
    assert ours.authorization.key_id == official.authorization.key_id == KEY_ID
    # user-agent and accept are signed by both; what only the HTTP library adds (accept-encoding,
    # connection, content-length) by neither
    assert ours.authorization.signed == [
        name for name in official.authorization.signed if name not in OF_THE_SDK_ALONE
    ]
    # the SDK's own request too: that shows that the measure is right
    for sent in (ours, official):
        for official_code in (TeaOpenApiUtils, OpenApiUtil):
            assert authorization_by(official_code, sent) == sent.headers["authorization"]


def test_another_parameter_has_another_signature(server):
    ours, _ = both(server, CASES[0])
    changed = [("ClusterId", "ehpc-hz-b")]
    for official_code in (TeaOpenApiUtils, OpenApiUtil):
        assert authorization_by(official_code, ours, changed) != ours.headers["authorization"]


NODES = [{"Id": f"i-{n}"} for n in range(101)]
NEXT = {"NextToken": NASTY}


SECOND_PAGES = [
    (
        [{"Nodes": {"NodeInfo": some}, "TotalCount": 101} for some in (NODES[:100], NODES[100:])],
        Case(
            "list_nodes",
            call(CLUSTER),
            "ehpc:ListNodes",
            {**IN_CLUSTER, "SortBy": "AddedTime", "PageNumber": 2, "PageSize": 100},
        ),
    ),
    (
        [{**SUCCESS, **NEXT}, SUCCESS],
        Case(
            "describe_instances",
            call(["i-1"]),
            "ecs:DescribeInstances",
            {**IN_REGION, "InstanceIds": '["i-1"]', "MaxResults": 100, **NEXT},
        ),
    ),
    (
        [{**SUCCESS, **NEXT}, SUCCESS],
        Case(
            "list_tags",
            call({"k": ""}),
            "ecs:ListTagResources",
            {**OF_INSTANCES, "Tag": [{"Key": "k"}], **NEXT},
        ),
    ),
]


@pytest.mark.parametrize(("pages", "case"), SECOND_PAGES)
def test_a_second_page_is_asked_for_in_the_same_way(server, pages, case):
    server.answers += pages
    getattr(our_client(server), case.method)(*case.given.args)
    _, ours = server.take()
    Official(server).send(case.action, case.params)
    (official,) = server.take()
    assert ours.query == official.query


texts = st.text(st.characters(codec="utf-8"), max_size=30)


@given(texts, texts)
@settings(max_examples=50)
def test_whatever_the_values_the_signature_fits_what_arrives(running, key, value):
    running.take()
    our_client(running).instances_tagged({key: value})
    (ours,) = running.take()
    assert dict(ours.query)["Tag.1.Key"] == key
    assert dict(ours.query).get("Tag.1.Value", "") == value
    assert authorization_by(TeaOpenApiUtils, ours) == ours.headers["authorization"]
