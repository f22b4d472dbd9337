"""What the documents name is what the code has."""

import argparse
import inspect
import re
from pathlib import Path

import pytest

from ehpc_nodes import errors, resource
from ehpc_nodes.api import settings
from ehpc_nodes.emulator import __main__ as emulator_command
from ehpc_nodes.models import NodeState, State, TaskRecord
from ehpc_nodes.reconcile.plan import Conclusion

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").glob("*.md"))]
}
RESOURCE, SETTINGS, RECOVERY = (
    PAGES[f"docs/{name}.md"] for name in ("resource", "settings", "recovery")
)
APART = ("emulator", "testing", "cli")
SOURCES = "".join(
    p.read_text() for p in sorted((ROOT / "ehpc_nodes").rglob("*.py")) if p.parent.name not in APART
)
VARIABLE = r"ALI(?:BABA_?)?CLOUD_[A-Z_]+"
ARGUMENTS = "| argument | meaning | a change |"


def table(page, header):
    """The rows of the table under a header line, as lists of cells."""
    body = page.split(header)[1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in body.splitlines()[2:]]


def words(page, header, column=0):
    """The code words in a column of that table."""
    return [word for row in table(page, header) for word in re.findall(r"`([^`]+)`", row[column])]


# -- inputs and outputs ----------------------------------------------------------------------------


def arguments():
    signature = inspect.signature(resource.AttachedNodes.__init__)
    return {n: p for n, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}


def test_arguments():
    assert set(words(RESOURCE, ARGUMENTS)) == arguments().keys() - {"opts"}


def test_what_a_change_of_an_argument_does():
    from ehpc_nodes.provider.properties import CONSENTS, REPLACING

    said = {row[0].strip("`"): row[2].partition(" ")[0] for row in table(RESOURCE, ARGUMENTS)}
    assert {name for name, change in said.items() if change == "replaces"} == set(REPLACING)
    assert {name for name, change in said.items() if change == "nothing"} == set(CONSENTS)


def test_required_arguments():
    required = {n for n, p in arguments().items() if p.default is p.empty}
    (sentence,) = re.findall(r"([^.\n]*) are required\.", RESOURCE)
    assert set(re.findall(r"`(\w+)`", sentence)) == required


def test_defaults():
    from ehpc_nodes.provider import dynamic

    minutes = {dynamic.CREATE_TIMEOUT / 60, dynamic.UPDATE_TIMEOUT / 60}
    assert minutes == {60}
    assert dynamic.DELETE_TIMEOUT / 60 == 30
    assert "60 minutes to create and to update, 30 to delete" in RESOURCE
    assert settings.GRACE_SECONDS == settings.READ_TIMEOUT_SECONDS == 30
    assert {row[2].partition(":")[0] for row in table(SETTINGS, "| stack config |")} >= {"30"}


def test_outputs():
    own = set(State.model_fields) - set(words(RESOURCE, ARGUMENTS))
    assert set(words(RESOURCE, "| output | |")) == own == set(resource.OUTPUTS)


@pytest.mark.parametrize(("output", "model"), [("tasks", TaskRecord), ("nodes", NodeState)])
def test_what_stands_in_an_output(output, model):
    (row,) = [r for r in table(RESOURCE, "| output | |") if f"`{output}`" in r[0]]
    assert set(re.findall(r"`(\w+)`", row[1])) == set(model.model_fields)


# -- settings --------------------------------------------------------------------------------------


def test_settings():
    documented = set(re.findall(r"`((?:ehpc|alicloud):\w+)`", SETTINGS))
    named = set(re.findall(r'"((?:ehpc|alicloud):\w+)"', SOURCES))
    assert documented == named
    variables = set(re.findall(rf'"({VARIABLE})"', SOURCES))
    assert variables >= {
        *settings.REGION_VARIABLES,
        *(v for f in settings.KEY_VARIABLES for v in f),
    }
    assert set(re.findall(rf"`({VARIABLE})`", SETTINGS)) == variables


@pytest.mark.parametrize("page", PAGES)
def test_no_page_names_a_setting_that_there_is_not(page):
    """Config keys and environment variables on every page are those of the settings' page."""
    named = set(re.findall(r"\b((?:ehpc|alicloud):[a-z]\w+)\b", PAGES[page]))
    assert named <= set(re.findall(r"`((?:ehpc|alicloud):\w+)`", SETTINGS))
    variables = set(re.findall(rf"\b({VARIABLE})\b", PAGES[page]))
    assert variables <= set(re.findall(rf"`({VARIABLE})`", SETTINGS))


# -- codes -----------------------------------------------------------------------------------------


def test_codes_of_the_service():
    documented = words(RECOVERY, "| code | meaning | what is done |")
    known = {
        *(errors.THROTTLED | errors.CONFLICT | errors.BACKEND | errors.FORBIDDEN),
        *(errors.KEY_REFUSED | errors.CLUSTER_NOT_FOUND | errors.HINTS.keys()),
    }
    families = {"Throttling.…", "AgentError.…"}
    assert len(documented) == len(set(documented))
    assert set(documented) == known | families


def test_codes_in_failed():
    documented = set(words(RECOVERY, "| code | meaning | what to do |"))
    assert {conclusion.value for conclusion in Conclusion} - {""} <= documented


# -- commands --------------------------------------------------------------------------------------


def test_options_of_the_emulator_command():
    """Each that a page uses is one."""
    parser = emulator_command._parser()
    assert isinstance(parser, argparse.ArgumentParser)
    options = {option for action in parser._actions for option in action.option_strings}
    for name, page in PAGES.items():
        for line in re.findall(r"python -m ehpc_nodes\.emulator([^\n`]*)", page):
            assert set(re.findall(r"--[a-z-]+", line)) <= options, name


def test_make_targets():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for name, page in PAGES.items():
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page, re.MULTILINE)) <= targets, name


# -- links -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Those of pages in docs/ also in the site's own check; these are files and headings."""
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[page]):
        path, _, anchor = target.partition("#")
        file = (folder / path) if path else (ROOT / page)
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), target


def anchors(text):
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
