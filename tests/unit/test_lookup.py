"""What people find to write: on the emulator, judged by preview's rules."""

import inspect
import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ehpc_nodes import lookup
from ehpc_nodes.emulator import EmulatorServer
from ehpc_nodes.emulator.world import Cluster, Image, Instance, Node
from ehpc_nodes.errors import AuthError, ClusterNotFoundError, ConfigError, TransportError
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.observer import Wanted
from unit.emulated import CLUSTER, IMAGE, VPC, Bench, ids, iid

PAGE = (Path(__file__).parents[2] / "docs" / "lookup.md").read_text()
OTHER = "ehpc-hz-other"


@pytest.fixture
def bench():
    return Bench(instances=6, attached=(1, 2))


@pytest.fixture
def client(bench):
    return bench.operations(60).cloud


@pytest.fixture
def find(client):
    """Candidates of the test's cluster, by instance id: the reasons."""

    def found(**options):
        seen = lookup.candidates(CLUSTER, client=client, **options)
        return {candidate.instance_id: candidate.reasons for candidate in seen}

    return found


def add_cluster(bench, cluster_id=OTHER, vpc_id=VPC):
    bench.world.clusters[cluster_id] = Cluster(cluster_id, vpc_id, IMAGE, "CentOS_7.6_64")
    return bench.world.clusters[cluster_id]


# -- what there is --------------------------------------------------------------------------------


def test_clusters(bench, client):
    add_cluster(bench, "ehpc-hz-a")
    bench.nodes[iid(2)].status = "exception"
    first, second = lookup.clusters(client=client)
    assert (first.cluster_id, first.computes) == ("ehpc-hz-a", 0)
    assert (second.cluster_id, second.vpc_id, second.status) == (CLUSTER, VPC, "running")
    assert (second.computes, second.running, second.failed) == (2, 1, 1)
    assert (second.image_id, second.os_tag) == (IMAGE, "CentOS_7.6_64")


def test_more_clusters_than_a_page_holds(bench, client):
    for number in range(120):
        add_cluster(bench, f"ehpc-hz-{number:03}")
    assert len(lookup.clusters(client=client)) == 121
    assert bench.calls() == ["ListClusters"] * 3


def test_queues(bench, client):
    bench.world.clusters[CLUSTER].queues["gpu"].auto_grow = True
    assert lookup.queues(CLUSTER, client=client) == [
        lookup.Queue("gpu", auto_grow=True),
        lookup.Queue("workq", auto_grow=False),
    ]


def test_nodes_are_the_compute_nodes_with_their_queues(bench, client):
    bench.nodes[iid(1)].queue = "gpu"
    bench.nodes[iid(2)].used.cpu = 1
    seen = lookup.nodes(CLUSTER, client=client)
    assert [(n.instance_id, n.host_name, n.queue, n.status, n.busy) for n in seen] == [
        (iid(1), "compute1", "gpu", "running", False),
        (iid(2), "compute2", "workq", "running", True),
    ]
    assert [n.instance_id for n in lookup.nodes(CLUSTER, queue="gpu", client=client)] == ids(1)
    with pytest.raises(
        ConfigError, match=r"Queue 'nope' does not exist in .*: the cluster has workq, gpu"
    ):
        lookup.nodes(CLUSTER, queue="nope", client=client)


def test_blanks_and_line_ends_around_an_argument_are_left_off(client):
    found = lookup.nodes(f" {CLUSTER}\r\n", queue="workq ", client=client)
    assert found == lookup.nodes(CLUSTER, queue="workq", client=client) != []


def test_nodes_of_all_roles(client):
    seen = lookup.nodes(CLUSTER, compute_only=False, client=client)
    assert {n.roles for n in seen} == {("Scheduler",), ("Login",), ("Compute",)}


