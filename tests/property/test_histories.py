"""The promises hold in every history that hypothesis thinks of."""

import pytest
from hypothesis import HealthCheck, Phase, settings

from property.amount import HISTORIES
from property.machine import Histories

SETTINGS = settings(
    max_examples=HISTORIES,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    # to shrink a history takes minutes; it is printed as found, and can be shrunk by hand
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
#: 1,500 take three minutes here.
pytestmark = pytest.mark.timeout(max(900, HISTORIES))


TestHistories = Histories.TestCase
TestHistories.settings = SETTINGS
