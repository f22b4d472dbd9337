"""Each row and each condition of the two tables matters: without it, or with another one, a check fails."""

from itertools import chain

import pytest

from unit import mutants

#: Mutants that decide the same, and why.
EQUIVALENT = {
    "OWNERS 0": "both rows say MINE",
    "PHASES 0 ": "both rows say FAILED",
    "PHASES 1 ": "only what is a compute node is detached",
    "PHASES 6 ": "both rows say ATTACHED",
    "PHASES 7 ": "other statuses of the node",
    "PHASES 8 ": "the one is a node, the other is none",
    "PHASES 14 ": "other statuses of the instance",
    "PHASES 15 ": "other statuses of the instance",
    "PHASES 16 ": "other statuses of the instance",
    "PHASES 19 ": "other statuses of the instance",
    "_only_runs: dropped: f.awake": "only what is awake has been so for long",
    "_is_gone_for_good: dropped: f.node is": "the absence of a node that is there does not count",
    "Plan: dropped: d.phase in DETACHABLE": "what is not detached is not in this step",
    "Plan: dropped: not d.wanted": "wanted ones are waited for in the same step",
}


def is_equivalent(about):
    rows = about.startswith(("OWNERS", "PHASES"))
    known = any(about.startswith(text) for text in EQUIVALENT)
    return known and (not rows or "swapped" in about)


@pytest.fixture(scope="module")
def alive():
    """The mutants that no check notices."""
    left = []
    count = 0
    for mutant in chain(mutants.of_rows(), mutants.of_conditions()):
        count += 1
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mutant.module, mutant.name, mutant.value)
            if not mutants.is_noticed():
                left.append(mutant.about)
    assert count > 800
    assert mutants.is_noticed() == ""
    return left


@pytest.mark.long
@pytest.mark.slow
def test_every_changed_row_or_condition_is_noticed(alive):
    assert [about for about in alive if not is_equivalent(about)] == []


@pytest.mark.long
@pytest.mark.slow
def test_every_mutant_that_is_called_equivalent_is_one(alive):
    assert [text for text in EQUIVALENT if not any(a.startswith(text) for a in alive)] == []
