"""`ehpc-nodes program --import-file`: what it restores, and what it says. That it can be imported shows tests/engine/test_import.py."""

import json

import pytest

from cli.test_program import change, declared
from ehpc_nodes.emulator.world import Node
from ehpc_nodes.testing.worlds import CLUSTER, iid

UID, OTHER_UID = "0123456789ab", "ba9876543210"
ONLY_LOST = "Import it only if its state is lost: two states with one uid detach each other's nodes. Pulumi 3.254 or newer."


def tag(server, number, owner, uid=UID, cluster_id=CLUSTER):
    tags = server.emulator.world.instances[iid(number)].tags
    tags["ehpc-nodes"] = owner
    if uid:
        tags["ehpc-nodes-ref"] = f"{uid}/{cluster_id}/1-77aa/"


def attach(server, number, **fields):
    world = server.emulator.world
    world.clusters[CLUSTER].nodes[iid(number)] = Node(iid(number), f"compute{number}", **fields)
    world.member_of[iid(number)] = CLUSTER


@pytest.fixture
def restore(run, tmp_path):
    """Runs the command; what it printed, its words, and the entries of the file by name."""

    def command(*arguments):
        file = tmp_path / "lost.json"
        file.unlink(missing_ok=True)
        done = run("program", CLUSTER, "--import-file", "lost.json", *arguments)
        *told, then = done.stderr.splitlines()
        assert then == (
            "Next: pulumi import --file lost.json --generate-code=false --protect=false --yes, then pulumi up."
        )
        entries = {r["name"]: r for r in json.loads(file.read_text())["resources"]}
        program = declared(done.stdout)
        assert {n: [*e["inputs"]["instance_ids"]] for n, e in entries.items()} == {
            n: a["instance_ids"] for n, a in program.items()
        }
        return done.stdout, told, entries

    return command


def test_the_uid_and_the_name_on_the_owner_tags_are_restored(server, restore):
    for number in (1, 2):
        tag(server, number, "project/dev/nodes")
    text, told, entries = restore()
    assert told == [
        "nodes: 2 nodes of project/dev/nodes, with the uid on their owner tags",
        ONLY_LOST,
    ]
    entry = entries["nodes"]
    assert entry["type"] == "pulumi-python:dynamic/ehpc:AttachedNodes"
    assert entry["inputs"]["__uid"] == UID
    assert entry["inputs"]["__provider"] == entry["outputs"]["__provider"] != ""
    outputs = entry["outputs"]
    assert (outputs["owner"], outputs["generation"]) == ("project/dev/nodes", 1)
    assert outputs["instance_ids"] == [iid(1), iid(2)]
    assert outputs["nodes"][iid(1)]["confirmed_at"] > 0
    assert declared(text)["nodes"]["job_queue"] == "workq"


def test_nodes_without_owner_tags_get_a_new_uid_each_resource(server, restore):
    change(server, 2, queue="gpu")
    _, told, entries = restore()
    assert told == [
        f"{name}: 1 node without owner tags: the next pulumi up writes them"
        for name in ("gpu", "workq")
    ]
    assert {e["outputs"]["owner"] for e in entries.values()} == {""}
    assert len({e["inputs"]["__uid"] for e in entries.values()} - {""}) == 2


def test_owner_tags_without_a_uid_are_written_by_the_next_up(server, restore):
    for number in (1, 2):
        tag(server, number, "project/dev/nodes", uid="")
    _, told, entries = restore()
    assert told == [
        "nodes: 2 nodes of project/dev/nodes, without a uid on their owner tags: the next pulumi up writes a new one"
    ]
    assert entries["nodes"]["outputs"]["owner"] == ""
    assert entries["nodes"]["inputs"]["__uid"] != ""


def test_two_uids_are_two_resources(server, restore):
    """A namesake's in another backend, or a killed create's: neither gets the other's nodes."""
    tag(server, 1, "project/dev/nodes")
    tag(server, 2, "project/dev/nodes", OTHER_UID)
    _, _, entries = restore()
    found = {n: (e["inputs"]["__uid"], [*e["outputs"]["nodes"]]) for n, e in entries.items()}
    assert found == {"nodes": (UID, [iid(1)]), "nodes-2": (OTHER_UID, [iid(2)])}


def test_one_uid_is_one_resource_whatever_its_tags_name(server, restore):
    """A rename that was interrupted."""
    tag(server, 1, "project/dev/nodes")
    tag(server, 2, "project/dev/renamed")
    _, _, entries = restore()
    assert {n: [*e["outputs"]["nodes"]] for n, e in entries.items()} == {"nodes": [iid(1), iid(2)]}


