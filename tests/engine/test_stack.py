"""`PulumiStack` itself, the language host and the starter of dynamic providers, with a provider that does nothing."""

from __future__ import annotations

import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ehpc_nodes.testing import PulumiStack
from ehpc_nodes.testing.processes import scrubbed

PROVIDER = '''
"""A dynamic provider in a module of its own: pickled by reference."""
import os, pathlib, time
from pulumi.dynamic import *

class NothingProvider(ResourceProvider):
    serialize_as_secret_always = False

    def check(self, olds, news):
        bad = [CheckFailure("size", "a size has no minus")] if news["size"] < 0 else []
        return CheckResult(news, bad)

    def create(self, props):
        if slow := os.environ.get("SLOW"):
            pathlib.Path(slow).touch()
            time.sleep(1000)
        return CreateResult("the-id", props)

class Nothing(Resource, module="test", name="Nothing"):
    def __init__(self, name, size):
        super().__init__(NothingProvider(), name, {"size": size})
'''

PROGRAM = """
import pulumi
from nothing import Nothing
it = Nothing("it", SIZE)
pulumi.export("size", it.size)
"""


@pytest.fixture
def nothing(pulumi_stack: Callable[..., PulumiStack], tmp_path):
    (tmp_path / "nothing.py").write_text(PROVIDER)

    def make(**options: Any) -> PulumiStack:
        return pulumi_stack(PROGRAM.replace("SIZE", "1"), pythonpath=[tmp_path], **options)

    return make


def test_a_check_failure_is_a_diagnostic_of_the_resource(nothing):
    stack = nothing()
    stack.write(PROGRAM.replace("SIZE", "-1"))
    preview = stack.preview(expect_failure=True)
    # an engine that has ended first is said by the SDK, in a line of its own
    assert [e for e in preview.errors if "monitor has terminated" not in e] == [
        (
            "pulumi-python:dynamic/test:Nothing resource 'it': "
            "property size value {-1} has a problem: a size has no minus"
        )
    ]


@pytest.mark.long
def test_an_unexpected_end_shows_the_whole_text(pulumi_stack):
    stack = pulumi_stack("raise ValueError('what a pity')")
    with pytest.raises(
        AssertionError, match=r"success was expected(?s:.*)ended with(?s:.*)what a pity"
    ):
        stack.up()
    stack.write("")
    with pytest.raises(AssertionError, match="a failure was expected"):
        stack.up(expect_failure=True)


FAILING = {
    "in the program": (
        "def f():\n    raise ValueError('what a pity')\nf()",
        """Program failed with an unhandled exception:
Traceback (most recent call last):
  File "PROGRAM", line 3, in <module>
    f()
  File "PROGRAM", line 2, in f
    raise ValueError('what a pity')
ValueError: what a pity""",
    ),
    "in an apply": (
        "import pulumi\npulumi.export('x', pulumi.Output.from_input(0).apply(lambda v: int('one')))",
        """Program failed with an unhandled exception:
Traceback (most recent call last):
  File "PROGRAM", line 2, in <lambda>
    pulumi.export('x', pulumi.Output.from_input(0).apply(lambda v: int('one')))
ValueError: invalid literal for int() with base 10: 'one'""",
    ),
    "in the syntax": (
        "x = = 1",
        """Program failed with an unhandled exception:
  File "PROGRAM", line 1
    x = = 1
        ^
SyntaxError: invalid syntax""",
    ),
    "said by the program": (
        "import pulumi\nraise pulumi.RunError('not like this')",
        "not like this",
    ),
    "exit code": (
        "import sys\nsys.exit(3)",
        "an unhandled error occurred: Program exited with non-zero exit code: 3",
    ),
}


@pytest.mark.parametrize(
    "how",
    [pytest.param(n, marks=[pytest.mark.long] if n != "in the program" else []) for n in FAILING],
)
def test_a_failing_program_shows_one_clean_error(pulumi_stack, how):
    program, message = FAILING[how]
    stack = pulumi_stack(program)
    up = stack.up(expect_failure=True)
    (error,) = up.errors
    lines = [
        line for line in error.splitlines() if not set(line) <= set(" ^~")
    ]  # Python 3.11 underlines
    expected = message.replace("PROGRAM", str(stack.program))
    assert lines == [line for line in expected.splitlines() if not set(line) <= set(" ^~")]


@pytest.mark.long
def test_a_folder_without_a_program(pulumi_stack):
    stack = pulumi_stack()
    stack.program.unlink()
    (error,) = stack.up(expect_failure=True).errors
    assert error == f"unable to find the program `__main__.py` in {stack.directory}"


def test_the_program_finds_its_neighbours_and_its_folder(pulumi_stack):
    stack = pulumi_stack(
        "import os, pulumi, neighbour\n"
        "def late(_):\n    import later\n    return later.x\n"
        "pulumi.export('x', [neighbour.x, pulumi.Output.from_input(0).apply(late)])\n"
        "pulumi.export('cwd', os.getcwd())",
        main="inner",
    )
    (stack.program.parent / "neighbour.py").write_text("x = 1")
    (stack.program.parent / "later.py").write_text("x = 2")
    stack.up()
    assert stack.outputs() == {"x": [1, 2], "cwd": str(stack.program.parent)}


@pytest.mark.long
def test_the_preview_and_the_update_after_it_run_the_program_afresh(pulumi_stack):
    """The engine keeps one language host for both."""
    stack = pulumi_stack("import neighbour")
    (stack.directory / "neighbour.py").write_text("import pulumi; pulumi.export('x', 1)")
    stack.run("up", "--yes")
    assert stack.outputs() == {"x": 1}