def test_tasks_run_or_ran(client):
    assert lookup.tasks(CLUSTER, client=client) == []
    client.add_existed_nodes(CLUSTER, ids(3), image=(IMAGE, "system"), queue="")
    assert lookup.tasks(CLUSTER, client=client) == []  # done at once in this world
    (task,) = lookup.tasks(CLUSTER, history=True, client=client)
    assert (task.status, task.over, task.errors) == ("Success", True, "")
    assert task.step == task.steps


def test_a_task_on_its_way_and_one_that_failed():
    bench = Bench(pace={"reads": 5})
    client = bench.operations(60).cloud
    bench.fault("fail_nodes", "AddExistedNodes", instances=ids(4))
    client.add_existed_nodes(CLUSTER, ids(3, 4), image=(IMAGE, "system"), queue="")
    (task,) = lookup.tasks(CLUSTER, client=client)
    assert not task.over
    assert task.step < task.steps
    for _ in range(6):
        (task,) = lookup.tasks(CLUSTER, history=True, client=client)
    assert (task.status, task.over) == ("PartialFail", True)
    assert task.errors


# -- images ---------------------------------------------------------------------------------------


def test_images_are_the_system_s_the_account_s_and_the_shared_ones(bench, client):
    bench.world.images["m-shared"] = Image("m-shared", "CentOS_7.4_64", "others", name="x")
    found = {image.image_id: image for image in lookup.images(client=client)}
    assert {i: image.owner_alias for i, image in found.items()} == {
        "centos_7_02.vhd": "system",
        "centos_7_06.vhd": "system",
        "centos_8_0.vhd": "system",
        "m-bp1own": "self",
        "m-shared": "others",
    }
    assert found["m-shared"].name == "x"
    assert (found["m-shared"].family, found["m-shared"].version) == ("centos", "7.4")


def previewed(bench, wanted, *image):
    """What a preview of a create finds."""
    image_id, alias = image or ("", "")
    desired = Desired(CLUSTER, "cn-hangzhou", image_id, alias, replace_system_disks=True)
    return bench.operations().plan_changes(desired, Wanted(frozenset(wanted)), None).findings


def test_images_that_fit_are_those_that_preview_takes(bench, client):
    images = bench.world.images
    images["m-win"] = Image("m-win", "WindowsServer_2016_64", "self", platform="windows")
    images["m-new"] = Image("m-new", "CentOS_7.9_64", "self", status="Creating")
    fitting = {image.image_id for image in lookup.images(CLUSTER, client=client)}
    assert fitting == {"centos_7_02.vhd", "centos_7_06.vhd", "m-bp1own"}
    for image in lookup.images(client=client):
        found = previewed(bench, ids(3), image.image_id, image.owner_alias)
        refused = any(not finding.warning for finding in found)
        assert refused == (image.image_id not in fitting), image


# -- candidates -----------------------------------------------------------------------------------


def test_candidates_are_stopped_and_in_no_cluster(bench, client):
    seen = lookup.candidates(CLUSTER, client=client)
    assert [c.instance_id for c in seen] == ids(3, 4, 5, 6)
    assert seen[0] == lookup.Candidate(
        instance_id=iid(3),
        host_name="compute3",
        private_ip="10.0.0.3",
        status="Stopped",
        instance_type="ecs.c5.large",
        image_id="centos_7_02.vhd",
    )
    assert bench.writes() == []


def test_running_ones_are_candidates_for_those_who_stop_them(bench, find):
    bench.instance(3).status = "Running"
    assert iid(3) not in find()
    assert iid(3) in find(stop_running=True)
    (reason,) = find(unfit=True)[iid(3)]
    assert reason.startswith("is Running, not Stopped")


NODE_ELSEWHERE = f"is a node of cluster {OTHER}, or is being attached to it: detach it there first"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda it, _: setattr(it, "vpc_id", "vpc-else"), None),  # it is not even named as unfit
        (
            lambda it, bench: bench.world.add_node(add_cluster(bench), Node(it.id, "compute3")),
            NODE_ELSEWHERE,
        ),
        (
            lambda it, _: it.tags.update({"ehpc-nodes": "project/dev/other"}),
            "has the owner tag of 'project/dev/other'",
        ),
        (lambda it, _: it.locks.append("financial"), "is locked (financial): unlock it first"),
    ],
)
def test_what_preview_would_refuse_is_no_candidate(bench, find, spoil, reason):
    spoil(bench.instance(3), bench)
    assert iid(3) not in find()
    unfit = find(unfit=True)
    if reason is None:
        assert iid(3) not in unfit
    else:
        assert [text[: len(reason)] for text in unfit[iid(3)]] == [reason]


