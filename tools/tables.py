"""The two tables of ehpc_nodes/reconcile in Markdown, written into docs/how-it-works.md: `make tables`."""

from __future__ import annotations

from pathlib import Path

from ehpc_nodes.reconcile.phases import OWNERS, PHASES
from ehpc_nodes.reconcile.plan import TABLE, Step

PAGE = Path(__file__).parents[1] / "docs" / "how-it-works.md"


def owners() -> str:
    """Whose an instance is."""
    rows = [f"| {text} | {owner.value} |" for owner, text, _ in OWNERS]
    return "\n".join(["| holds when | whose it is |", "|---|---|", *rows])


def phases() -> str:
    """The phases and their conditions."""
    rows = [f"| {phase.name} | {text} |" for phase, text, _ in PHASES]
    return "\n".join(["| phase | holds when |", "|---|---|", *rows])


def actions() -> str:
    """What is done in each phase."""
    rows = [
        f"| {phase.name} | {row.wanted.value} | {row.unwanted.value} | {row.kept.value} |"
        for phase, row in TABLE.items()
    ]
    head = "| phase | in the program | not in the program | the state keeps |"
    return "\n".join([head, "|---|---|---|---|", *rows])


def steps() -> str:
    """The order of steps."""
    return "\n".join(f"{number}. {step.value}" for number, step in enumerate(Step, start=1))


PARTS = {"owners": owners, "phases": phases, "actions": actions, "steps": steps}


def page(text: str) -> str:
    """The page with all tables in their places, each between its two marks."""
    for name, part in PARTS.items():
        begin, end = (
            mark.format("tables: " + name) for mark in ("<!-- {} -->", "<!-- end of {} -->")
        )
        head, rest = text.split(begin)
        text = f"{head}{begin}\n{part()}\n{end}{rest.split(end)[1]}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
