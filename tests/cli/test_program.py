"""`ehpc-nodes program`: what it writes is what the resource takes. That it adopts shows tests/engine/test_command.py."""

import ast

import pytest

from ehpc_nodes.cli.program import _names
from ehpc_nodes.emulator.world import Node, Queue
from ehpc_nodes.testing.worlds import CLUSTER, iid

OTHER = ("m-bp1own", "self")


def declared(text):
    """The resources of a program: their names, with their arguments."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    pairs = [
        (
            ast.literal_eval(call.args[0]),
            {str(k.arg): ast.literal_eval(k.value) for k in call.keywords},
        )
        for call in calls
    ]
    assert len(dict(pairs)) == len(pairs), "two resources of one name"
    return dict(pairs)


def change(server, number, **fields):
    world = server.emulator.world
    for name, value in fields.items():
        setattr(world.node(iid(number)), name, value)
    world.clusters[CLUSTER].queues |= {q: Queue(q) for q in [fields.get("queue")] if q}


@pytest.mark.parametrize(
    "named",
    [
        {("workq", "", ""): "workq", ("workq", *OTHER): "workq-2", ("gpu", "", ""): "gpu"},
        # a queue's own name goes to that queue
        {("workq", "", ""): "workq", ("workq", *OTHER): "workq-3", ("workq-2", "", ""): "workq-2"},
        {
            ("a", "", ""): "a",
            ("a", *OTHER): "a-3",
            ("a-2", "", ""): "a-2",
            ("a-2", *OTHER): "a-2-2",
        },
        {("", "", ""): "nodes", ("", *OTHER): "nodes-2", ("workq", "", ""): "workq"},
        {("", "", ""): "nodes-2", ("nodes", "", ""): "nodes", ("nodes", *OTHER): "nodes-3"},
    ],
    ids=lambda named: " ".join(named.values()),
)
def test_each_resource_has_a_name_of_its_own(named):
    assert _names(list(named)) == named
    assert _names(list(reversed(named))) == named


def test_a_queue_that_is_named_like_the_second_resource_of_another(run, server):
    change(server, 2, image_id="m-bp1own", image_owner_alias="self")
    server.emulator.world.clusters[CLUSTER].nodes[iid(3)] = Node(iid(3), "compute3")
    server.emulator.world.member_of[iid(3)] = CLUSTER
    change(server, 3, queue="workq-2")
    assert {n: a["instance_ids"] for n, a in declared(run("program", CLUSTER).stdout).items()} == {
        "workq": [iid(1)],
        "workq-2": [iid(3)],
        "workq-3": [iid(2)],
    }
    of_one = run("program", CLUSTER, "--queue", "workq-2").stdout
    assert [a["instance_ids"] for a in declared(of_one).values()] == [[iid(3)]]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"queue": "night shift"}, "'night shift' is not a queue's name (such as workq)"),
        ({"queue": 'x\n"""\nevil()'}, "is not a queue's name (such as workq)"),
        ({"image_id": "m 1", "image_owner_alias": "self"}, "'m 1' is not an image id"),
        ({"image_id": "m-1", "image_owner_alias": "guest"}, "got 'guest'"),
    ],
    ids=str,
)
def test_a_node_that_the_resource_would_refuse_is_told_and_left_out(run, server, fields, why):
    change(server, 2, **fields)
    text = run("program", CLUSTER).stdout
    assert {n: a["instance_ids"] for n, a in declared(text).items()} == {"workq": [iid(1)]}
    (told,) = [line for line in text.splitlines() if line.startswith("# not listed: ")]
    assert told.startswith(f"# not listed: compute2 ({iid(2)}) cannot be declared: ")
    assert why in told


def test_what_the_service_sends_can_t_get_into_the_program(run, server):
    """Host names, queues and words are data: the program imports and declares, and nothing else."""
    change(server, 1, host_name='x\nimport os; os.system("true")')
    change(server, 2, queue='"""+evil()+"""')
    odd = Node("i-bp1x", "y\nevil()", "stop\nped")
    server.emulator.world.clusters[CLUSTER].nodes[odd.id] = odd
    text = run("program", CLUSTER).stdout
    assert declared(text)['"""+evil()+"""']["job_queue"] == '"""+evil()+"""'
    change(server, 2, image_id='m-1", evil(), "')
    for program in (text, run("program", CLUSTER).stdout):
        tree = ast.parse(program)
        calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]
        assert {ast.unparse(call.func) for call in calls} == {"AttachedNodes"}
        assert {type(n).__name__ for n in tree.body} == {"Expr", "ImportFrom"}


def test_a_cluster_without_a_node_to_adopt_says_why(run, server):
    change(server, 1, status="exception")
    change(server, 2, queue="night shift")
    assert run("program", CLUSTER, code=1).stderr == (
        f"ehpc-nodes: {CLUSTER} has no compute node to adopt: compute1 ({iid(1)}) is exception;"
        f" compute2 ({iid(2)}) cannot be declared: 'night shift' is not a queue's name (such as workq).\n"
    )


def test_what_keeps_the_program_from_running_is_told(run, server):
    server.emulator.world.clusters[CLUSTER].status = "exception"
    text = run("program", CLUSTER).stdout
    assert f"# {CLUSTER} is exception, not running: pulumi up fails until it is running\n" in text


def test_a_compute_node_with_another_role_is_left_out_and_named(run, server):
    change(server, 2, roles=["Compute", "Login"])
    text = run("program", CLUSTER).stdout
    assert (
        "(i-bp1test0002) is not only a compute node, and is never changed. Its roles are Compute, Login\n"
        in text
    )
    assert [a["instance_ids"] for a in declared(text).values()] == [[iid(1)]]


def test_a_node_of_another_resource_is_left_out_with_the_way_to_take_it_over(run, server):
    server.emulator.world.instances[iid(2)].tags["ehpc-nodes"] = "other/dev/nodes"
    text = run("program", CLUSTER).stdout
    (told,) = [line for line in text.splitlines() if line.startswith("# not listed: ")]
    assert told == (
        f"# not listed: compute2 ({iid(2)}) is managed by other/dev/nodes. If the state of that resource is"
        " lost, restore it with --import-file; to move the node, use retain_ids there and take_ownership=True here"
    )
    assert [a["instance_ids"] for a in declared(text).values()] == [[iid(1)]]
