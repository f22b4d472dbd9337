"""`make demo`: it ends well, and leaves nothing behind, also when it is interrupted."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ehpc_nodes.testing.processes import processes_of_session, scrubbed

ROOT = Path(__file__).parents[2]

# its folder is one, and a busy machine needs minutes for it
pytestmark = [pytest.mark.xdist_group("demo"), pytest.mark.timeout(1200)]


def start(tmp_path, pulumi_engine):
    environment = scrubbed(os.environ)
    with (tmp_path / "out").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, ROOT / "tools" / "demo.py"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def assert_all_has_ended(process, text):
    deadline = time.monotonic() + 100
    while left := list(processes_of_session(process.pid)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    (port,) = re.findall(r"at http://127\.0\.0\.1:(\d+)", text)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)


@pytest.mark.long
def test_it_attaches_changes_and_destroys(tmp_path, pulumi_engine):
    process = start(tmp_path, pulumi_engine)
    assert process.wait(1000) == 0, (tmp_path / "out").read_text()
    text = (tmp_path / "out").read_text()
    assert "+ i-bp1demo00000000004" in text
    assert "- i-bp1demo00000000001" in text
    assert "i-bp1demo00000000001  system disk replaced 1 time\n" in text
    assert text.count("instances released: 0") == 2
    assert "request_id:" in text
    assert text.rstrip().endswith("Done; all that was started has ended")
    assert_all_has_ended(process, (tmp_path / "out").read_text())


@pytest.mark.long
def test_an_interrupt_ends_all_of_it(tmp_path, pulumi_engine):
    process = start(tmp_path, pulumi_engine)
    deadline = time.monotonic() + 1000
    while "nodes done" not in (tmp_path / "out").read_text():
        assert process.poll() is None, (tmp_path / "out").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(1000) == 130, (tmp_path / "out").read_text()
    assert "Traceback" not in (tmp_path / "out").read_text()
    assert_all_has_ended(process, (tmp_path / "out").read_text())
