"""`AttachedNodes` as a program sees it, on Pulumi's own mocks."""

import base64
import pickle
from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from ehpc_nodes import AttachedNodes, resource
from ehpc_nodes.provider.dynamic import AttachedNodesProvider

TYPE = "pulumi-python:dynamic/ehpc:AttachedNodes"
CLUSTER = "ehpc-hz-a"
NODE = {
    "host_name": "compute1",
    "private_ip": "10.0.0.1",
    "status": "running",
    "queue": "workq",
    "image_id": "m-1",
    "instance_type": "ecs.c5.large",
    "scheduler_state": "active",
    "confirmed_at": 1_750_000_000,
}
#: What the provider gives out; in a preview, and after a create, the inputs come back too.
OUTPUTS: dict[str, Any] = {
    "region": "cn-hangzhou",
    "image_id": "m-1",
    "image_owner_alias": "system",
    "job_queue": "",
    "task_id": "T-1",
    "request_id": "R-1",
    "tasks": [{"action": "AddExistedNodes", "task_id": "T-1", "status": "Success"}],
    "nodes": {"i-1": NODE},
    "failed": {"i-2": {"code": "PartialFail", "reason": "disk broken"}},
    "owner": "proj/dev/nodes",
    "generation": 3,
}
DECLARED: dict[str, Any] = {"cluster_id": CLUSTER, "instance_ids": ["i-2", "i-1"]}
REFUSING = {
    **dict.fromkeys(("replace_system_disks", "stop_running", "take_ownership"), False),
    "busy_nodes": "refuse",
}


class Recorder(Mocks):
    """Stands in for engine and provider: remembers what was declared, answers with these outputs."""

    def __init__(self, outputs: dict[str, Any]) -> None:
        self.outputs = outputs
        self.declared: list[MockResourceArgs] = []

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.declared.append(args)
        return args.resource_id or f"{CLUSTER}/0", {**args.inputs, **self.outputs}

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], None]:
        raise AssertionError(args.token)

    @property
    def one(self) -> MockResourceArgs:
        (args,) = self.declared
        return args

    @property
    def inputs(self) -> dict[str, Any]:
        """The arguments; the serialized provider beside them is the SDK's own."""
        return {k: v for k, v in self.one.inputs.items() if k != "__provider"}


@pytest.fixture
def mocks():
    made = Recorder(OUTPUTS)
    pulumi.runtime.set_mocks(made, project="proj", stack="dev")
    return made


def run(program) -> dict[str, Any]:
    """The values of the outputs that a program returns by name."""
    values: dict[str, Any] = {}

    @pulumi.runtime.test
    def running():
        return pulumi.Output.all(**program()).apply(values.update)

    running()
    return values


def declared(**arguments):
    """A program of one resource."""
    return lambda: {"urn": AttachedNodes("nodes", **{**DECLARED, **arguments}).urn}


# -- what is declared -----------------------------------------------------------------------------


def test_its_type_is_for_ever(mocks):
    values = run(declared())
    assert mocks.one.typ == TYPE
    assert mocks.one.name == "nodes"
    assert mocks.one.custom
    assert values["urn"].endswith(f"{TYPE}::nodes")


def test_what_is_not_given_is_left_out_and_consents_are_refused(mocks):
    run(declared())
    assert mocks.inputs == {**DECLARED, **REFUSING}


@pytest.mark.parametrize(
    "name", ["image_id", "image_owner_alias", "job_queue", "retain_ids", "region"]
)
def test_none_is_the_same_as_not_given(mocks, name):
    run(declared(**{name: None}))
    assert name not in mocks.inputs


def test_every_argument_arrives_under_its_name(mocks):
    arguments = {
        "image_id": "m-1",
        "image_owner_alias": "self",
        "job_queue": "workq",
        "replace_system_disks": True,
        "stop_running": True,
        "busy_nodes": "detach",
        "retain_ids": ["i-3"],
        "take_ownership": True,
        "region": "cn-shanghai",
    }
    run(declared(**arguments))
    assert mocks.inputs == {**DECLARED, **arguments}


@pytest.mark.parametrize("consent", REFUSING)
def test_each_consent_is_for_itself(mocks, consent):
    run(declared(**{consent: True}))
    assert mocks.inputs == {**DECLARED, **REFUSING, consent: True}


def test_outputs_of_other_resources_can_be_arguments(mocks):
    ids = [pulumi.Output.from_input("i-2"), "i-1"]
    run(declared(cluster_id=pulumi.Output.from_input("ehpc-hz-b"), instance_ids=ids))
    assert mocks.inputs["cluster_id"] == "ehpc-hz-b"
    assert mocks.inputs["instance_ids"] == ["i-2", "i-1"]


def test_a_secret_argument_stays_one(mocks):
    run(declared(cluster_id=pulumi.Output.secret("ehpc-hz-s")))
    assert rpc.is_rpc_secret(mocks.inputs["cluster_id"])
    assert rpc.unwrap_rpc_secret(mocks.inputs["cluster_id"]) == "ehpc-hz-s"


@pytest.mark.parametrize("missing", ["cluster_id", "instance_ids"])
def test_cluster_and_instances_must_be_given(missing):
    arguments = {k: v for k, v in DECLARED.items() if k != missing}
    with pytest.raises(TypeError, match=f"missing 1 required keyword-only argument: '{missing}'"):
        AttachedNodes("nodes", **arguments)


def test_the_provider_is_in_the_state_as_plain_text_and_the_same_each_time(mocks):
    run(declared())
    run(declared(region="cn-shanghai"))
    first, second = (args.inputs["__provider"] for args in mocks.declared)
    assert isinstance(first, str), "a secret would be encrypted anew, and be a change, each time"
    assert first == second
    pickled = base64.b64decode(first)
    assert len(pickled) < 100, "by value, a machine's paths would be in it"
    assert type(pickle.loads(pickled)) is AttachedNodesProvider


