"""The package's client against the official SDK: imports, calls a second, and a script as people write it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ehpc_nodes.api.client import Client
from ehpc_nodes.api.signing import Credentials
from ehpc_nodes.api.transport import HttpExchange
from ehpc_nodes.clock import Deadline, RealClock
from ehpc_nodes.emulator import Emulator, EmulatorServer
from unit.emulated import CLUSTER, IMAGE, ids, world

from .table import Row, pairs, ratio_row, seconds

#: Prints how long the second import takes once the first is done.
TIMED_IMPORT = """
import time
{before}
started = time.perf_counter()
{timed}
print(time.perf_counter() - started)
"""
OURS = TIMED_IMPORT.format(before="import pulumi", timed="from ehpc_nodes import AttachedNodes")
THEIRS = TIMED_IMPORT.format(before="", timed="import alibabacloud_ehpc20180412.client")


def imports() -> list[Row]:
    """What a program waits for."""
    what = "`from ehpc_nodes import AttachedNodes` beyond `import pulumi`"
    measured = pairs(lambda: _printed(OURS), lambda: _printed(THEIRS), 9)
    return [ratio_row(what, measured, "`import alibabacloud_ehpc20180412.client`", 0.5)]


def _printed(program: str) -> float:
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


# -- one thread, one call after the other -------------------------------------------------------

CALLS = 300
SERVER = """
import json, sys
from ehpc_nodes.emulator import Emulator, EmulatorServer
from unit.emulated import world
with EmulatorServer(Emulator(world(8, range(1, 9)))) as server:
    print(json.dumps([server.address, server.access_key_id, server.access_key_secret]), flush=True)
    sys.stdin.read()
"""


@contextmanager
def _server() -> Iterator[tuple[str, str, str]]:
    """An emulator in a process of its own, so that it takes nothing of the measured thread's time."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        address, key_id, secret = json.loads(process.stdout.readline())
        yield address, key_id, secret
        process.stdin.close()


def _official(address: str, key_id: str, secret: str) -> tuple[Any, Any]:
    """The official SDK's client and its models."""
    from alibabacloud_ehpc20180412 import models
    from alibabacloud_ehpc20180412.client import Client as Official
    from alibabacloud_tea_openapi.models import Config

    config = Config(
        access_key_id=key_id, access_key_secret=secret, endpoint=address, protocol="HTTP"
    )
    return Official(config), models


def _our_client(address: str, key_id: str, secret: str) -> Client:
    credentials = Credentials(key_id, secret)
    exchange = HttpExchange(
        f"http://{address}",
        version="2018-04-12",
        method="GET",
        credentials=lambda: credentials,
        user_agent="ehpc-nodes/benchmark",
    )
    deadline = Deadline.after(RealClock(), 3600)
    return Client(exchange, exchange, region="cn-hangzhou", deadline=deadline)


def calls_a_second() -> list[Row]:
    """Signed ListNodes calls on a cluster of ten nodes, answers as models."""
    with _server() as server:
        ours, (official, models) = _our_client(*server), _official(*server)
        request = models.ListNodesRequest(cluster_id=CLUSTER, page_size=100)

        def rate(call: Callable[[], object]) -> float:
            call()
            return CALLS / seconds(lambda: [call() for _ in range(CALLS)])

        mine, other, ratio = pairs(
            lambda: rate(lambda: ours.list_nodes(CLUSTER)),
            lambda: rate(lambda: official.list_nodes(request)),
        )
    return [
        Row(
            "signed ListNodes calls per second, one thread, on the emulator",
            f"{mine:.0f} /s, {ratio:.1f} ×",
            f"the official SDK: {other:.0f} /s",
            "≥ 3 ×",
            ratio >= 3,
        )
    ]


# -- a script as people write it ----------------------------------------------------------------


def script(count: int = 100, task: float = 2.0) -> tuple[Counter[str], float]:
    """The official SDK, one AddExistedNodes an instance, each polled once a second until it runs."""
    emulator = Emulator(world(count, pace={"seconds": task}, queues=("workq",)))
    with EmulatorServer(emulator) as server:
        official, models = _official(server.address, server.access_key_id, server.access_key_secret)

        def attach(instance_id: str) -> None:
            item = models.AddExistedNodesRequestInstance(id=instance_id)
            official.add_existed_nodes(
                models.AddExistedNodesRequest(
                    cluster_id=CLUSTER,
                    image_id=IMAGE,
                    image_owner_alias="system",
                    instance=[item],
                )
            )
            while not running(instance_id):
                time.sleep(1)

        def running(instance_id: str) -> bool:
            request = models.ListNodesRequest(cluster_id=CLUSTER, page_size=100)
            request.page_number = 1
            while True:
                body = official.list_nodes(request).body
                for node in body.nodes.node_info:
                    if node.id == instance_id:
                        return bool(node.status == "running")
                if request.page_number * 100 >= body.total_count:
                    return False
                request.page_number += 1

        def attach_all() -> None:
            for instance_id in ids(*range(1, count + 1)):
                attach(instance_id)

        took = seconds(attach_all)
        return Counter(entry.action for entry in emulator.journal.entries), took
