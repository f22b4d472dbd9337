"""What docs/preview.md shows: a preview of each kind of change, and every finding, both made by running."""

from __future__ import annotations

import re
from unittest.mock import patch

from pulumi.output import UNKNOWN

from benchmarks.frugal import Run, declared
from ehpc_nodes.api.settings import resolve_region
from ehpc_nodes.errors import ConfigError
from ehpc_nodes.models import Finding, check_form
from ehpc_nodes.provider.engine import EngineCall
from ehpc_nodes.provider.preview import preview_replacement, preview_unread
from ehpc_nodes.reconcile.owner_tags import NAME_KEY, REFERENCE_KEY
from ehpc_nodes.reconcile.ports import NoOtherResources
from ehpc_nodes.testing.worlds import CLUSTER, ids
from engine.program import declare
from unit.emulated import OWNER, Bench
from unit.test_preflight import OWN, ROWS, plan, planned_for

ONE, TWO, THREE = ids(1, 2, 3)


def after(cloud, stack_on, *numbers, **arguments):
    """A cloud, and a stack that has attached these instances."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, *numbers, **arguments)
    stack.up()
    it.forget()
    return it, stack


def adopt(cloud, stack_on):
    """Two instances are nodes already, one isn't."""
    stack = stack_on(cloud(attached=(1, 2)))
    declare(stack, 1, 2, 3)
    return stack.preview()


def replacement(cloud, stack_on):
    """Another image."""
    _, stack = after(cloud, stack_on, 1, 2)
    declare(stack, 1, 2, stop_running=True, **OWN)
    return stack.preview()


PREVIEWS = {f"preview_{f.__name__}": f for f in (adopt, replacement)}


def without(action):
    bench = Bench()
    bench.fault("error", action, status=403, code="NotAuthorized", message="No", times=None)
    return bench


def form(**arguments):
    return check_form({"cluster_id": CLUSTER, "instance_ids": [ONE], **arguments}, ())[1]


def properties_of(**more):
    """Checked inputs, as a replacement's preview takes them."""
    return {
        "cluster_id": CLUSTER,
        "region": "cn-hangzhou",
        "instance_ids": {ONE: ""},
        "replace_system_disks": True,
        "stop_running": False,
        "busy_nodes": "refuse",
        "take_ownership": False,
        **more,
    }


def replaced(bench, **news):
    return preview_replacement(
        lambda _: bench.operations(), properties_of(**news), {ONE}, properties_of()
    )


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
    """The run's resource detaches what it lists."""
    run._registry.withdraw(urn)
    run._registry.detach(urn, [ONE])


def no_region():
    try:
        resolve_region(lambda _: None, {})
    except ConfigError as error:
        return [Finding("region", str(error))]
    return []


def of_tagged(number, *has, cluster_id=CLUSTER, uid="uid1", status="Stopped", **changes):
    """Of a resource with nodes (or a create), where an instance carries such owner tags."""
    bench = Bench(attached=has)
    saved = bench.up(*has) if has else None
    bench.uid = "uid1"
    instance = bench.emulator.world.instances[ids(number)[0]]
    reference = f"{uid}/{cluster_id}/7-ab/{instance.image_id}"
    instance.tags |= {NAME_KEY: OWNER, REFERENCE_KEY: reference}
    instance.status = status
    bench.clock.advance(60)
    return plan(bench, [ONE, *ids(*has)], saved, stop_running=True, **changes).findings


def with_many_tags():
    """Of an instance whose tags leave no room for the owner tags."""
    bench = Bench()
    bench.emulator.world.instances[ONE].tags |= {f"cost-{n}": "x" for n in range(19)}
    return plan(bench).findings


def of_node(number, *has, uid="uid1"):
    """The same of a node."""
    bench = Bench(attached=(number, *has))
    saved = bench.up(*has) if has else None
    bench.uid = "uid1"
    tags = {NAME_KEY: OWNER, REFERENCE_KEY: f"{uid}/{CLUSTER}/7-ab/m-1"}
    bench.emulator.world.instances[ids(number)[0]].tags |= tags
    return plan(bench, [ONE, *ids(*has)], saved).findings


def of_node_without_instance():
    bench = Bench(attached=(1,))
    del bench.emulator.world.instances[ONE]
    return plan(bench).findings


def of_claimed():
    bench = Bench(attached=(1, 2))
    saved = bench.up(1, 2)
    bench.others = type("Others", (NoOtherResources,), {"listed": lambda _: [TWO]})()
    return plan(bench, saved=saved).findings


def of_unknown():
    bench = Bench(attached=(1,))
    tags = {NAME_KEY: "unknown", REFERENCE_KEY: f"unknown/{CLUSTER}/7-ab/"}
    bench.emulator.world.instances[ONE].tags |= tags
    return plan(bench).findings


