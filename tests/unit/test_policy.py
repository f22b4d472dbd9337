"""The RAM policy in docs/security.md is enough for everything, and nothing in it is too much."""

import json
import re
from pathlib import Path

import pytest

from ehpc_nodes.api import client
from ehpc_nodes.errors import EhpcError
from ehpc_nodes.preflight.snapshot import Desired
from ehpc_nodes.reconcile.observer import Wanted
from ehpc_nodes.reconcile.operations import IncompleteError
from unit.emulated import CLUSTER, Bench, ids

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
(POLICY,) = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
(STATEMENT,) = POLICY["Statement"]
ALLOWED = STATEMENT["Action"]


@pytest.fixture(autouse=True)
def _every_search_reaches_its_limit(monkeypatch):
    """As with a thousand instances of one tag."""
    monkeypatch.setattr(client, "TAG_FILTER_LIMIT", 0)


def everything(allowed):
    """Each feature once, under a key that may call just these; the errors and warnings, and the calls."""
    bench = Bench(pace={"reads": 2})
    bench.world.default_key.allow = allowed
    told = []

    def attempt(deed):
        try:
            return deed()
        except IncompleteError as error:
            told.append(str(error))
            return error.state
        except EhpcError as error:
            told.append(str(error))
            return None

    def preview(*numbers, **changes):
        told.extend(note.reason for note in bench.preview(*numbers, **changes).snapshot.notes)

    bench.outside.start(ids(3)[0])
    own = {"image_id": "m-bp1own", "image_owner_alias": "self"}
    state = attempt(lambda: bench.up(1, 2, job_queue="gpu", **own))
    if ids(1)[0] in bench.nodes:
        bench.outside.start_job(ids(1)[0], seconds=100)
    change = {"before": state, "stop_running": True, "job_queue": "workq", "busy_nodes": "wait"}
    attempt(lambda: preview(2, 3, **change, **own))
    state = attempt(lambda: bench.up(2, 3, **change, **own))
    if state:
        attempt(lambda: bench.operations().refresh(state))
        attempt(lambda: bench.operations().destroy(state))
    system = {"image_id": "centos_7_02.vhd", "image_owner_alias": "system"}
    attempt(lambda: bench.up(4, **system))
    return told, bench.said.warnings, bench


def test_it_is_enough():
    told, warnings, bench = everything(ALLOWED)
    assert (told, warnings) == ([], [])
    assert sorted(bench.nodes) == ids(4)


def test_it_is_not_too_much():
    _, _, bench = everything(["*"])
    called = {f"{e.service}:{e.action}" for e in bench.journal.entries}
    assert called == set(ALLOWED)


@pytest.mark.parametrize("missing", ALLOWED)
def test_without_one_that_one_is_named_and_nothing_is_harmed(missing):
    told, warnings, bench = everything([action for action in ALLOWED if action != missing])
    preview_notes = [] if told or warnings else notes(bench)
    assert any(missing in text for text in [*told, *warnings, *preview_notes]), (told, warnings)
    harm = bench.harm
    assert harm.double_attach == [] == harm.releases
    assert harm.touched == []


def notes(bench):
    """What a preview would warn of."""
    desired = [
        Desired(CLUSTER, "cn-hangzhou", image, alias, "gpu", replace_system_disks=True)
        for image, alias in (("m-bp1own", "self"), ("centos_7_02.vhd", "system"))
    ]
    return [
        finding.reason
        for each in desired
        for finding in bench.operations()
        .plan_changes(each, Wanted(frozenset(ids(5)), queue="gpu"), None)
        .findings
    ]


@pytest.mark.parametrize(
    "missing", ["ehpc:ListNodes", "ehpc:ListTasks", "ecs:DescribeInstances", "ecs:TagResources"]
)
def test_nothing_is_attached_blindly(missing):
    _, _, bench = everything([action for action in ALLOWED if action != missing])
    assert bench.harm.disk_replacements == {}
    assert bench.calls("StopInstances") == []
