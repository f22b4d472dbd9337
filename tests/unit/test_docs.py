"""What the documents name is what the code has."""

import inspect
import re
from pathlib import Path

from ehpc_nodes import resource, settings
from ehpc_nodes.models import State

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SOURCES = "".join(p.read_text() for p in (ROOT / "ehpc_nodes").glob("*.py"))


def rows(header):
    """The first cells of the table under a header line, as a set of the code words in them."""
    table = README.split(header)[1].split("\n\n")[0]
    return {
        word
        for line in table.splitlines()
        for word in re.findall(r"`([^`]+)`", line.split("|")[1:2][0] if "|" in line else "")
    }


def test_arguments():
    signature = inspect.signature(resource.AttachedNodes.__init__)
    arguments = {n for n, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY} - {"opts"}
    assert rows("| argument | meaning | a change |") == arguments


def test_outputs():
    own = set(State.model_fields) - set(rows("| argument | meaning | a change |"))
    assert rows("| output | |") == own == set(resource.OUTPUTS)


def test_settings():
    documented = set(re.findall(r"`((?:ehpc|alicloud):\w+)", README))
    named = set(re.findall(r'"((?:ehpc|alicloud):\w+)"', SOURCES))
    assert documented == named
    variables = {
        *settings.REGION_VARIABLES,
        *(v for family in settings.KEY_VARIABLES for v in family),
    }
    assert variables <= set(re.findall(r"`(A\w+)`", README))


def test_links_lead_somewhere():
    for page in (README, *(p.read_text() for p in (ROOT / "docs").glob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page):
            assert (ROOT / target).exists() or (ROOT / "docs" / target).exists(), target


def test_python_in_the_readme_is_python():
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        compile(block, "README.md", "exec")
