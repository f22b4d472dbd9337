"""Every action × every fault × {create, update, refresh, delete}: what comes of it, found by running it.

`python -m unit.matrix` (with tests/ on the path) writes the table into docs/reliability.md.
"""

from pathlib import Path

from ehpc_nodes.errors import EhpcError
from ehpc_nodes.reconcile.operations import IncompleteError
from unit.emulated import Bench, ids

VERBS = ("create", "update", "refresh", "delete")
ACTIONS = (
    *("AddExistedNodes", "DeleteNodes", "SetQueue", "StopInstances", "TagResources"),
    *("UntagResources", "DescribeCluster", "ListNodes", "ListNodesNoPaging", "ListNodesByQueue"),
    *("ListQueues", "ListTasks", "ListClusters", "ListImages", "ListCustomImages"),
    "DescribeInstances",
)
#: JSON, but no field holds what it should.
ODD = """{"TaskId": {"is": "odd"}, "RequestId": ["odd"], "ClusterInfo": 7, "InstanceResponses": {"odd": 1},
 "Nodes": ["odd"], "Queues": ["odd"], "Tasks": ["odd"], "Clusters": ["odd"], "Instances": ["odd"], "OsTags": ["odd"],
 "Images": ["odd"], "TotalCount": "odd"}"""
LASTING = {"kind": "error", "message": "No.", "times": None}
#: Column of the table -> the fault of the emulator. Each strikes once, but for the last two.
FAULTS: dict[str, dict[str, object]] = {
    "throttled": {"kind": "throttle"},
    "5xx": {"kind": "error"},
    "5xx after the effect": {"kind": "error_after"},
    "reset before the effect": {"kind": "reset_before"},
    "reset after it": {"kind": "reset_after"},
    "answer lost": {"kind": "lost", "seconds": 30},
    "slow answer": {"kind": "slow", "seconds": 25},
    "redirected": {"kind": "redirect", "location": "https://elsewhere.example/"},
    "not JSON": {"kind": "garbage", "after_effect": True},
    "another form": {"kind": "garbage", "status": 200, "after_effect": True, "body": ODD},
    "half an answer": {"kind": "truncated"},
    "half a list": {"kind": "half_page"},
    "unknown status": {"kind": "unknown_status"},
    "refused for good": {**LASTING, "status": 400, "code": "InvalidParams"},
    "no permission": {**LASTING, "status": 403, "code": "NotAuthorized"},
}
#: An image of the account's own, which another list has.
OWN_IMAGE = {"image_id": "m-bp1own", "image_owner_alias": "self"}
UNAFFECTED, DONE, TOLD = "not called", "ok", "error"


class HarmedError(AssertionError):
    """A promise was broken."""


def outcome(verb, action, fault):
    """What comes of a run whose calls of an action meet a fault; raises HarmedError where a promise breaks."""
    bench = Bench(detached_instance_status="Stopped", pace={"reads": 2})
    image = OWN_IMAGE if action == "ListCustomImages" else {}
    state = None if verb == "create" else bench.up(1, 2, 3, job_queue="workq", **image)
    bench.outside.start(ids(4)[0])
    rule = bench.emulator.faults.add({"action": action, **FAULTS[fault]})
    try:
        state = run(bench, verb, state, **image)
        result = DONE
    except IncompleteError as error:
        state = error.state if verb in ("create", "update") else state
        result = TOLD
    except EhpcError:
        result = TOLD
    bench.emulator.faults.clear()
    check(bench, verb, state, **image)
    return result if rule.fired else UNAFFECTED


def run(bench, verb, state, **image):
    if verb in ("create", "update"):
        return bench.up(2, 3, 4, before=state, job_queue="gpu", stop_running=True, **image)
    if verb == "refresh":
        seen = bench.operations().refresh(state)
        if seen is None or seen.instance_ids != ids(1, 2, 3):
            raise HarmedError(f"refresh says {seen and seen.instance_ids}")
        return seen
    bench.operations().destroy(state)
    return None


def check(bench, verb, state, **image):
    """Nothing is harmed, and a clean run finishes."""
    state = run(bench, verb, state, **image) if state or verb == "create" else None
    harm = bench.harm
    if harm.double_attach or harm.releases or harm.touched:
        raise HarmedError(str(harm))
    wanted = {"create": ids(2, 3, 4), "update": ids(2, 3, 4), "refresh": ids(1, 2, 3), "delete": []}
    if sorted(bench.nodes) != wanted[verb] or (state and state.instance_ids != wanted[verb]):
        raise HarmedError(f"{sorted(bench.nodes)} in the cluster, {state} in the state")
    if verb in ("create", "update") and {n.queue for n in bench.nodes.values()} != {"gpu"}:
        raise HarmedError("another queue")
    if max(harm.disk_replacements.values(), default=0) > 1:
        raise HarmedError(f"wiped twice: {harm.disk_replacements}")


def cells(action, verb):
    """What comes of each fault; empty if the call is not made."""
    found = {fault: outcome(verb, action, fault) for fault in FAULTS}
    return found if set(found.values()) != {UNAFFECTED} else {}


def failing(found):
    """The faults that fail the run, as the table names them."""
    return ", ".join(fault for fault, result in found.items() if result == TOLD) or "none"


def table():
    """The table in Markdown: a row for each set of faults that fail a run, with the calls and operations."""
    rows: dict[str, list[str]] = {}
    for action in ACTIONS:
        verbs: dict[str, list[str]] = {}
        for verb in VERBS:
            if found := cells(action, verb):
                verbs.setdefault(failing(found), []).append(verb)
        for faults, during in verbs.items():
            rows.setdefault(faults, []).append(f"{action} ({', '.join(during)})")
    return "\n".join(
        [
            f"The {len(FAULTS)} faults: {', '.join(FAULTS)}.",
            "",
            "| faults that fail the run | call (during) |",
            "|---|---|",
            *(f"| {faults} | {', '.join(calls)} |" for faults, calls in rows.items()),
        ]
    )


def page(text):
    """The page with the table in its place, between the two marks."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- table: make reliability -->", "<!-- end of table -->"

if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
