"""A client from settings: which product is called where, in which version, by which method."""

import socket
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest

from ehpc_nodes import __version__
from ehpc_nodes.api import connect as connection
from ehpc_nodes.api.connect import connect
from ehpc_nodes.api.settings import Settings
from ehpc_nodes.api.signing import Credentials
from ehpc_nodes.clock import Deadline, RealClock
from ehpc_nodes.errors import (
    CancelledError,
    ConfigError,
    NotSentError,
    ThrottledError,
    TransportError,
)
from ehpc_nodes.reconcile.actuator import may_have_acted
from unit.fakes import FakeClock
from unit.test_transport import Server

FOUND = b'{"Instances":{"Instance":[]},"Queues":{"QueueInfo":[]}}'
THROTTLED = b'{"Code":"Throttling","Message":"Slow down","RequestId":"R"}'


class Product(Server):
    """One product's endpoint. ``answers``: status and body; the last again; 0: none until ``go_on``."""

    def __init__(self):
        super().__init__()
        self.answers, self.go_on = [(200, FOUND)], threading.Event()

    @property
    def asked(self):
        return [(way, said, parse_qs(urlsplit(path).query)) for way, path, said in self.requests]

    def next_answer(self):
        status, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 0:
            self.go_on.wait(10)
        return status, body, {}


@pytest.fixture
def products():
    with Product() as ehpc, Product() as ecs:
        yield ehpc, ecs
        for product in (ehpc, ecs):
            product.go_on.set()
            product.shutdown()


def connected(products, deadline=None, **options):
    ehpc, ecs = products
    keys: list[str] = []

    def credentials():
        keys.append(f"fake-{len(keys)}")
        return Credentials(keys[-1], "fake-secret", "")

    timeout = options.pop("read_timeout_seconds", 5.0)
    credentials = options.pop("credentials", credentials)
    found = Settings("cn-x", ehpc.url, ecs.url, credentials, read_timeout_seconds=timeout)
    return connect(found, deadline or Deadline.after(FakeClock(), 60), **options)


def test_each_product_is_called_at_its_address_in_its_version_by_its_method(products):
    it = connected(products)
    it.list_queues("c")
    it.describe_instances(["i-1"])
    told = [
        (method, headers["x-acs-action"], headers["x-acs-version"], headers["user-agent"])
        for product in products
        for method, headers, _ in product.asked
    ]
    agent = f"ehpc-nodes/{__version__}"
    assert told == [
        ("GET", "ListQueues", "2018-04-12", agent),
        ("POST", "DescribeInstances", "2014-05-26", agent),
    ]
    assert products[1].asked[0][2]["RegionId"] == ["cn-x"]


def test_the_setting_of_an_endpoint_that_is_not_there_is_named():
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        found = Settings(
            "cn-x",
            url,
            url,
            lambda: Credentials("fake", "fake-secret", ""),
            ehpc_endpoint_source="ehpc:endpoint",
            ecs_endpoint_source="ALIBABA_CLOUD_ECS_ENDPOINT",
        )
        it = connect(found, Deadline.after(FakeClock(), 60))
        with pytest.raises(
            NotSentError, match=r"no connection to 127\.0\.0\.1:\d+ \(ehpc:endpoint\)"
        ):
            it.list_queues("c")
        with pytest.raises(NotSentError, match=r"\(ALIBABA_CLOUD_ECS_ENDPOINT\)"):
            it.describe_instances(["i-1"])


def test_credentials_are_asked_for_with_each_call(products):
    it = connected(products)
    it.list_queues("c")
    it.list_queues("c")
    used = [headers["Authorization"].split(",")[0] for _, headers, _ in products[0].asked]
    assert [text.rpartition("=")[2] for text in used] == ["fake-0", "fake-1"]


def test_an_answer_is_waited_for_as_long_as_the_settings_say(products):
    products[0].answers = [(0, b"")]
    with pytest.raises(TransportError, match="no answer within the read timeout"):
        connected(products, read_timeout_seconds=0.05).delete_nodes("c", ["i-1"])
    assert len(products[0].asked) == 1


def test_a_repeat_is_told_to_the_notice(products):
    said: list[str] = []
    products[0].answers = [(400, THROTTLED), (200, FOUND)]
    connected(products, notice=said.append).list_queues("c")
    assert said == ["trying again: ListQueues: Throttling: Slow down (HTTP 400, RequestId R)."]


