"""Check and diff in process, on an emulated cloud over HTTP; and bags that nobody should hand over."""

import re
from typing import Any

import pytest
from pulumi.dynamic import ConfigureRequest
from pulumi.output import UNKNOWN

from ehpc_nodes.emulator import Emulator, EmulatorServer
from ehpc_nodes.provider.dynamic import AttachedNodesProvider
from ehpc_nodes.provider.engine import CallFailedError, EngineCall
from unit.emulated import CLUSTER, IMAGE, WRITES, ids, world

ONE, TWO = ids(1, 2)
URN = "urn:pulumi:dev::project::pulumi-python:dynamic/ehpc:AttachedNodes::nodes"
#: What a check makes of a program that names cluster and instance only.
CHECKED: dict[str, Any] = {
    "cluster_id": CLUSTER,
    "region": "cn-hangzhou",
    "instance_ids": {ONE: "compute1"},
    "image_id": IMAGE,
    "image_owner_alias": "system",
    "replace_system_disks": True,
    "stop_running": False,
    "busy_nodes": "refuse",
    "take_ownership": False,
}


# -- check and diff -----------------------------------------------------------------------------


class Rig:
    """A provider as the engine makes it, and the cloud that its stack config points at."""

    def __init__(self, server):
        self.server, self.emulator = server, server.emulator
        self.provider = self.configured({})

    def configured(self, config):
        settings = {
            "ehpc:region": "cn-hangzhou",
            "ehpc:endpoint": self.server.url,
            "ehpc:ecsEndpoint": self.server.url,
            "ehpc:accessKeyId": self.server.access_key_id,
            "ehpc:accessKeySecret": self.server.access_key_secret,
            "ehpc:graceSeconds": "0.01",
            **config,
        }
        provider = AttachedNodesProvider()
        taken: Any = {k: v for k, v in settings.items() if v is not None}
        provider.configure(ConfigureRequest(config=taken))
        return provider

    def check(self, olds=None, **news):
        arguments = {"cluster_id": CLUSTER, "instance_ids": [ONE], "replace_system_disks": True}
        return self.provider.check(olds or {}, {**arguments, **news})

    def failures(self, olds=None, **news):
        return [(f.property, f.reason) for f in self.check(olds, **news).failures]

    def calls(self):
        return [e.action for e in self.emulator.journal.entries]


@pytest.fixture
def rig():
    with EmulatorServer(Emulator(world(4, attached=(3,)))) as server:
        it = Rig(server)
        yield it
        assert not {*it.calls()} & {*WRITES, "TagResources", "UntagResources"}


def test_check_resolves_defaults_and_names_the_hosts(rig, capsys):
    result = rig.check()
    assert result.failures == []
    assert re.fullmatch("[0-9a-f]{12}", result.inputs.pop("__uid"))
    assert result.inputs == CHECKED
    assert (
        f"attach 1 (system disk replaced by {IMAGE}): compute1; 1 call" in capsys.readouterr().out
    )


def test_check_without_a_change_makes_no_call(rig):
    olds = rig.check().inputs
    rig.emulator.journal.entries.clear()
    result = rig.check(olds)
    assert (result.failures, result.inputs) == ([], olds)
    assert rig.calls() == []


def test_check_of_a_member_looks_but_needs_no_consent(rig):
    result = rig.check(instance_ids=ids(3), replace_system_disks=False)
    assert result.failures == []
    assert result.inputs["instance_ids"] == {ids(3)[0]: "compute3"}


def test_check_says_everything_that_is_wrong_with_the_form_at_once_and_looks_at_nothing(rig):
    found = rig.failures(
        cluster_id="hz",
        instance_ids=[ONE, ONE],
        region=7,
        job_queue="a b",
        image_owner_alias="mine",
        stop_running="yes",
        owner="me",
    )
    assert found == [
        ("cluster_id", "'hz' is not a cluster id (such as ehpc-hz-FYUr32abcd)"),
        ("region", "give a region, like 'cn-hangzhou'; got a number"),
        ("instance_ids", f"{ONE} is listed more than once; list it once"),
        ("image_owner_alias", "give 'system', 'self', 'others' or 'marketplace'; got 'mine'"),
        ("job_queue", "'a b' is not a queue's name (such as workq)"),
        ("stop_running", "give True or False (from config: get_bool); got a string"),
        ("owner", "owner is not an argument of AttachedNodes"),
    ]
    assert rig.calls() == []