@pytest.mark.parametrize("of", [AttachedNodes, AttachedNodes.get])
def test_an_import_is_refused_for_what_takes_its_place(mocks, of):
    options = pulumi.ResourceOptions(import_=CLUSTER)
    arguments = {"id": CLUSTER} if of is AttachedNodes.get else DECLARED
    with pytest.raises(pulumi.RunError) as caught:
        of("nodes", **arguments, opts=options)
    assert str(caught.value) == (
        "AttachedNodes 'nodes' cannot be imported with import_: remove this option, because a create adopts"
        " attached instances. To restore a lost state, run ehpc-nodes program CLUSTER --import-file FILE, then pulumi import"
        " --file FILE."
    )
    assert mocks.declared == []


# -- what can be read -----------------------------------------------------------------------------

READABLE = [
    *("cluster_id", "instance_ids", "region", "image_id", "image_owner_alias", "job_queue"),
    *("task_id", "request_id", "tasks", "nodes", "failed", "owner", "generation"),
]


def readable(nodes: AttachedNodes) -> dict[str, Any]:
    return {"id": nodes.id, **{name: getattr(nodes, name) for name in READABLE}}


@pytest.mark.usefixtures("mocks")
def test_outputs_can_be_read():
    values = run(lambda: readable(AttachedNodes("nodes", **DECLARED)))
    assert values == {
        **OUTPUTS,
        "id": f"{CLUSTER}/0",
        "cluster_id": CLUSTER,
        "instance_ids": ["i-1", "i-2"],
    }


def test_what_can_be_read_is_what_the_class_declares():
    annotated = set(AttachedNodes.__annotations__) | {"instance_ids"}
    assert set(READABLE) == annotated
    assert isinstance(AttachedNodes.instance_ids, property)


@pytest.mark.usefixtures("mocks")
def test_a_part_of_an_output_can_be_passed_on():
    def program():
        nodes = AttachedNodes("nodes", **DECLARED)
        return {"ip": nodes.nodes["i-1"]["private_ip"], "task": nodes.tasks[0]["status"]}

    assert run(program) == {"ip": "10.0.0.1", "task": "Success"}


def test_in_a_preview_the_set_is_the_wanted_one():
    # the provider's check makes a map of the list, and a preview gives out checked inputs
    checked = {"instance_ids": {"i-2": "compute2", "i-1": "compute1"}}
    pulumi.runtime.set_mocks(Recorder(checked), project="proj", stack="dev", preview=True)
    values = run(lambda: {"ids": AttachedNodes("nodes", **DECLARED).instance_ids})
    assert values == {"ids": ["i-1", "i-2"]}


# -- get ------------------------------------------------------------------------------------------


def get(*args, **kwargs):
    """A program that reads, and gives out all that can be read."""
    found = Recorder({**OUTPUTS, "instance_ids": ["i-1"]})
    pulumi.runtime.set_mocks(found, project="proj", stack="dev")
    values = run(lambda: readable(AttachedNodes.get("found", *args, **kwargs)))
    return found, values


def test_get_reads_all_nodes_by_a_clusters_id():
    found, values = get(CLUSTER)
    assert (found.one.typ, found.one.name, found.one.resource_id) == (TYPE, "found", CLUSTER)
    assert found.inputs == {"cluster_id": CLUSTER, **REFUSING}
    assert (values["id"], values["instance_ids"]) == (CLUSTER, ["i-1"])
    assert values["nodes"] == {"i-1": NODE}


def test_get_reads_by_a_resources_id():
    found, values = get(f"{CLUSTER}/0123456789")
    assert found.one.resource_id == values["id"] == f"{CLUSTER}/0123456789"
    assert values["cluster_id"] == CLUSTER


def test_get_reads_some_nodes_in_a_region():
    found, _ = get(pulumi.Output.from_input(CLUSTER), instance_ids=["i-1"], region="cn-shanghai")
    assert found.one.resource_id == CLUSTER
    assert found.inputs["instance_ids"] == ["i-1"]
    assert found.inputs["region"] == "cn-shanghai"


@pytest.mark.usefixtures("mocks")
def test_get_keeps_other_options():
    def program():
        farm = pulumi.ComponentResource("my:component:Farm", "farm")
        return {"urn": AttachedNodes.get("n", CLUSTER, opts=pulumi.ResourceOptions(farm)).urn}

    assert f"my:component:Farm${TYPE}::n" in run(program)["urn"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ignore_changes": ["instance_ids"]}, []),
        ({"ignore_changes": ["*", "image_id", "job_queue"]}, []),
        ({"ignore_changes": ["instance_ids[0]"]}, ["ignore_changes: instance_ids[0]"]),
        ({"ignore_changes": ['instance_ids["i-1"]']}, ['ignore_changes: instance_ids["i-1"]']),
        ({"ignore_changes": ["instance_ids.i-1"]}, ["ignore_changes: instance_ids.i-1"]),
        ({"ignore_changes": ['["instance_ids"][0]']}, ['ignore_changes: ["instance_ids"][0]']),
        ({"replace_on_changes": ["cluster_id", "image_id"]}, []),
        ({"replace_on_changes": ["job_queue"]}, ["replace_on_changes: job_queue"]),
        ({"replace_on_changes": ["*"]}, ["replace_on_changes: *"]),
    ],
)
def test_options_that_have_no_effect_are_told(options, told):
    found = resource._without_effect(pulumi.ResourceOptions(**options))
    assert [text.partition(" has no effect")[0] for text in found] == told
