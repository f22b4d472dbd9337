"""The pytest plugin as users meet it: in a suite of their own, in a folder of its own."""

import subprocess
import sys

import pytest

pytest_plugins = "pytester"


@pytest.fixture
def project(pytester, monkeypatch):
    """A user's folder: an infrastructure project and tests; the settings of ours don't reach it."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    folder = pytester.mkdir("infrastructure")
    (folder / "Pulumi.yaml").write_text("name: infrastructure\nruntime: python\n")
    (folder / "__main__.py").write_text(
        "import pulumi\n"
        "from ehpc_nodes import AttachedNodes\n"
        "config = pulumi.Config()\n"
        "nodes = AttachedNodes('compute', cluster_id=config.require('cluster'),\n"
        "    instance_ids=config.require_object('instances'), replace_system_disks=True)\n"
        "pulumi.export('ids', nodes.instance_ids)\n"
    )
    return pytester


STEERED = """
import threading
from pathlib import Path
import pytest
from ehpc_nodes.testing import ids, small_world

HERE = Path(__file__).parent

@pytest.fixture
def stack(ehpc, pulumi_stack):
    stack = pulumi_stack(HERE / "infrastructure")
    ehpc.configure(stack, cluster=ehpc.cluster_id, instances=ids(1, 2))
    return stack

def test_up_and_down(ehpc, stack):
    assert stack.preview().ops("compute") == ["create"]
    assert ehpc.writes() == []
    ehpc.fault("reset_after", "AddExistedNodes")
    up = stack.up()
    assert up.exit_code == 0
    assert "attach 2" in up.text
    assert stack.outputs() == {"ids": ids(1, 2)} == {"ids": sorted(ehpc.nodes)}
    assert [rule.fired for rule in ehpc.faults.rules] == [1]
    assert [e.status for e in ehpc.journal.of("AddExistedNodes")] == [None]
    ehpc.outside.detach(ids(2)[0])
    stack.refresh()
    stack.destroy()
    assert ehpc.nodes == {}
    assert ehpc.harm.disk_replacements == dict.fromkeys(ids(1, 2), 1)
    assert ehpc.harm.releases == []

def test_held(ehpc, stack):
    ehpc.load(small_world(attached=(3,)))
    ehpc.hold()
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until(lambda: ehpc.world.open_tasks)
    assert ehpc.nodes[ids(1)[0]].status != "running"
    ehpc.release()
    assert running.wait().exit_code == 0
    assert sorted(ehpc.nodes) == ids(1, 2, 3)
"""


@pytest.mark.engine
def test_a_users_suite_with_xdist(project, pulumi_engine):
    project.makepyfile(test_infrastructure=STEERED)
    result = project.runpytest_subprocess("-n", "2", "--ehpc-pulumi", str(pulumi_engine))
    result.assert_outcomes(passed=2)
    left = sorted(p.name for p in (project.path / "infrastructure").iterdir())
    assert [name for name in left if name != "__pycache__"] == ["Pulumi.yaml", "__main__.py"]


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
    result.stdout.fnmatch_lines("There is no Pulumi CLI at /nowhere/pulumi, which was named.*")


def test_a_pulumi_can_be_named_in_pytests_settings(without_pulumi):
    pulumi = without_pulumi.path / "my-pulumi"
    pulumi.write_text("#!/bin/sh\necho it was me\nexit 9\n")
    pulumi.chmod(0o755)
    without_pulumi.makeini(f"[pytest]\nehpc_pulumi = {pulumi}\n")
    result = without_pulumi.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines("*ended with 9:*")
    result.stdout.fnmatch_lines("*it was me*")
