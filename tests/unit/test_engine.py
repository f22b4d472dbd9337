"""The seam without an engine: what falls back, and what is read from and said to a call's own frame.

The SDK's servicer is stood in for by functions with its local names; the engine's log by a gRPC server.
"""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pulumi.dynamic
import pytest
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, provider_pb2, status_pb2

from ehpc_nodes.provider import engine
from ehpc_nodes.provider.engine import CallFailedError, EngineCall, current_call

URN = "urn:pulumi:dev::proj::pulumi-python:dynamic/ehpc:AttachedNodes::nodes"


class Context:
    """What the seam uses of a gRPC servicer context; ``ended`` is how gRPC says that the call is over."""

    def __init__(self, *, over: bool = False) -> None:
        self.over = over
        self.callbacks: list[Callable[[], None]] = []
        self.trailing: tuple[tuple[str, bytes], ...] = ()

    def add_callback(self, callback):
        if not self.over:
            self.callbacks.append(callback)
        return not self.over

    def set_trailing_metadata(self, metadata):
        self.trailing = metadata

    def end(self):
        for callback in self.callbacks:
            callback()

    @property
    def status(self):
        ((name, value),) = self.trailing
        assert name == "grpc-status-details-bin"
        return status_pb2.Status.FromString(value)


def bag(**values):
    made = struct_pb2.Struct()
    made.update(values)
    return made


def serve(request, context):
    """A servicer's frame around the provider's, as in the SDK."""

    def provider():
        return current_call()

    return provider()


def create_request(**more):
    properties = bag(cluster_id="ehpc-hz-a", __provider="SERIALIZED")
    return provider_pb2.CreateRequest(urn=URN, properties=properties, **more)


# -- without a call -------------------------------------------------------------------------------


def test_without_a_call_messages_are_lines_on_stdout(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["plugin", "127.0.0.1:1"])  # an address alone is no call
    call = current_call()
    assert not call.is_attached
    assert (call.urn, call.timeout, call.old_inputs) == ("", 0.0, {})
    assert not call.cancelled.is_set()
    call.status("attaching")
    call.status("")
    call.info("attached")
    call.warning("busy")
    assert capsys.readouterr() == ("attaching\nattached\nbusy\n", "")


def test_without_a_call_failures_are_plain_exceptions():
    call = current_call()
    assert str(call.failed("No such cluster.")) == "No such cluster."
    assert str(call.incomplete("id", {"nodes": {}}, ["i-1: bad", "i-2: bad"])) == (
        "i-1: bad\ni-2: bad"
    )
    assert isinstance(call.failed(""), CallFailedError)
    assert isinstance(call.incomplete("id", {}, []), CallFailedError)


@pytest.mark.parametrize(
    ("request_", "context"),
    [
        ("a text", Context()),
        (provider_pb2.CreateRequest(urn=URN), "a text"),
        (None, None),
        (provider_pb2.CreateRequest(urn=URN), None),
    ],
)
def test_locals_that_only_have_the_names_are_no_call(request_, context):
    assert not serve(request_, context).is_attached


def test_half_a_call_in_each_of_two_frames_is_none():
    def outer(request):
        def inner(context):
            return current_call()

        return inner(Context())

    assert not outer(create_request()).is_attached


# -- what a call holds ----------------------------------------------------------------------------


def test_urn_and_timeout_are_the_requests():
    call = serve(create_request(timeout=90.5), Context())
    assert call.is_attached
    assert (call.urn, call.timeout, call.old_inputs) == (URN, 90.5, {})
    call = serve(provider_pb2.CheckRequest(urn=URN), Context())  # which knows no timeout
    assert (call.urn, call.timeout) == (URN, 0.0)


OLD = {"cluster_id": "ehpc-hz-a", "busy_nodes": "detach", "instance_ids": {"i-1": "compute1"}}


@pytest.mark.parametrize(
    "request_",
    [
        provider_pb2.DeleteRequest(urn=URN, properties=bag(region="r"), old_inputs=bag(**OLD)),
        provider_pb2.UpdateRequest(urn=URN, news=bag(region="r"), old_inputs=bag(**OLD)),
        provider_pb2.DiffRequest(urn=URN, news=bag(region="r"), old_inputs=bag(**OLD)),
        provider_pb2.ReadRequest(urn=URN, properties=bag(region="r"), inputs=bag(**OLD)),
    ],
    ids=lambda r: type(r).__name__,
)
def test_saved_inputs_are_read_where_the_engine_sends_them(request_):
    assert serve(request_, Context()).old_inputs == OLD


def test_the_nearest_frame_of_a_call_counts_and_others_are_passed_over():
    def outer(request, context):
        return inner("not a message", object())

    def inner(request, context):
        return current_call()

    def outermost(request, context):
        return outer(create_request(timeout=5.0), Context())

    assert outermost(create_request(timeout=900.0), Context()).timeout == 5.0


