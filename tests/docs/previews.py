"""What docs/preview.md shows: a preview of each kind of change, and every finding, both made by running."""

from __future__ import annotations

import re

from ehpc_nodes.models import Finding, check_form
from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import declare
from unit.emulated import Bench
from unit.test_preflight import OWN, ROWS, survey

ONE, TWO = ids(1, 2)


def after(cloud, stack_on, *numbers, **arguments):
    """A cloud, and a stack that has attached these instances."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, *numbers, **arguments)
    stack.up()
    it.forget()
    return it, stack


def attach(cloud, stack_on):
    """The first preview of a program."""
    stack = stack_on(cloud())
    declare(stack, 1, 2, 3)
    return stack.preview()


def adopt(cloud, stack_on):
    """Two instances are nodes already, one isn't."""
    stack = stack_on(cloud(attached=(1, 2)))
    declare(stack, 1, 2, 3)
    return stack.preview()


def change(cloud, stack_on):
    """One out, one in, with --diff: what the engine shows of the set."""
    it, stack = after(cloud, stack_on, 1, 2, 3)
    declare(stack, 2, 3, 4)
    text = stack.preview("--diff").text
    assert it.writes() == []
    start = text.index("    ~ pulumi-python:dynamic/ehpc:AttachedNodes")
    return "\n".join(
        line.rstrip() for line in text[start : text.index("    --outputs:--")].splitlines()
    )


def move(cloud, stack_on):
    """Another queue."""
    _, stack = after(cloud, stack_on, 1, 2, job_queue="workq")
    declare(stack, 1, 2, job_queue="gpu")
    return stack.preview()


def stop(cloud, stack_on):
    """A running instance, with the consent to stop it."""
    it = cloud()
    it.outside.start(TWO)
    stack = stack_on(it)
    declare(stack, 1, 2, stop_running=True)
    return stack.preview()


def replacement(cloud, stack_on):
    """Another image."""
    _, stack = after(cloud, stack_on, 1, 2)
    declare(stack, 1, 2, stop_running=True, **OWN)
    return stack.preview()


def unchanged(cloud, stack_on):
    """Nothing to do: nothing is said, and nothing is called."""
    it, stack = after(cloud, stack_on, 1, 2)
    result = stack.preview("--expect-no-changes")
    assert it.calls() == []
    return result.text[result.text.index("Resources:") :].strip()


PREVIEWS = {
    f"preview_{f.__name__}": f for f in (attach, adopt, change, move, stop, replacement, unchanged)
}


def without(action):
    bench = Bench()
    bench.fault("error", action, status=403, code="NotAuthorized", message="No", times=None)
    return bench


def form(**arguments):
    return check_form({"cluster_id": CLUSTER, "instance_ids": [ONE], **arguments}, ())[1]


#: Findings that no row of tests/unit/test_preflight.py is: of the form, and where nothing can be looked at.
OTHERS = {
    "an id of another form": lambda: form(instance_ids=["compute1"]),
    "an id twice": lambda: form(instance_ids=[ONE, ONE]),
    "no instance": lambda: form(instance_ids=[]),
    "no such cluster": lambda: survey(Bench(), cluster_id="ehpc-hz-none").findings,
    "a cluster of another region": lambda: survey(Bench(), region="cn-beijing").findings,
    "a check without its permission": lambda: survey(
        without("DescribeCluster"), image_id="centos_7_06.vhd", image_owner_alias="system"
    ).findings[:1],
    "a look without which an attach is blind": lambda: survey(without("ListTasks")).findings[1:],
}


def findings() -> dict[str, Finding]:
    """Every finding, as it is said in the world that provokes it."""
    found = {}
    for name, (spoil, arguments, *_) in ROWS.items():
        bench = Bench()
        if spoil:
            spoil(bench)
        (found[name],) = survey(bench, **arguments).findings
    for name, make in OTHERS.items():
        (found[name],) = make()
    return found


def table() -> str:
    """The findings as the page has them."""
    rows = [
        f"| {name} | {'warning' if f.warning else 'error'} | `{f.property}` | {f.reason} |"
        for name, f in sorted(findings().items(), key=lambda item: (item[1].property, item[0]))
    ]
    rows = [re.sub(r"RequestId [0-9A-F-]{36}", "RequestId …", row) for row in rows]
    return "\n".join(["| what | level | on | what it says |", "|---|---|---|---|", *rows, ""])
