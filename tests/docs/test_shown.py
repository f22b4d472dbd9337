"""What the docs show of runs is what runs say; `make shown` writes it anew."""

import os
import re
from pathlib import Path

import pytest

from docs.runs import RUNS, told

PAGES = Path(__file__).parents[2] / "docs"
BLOCK = "<!-- shown: {} -->\n```text\n"


def page_with(name):
    """The page that shows a run, its text, and where the block stands in it."""
    start = BLOCK.format(name)
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text()
        if start in text:
            begin = text.index(start) + len(start)
            return page, text, slice(begin, text.index("```", begin))
    raise AssertionError(f"no page shows the run {name!r}")


@pytest.mark.parametrize("name", RUNS)
def test_a_run_says_what_the_docs_show(name, cloud, stack_on):
    said = told(RUNS[name](cloud, stack_on)) + "\n"
    page, text, shown = page_with(name)
    assert said.strip()
    if os.environ.get("SHOWN") == "write":
        page.write_text(text[: shown.start] + said + text[shown.stop :])
        return
    assert text[shown] == said, "`make shown` writes it anew"


def test_nothing_is_shown_that_is_not_run():
    texts = "".join(page.read_text() for page in PAGES.glob("*.md"))
    assert set(re.findall(r"<!-- shown: (\w+) -->", texts)) == set(RUNS)
