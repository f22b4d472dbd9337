"""No page names a command or an option that there is not; that docs/command.md has all: tests/cli/test_page.py."""

import re
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[2]
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
