"""Examples run as they are: their folders, the real engine, an emulated cluster."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(ehpc, pulumi_stack):
    """Makes a stack of an example on the emulated cloud: `example("queues", queues={…})`."""

    def make(name, **config):
        stack = pulumi_stack(EXAMPLES / name)
        ehpc.configure(stack, cluster=ehpc.cluster_id, **config)
        return stack

    return make
