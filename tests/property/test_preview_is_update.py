"""What a preview shows is what the update does, call for call, where nothing changes in between."""

from collections import defaultdict

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from ehpc_nodes.errors import EhpcError
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.operations import IncompleteError, wanted_of
from property.amount import HISTORIES
from unit.emulated import WRITES, Bench, Killed, ids, iid

SIZE = 5
ACTIONS = {*WRITES, "TagResources", "UntagResources"}
SOME = st.sets(st.integers(1, SIZE))
WORLDS = st.fixed_dictionaries(
    {
        "attached": st.sets(st.integers(1, SIZE), max_size=2),
        "before": SOME,
        "lost": st.sampled_from([False, False, False, True]),
        "rival": st.sets(st.integers(1, SIZE), max_size=2),
        "detached": st.sets(st.integers(1, SIZE), max_size=1),
        "moved": st.sets(st.integers(1, SIZE), max_size=2),
        "started": st.sets(st.integers(1, SIZE), max_size=2),
        "broken": st.sets(st.integers(1, SIZE), max_size=1),
        "killed_after": st.sampled_from([None, None, "TagResources", "AddExistedNodes"]),
        "alike": st.sampled_from([False, False, True]),
    }
)
PROGRAMS = st.fixed_dictionaries(
    {
        "instances": st.sets(st.integers(1, SIZE), min_size=1),
        "retained": st.sets(st.integers(1, SIZE), max_size=1),
        "job_queue": st.sampled_from(["", "workq", "gpu"]),
        "stop_running": st.booleans(),
        "take_ownership": st.booleans(),
    }
)


def world_of(w):  # noqa: C901  # one line a misfortune
    """A bench on which this has happened, and the state of the resource."""
    bench = Bench(SIZE, w["attached"], detached_instance_status="Stopped")
    saved = bench.up(*w["before"]) if w["before"] else None
    rivals = w["rival"] - w["before"]
    if rivals:
        rival = bench.operations(name="project/stack/rival", uid="uid-rival")
        rival.converge(bench.inputs(*rivals, stop_running=True))
    if w["killed_after"] and saved:
        _kill(bench, rivals, saved, w["killed_after"])
    if w["alike"]:  # of two instances, one host name
        bench.instance(2).host_name = "compute1"
    outside, nodes = bench.outside, bench.nodes
    for number in w["moved"]:
        if iid(number) in nodes:
            outside.move(iid(number), "gpu")
    for number in w["detached"]:
        if iid(number) in nodes:
            outside.detach(iid(number))
    for number in w["started"]:
        if iid(number) not in bench.nodes:
            outside.start(iid(number))
    for number in w["broken"]:
        if iid(number) in bench.nodes:
            bench.nodes[iid(number)].status = "exception"
    bench.clock.advance(700)
    return bench, None if w["lost"] else saved


def _kill(bench, rivals, saved, after):
    def exchange(*, before):
        if before and bench.calls()[-1:] == [after]:
            raise Killed

    bench._maybe_die = exchange
    try:
        bench.up(*{*range(1, SIZE + 1)} - rivals, before=saved)
    except (Killed, EhpcError):
        pass
    finally:
        del bench._maybe_die


def done_by(bench, since):
    """Action -> the instances that calls of this action were about."""
    done: dict[str, set[str]] = defaultdict(set)
    hosts = {node.host_name: i for i, node in bench.nodes.items()}
    for entry in bench.journal.entries[since:]:
        if entry.action in ACTIONS:
            about = {hosts.get(v, v) for k, v in entry.params.items() if "." in k}
            done[entry.action] |= about & {*ids(*range(1, SIZE + 1))}
    return done


@settings(
    max_examples=HISTORIES // 2, suppress_health_check=list(HealthCheck), report_multiple_bugs=False
)
@given(w=WORLDS, program=PROGRAMS)
def test_the_update_does_what_the_preview_shows(w, program):
    try:
        bench, saved = world_of(w)
    except IncompleteError:
        return
    more = {k: v for k, v in program.items() if k not in {"instances", "retained"}}
    inputs = bench.inputs(
        *program["instances"], retain_ids=ids(*(program["retained"] - program["instances"])), **more
    )
    desired = Desired(**inputs.model_dump(include={*Desired.__annotations__}))
    planned = bench.operations().plan_changes(desired, wanted_of(inputs), saved)
    nodes = {*bench.nodes}
    since = len(bench.journal.entries)
    refused = [f for f in planned.findings if not f.warning]
    stuck = False
    try:
        bench.operations().converge(inputs, saved)
    except IncompleteError as error:
        stuck = any(f.code in {"Stuck", "exception"} for f in error.state.failed.values())
        assert stuck, error  # noqa: PT017  # no error is right, too
    except EhpcError:
        assert refused or {*planned.changes.wait} or w["broken"]
    done, shown = done_by(bench, since), planned.changes
    event("refused" if refused else "done")
    if refused:
        assert not any(done.values())
        return
    if stuck and shown.wait:
        return
    unknown = {*shown.unknown}
    assert done["AddExistedNodes"] <= {*shown.attach}
    assert {*shown.attach} - unknown <= done["AddExistedNodes"]
    assert done["StopInstances"] == {*shown.stop}
    # what may be being attached is shown as to be detached, and left if it never becomes a node
    assert {*shown.detach} & nodes <= done["DeleteNodes"] <= {*shown.detach}
    assert done["SetQueue"] == {*shown.move}
    adopted = {*shown.adopt, *shown.renew}
    assert adopted <= done["TagResources"] <= adopted | {*shown.attach, *shown.detach}
    assert {*shown.take} <= {*shown.adopt}
    assert {*shown.first} <= {*shown.detach}
    assert {*shown.retain} <= done["UntagResources"]
    assert bench.harm.double_attach == []
