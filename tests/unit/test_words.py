"""Plain words: none of these is on a page or in a text of the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Word -> what to write instead (docs/glossary.md).
INSTEAD = {
    r"tell(s|ing)?|told": "report, show",
    r"say(s|ing)?|said": "report, show, mean",
    r"look(s|ed|ing)?(?! up\b)": "read, check",
    r"seen|sight": "read, listed, known",
    r"what (becomes|comes) of": "the result",
    r"(go|goes|going|gone|went) on": "continue",
    r"let(s|ting)? go": "retain",
    r"joins?|joined": "wait for",
    r"«|»": 'quotes: "…"',
    r"anew|once more": "again",
    r"forecast|beforehand": "preview, before the first write",
    r"wipe(s|d)?|wiping": "replace the system disk",
    r"consent(s|ed)?": "opt-in argument, allow",
    r"heal(s|ed)?|mend(s|ed|ing)?": "repair, fix",
    r"strays?|namesakes?|estranged|doubtful": "the tag's name and uid",
    r"stands? in": "be in",
    r"announce(s|d|ment)?|ownership marks?|unmark(s|ed)?": "tag, owner reference",
    r"machines?": "instance, computer",
    r"members?(?!:)": "node, instance",
    r"none any more|for want of|may not be asked": "no longer, missing",
    r"on (its|their) way": "being attached",
    r"c[oa]mes? to nothing|pieces? of work|fate": "rejected, task, result",
    r"t(ake|akes|aken|ook) in": "adopt, add to the state",
    r"called off|half-?way": "cancelled, interrupted, partial",
    r"troubles?": "problem, finding",
    r"perhaps": "may",
    r"(un)?settle[sd]?": "final, confirmed",
    r"lags?|lagging": "be out of date",
    r"of which": "another sentence",
    r"misfortunes?|mishaps?": "fault",
    r"\w+n't": "not",
}
PATTERNS = {word: re.compile(rf"(?<![\w-])({word})(?![\w-])", re.IGNORECASE) for word in INSTEAD}
#: Pages that are made of the code's texts, or of other pages.
MADE = {"messages.md", "changelog.md", "decisions.md"}
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "DECISIONS.md")),
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in MADE),
]
CODE = sorted((ROOT / "ehpc_nodes").rglob("*.py"))
#: No prose: tables that are made of the code's texts, code, addresses.
NO_PROSE = re.compile(
    r"<!-- tables: (\w+) -->.*?<!-- end of tables: \1 -->|^ *```.*?^ *```|`[^`]*`|\]\([^)]*\)",
    re.DOTALL | re.MULTILINE,
)


def found(text):
    """Each of the words, with what is written there."""
    return {
        word: [match[0] for match in pattern.finditer(text)] for word, pattern in PATTERNS.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_one(page):
    prose = NO_PROSE.sub("", page.read_text())
    used = {INSTEAD[word]: hits for word, hits in found(prose).items() if hits}
    assert used == {}, "write what is named in front"


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_text_of_the_code_has_one(path):
    """String literals, docstrings among them."""
    used = {
        (node.lineno, INSTEAD[word]): hits
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for word, hits in found(node.value).items()
        if hits
    }
    assert used == {}, "write what is named in front"
