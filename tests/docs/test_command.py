"""The command's own page names every command and option, and no page names one that there is not."""

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command.md"
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("examples/**/*.md")),
]


def command():
    """The command as its parser has it."""
    from ehpc_nodes.cli.app import app

    return typer.main.get_command(app)


def own_options(parser):
    """Long option names, those that every command has apart."""
    names = {name for parameter in parser.params for name in parameter.opts}
    return {n for n in names if n.startswith("--")} - {
        *("--help", "--install-completion", "--show-completion"),
    }


def test_the_command_is_installed():
    scripts = {e.name: e.value for e in entry_points(group="console_scripts", name="ehpc-nodes")}
    assert scripts == {"ehpc-nodes": "ehpc_nodes.cli:main"}


@pytest.mark.parametrize("name", command().commands)
def test_a_command_is_documented_with_its_options(name):
    text = PAGE.read_text()
    assert re.search(rf"`ehpc-nodes {name}\b|ehpc-nodes {name}\b|`{name}\b", text), name
    for option in own_options(command().commands[name]):
        assert option in text, f"{name} {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_page_names_a_command_or_option_that_there_is_not(page):
    commands = command().commands
    every = own_options(command()) | {"--help", "--install-completion", "--show-completion"}
    for name, rest in re.findall(
        r"(?:`|^|\$ )ehpc-nodes ([a-z]+)([^\n`]*)", page.read_text(), re.MULTILINE
    ):
        assert name in commands, name
        used = set(re.findall(r"(?<![\w-])--[a-z-]+", rest))
        assert used <= own_options(commands[name]) | every, f"{name}{rest}"