def test_check_without_any_region_says_where_to_set_one(rig):
    rig.provider = rig.configured({"ehpc:region": None})
    ((name, reason),) = rig.failures()
    assert name == "region"
    assert "pulumi config set ehpc:region cn-hangzhou" in reason
    assert rig.calls() == []


def test_a_region_of_the_program_goes_before_the_configured_one(rig):
    assert rig.failures(region="cn-beijing") == [
        ("region", f"cluster {CLUSTER} is in cn-hangzhou, not in cn-beijing: set the region")
    ]


def test_check_with_an_unknown_cluster_looks_at_the_instances(rig, capsys):
    result = rig.check(cluster_id=UNKNOWN)
    assert result.failures == []
    assert "once cluster_id is known" in capsys.readouterr().out
    assert result.inputs["cluster_id"] is UNKNOWN
    assert "image_id" not in result.inputs
    assert rig.calls() == ["DescribeInstances"]
    assert rig.check(cluster_id=UNKNOWN, region=UNKNOWN).failures == []
    assert rig.calls() == ["DescribeInstances"]


def test_check_with_unknown_instances_checks_those_that_are_known(rig):
    rig.emulator.world.instances[TWO].vpc_id = "vpc-other"
    found = rig.failures(instance_ids=[ONE, UNKNOWN, TWO])
    assert found == [
        (
            "instance_ids",
            f"compute2 ({TWO}) is in vpc-other, but the cluster is in vpc-test. Both must be in the same VPC",
        )
    ]


def test_a_consent_that_is_not_known_yet_is_no_refusal(rig):
    rig.emulator.world.instances[ONE].status = "Running"
    result = rig.check(replace_system_disks=UNKNOWN, stop_running=UNKNOWN)
    assert result.failures == []
    assert result.inputs["replace_system_disks"] is UNKNOWN


@pytest.mark.parametrize("retained", [UNKNOWN, [UNKNOWN], [TWO, UNKNOWN]])
def test_ids_to_retain_that_are_not_known_yet_are_no_refusal(rig, retained):
    assert rig.failures(retain_ids=retained, take_ownership=UNKNOWN) == []


def test_a_marketplace_image_that_is_not_known_yet_is_not_warned_of_without_its_id(rig, capsys):
    assert rig.check(image_id=UNKNOWN, image_owner_alias="marketplace").failures == []
    assert "marketplace" not in capsys.readouterr().out


def test_warnings_are_said_and_hinder_nothing(rig, capsys):
    rig.emulator.world.clusters[CLUSTER].queues["gpu"].auto_shrink = True
    assert rig.check(job_queue="gpu").failures == []
    assert (
        "instance_ids: queue 'gpu' scales in: E-HPC removes nodes that are idle for 6 minutes"
        in capsys.readouterr().out
    )


def test_a_replacement_is_told_once_though_the_engine_checks_it_twice(rig, capsys):
    olds = {**CHECKED, "instance_ids": {ids(3)[0]: "compute3"}}
    news = {"instance_ids": [*ids(3), ONE], "image_id": "m-bp1own", "image_owner_alias": "self"}
    rig.emulator.world.clusters[CLUSTER].nodes[ids(3)[0]].used.cpu = 2
    first = rig.check(olds, **news, stop_running=True)
    assert first.failures == []
    line = (
        "first detach 1 (the instances are not released): compute3; 1 call; then stop 1: compute3;"
        " attach 2 (system disk replaced by m-bp1own): compute1, compute3; 2 calls"
    )
    said = capsys.readouterr().out
    assert line in said
    assert f"compute3 ({ids(3)[0]}) runs jobs (used: 2 CPU)" in said
    diff(rig, {**SAVED, "instance_ids": ids(3)}, first.inputs)  # the engine checks anew after it
    rig.check({}, **news, stop_running=True, busy_nodes="detach")
    assert line not in capsys.readouterr().out