def test_all_nodes_of_a_resource_are_restored(server, restore):
    """In whatever queue, on whatever image, in whatever status: what is not listed would be detached."""
    change(server, 2, queue="gpu", image_id="m-bp1own", image_owner_alias="self", status="stopped")
    attach(server, 3, status="exception")
    for number in (1, 2, 3):
        tag(server, number, "project/dev/nodes")
    text, _, entries = restore()
    arguments = declared(text)["nodes"]
    assert arguments["instance_ids"] == [iid(1), iid(2), iid(3)]
    assert "job_queue" not in arguments
    assert "image_id" not in arguments
    assert entries["nodes"]["outputs"]["failed"].keys() == {iid(3)}


def test_what_the_file_leaves_out_is_named(server, restore):
    """Nodes without owner tags would be detached by a program that doesn't list them."""
    tag(server, 1, "project/dev/nodes")
    attach(server, 3)
    tag(server, 3, "project/dev/elsewhere", OTHER_UID, cluster_id="ehpc-hz-other")
    attach(server, 4)
    tag(server, 4, "project/dev/nodes", "unknown")
    text, _, entries = restore()
    assert [*entries] == ["nodes"]
    assert text.splitlines()[-3:] == [
        f"# not listed: compute2 ({iid(2)}) has no owner tags. To adopt it, add it to a list",
        f"# not listed: compute3 ({iid(3)}) is managed by project/dev/elsewhere",
        f"# not listed: compute4 ({iid(4)}) is managed by project/dev/nodes",
    ]


def test_of_several_stacks_one_is_named(server, run, restore):
    tag(server, 1, "project/dev/nodes")
    tag(server, 2, "project/prod/nodes", OTHER_UID)
    told = run("program", CLUSTER, "--import-file", "lost.json", code=1).stderr
    assert told == (
        "ehpc-nodes: Nodes have owner tags of several stacks: project/dev, project/prod. Choose the one whose state is"
        " lost: --owner project/dev.\n"
    )
    _, _, entries = restore("--owner", "project/prod")
    assert {n: e["inputs"]["__uid"] for n, e in entries.items()} == {"nodes": OTHER_UID}
    none = ("--import-file", "none.json", "--owner", "project/none")
    told = run("program", CLUSTER, *none, code=1).stderr
    assert told == (
        "ehpc-nodes: No node has owner tags of project/none. The nodes' owner tags name project/dev, project/prod.\n"
    )


def test_a_project_of_its_own_has_the_names_on_the_owner_tags(server, run, tmp_path):
    """So that the resource has the same name there, and nothing is to be done."""
    for number in (1, 2):
        tag(server, number, "project/prod/nodes")
    done = run("program", CLUSTER, "--import-file", "lost.json", "--dir", "made")
    assert (tmp_path / "made" / "Pulumi.yaml").read_text().startswith("name: project\n")
    assert done.stderr.splitlines()[-1] == (
        "Written to made. Next, in this folder: pulumi stack init prod, then pulumi import --file"
        f" {tmp_path / 'lost.json'} --generate-code=false --protect=false --yes, then pulumi up."
    )


def test_a_file_that_is_there_is_not_replaced(run, tmp_path):
    (tmp_path / "lost.json").write_text("mine")
    done = run("program", CLUSTER, "--import-file", "lost.json", code=1)
    told = "ehpc-nodes: lost.json already exists. Use another file name, or remove it.\n"
    assert (done.stdout, done.stderr) == ("", told)
    assert (tmp_path / "lost.json").read_text() == "mine"
    told = run("program", CLUSTER, "--import-file", "none/lost.json", code=1).stderr
    assert told == "ehpc-nodes: none/lost.json cannot be written to: No such file or directory.\n"


def test_owner_tags_that_may_not_be_read_are_needed(server, run):
    server.emulator.world.default_key.allow = ["ehpc:*"]
    told = run("program", CLUSTER, "--import-file", "lost.json", code=1).stderr
    assert "permission ecs:DescribeInstances" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--owner project/dev", "--owner needs --import-file"),
        ("--import-file lost.json --queue gpu", "--queue cannot be used with --import-file"),
    ],
)
def test_options_that_do_not_go_together_are_a_wrong_call(run, arguments, told):
    assert told in run("program", CLUSTER, *arguments.split(), code=2).stderr
