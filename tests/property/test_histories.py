"""The promises hold in every history that hypothesis thinks of."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from property.machine import Histories

EXAMPLES = int(os.environ.get("EHPC_HISTORIES", "50"))
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    # to shrink a history takes minutes; it is printed as found, and can be shrunk by hand
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
#: 1,500 take three minutes here.
pytestmark = pytest.mark.timeout(max(900, EXAMPLES))


TestHistories = Histories.TestCase
TestHistories.settings = SETTINGS
