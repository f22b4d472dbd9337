"""Every cell of the fault matrix keeps the promises, and the table in the docs is what was found."""

import pytest

from unit.matrix import ACTIONS, DONE, FAULTS, PAGE, TOLD, UNAFFECTED, VERBS, outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb",
    # it attaches, detaches, moves and waits: the others do less
    [pytest.param(v, marks=[] if v == "update" else [pytest.mark.long]) for v in VERBS],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_row(action, verb):
    found = {fault: outcome(verb, action, fault) for fault in FAULTS}
    documented = [
        line.split(" | ")[2:]
        for line in PAGE.read_text().splitlines()
        if line.startswith(f"| {action} | {verb} |")
    ]
    if set(found.values()) == {UNAFFECTED}:
        assert documented == []
        return
    assert {*found.values()} <= {DONE, TOLD}
    assert [cell.rstrip(" |") for cell in documented[0]] == list(found.values()), "make reliability"


@pytest.mark.parametrize(
    "fault", [f for f in FAULTS if "after" in f or f in ("answer lost", "not JSON")]
)
@pytest.mark.parametrize("action", ["AddExistedNodes", "DeleteNodes", "SetQueue", "StopInstances"])
def test_one_lost_answer_of_a_write_never_fails_a_run(action, fault):
    assert outcome("update", action, fault) == DONE
