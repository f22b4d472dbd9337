"""Tests that share a folder, a browser or a build run in one worker: versions of pytest and xdist that forget it exist."""

import os
import subprocess
import sys

import pytest

GROUPED = """
import os, pathlib, pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("n", range(4))
def test_it(n):
    pathlib.Path(f"{n}.worker").write_text(os.environ["PYTEST_XDIST_WORKER"])
"""


@pytest.mark.long
@pytest.mark.slow
def test_a_group_of_tests_runs_in_one_worker(tmp_path):
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len({file.read_text() for file in tmp_path.glob("*.worker")}) == 1