def test_an_instance_in_two_resources_is_refused_with_both_names(rig, monkeypatch):
    def check_as(name, **news):
        urn = URN.removesuffix("nodes") + name
        monkeypatch.setattr("ehpc_nodes.provider.dynamic.current_call", lambda: EngineCall(urn=urn))
        return rig.failures(**news)

    assert check_as("first", instance_ids=[ONE, TWO]) == []
    assert check_as("second", instance_ids=[TWO, ids(4)[0]]) == [
        (
            "instance_ids",
            f"{TWO} is listed by 'second' and by 'first': list it in one of them",
        )
    ]
    assert check_as("first", instance_ids=[ONE]) == []
    assert check_as("second", instance_ids=[TWO]) == []


def diff(rig, olds, news):
    result = rig.provider.diff("ehpc-hz-test/0", olds, news)
    assert result.delete_before_replace
    return bool(result.changes), result.replaces


SAVED = {**CHECKED, "instance_ids": [ONE], "nodes": {ONE: {"status": "running"}}, "failed": {}}


@pytest.mark.parametrize(
    ("news", "found"),
    [
        ({}, (False, [])),
        ({"instance_ids": {ONE: "compute1 (stopped)"}}, (False, [])),
        ({"instance_ids": {TWO: ""}}, (True, [])),
        ({"instance_ids": {ONE: "", "(new instance 1)": UNKNOWN}}, (True, [])),
        ({"instance_ids": UNKNOWN}, (True, [])),
        ({"job_queue": "gpu"}, (True, [])),
        (
            {"stop_running": True, "busy_nodes": "detach", "replace_system_disks": False},
            (False, []),
        ),
        ({"image_id": "m-2"}, (True, ["image_id"])),
        (
            {"image_id": "m-2", "image_owner_alias": "self"},
            (True, ["image_id", "image_owner_alias"]),
        ),
        ({"cluster_id": "ehpc-hz-other"}, (True, ["cluster_id"])),
        ({"cluster_id": UNKNOWN}, (True, ["cluster_id"])),
        ({"region": "cn-beijing"}, (True, ["region"])),
        ({"region": None}, (False, [])),
    ],
)
def test_diff(rig, news, found):
    assert diff(rig, SAVED, {**CHECKED, **news}) == found
    assert rig.calls() == []


def test_diff_of_what_check_gave_for_the_same_program_is_none(rig):
    first = rig.check()
    again = rig.check(first.inputs)
    assert diff(rig, {**SAVED, **first.inputs}, again.inputs) == (False, [])


# -- reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("junk", "'junk' is neither a cluster id nor the id of an AttachedNodes resource"),
        ("ehpc-hz-none", "ListNodes: ClusterNotFound: "),
    ],
)
def test_reading_what_is_not_there_says_so(rig, id_, said):
    with pytest.raises(CallFailedError, match=said):
        rig.provider.read(id_, {})


def test_reading_a_cluster_without_nodes_gives_none(rig):
    rig.emulator.outside.detach(ids(3)[0])
    outs = rig.provider.read(CLUSTER, {}).outs
    assert (outs["instance_ids"], outs["nodes"]) == ([], {})


# -- states that this package did not save -------------------------------------------------------


@pytest.mark.parametrize(
    "deed",
    [
        lambda p, bag: p.create(bag),
        lambda p, bag: p.update("x", bag, bag),
        lambda p, bag: p.delete("x", bag),
    ],
    ids=["create", "update", "delete"],
)
@pytest.mark.parametrize(
    ("bag", "where"),
    [
        ({}, "cluster_id"),
        ({**CHECKED, "cluster_id": 3}, "cluster_id"),
        ({**CHECKED, "region": None}, "region"),
        ({**CHECKED, "instance_ids": "i-1"}, "instance_ids"),
        ({**CHECKED, "instance_ids": [ONE, None]}, "instance_ids.1"),
    ],
)
def test_a_mangled_bag_is_said_in_one_line_and_nothing_is_called(rig, deed, bag, where):
    with pytest.raises(
        CallFailedError, match=f"not as this package saves it, at {where}[.]"
    ) as told:
        deed(rig.provider, bag)
    assert "\n" not in str(told.value)
    assert rig.calls() == []
