"""The pytest plugin in a user's suite; that its fixtures work there, test_docs_testing.py shows."""

import subprocess
import sys

import pytest

from ehpc_nodes.testing import PulumiStack

pytest_plugins = "pytester"


@pytest.fixture
def project(pytester, monkeypatch):
    """A user's folder, which the settings of ours don't reach."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return pytester


UNNOTICED = """
import sys
def test_it():
    heavy = ("pulumi", "yaml", "grpc", "requests", "pydantic", "ehpc_nodes.emulator", "ehpc_nodes.testing.cloud",
             "ehpc_nodes.testing.stack", "ehpc_nodes.testing.worlds")
    assert [name for name in heavy if name in sys.modules] == []
    assert "ehpc_nodes.testing.plugin" in sys.modules
"""


def test_a_suite_that_does_not_ask_for_it_notices_nothing(project):
    project.makepyfile(test_other=UNNOTICED)
    project.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)


def test_it_has_no_hooks_but_the_options_and_no_fixture_for_all():
    from ehpc_nodes.testing import plugin

    hooks = [name for name in vars(plugin) if name.startswith("pytest_")]
    assert hooks == ["pytest_addoption"]
    fixtures = {n: f for n, f in vars(plugin).items() if hasattr(f, "_fixture_function_marker")}
    assert set(fixtures) == {"ehpc", "pulumi_engine", "pulumi_stack"}
    assert not any(f._fixture_function_marker.autouse for f in fixtures.values())


def test_it_is_cheap_to_import():
    """Measured 2026-11: about 1 ms. What is asserted is the modules, which don't hang on the machine."""
    code = (
        "import sys, pytest; before = set(sys.modules); import ehpc_nodes.testing.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["ehpc_nodes", "ehpc_nodes.testing", "ehpc_nodes.testing.plugin"]


WITHOUT = "def test_it(pulumi_stack):\n    pulumi_stack('')\n"


@pytest.fixture
def without_pulumi(project, monkeypatch):
    monkeypatch.setenv("PATH", str(project.mkdir("nothing")))
    project.makepyfile(WITHOUT)
    return project


def test_without_pulumi_it_is_skipped_with_what_to_do(without_pulumi):
    result = without_pulumi.runpytest_subprocess("-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines("*no `pulumi` on the PATH. Install the Pulumi CLI (https://*")


def test_without_pulumi_it_fails_in_ci(without_pulumi, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result = without_pulumi.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("There is no `pulumi` on the PATH. Install the Pulumi CLI*")


def test_a_pulumi_that_was_named_has_to_be_there(without_pulumi):
    without_pulumi.makeini("[pytest]\nehpc_pulumi = /nowhere/pulumi\n")
    result = without_pulumi.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines("There is no Pulumi CLI at /nowhere/pulumi.*")


def test_a_pulumi_can_be_named_in_pytests_settings(without_pulumi):
    pulumi = without_pulumi.path / "my-pulumi"
    pulumi.write_text("#!/bin/sh\necho it was me\nexit 9\n")
    pulumi.chmod(0o755)
    without_pulumi.makeini(f"[pytest]\nehpc_pulumi = {pulumi}\n")
    result = without_pulumi.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*ended with 9:*")
    result.stdout.fnmatch_lines("*it was me*")


def test_a_folder_that_is_given_as_a_text_is_refused(tmp_path):
    """It would be written into `__main__.py`, as the program."""
    with pytest.raises(TypeError, match=r"is a folder\. Give a folder as a Path"):
        PulumiStack("pulumi", tmp_path, program=str(tmp_path))
