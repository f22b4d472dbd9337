"""What we send is what the official SDKs send: both call one plain HTTP server, which writes down what came.

Our client is put together by the provider itself, so that the HTTP methods, the API versions and the headers
compared are those of a real run.
"""

import inspect
import json
import re
import threading
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

        self.ehpc = OfficialEhpc(config())
        self.ecs = OfficialEcs(config())


# -- the table ------------------------------------------------------------------------------------


class Case(NamedTuple):
    """One of our methods, its arguments, and the official call that means the same.

    Where the SDK leaves a value to the service (PageSize, Sync, …) it is told the one that we send.
    """

    method: str
    given: object
    official: object
    note: str = ""


def instances() -> list[ehpc.AddExistedNodesRequestInstance]:
    return [ehpc.AddExistedNodesRequestInstance(id=i) for i in IDS]


CASES = [
    Case(
        "describe_cluster",
        call(CLUSTER),
        lambda sdk: sdk.ehpc.describe_cluster(ehpc.DescribeClusterRequest(cluster_id=CLUSTER)),
    ),
    Case(
        "list_clusters",
        call(),
        lambda sdk: sdk.ehpc.list_clusters(ehpc.ListClustersRequest(page_number=1, page_size=50)),
    ),
    Case(
        "list_nodes",
        call(CLUSTER),
        lambda sdk: sdk.ehpc.list_nodes(
            ehpc.ListNodesRequest(
                cluster_id=CLUSTER, sort_by="AddedTime", page_number=1, page_size=100
            )
        ),
    ),
    Case(
        "list_queue_nodes",
        call(CLUSTER, NASTY),
        lambda sdk: sdk.ehpc.list_nodes_by_queue(
            ehpc.ListNodesByQueueRequest(
                cluster_id=CLUSTER, queue_name=NASTY, page_number=1, page_size=50
            )
        ),
    ),
    Case(
        "list_queues",
        call(CLUSTER),
        lambda sdk: sdk.ehpc.list_queues(ehpc.ListQueuesRequest(cluster_id=CLUSTER)),
    ),
    Case(
        "list_jobs",
        call(CLUSTER, ["compute0", NASTY]),
        lambda sdk: sdk.ehpc.list_jobs_with_filters(
            ehpc.ListJobsWithFiltersRequest(
                cluster_id=CLUSTER,
                job_status="notfinish",
                nodes=["compute0", NASTY],
                page_number=1,
                page_size=50,
            )
        ),
    ),
    Case(
        "get_auto_scale_config",
        call(CLUSTER),
        lambda sdk: sdk.ehpc.get_auto_scale_config(
            ehpc.GetAutoScaleConfigRequest(cluster_id=CLUSTER)
        ),
    ),
    Case(
        "list_running_tasks",
        call(CLUSTER),
        lambda sdk: sdk.ehpc.list_tasks(
            ehpc.ListTasksRequest(cluster_id=CLUSTER, archived=False, page_number=1, page_size=50)
        ),
    ),
    Case(
        "list_tasks",
        call(CLUSTER),
        lambda sdk: sdk.ehpc.list_tasks(
            ehpc.ListTasksRequest(cluster_id=CLUSTER, archived=True, page_number=1, page_size=50)
        ),
    ),
    Case(
        "get_task",
        call(CLUSTER, "T-1"),
        lambda sdk: sdk.ehpc.list_tasks(ehpc.ListTasksRequest(cluster_id=CLUSTER, task_id="T-1")),
    ),
    Case(
        "list_system_images",
        call(),
        lambda sdk: sdk.ehpc.list_images(ehpc.ListImagesRequest()),
    ),
    Case(
        "list_custom_images",
        call("others"),
        lambda sdk: sdk.ehpc.list_custom_images(
            ehpc.ListCustomImagesRequest(image_owner_alias="others")
        ),
    ),
    Case(
        "add_existed_nodes",
        call(CLUSTER, IDS, image=("m-1", "self"), queue=NASTY),
        lambda sdk: sdk.ehpc.add_existed_nodes(
            ehpc.AddExistedNodesRequest(
                cluster_id=CLUSTER,
                image_id="m-1",
                image_owner_alias="self",
                instance=instances(),
                job_queue=NASTY,
            )
        ),
        "to a queue",
    ),
    Case(
        "add_existed_nodes",
        call(CLUSTER, IDS, image=("m-1", "system"), queue=""),
        lambda sdk: sdk.ehpc.add_existed_nodes(
            ehpc.AddExistedNodesRequest(
                cluster_id=CLUSTER,
                image_id="m-1",
                image_owner_alias="system",
                instance=instances(),
            )
        ),
        "to the default queue",
    ),
    Case(
        "delete_nodes",
        call(CLUSTER, IDS),
        lambda sdk: sdk.ehpc.delete_nodes(
            ehpc.DeleteNodesRequest(
                cluster_id=CLUSTER,
                instance=[ehpc.DeleteNodesRequestInstance(id=i) for i in IDS],
                release_instance=False,
                sync=False,
            )
        ),
    ),
    Case(
        "set_queue",
        call(CLUSTER, "workq", ["compute0", "compute1"]),
        lambda sdk: sdk.ehpc.set_queue(
            ehpc.SetQueueRequest(
                cluster_id=CLUSTER,
                queue_name="workq",
                node=[ehpc.SetQueueRequestNode(name=n) for n in ("compute0", "compute1")],
            )
        ),
    ),
    Case(
        "describe_instances",
        call(IDS),
        lambda sdk: sdk.ecs.describe_instances(
            ecs.DescribeInstancesRequest(
                region_id=REGION,
                instance_ids=json.dumps(IDS, separators=(",", ":")),
                max_results=100,
            )
        ),
    ),
    Case(
        "instances_tagged",
        call({"ehpc-nodes": NASTY}),
        lambda sdk: sdk.ecs.describe_instances(
            ecs.DescribeInstancesRequest(
                region_id=REGION,
                tag=[ecs.DescribeInstancesRequestTag(key="ehpc-nodes", value=NASTY)],
                max_results=100,
            )
        ),
    ),
    Case(
        "list_tags",
        call({"ehpc-nodes": NASTY, "any": ""}),
        lambda sdk: sdk.ecs.list_tag_resources(
            ecs.ListTagResourcesRequest(
                region_id=REGION,
                resource_type="instance",
                tag=[
                    ecs.ListTagResourcesRequestTag(key="ehpc-nodes", value=NASTY),
                    ecs.ListTagResourcesRequestTag(key="any"),
                ],
            )
        ),
    ),
    Case(
        "instances_in_vpc",
        call("vpc-bp1"),
        lambda sdk: sdk.ecs.describe_instances(
            ecs.DescribeInstancesRequest(region_id=REGION, vpc_id="vpc-bp1", max_results=100)
        ),
    ),
    Case(
        "stop_instances",
        call(IDS),
        lambda sdk: sdk.ecs.stop_instances(
            ecs.StopInstancesRequest(
                region_id=REGION,
                instance_id=IDS,
                stopped_mode="KeepCharging",
                batch_optimization="SuccessFirst",
            )
        ),
    ),
    Case(
        "tag_instances",
        call(IDS, {"ehpc-nodes": NASTY, "empty": ""}),
        lambda sdk: sdk.ecs.tag_resources(
            ecs.TagResourcesRequest(
                region_id=REGION,
                resource_type="instance",
                resource_id=IDS,
                tag=[
                    ecs.TagResourcesRequestTag(key="ehpc-nodes", value=NASTY),
                    ecs.TagResourcesRequestTag(key="empty", value=""),
                ],
            )
        ),
    ),
    Case(
        "untag_instances",
        call(IDS, "ehpc-nodes", "empty"),
        lambda sdk: sdk.ecs.untag_resources(
            ecs.UntagResourcesRequest(
                region_id=REGION,
                resource_type="instance",
                resource_id=IDS,
                tag_key=["ehpc-nodes", "empty"],
            )
        ),
    ),
]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.method} {c.note}".strip())
every_key = pytest.mark.parametrize("token", ["", TOKEN], ids=["access key", "security token"])


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
    case.official(Official(server, token))
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


