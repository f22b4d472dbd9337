"""For all tests: nothing of the caller's cloud account or proxies reaches them, and nothing is by chance."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import settings

# `dev` looks for new examples each time; `ci` gives the same verdict for the same code.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("dev", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")

SCRUBBED = re.compile(r"(ALIBABA|ALICLOUD|ALIYUN|ECS)_.*|(HTTPS?|ALL|NO)_PROXY", re.IGNORECASE)


@pytest.fixture(scope="session", autouse=True)
def _no_cloud_and_no_proxy():
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if SCRUBBED.fullmatch(name):
                patch.delenv(name)
        # the credentials library asks the machine's metadata service last, which may not answer
        patch.setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
        yield
