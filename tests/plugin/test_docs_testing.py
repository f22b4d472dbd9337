"""docs/testing.md: its code is a user's project, which is run."""

import re
from pathlib import Path

import pytest

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


FIXTURES = PAGE.split("## Fixtures")[1].split("\n## ")[0]


@pytest.mark.parametrize("kind", [EmulatedCloud, PulumiStack])
def test_what_the_reference_shows_has_a_docstring(kind):
    assert [n for n, member in vars(kind).items() if n[0] != "_" and not member.__doc__] == []


@pytest.mark.parametrize("kind", [EmulatedCloud, PulumiStack, Result])
def test_each_name_on_the_page_is_one(kind):
    (line,) = re.findall(rf"^\* {LINES[kind]}.*?(?=\n\*|\n\n)", FIXTURES, re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`(\w+)(?:`|\()", line)) - {"ehpc", "small_world", "Path"}
    assert named <= {*dir(kind), *kind.__annotations__}


LINES = {EmulatedCloud: "`ehpc`", PulumiStack: "A stack", Result: "The results"}