def test_repeats_end_at_the_deadline(products):
    clock = FakeClock()
    products[0].answers = [(500, b"{}")]
    with pytest.raises(TransportError, match="HTTP 500 without an error code"):
        connected(products, Deadline.after(clock, 7)).list_queues("c")
    assert 1007 <= clock.time <= 1023


class Run:
    """A run whose user may stop it: its event, its deadline, and how long what it does takes."""

    def __init__(self, seconds=60.0):
        self.stopped = threading.Event()
        self.deadline = Deadline.after(RealClock(self.stopped), seconds)
        self.began = time.monotonic()

    def stopped_after(self, seconds):
        threading.Timer(seconds, self.stopped.set).start()
        return self

    @property
    def took(self):
        return time.monotonic() - self.began


@pytest.fixture
def run(monkeypatch):
    """Makes runs; what threads die of is noted, and there is nothing in the end."""
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    yield Run
    assert died == []


def test_ctrl_c_ends_the_wait_for_an_answer_and_a_write_may_have_acted(products, run):
    products[0].answers = [(0, b"")]
    it = run().stopped_after(0.2)
    with pytest.raises(TransportError, match="the run was stopped before the answer came") as lost:
        connected(products, it.deadline).delete_nodes("c", ["i-1"])
    assert may_have_acted(lost.value)
    assert len(products[0].asked) == 1


def test_ctrl_c_ends_a_read_for_good(products, run):
    products[0].answers = [(0, b"")]
    it = run().stopped_after(0.2)
    with pytest.raises(CancelledError):
        connected(products, it.deadline).list_queues("c")
    assert len(products[0].asked) == 1


def test_an_operations_time_bounds_an_answers(products, run, monkeypatch):
    monkeypatch.setattr(connection, "LEAST_SECONDS", 0.05)
    products[0].answers = [(0, b"")]
    it = run(0.3)
    with pytest.raises(
        TransportError, match="the time limit passed before the answer came"
    ) as lost:
        connected(products, it.deadline).delete_nodes("c", ["i-1"])
    assert it.took >= 0.3
    assert may_have_acted(lost.value)


def test_looks_after_time_is_up_have_their_seconds(products, run):
    products[0].answers = [(0, b""), (200, FOUND)]
    it = run(0.05)
    client = connected(products, it.deadline)
    threading.Timer(0.5, products[0].go_on.set).start()
    with pytest.raises(TransportError, match="without response"):
        client.delete_nodes("c", ["i-1"])
    assert it.deadline.passed
    assert client.list_queues("c") == []


def test_the_call_after_one_that_was_given_up_has_a_connection_of_its_own(
    products, run, monkeypatch
):
    monkeypatch.setattr(connection, "LEAST_SECONDS", 0.3)
    products[0].answers = [(200, FOUND), (0, b""), (200, FOUND)]
    client = connected(products, run(0.1).deadline)
    client.list_queues("c")
    with pytest.raises(TransportError):
        client.delete_nodes("c", ["i-1"])
    assert client.list_queues("c") == []
    products[0].go_on.set()
    assert client.list_queues("c") == []


def test_what_was_given_up_before_it_was_sent_is_never_sent(products, run):
    """Keys of an instance's role can take long, say."""
    come, gone = threading.Event(), threading.Event()

    def late():
        come.wait(10)
        gone.set()
        return Credentials("fake", "fake-secret", "")

    it = run().stopped_after(0.1)
    with pytest.raises(TransportError):
        connected(products, it.deadline, credentials=late).delete_nodes("c", ["i-1"])
    come.set()
    assert gone.wait(10)
    time.sleep(0.2)
    assert products[0].asked == []


def test_errors_are_the_same_whoever_waits_for_them(products, run):
    def none():
        raise ConfigError("No usable credentials.")

    with pytest.raises(ConfigError):
        connected(products, run().deadline, credentials=none).list_queues("c")
    assert products[0].asked == []
    products[0].answers = [(400, THROTTLED)]
    with pytest.raises(ThrottledError):
        connected(products, run(0.0).deadline).list_queues("c")


@pytest.mark.parametrize(("event", "apart"), [(None, False), (threading.Event(), True)])
def test_only_a_run_that_is_stopped_from_outside_has_threads(products, event, apart):
    callers: list[int] = []

    def credentials():
        callers.append(threading.get_ident())
        return Credentials("fake", "fake-secret", "")

    deadline = Deadline.after(RealClock(event), 60)
    connected(products, deadline, credentials=credentials).list_queues("c")
    assert (callers[0] != threading.get_ident()) is apart