def test_where_another_cluster_can_t_be_seen_nothing_is_called_free(bench, find):
    add_cluster(bench)
    bench.fault("error", "ListNodes", after=1, times=None, status=503, code="ServiceUnavailable")
    with pytest.raises(TransportError, match=f"the nodes of {OTHER} cannot be listed"):
        find()


def test_clusters_of_other_vpcs_are_not_looked_through(bench, find):
    add_cluster(bench, vpc_id="vpc-else")
    find()
    assert bench.calls("ListNodes") == ["ListNodes"]


def test_one_that_is_being_attached_is_none(bench, client, find):
    changes = {"task_pace": {"reads": 9}, "nodes_listed": "at_end"}
    bench.world.knobs = bench.world.knobs.changed(changes)
    client.add_existed_nodes(CLUSTER, ids(3), image=(IMAGE, "system"), queue="")
    assert iid(3) not in find()


def test_host_names_clash_with_nodes_and_among_candidates(bench, find):
    world = bench.world
    world.instances[iid(3)].host_name = "Compute1"
    world.instances[iid(5)].host_name = "compute4"
    assert list(find()) == ids(4, 6)
    reasons = find(unfit=True)
    assert f"has the same host name as node {iid(1)}" in reasons[iid(3)][0]
    assert f"has the same host name as node {iid(4)}" in reasons[iid(5)][0]


def test_a_cluster_that_does_not_run_has_none(bench, find):
    bench.world.clusters[CLUSTER].status = "stopped"
    assert find() == {}
    reasons = find(unfit=True)
    assert list(reasons) == ids(3, 4, 5, 6)
    assert set(reasons.values()) == {
        (f"cluster {CLUSTER} is stopped, not running: wait until it is running",)
    }
    found = previewed(bench, ids(3))
    assert [f.reason for f in found if not f.warning] == list(reasons[iid(3)])


def test_all_candidates_can_be_attached_in_one_go(bench, find):
    """Whatever the world holds, preview accepts the whole list, and E-HPC attaches it."""
    world = bench.world
    world.instances[iid(3)].status = "Running"
    world.instances["i-clash"] = Instance("i-clash", "compute5", VPC, IMAGE)
    world.instances["i-classic"] = Instance("i-classic", "x", VPC, IMAGE, network_type="classic")
    world.instances[iid(4)].tags["ehpc-nodes"] = "somebody/else/x"
    wanted = sorted(find())
    assert previewed(bench, wanted) == []
    state = bench.operations().converge(bench.inputs(instance_ids=wanted))
    assert (state.instance_ids, state.failed) == (wanted, {})
    assert find() == {}


def test_no_such_cluster(client):
    for look in (lookup.candidates, lookup.images, lookup.nodes, lookup.queues, lookup.tasks):
        with pytest.raises(ClusterNotFoundError):
            look("ehpc-hz-none", client=client)


def test_a_missing_permission_is_named(bench, client):
    bench.world.default_key.allow = ["ecs:*"]
    with pytest.raises(AuthError, match="ehpc:ListClusters"):
        lookup.clusters(client=client)


# -- settings and errors --------------------------------------------------------------------------


def test_settings_of_the_environment(monkeypatch):
    with EmulatorServer() as server:
        monkeypatch.setattr(lookup, "_stack_config", partial(dict.get, endpoints(server)))
        monkeypatch.setenv("ALIBABA_CLOUD_REGION_ID", "cn-hangzhou")
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", server.access_key_id)
        monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", server.access_key_secret)
        assert [cluster.cluster_id for cluster in lookup.clusters()] == ["ehpc-hz-demo"]