def test_the_virtualenv_of_the_project_runs_program_and_provider(nothing, tmp_path):
    venv.create(tmp_path / "other", with_pip=False)
    (site,) = (tmp_path / "other" / "lib").glob("python*/site-packages")
    (site / "packages.pth").write_text(
        "\n".join(p for p in sys.path if p.endswith("site-packages"))
    )
    stack = nothing(virtualenv="../other", python="/nowhere/python")
    stack.write(PROGRAM.replace("SIZE", "1") + "import sys; pulumi.export('prefix', sys.prefix)")
    stack.up()
    assert stack.outputs()["prefix"] == str(tmp_path / "other")


def test_a_virtualenv_that_does_not_exist_is_named(pulumi_stack):
    stack = pulumi_stack(virtualenv="missing")
    (error,) = stack.up(expect_failure=True).errors
    assert (
        f"Pulumi.yaml names the virtualenv missing, but {stack.directory}/missing/bin/python does not exist"
        in error
    )


def files(folder):
    """What stands in a folder; what Python itself may write there left out."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.mark.long
def test_a_folder_is_run_where_it_is_and_left_as_it_was(pulumi_stack, tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(
        "name: theirs\nruntime: python\nmain: inner\nconfig:\n  greeting: {default: hello}\n"
    )
    (folder / "Pulumi.dev.yaml").write_text("config:\n  theirs:greeting: from the real stack\n")
    (folder / "inner").mkdir()
    (folder / "inner" / "__main__.py").write_text(
        "import os, pulumi\nconfig = pulumi.Config()\n"
        "pulumi.export('x', [config.require('greeting'), config.get_object('n'), pulumi.get_project(), os.getcwd()])"
    )
    before = files(folder)
    stack = pulumi_stack(folder)
    stack.config("n", [1, {"a": "01"}])
    stack.config("hidden", "hush", secret=True)
    stack.up()
    assert stack.outputs() == {"x": ["hello", [1, {"a": "01"}], "theirs", str(folder / "inner")]}
    stack.destroy()
    assert files(folder) == before
    assert not any("hush" in text for text in stack.state_files().values())
    with pytest.raises(ValueError, match="is your own project"):
        stack.write("")


def test_a_folder_that_is_no_project(pulumi_stack, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no Pulumi\.yaml"):
        pulumi_stack(tmp_path)


def test_plugins_that_the_caller_has_can_be_used(pulumi_stack, tmp_path, monkeypatch):
    (tmp_path / "home" / "plugins" / "resource-some-v1.2.3").mkdir(parents=True)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    stack = pulumi_stack()
    assert stack.env["PULUMI_HOME"] != str(tmp_path / "home")
    assert "1.2.3" in stack.run("plugin", "ls").stdout


@pytest.mark.long
def test_other_commands_work(pulumi_stack):
    stack = pulumi_stack()
    stack.up()
    about = stack.run("about").text
    assert f"This project is written in python: executable='{sys.executable}'" in about
    assert "pulumi" in about.partition("Dependencies")[2]
    assert "dev" in stack.run("stack").text
    assert "Current stack is dev" in stack.run("stack").text


@pytest.fixture
def creating(nothing, tmp_path):
    """A stack and an `up` that is in the middle of a create that takes long."""
    slow = tmp_path / "slow"
    stack = nothing(env={"SLOW": str(slow)})
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(slow.exists)
    del stack.env["SLOW"]
    return stack, running


def test_an_interrupt_ends_a_program_that_is_waiting(pulumi_stack, tmp_path):
    mark = tmp_path / "mark"
    stack = pulumi_stack(
        f"import pathlib, time\npathlib.Path({str(mark)!r}).touch()\ntime.sleep(1000)"
    )
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(mark.exists)
    running.interrupt()
    result = running.wait()
    assert result.exit_code != 0
    assert "cancelling" in result.text
    assert "Traceback" not in result.text
    assert running.leftovers() == []


def test_a_killed_operation_is_cancelled_and_done_again(creating):
    stack, running = creating
    running.kill()
    assert running.leftovers()  # the provider is still creating: it is seen, and can be ended
    running.kill_all()
    assert running.leftovers() == []
    assert "the stack is currently locked" in stack.up(expect_failure=True).text
    stack.cancel()
    up = stack.up()
    assert up.ops("it") == ["create"]
    assert stack.outputs()["size"] == 1


def test_closing_ends_what_was_left(creating):
    stack, running = creating
    stack.close()
    assert running.leftovers() == []


def test_nothing_of_the_callers_account_reaches_the_cli():
    mine = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "x",
        "ALIBABACLOUD_ACCESS_KEY_ID": "x",
        "https_proxy": "x",
        "PULUMI_ACCESS_TOKEN": "x",
        "AWS_PROFILE": "x",
        "PATH": "kept",
    }
    kept = scrubbed(mine)
    assert kept.pop("PATH") == "kept"
    assert not set(mine) & set(kept)
    assert kept["ALIBABA_CLOUD_ECS_METADATA_DISABLED"] == "true"


def test_a_folder_of_any_name_holds_all_that_is_written(pulumi_engine, tmp_path, monkeypatch):
    """CI names folders after branches and jobs; and a folder may be given from where the test runs."""
    name = "100% feature%2Flogin why? job#12"
    for folder in (name, name.replace("%2F", "/"), *name.split("?"), *name.split("#")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.chdir(tmp_path)
    stack = PulumiStack(pulumi_engine, Path(name), program="import pulumi\n")
    try:
        stack.up()
    finally:
        stack.close()
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert {path.relative_to(tmp_path).parts[0] for path in written} == {name}
    assert any(".own/backend/.pulumi/stacks" in str(path) for path in written)