@every_key
@every_case
def test_the_same_request_is_sent(server, case, token):
    ours, official = both(server, case, token)
    assert (ours.method, ours.path) == (official.method, official.path)
    assert meant(ours.query) == meant(official.query)
    assert (ours.body, official.body) == (b"", b"")
    assert "content-type" not in ours.headers | official.headers
    # action, version, hash of the body, the token and its key: equal, and none is more or less
    assert same_for_both(ours.headers) == same_for_both(official.headers)


@every_key
@every_case
def test_the_same_headers_are_signed_in_the_same_way(server, case, token):
    ours, official = both(server, case, token)
    assert ours.authorization.algorithm == official.authorization.algorithm == "ACS3-HMAC-SHA256"
    assert ours.authorization.key_id == official.authorization.key_id == KEY_ID
    # user-agent and accept are signed by both; what only the HTTP library adds (accept-encoding,
    # connection, content-length) by neither
    assert ours.authorization.signed == [
        name for name in official.authorization.signed if name not in OF_THE_SDK_ALONE
    ]


@every_case
def test_a_security_token_stands_in_the_same_headers(server, case):
    for sent in both(server, case, TOKEN):
        assert sent.headers["x-acs-security-token"] == TOKEN
        assert sent.headers["x-acs-accesskey-id"] == KEY_ID
        assert {"x-acs-security-token", "x-acs-accesskey-id"} <= set(sent.authorization.signed)
        assert TOKEN not in sent.target