def test_the_user_cancels_and_the_call_knows():
    context = Context()
    call = serve(create_request(), context)
    assert not call.cancelled.is_set()
    context.end()
    assert call.cancelled.is_set()
    assert serve(create_request(), Context(over=True)).cancelled.is_set()  # it had ended before


# -- failing --------------------------------------------------------------------------------------


def test_a_failure_is_one_text_in_the_calls_status():
    context = Context()
    error = serve(create_request(), context).failed("Cluster ehpc-hz-a does not exist.")
    assert isinstance(error, CallFailedError)
    assert str(error) == context.status.message == "Cluster ehpc-hz-a does not exist."
    assert context.status.code == grpc.StatusCode.UNKNOWN.value[0]
    assert not context.status.details


def unpacked(context):
    (packed,) = context.status.details
    detail = provider_pb2.ErrorResourceInitFailed()
    assert packed.Unpack(detail), packed.type_url
    return detail


def test_a_partial_failure_gives_the_engine_id_properties_and_reasons():
    assert status_pb2.Status.DESCRIPTOR.full_name == "google.rpc.Status"
    context = Context()
    outputs = {"instance_ids": ["i-1"], "nodes": {"i-1": {"status": "running"}}, "task_id": ""}
    call = serve(create_request(), context)
    error = call.incomplete("ehpc-hz-a/1", outputs, ["i-2: bad", "i-3: worse"])
    assert isinstance(error, CallFailedError)
    assert str(error) == context.status.message == "i-2: bad\ni-3: worse"
    assert context.status.code == grpc.StatusCode.UNKNOWN.value[0]
    detail = unpacked(context)
    assert detail.id == "ehpc-hz-a/1"
    assert list(detail.reasons) == ["i-2: bad", "i-3: worse"]
    assert rpc.deserialize_properties(detail.properties) == {**outputs, "__provider": "SERIALIZED"}


@pytest.mark.skipif(
    "refresh_before_update" not in provider_pb2.ErrorResourceInitFailed.DESCRIPTOR.fields_by_name,
    reason="this SDK does not know it",
)
def test_a_partial_failure_asks_to_be_read_anew():
    context = Context()
    serve(create_request(), context).incomplete("id", {}, ["bad"])
    assert unpacked(context).refresh_before_update


SECRET = {rpc._special_sig_key: rpc._special_secret_sig, "value": "SERIALIZED"}


@pytest.mark.parametrize(
    "request_",
    [
        create_request(),
        provider_pb2.CreateRequest(urn=URN, properties=bag(__provider=SECRET)),
        provider_pb2.UpdateRequest(
            urn=URN, olds=bag(__provider="OLD"), news=bag(__provider="SERIALIZED")
        ),
        provider_pb2.ReadRequest(urn=URN, properties=bag(__provider="SERIALIZED")),
        provider_pb2.ReadRequest(urn=URN, inputs=bag(__provider="SERIALIZED")),
    ],
    ids=["create", "create, secret", "update", "refresh", "get"],
)
def test_the_state_that_is_kept_names_the_calls_provider(request_):
    context = Context()
    serve(request_, context).incomplete("id", {"task_id": "T"}, ["bad"])
    assert unpacked(context).properties["__provider"] == "SERIALIZED"


def test_the_last_word_counts():
    context = Context()
    call = serve(create_request(), context)
    call.failed("one")
    call.incomplete("id", {}, ["two"])
    assert context.status.message == "two"
    call.failed("three")
    assert not context.status.details


# -- speaking -------------------------------------------------------------------------------------


class FakeEngine(engine_pb2_grpc.EngineServicer):
    """The engine's log."""

    def __init__(self):
        self.logged = []

    def Log(self, request, context):  # noqa: N802 - gRPC's name
        self.logged.append((request.severity, request.urn, request.message, request.ephemeral))
        return empty_pb2.Empty()


@pytest.fixture
def channels(monkeypatch):
    made: dict[str, grpc.Channel] = {}
    monkeypatch.setattr(engine, "_channels", made)
    yield made
    for channel in made.values():
        channel.close()