def endpoints(server):
    return {"ehpc:endpoint": server.url, "ehpc:ecsEndpoint": server.url}


def test_the_stack_config_goes_first(monkeypatch):
    import pulumi

    pulumi.runtime.set_config("ehpc:region", "cn-shanghai")
    monkeypatch.setenv("ALIBABA_CLOUD_REGION_ID", "cn-hangzhou")
    try:
        assert lookup.connect()._region == "cn-shanghai"
        assert lookup.connect(region="cn-beijing")._region == "cn-beijing"
    finally:
        pulumi.runtime.set_all_config({})


def test_an_error_in_a_program_is_pulumi_s_too():
    import pulumi

    with pytest.raises(ConfigError, match="No region is set") as caught:
        lookup.clusters()
    assert isinstance(caught.value, pulumi.RunError)
    assert type(caught.value).__name__ == "NoRegionError"


@pytest.mark.slow
def test_a_script_doesn_t_load_pulumi():
    program = (
        "import sys\nfrom ehpc_nodes import errors, lookup\n"
        "try:\n    lookup.clusters()\nexcept errors.ConfigError as error:\n    print(error)\n"
        "assert 'pulumi' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("No region is set.")


LOOKS = [
    *(lookup.candidates, lookup.images, lookup.nodes, lookup.queues, lookup.tasks),
]


@pytest.mark.parametrize(
    ("look", "value", "told"),
    [
        *((look, 5, "of type int") for look in LOOKS),
        *((look, b"ehpc", "of type bytes") for look in LOOKS),
        *((look, None, "None") for look in LOOKS if look is not lookup.images),
    ],
)
def test_an_id_that_is_no_text_is_refused(bench, client, look, value, told):
    with pytest.raises(ConfigError) as caught:
        look(value, client=client)
    assert str(caught.value) == (f"lookup.{look.__name__}: cluster_id is {told}; it must be a str.")
    assert bench.calls() == []


def test_none_is_not_given_where_a_text_can_be_left_out(client):
    nothing: Any = None
    number: Any = 0
    assert lookup.images(nothing, client=client) == lookup.images(client=client)
    assert lookup.nodes(CLUSTER, queue=nothing, client=client)
    with pytest.raises(ConfigError, match=r"lookup.nodes: queue is of type int"):
        lookup.nodes(CLUSTER, queue=number, client=client)


@pytest.mark.parametrize("look", LOOKS)
def test_an_output_belongs_into_apply(bench, client, look):
    import pulumi

    with pytest.raises(pulumi.RunError) as caught:
        look(pulumi.Output.from_input(CLUSTER), client=client)
    assert isinstance(caught.value, ConfigError)
    assert str(caught.value) == (
        f"lookup.{look.__name__}: cluster_id is an Output, which has no value yet. Call it inside"
        f" apply: output.apply(lambda value: lookup.{look.__name__}(cluster_id=value))."
    )
    assert bench.calls() == []


def test_an_output_is_no_consent(bench, client):
    """An Output is true, whatever its value will be."""
    import pulumi

    later: Any = pulumi.Output.from_input(False)
    with pytest.raises(ConfigError, match=r"stop_running is an Output.*\(stop_running=value\)"):
        lookup.candidates(CLUSTER, stop_running=later, client=client)
    assert bench.calls() == []


# -- the page -------------------------------------------------------------------------------------


def test_the_page_names_every_function_with_its_arguments():
    told = re.findall(r"^\| `(\w+)\((.*?)\)` \|", PAGE, re.MULTILINE)
    functions = {name for name in lookup.__all__ if name[0].islower()}
    assert {name for name, _ in told} == functions
    for name, arguments in told:
        named = [part.partition("=")[0].strip() for part in arguments.split(",") if part]
        known = inspect.signature(getattr(lookup, name)).parameters
        assert named == [n for n in known if n != "client"], name


def test_python_on_the_page_is_python():
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        compile(block, "lookup.md", "exec")
