"""What the docs show of runs is what runs say; `make shown` writes it anew."""

import os
import re
import xml.etree.ElementTree as ET

import pytest

from docs.previews import table
from docs.runs import PICTURES, ROOT, RUNS, script, told

pytestmark = pytest.mark.engine

PAGES = ROOT / "docs"
#: The form of what is shown these show; the words of each finding are shown in process (test_findings.py).
SHORT = {"preview_attach", "preview_change", "preview_replacement"}
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


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in SHORT else [pytest.mark.long]) for n in RUNS],
)
def test_a_run_says_what_the_docs_show(name, cloud, stack_on):
    said = told(RUNS[name](cloud, stack_on)) + "\n"
    page, text, shown = page_with(name)
    assert said.strip()
    if os.environ.get("SHOWN") == "write":
        page.write_text(text[: shown.start] + said + text[shown.stop :])
        return
    assert text[shown] == said, "`make shown` writes it anew"


def test_every_finding_stands_in_its_table():
    page = PAGES / "messages.md"
    before, start, rest = page.read_text().partition("<!-- findings -->\n")
    shown, end, behind = rest.partition("<!-- end of findings -->")
    assert start
    assert end
    if os.environ.get("SHOWN") == "write":
        page.write_text(f"{before}{start}{table()}{end}{behind}")
        return
    assert shown == table(), "`make shown` writes it anew"


def test_nothing_is_shown_that_is_not_run():
    texts = "".join(page.read_text() for page in PAGES.glob("*.md"))
    assert set(re.findall(r"<!-- shown: (\w+) -->", texts)) == set(RUNS)


@pytest.mark.long
def test_the_terminal_shows_what_the_cli_says(pulumi_engine):
    """The same commands again; how far the update was at each line is that run's own."""
    terminal = script("terminal")
    (_, preview), (_, update) = terminal.record(str(pulumi_engine))
    picture = ET.fromstring((PICTURES / "terminal.svg").read_text())
    words = next(element.text or "" for element in picture if element.tag.endswith("desc"))
    before, _, after = words.partition("\n$ pulumi up --yes\n")
    assert before.splitlines()[1:] == plain(terminal.shown(preview)), "`make pictures`"
    ends = [
        [re.sub(r"\d+s", "…", lines[n]) for n in (0, -1)]
        for lines in (after.rstrip().splitlines(), plain(terminal.shown(update)))
    ]
    assert ends[0] == ends[1]
    assert " updated (" in after


def plain(lines):
    return [line.plain.rstrip() for line in lines]
