"""Every cell of the fault matrix keeps the promises, and the table in the docs is what was found."""

import re

import pytest

from unit.matrix import ACTIONS, DONE, FAULTS, PAGE, TOLD, VERBS, cells, failing, outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb",
    # it attaches, detaches, moves and waits: the others do less
    [pytest.param(v, marks=[] if v == "update" else [pytest.mark.long]) for v in VERBS],
)
@pytest.mark.parametrize("action", ACTIONS)
def test_row(action, verb):
    found = cells(action, verb)
    assert {*found.values()} <= {DONE, TOLD}
    rows = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines()]
    call = re.compile(rf"\b{action} \([^)]*\b{verb}\b")
    documented = [row[0] for row in rows if call.search(row[-1])]
    assert documented == ([failing(found)] if found else []), "make reliability"


@pytest.mark.parametrize(
    "fault", [f for f in FAULTS if "after" in f or f in ("answer lost", "not JSON")]
)
@pytest.mark.parametrize("action", ["AddExistedNodes", "DeleteNodes", "SetQueue", "StopInstances"])
def test_one_lost_answer_of_a_write_never_fails_a_run(action, fault):
    assert outcome("update", action, fault) == DONE
