"""The built wheel in an empty virtualenv: without pytest, without Pulumi, and then with pytest."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_ANYTHING = """
import sys
from ehpc_nodes.testing import EmulatedCloud, small_world
with EmulatedCloud(attached=[1]) as cloud:
    assert len(cloud.nodes) == 1
assert not {"pytest", "pulumi", "yaml"} & sys.modules.keys()
"""
TESTS = """
def test_the_fixtures_are_there(ehpc):
    assert len(ehpc.free) == 6

def test_without_pulumi(pulumi_stack):
    raise AssertionError
"""


def pip(*words):
    """Run pip; the test needs a package index, as `make venv` does."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(done.stderr)
    pytest.skip(f"pip failed; this test needs a package index:\n{done.stderr}")


@pytest.mark.long
@pytest.mark.slow
def test_the_wheel_in_an_empty_virtualenv(tmp_path):
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "empty", with_pip=False)
    python = str(tmp_path / "empty" / "bin" / "python")
    pip("--python", python, "install", "--no-deps", str(wheel))
    subprocess.run([python, "-c", WITHOUT_ANYTHING], cwd=tmp_path, check=True)

    pip("--python", python, "install", "pytest")
    (tmp_path / "test_it.py").write_text(TESTS)
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_ADDOPTS")}
    environment["PATH"] = str(tmp_path)
    done = subprocess.run(
        [python, "-m", "pytest", "-rs", "-W", "error", str(tmp_path / "test_it.py")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed, 1 skipped" in done.stdout, done.stdout + done.stderr
    assert "Install the Pulumi CLI" in done.stdout
