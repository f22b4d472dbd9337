"""What docs/preview.md shows: a preview of each kind of change, and every finding, both made by running."""

from __future__ import annotations

import re
from unittest.mock import patch

from pulumi.output import UNKNOWN

from benchmarks.frugal import Run, declared
from ehpc_nodes.api.settings import resolve_region
from ehpc_nodes.errors import ConfigError
from ehpc_nodes.marks import ATTACHING_KEY, TAG_KEY
from ehpc_nodes.models import Finding, check_form
from ehpc_nodes.provider.engine import EngineCall
from ehpc_nodes.provider.preview import forecast_replacement, forecast_unseen
from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import declare
from unit.emulated import OWNER, Bench
from unit.test_preflight import OWN, ROWS, survey

ONE, TWO, THREE = ids(1, 2, 3)


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


def wish_of(**more):
    """Checked inputs, as a replacement's forecast takes them."""
    return {
        "cluster_id": CLUSTER,
        "region": "cn-hangzhou",
        "instance_ids": {ONE: ""},
        "replace_system_disks": True,
        "stop_running": False,
        "detach_busy": False,
        **more,
    }


def replaced(bench, **news):
    return forecast_replacement(lambda _: bench.operations(), wish_of(**news), {ONE}, wish_of())


def checked(**arguments):
    """What a provider's check refuses."""
    result = Run(Bench()).check({}, {**declared([1]), **arguments})
    return [Finding(failure.property, failure.reason) for failure in result.failures]


def of_second(first, second, then=lambda run, urn: None):
    """What is refused of the second of two resources with these instances, after a deed to the first."""
    bench = Bench()
    bench.emulator.world.instances[THREE].host_name = "compute1"
    run = Run(bench)
    urns = [
        "urn:pulumi:dev::project::pulumi-python:dynamic/ehpc:AttachedNodes::" + name
        for name in ("first", "second")
    ]
    failures = []
    for urn, numbers in zip(urns, (first, second), strict=True):
        with patch("ehpc_nodes.provider.dynamic.current_call", lambda urn=urn: EngineCall(urn=urn)):
            failures = run.check({}, declared(numbers)).failures
            then(run, urn)
    return [Finding(failure.property, failure.reason) for failure in failures]


def detaches(run, urn):
    """The run's resource lets go of what it lists."""
    run._claims.withdraw(urn)
    run._claims.let_go(urn, CLUSTER, [ONE])


def no_region():
    try:
        resolve_region(lambda _: None, {})
    except ConfigError as error:
        return [Finding("region", str(error))]
    return []


def of_mark(*owned, **tags):
    """Of another instance that carries this resource's mark; of a create, where none is owned."""
    bench = Bench(attached=(*(3 for _ in owned), *(() if tags else (2,))))
    bench.emulator.world.instances[TWO].tags |= {TAG_KEY: OWNER, **tags}
    return survey(bench, [ONE, *owned], owned).findings


def of_elsewhere(status):
    """Of an instance to attach that was announced for another cluster."""
    bench = Bench()
    one = bench.emulator.world.instances[ONE]
    one.tags |= {TAG_KEY: OWNER, ATTACHING_KEY: "ehpc-hz-other"}
    one.status = status
    return survey(bench, stop_running=True).findings


def of_interrupted():
    bench = Bench(attached=(2,))
    bench.emulator.world.instances[TWO].tags |= {TAG_KEY: OWNER, ATTACHING_KEY: CLUSTER}
    return survey(bench).findings


def queue_not_seen():
    bench = without("ListNodesByQueue")
    bench.emulator.outside.attach(ONE, CLUSTER)
    return survey(bench, job_queue="gpu").findings[1:2]


#: Findings that no row of tests/unit/test_preflight.py is: of the form, of several resources or steps, and
#: where nothing can be looked at.
OTHERS = {
    "an argument of another name": lambda: form(instance_id=ONE),
    "an argument of another type": lambda: form(instance_ids=ONE),
    "an id of another form": lambda: form(instance_ids=["compute1"]),
    "an id twice": lambda: form(instance_ids=[ONE, ONE]),
    "an owner alias without its image": lambda: checked(image_owner_alias="self"),
    "another owner alias": lambda: form(image_id="m-bp1own", image_owner_alias="mine"),
    "no cluster": lambda: form(cluster_id=None),
    "no instance": lambda: form(instance_ids=[]),
    "no instances at all": lambda: form(instance_ids=None),
    "no region": no_region,
    "no such cluster": lambda: survey(Bench(), cluster_id="ehpc-hz-none").findings,
    "a cluster of another region": lambda: survey(Bench(), region="cn-beijing").findings,
    "a check without its permission": lambda: survey(
        without("DescribeCluster"), image_id="centos_7_06.vhd", image_owner_alias="system"
    ).findings[:1],
    "a look without which an attach is blind": lambda: survey(without("ListTasks")).findings[1:],
    "the cluster's image, not to be seen": lambda: survey(without("DescribeCluster")).findings[1:],
    "a queue's nodes, not to be seen": queue_not_seen,
    "listed by two resources": lambda: of_second([1], [1]),
    "a host name in two resources": lambda: of_second([1], [3]),
    "detached in this run by another resource": lambda: of_second([1], [1], detaches),
    "a node with this resource's mark": lambda: of_mark(THREE),
    "a node with this resource's mark, in a create": of_mark,
    "a node that somebody has detached": lambda: (
        survey(Bench(attached=(2,)), [ONE, TWO], [ONE, TWO]).findings
    ),
    "sent by an interrupted run": of_interrupted,
    "on its way to another cluster": lambda: of_elsewhere("Running"),
    "announced for another cluster": lambda: of_elsewhere("Stopped"),
    "sent to another cluster": lambda: of_mark(**{ATTACHING_KEY: "ehpc-hz-other"}),
    "a replacement without stop_running": lambda: replaced(Bench(attached=(1,)), **OWN).findings,
    "a replacement in an unknown cluster": lambda: (
        forecast_unseen(wish_of(cluster_id=UNKNOWN, stop_running=True), {ONE}, wish_of()).findings
    ),
    "unknown instances without consent": lambda: (
        survey(Bench(), [], later=1, replace_system_disks=False).findings
    ),
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
