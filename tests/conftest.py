"""For all tests: nothing of the caller's cloud account or proxies reaches them, and nothing is by chance."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# `dev` looks for new examples each time; `ci` gives the same verdict for the same code.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

SCRUBBED = re.compile(
    r"(ALIBABA|ALIBABACLOUD|ALICLOUD|ALIYUN|ECS)_.*|(HTTPS?|ALL|NO)_PROXY", re.IGNORECASE
)
GET = Path(__file__).parent.parent / "tools" / "engine" / "get.py"


def pytest_sessionstart() -> None:
    """What tests start and interrupt hears it: whoever runs in the background may ignore it, and so would they."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup() -> None:
    """The same jitter each time."""
    random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def _no_cloud_and_no_proxy():
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if SCRUBBED.fullmatch(name):
                patch.delenv(name)
        # the credentials library asks the machine's metadata service last, which may not answer
        patch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def pulumi_engine() -> Path:
    """The `pulumi` to test with: got by tools/engine/get.py, which `make engine` has run before."""
    done = subprocess.run([sys.executable, GET], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return Path(done.stdout.splitlines()[-1])
    reason = f"there is no Pulumi engine, and none could be got:\n{done.stderr}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