def of_detached():
    bench = Bench(attached=(1, 2))
    saved = bench.up(1, 2)
    bench.emulator.outside.detach(ONE)
    bench.clock.advance(60)
    return plan(bench, [ONE, TWO], saved, stop_running=True).findings


def unreadable_to_detach():
    bench = Bench(attached=(1, 2))
    saved = bench.up(1, 2)
    bench.fault(
        "error", "DescribeInstances", status=403, code="NotAuthorized", message="No", times=None
    )
    return [f for f in plan(bench, [ONE], saved).findings if not f.warning]


def jobs_not_seen():
    bench = Bench(attached=(1, 2))
    saved = bench.up(1, 2)
    bench.emulator.outside.start_job(TWO)
    bench.fault("error", "ListJobsWithFilters", status=403, code="NotAuthorized", times=None)
    return plan(bench, [ONE], saved).findings[:1]


def queue_not_read():
    bench = without("ListNodesByQueue")
    bench.emulator.outside.attach(ONE, CLUSTER)
    return plan(bench, job_queue="gpu").findings[1:2]


#: Findings that no row of tests/unit/test_preflight.py is: of the form, of several resources or steps, and
#: where nothing can be looked at.
OTHERS = {
    "an argument with a wrong name": lambda: form(instance_id=ONE),
    "an argument with a wrong type": lambda: form(instance_ids=ONE),
    "an id with a wrong form": lambda: form(instance_ids=["compute1"]),
    "an id twice": lambda: form(instance_ids=[ONE, ONE]),
    "an owner alias without its image": lambda: checked(image_owner_alias="self"),
    "a wrong owner alias": lambda: form(image_id="m-bp1own", image_owner_alias="mine"),
    "no cluster": lambda: form(cluster_id=None),
    "no instance": lambda: form(instance_ids=[]),
    "no instances at all": lambda: form(instance_ids=None),
    "no region": no_region,
    "no such cluster": lambda: plan(Bench(), cluster_id="ehpc-hz-none").findings,
    "a cluster of another region": lambda: plan(Bench(), region="cn-beijing").findings,
    "a check without its permission": lambda: plan(
        without("DescribeCluster"), image_id="centos_7_06.vhd", image_owner_alias="system"
    ).findings[:1],
    "a read that an attach needs, without its permission": lambda: plan(
        without("ListTasks")
    ).findings[1:],
    "the cluster's image, not known": lambda: plan(without("DescribeCluster")).findings[1:],
    "a queue's nodes, not known": queue_not_read,
    "jobs that cannot be read": jobs_not_seen,
    "scale-in that cannot be read": lambda: plan(without("GetAutoScaleConfig")).findings,
    "listed by two resources": lambda: of_second([1], [1]),
    "a host name in two resources": lambda: of_second([1], [3]),
    "in the list of another resource of the program": of_claimed,
    "attached by somebody else while it was prepared": of_unknown,
    "detached in this run by another resource": lambda: of_second([1], [1], detaches),
    "a node with this name and another uid": lambda: of_node(2, 3, uid="other"),
    "a wanted node with this name and another uid": lambda: of_node(1, uid="other"),
    "a node that was detached by another program": of_detached,
    "a node that ECS does not know": of_node_without_instance,
    "attached by an interrupted run": lambda: of_node(2, 3),
    "being attached to another cluster": lambda: of_tagged(
        1, cluster_id="ehpc-hz-other", status="Running"
    ),
    "possibly sent to another cluster": lambda: of_tagged(1, cluster_id="ehpc-hz-other"),
    "sent to another cluster": lambda: of_tagged(
        2, 3, cluster_id="ehpc-hz-other", status="Running"
    ),
    "sent by an interrupted run, and not in the program": lambda: of_tagged(2, 3),
    "a node to detach that cannot be checked": unreadable_to_detach,
    "no room for the owner tags": with_many_tags,
    "both wanted and retained": lambda: form(retain_ids=[ONE]),
    "a replacement with retain_ids": lambda: (
        replaced(Bench(attached=(1,)), **OWN, stop_running=True, retain_ids=[ONE]).findings
    ),
    "a replacement without stop_running": lambda: replaced(Bench(attached=(1,)), **OWN).findings,
    "a replacement in an unknown cluster": lambda: (
        preview_unread(
            properties_of(cluster_id=UNKNOWN, stop_running=True), {ONE}, properties_of()
        ).findings
    ),
    "instances that are not known yet, without the opt-in": lambda: (
        plan(Bench(), [], later=1, replace_system_disks=False).findings
    ),
}


def findings() -> dict[str, Finding]:
    """Every finding, as it is said in the world that provokes it."""
    found = {}
    for name in ROWS:
        (found[name],) = planned_for(name).findings
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
    return "\n".join(["| case | level | argument | text |", "|---|---|---|---|", *rows, ""])