@pytest.fixture
def fake_engine(channels, monkeypatch):
    with ThreadPoolExecutor(1) as pool:
        server, servicer = grpc.server(pool), FakeEngine()
        engine_pb2_grpc.add_EngineServicer_to_server(servicer, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        monkeypatch.setattr(sys, "argv", ["plugin", f"127.0.0.1:{port}"])
        yield servicer
        server.stop(None).wait()


def test_messages_stand_on_the_resources_row(fake_engine, capsys):
    call = serve(create_request(), Context())
    call.status("attaching")
    call.status("")
    call.info("attached")
    call.warning("busy")
    assert fake_engine.logged == [
        (engine_pb2.INFO, URN, "attaching", True),
        (engine_pb2.INFO, URN, "attached", False),
        (engine_pb2.WARNING, URN, "busy", False),
    ]
    assert capsys.readouterr() == ("", "")


def test_one_connection_serves_all_calls(fake_engine, channels):
    serve(create_request(), Context()).info("one")
    (first,) = channels.values()
    serve(create_request(), Context()).info("two")
    assert list(channels.values()) == [first]
    assert len(fake_engine.logged) == 2


def test_a_message_that_gRPC_might_refuse_is_cut(fake_engine):  # noqa: N802 - gRPC writes itself so
    serve(create_request(), Context()).info("x" * 5_000_000)
    ((_, _, text, _),) = fake_engine.logged
    assert text == "x" * engine.LONGEST_MESSAGE


@pytest.mark.usefixtures("channels")
def test_an_engine_that_is_gone_fails_nothing(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plugin", "127.0.0.1:1"])
    serve(create_request(), Context()).warning("nobody hears this")
    assert capsys.readouterr() == ("", "")


def test_a_plugin_without_an_engines_address_prints(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["plugin"])
    serve(create_request(), Context()).info("attached")
    assert capsys.readouterr().out == "attached\n"


# -- hearing Ctrl-C --------------------------------------------------------------------------------


def servicer(cancel):
    """A servicer as the SDK's: its frame holds it as `self`."""

    class Servicer:
        Cancel = cancel

        def Create(self, request, context):  # noqa: N802 - gRPC's name
            return current_call()

    return Servicer()


def unheard(self, request, context):
    return empty_pb2.Empty()


def wrapped(function):
    def wrapper(self, request, context):
        return function(self, request, context)

    return wrapper


@pytest.fixture
def _untold(monkeypatch):
    monkeypatch.setattr(engine, "_warned_of_cancel", threading.Event())


@pytest.mark.usefixtures("_untold")
def test_the_engines_cancel_cancels_every_call(fake_engine):
    serving = servicer(lambda self, request, context: empty_pb2.Empty())
    calls = [serving.Create(create_request(), Context()) for _ in range(2)]
    assert not any(call.cancelled.is_set() for call in calls)
    assert serving.Cancel(empty_pb2.Empty(), Context()) == empty_pb2.Empty()
    assert all(call.cancelled.is_set() for call in calls)
    assert fake_engine.logged == []


@pytest.mark.usefixtures("_untold")
@pytest.mark.parametrize("cancel", [wrapped(unheard), None])
def test_where_ctrl_c_can_not_be_heard_it_is_said_once(fake_engine, cancel):
    serving = servicer(cancel)
    for _ in range(2):
        serving.Create(create_request(), Context())
    assert fake_engine.logged == [(engine_pb2.WARNING, URN, engine.NO_CANCEL, False)]


def test_this_sdk_lets_the_engines_cancel_be_heard():
    """Wrapped as the other methods are, its code would have free variables. (The module serves when imported.)"""
    source = Path(pulumi.dynamic.__file__).with_name("__main__.py").read_text()
    definitions, serving, rest = source.rpartition("\nmain()")
    assert serving
    assert not rest.strip()
    names: dict[str, Any] = {"__name__": "servicer"}
    exec(definitions, names)
    assert engine._listens_for_cancel(names["DynamicResourceProviderServicer"]())


# -- the pool -------------------------------------------------------------------------------------


def test_a_call_lets_the_plugins_pool_grow():
    waiting = threading.Barrier(
        6
    )  # more than the pool's four: they would wait for each other forever

    def busy():
        current_call()
        waiting.wait(10)

    with ThreadPoolExecutor(max_workers=4) as pool:
        pool.submit(current_call).result(10)
        assert pool._max_workers == engine.THREADS == 64
        for done in [pool.submit(busy) for _ in range(6)]:
            done.result(10)


@pytest.mark.parametrize("workers", [64, 65, 200])
def test_a_pool_is_never_made_smaller(workers):
    with ThreadPoolExecutor(max_workers=workers) as pool:
        pool.submit(current_call).result(10)
        assert pool._max_workers == workers


def test_a_call_is_found_and_its_pool_widened_in_one_look():
    with ThreadPoolExecutor(max_workers=4) as pool:
        call = pool.submit(serve, create_request(timeout=7.0), Context()).result(10)
        assert (call.urn, call.timeout, pool._max_workers) == (URN, 7.0, 64)


@pytest.mark.parametrize("executor_reference", [lambda: None, object])
def test_a_pool_that_is_gone_or_of_another_kind_is_left_alone(executor_reference):
    assert isinstance(current_call(), EngineCall)