def test_no_token_no_headers_for_one(server):
    for sent in both(server, CASES[0]):
        assert not {"x-acs-security-token", "x-acs-accesskey-id"} & set(sent.headers)


# -- further pages --------------------------------------------------------------------------------


def test_the_second_page_is_asked_for_in_the_same_way(server):
    listed = [{"Id": f"i-{n}"} for n in range(101)]
    for page in (listed[:100], listed[100:]):
        server.answers.append({"Nodes": {"NodeInfo": page}, "TotalCount": 101})
    our_client(server).list_nodes(CLUSTER)
    _, ours = server.take()
    Official(server).ehpc.list_nodes(
        ehpc.ListNodesRequest(cluster_id=CLUSTER, sort_by="AddedTime", page_number=2, page_size=100)
    )
    (official,) = server.take()
    assert ours.query == official.query


def test_the_next_token_is_given_back_in_the_same_way(server):
    server.answers += [{**SUCCESS, "NextToken": NASTY}, SUCCESS]
    our_client(server).describe_instances(["i-1"])
    _, ours = server.take()
    Official(server).ecs.describe_instances(
        ecs.DescribeInstancesRequest(
            region_id=REGION, instance_ids='["i-1"]', max_results=100, next_token=NASTY
        )
    )
    (official,) = server.take()
    assert ours.query == official.query


def test_the_next_token_of_tags_is_given_back_in_the_same_way(server):
    server.answers += [{**SUCCESS, "NextToken": NASTY}, SUCCESS]
    our_client(server).list_tags({"k": ""})
    _, ours = server.take()
    Official(server).ecs.list_tag_resources(
        ecs.ListTagResourcesRequest(
            region_id=REGION,
            resource_type="instance",
            tag=[ecs.ListTagResourcesRequestTag(key="k")],
            next_token=NASTY,
        )
    )
    (official,) = server.take()
    assert ours.query == official.query


# -- the signature --------------------------------------------------------------------------------


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


official_codes = pytest.mark.parametrize(
    "official_code", [TeaOpenApiUtils, OpenApiUtil], ids=["tea_openapi", "openapi_util"]
)


@official_codes
@every_key
@every_case
def test_official_code_makes_the_same_signature_of_what_came(server, case, token, official_code):
    # the SDK's own request too: that shows that the measure is right
    for sent in both(server, case, token):
        assert authorization_by(official_code, sent) == sent.headers["authorization"]


@official_codes
def test_another_parameter_has_another_signature(server, official_code):
    ours, _ = both(server, CASES[0])
    changed = [("ClusterId", "ehpc-hz-b")]
    assert authorization_by(official_code, ours, changed) != ours.headers["authorization"]


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
