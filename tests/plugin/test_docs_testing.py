"""docs/testing.md: its code is a user's project, which is run."""

import re
from pathlib import Path

import pytest

from ehpc_nodes.emulator.faults import KINDS
from ehpc_nodes.testing import EmulatedCloud, PulumiStack, Result

pytest_plugins = "pytester"
PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
FILES = dict(re.findall(r"<!-- file: (.*?) -->\n```python\n(.*?)```", PAGE, re.DOTALL))


def test_every_python_block_is_run():
    assert len(FILES) == PAGE.count("```python") == 4


@pytest.fixture
def folder(pytester, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    (pytester.path / "infrastructure").mkdir()
    (pytester.path / "infrastructure" / "Pulumi.yaml").write_text(
        "name: infrastructure\nruntime: python\n"
    )
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    return pytester


def test_unit_tests_with_mocks(folder):
    folder.runpytest_subprocess("test_declared.py").assert_outcomes(passed=1)


@pytest.mark.engine
@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["test_nodes.py"], 1),
        pytest.param(["-n", "2", "test_nodes.py", "test_bad_days.py"], 5, marks=pytest.mark.long),
    ],
    ids=["one file", "all, with xdist"],
)
def test_tests_on_the_real_engine(folder, pulumi_engine, words, passed):
    """With nothing left behind in the user's folder."""
    result = folder.runpytest_subprocess("--ehpc-pulumi", str(pulumi_engine), *words)
    result.assert_outcomes(passed=passed)
    left = {path.name for path in (folder.path / "infrastructure").iterdir()} - {"__pycache__"}
    assert left == {"Pulumi.yaml", "__main__.py"}


def named(header):
    """The code words in the first cells of a table."""
    rows = PAGE.split(f"| {header} | |\n|---|---|\n")[1].split("\n\n")[0]
    cells = " ".join(row.split("|")[1] for row in rows.splitlines())
    return set(re.findall(r"`(\w+)", cells))


@pytest.mark.parametrize(
    ("header", "kind", "own"),
    [("`ehpc`", EmulatedCloud, {"close"}), ("a stack", PulumiStack, {"close", "cancel"})],
)
def test_what_there_is_is_documented(header, kind, own):
    public = {name for name in vars(kind) if not name.startswith("_")}
    assert named(header) == public - own


def test_what_results_have():
    sentence = PAGE.split("What they return has ")[1].split(":")[0]
    assert set(re.findall(r"`(\w+)", sentence)) <= {*dir(Result), *Result.__annotations__}


def test_the_faults_that_are_named_exist():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `fault("))
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) <= KINDS.keys()
