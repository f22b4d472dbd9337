"""The runs that the docs show: each makes one trouble on the emulator and returns what the CLI said of it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from textwrap import dedent, wrap
from types import ModuleType

from docs.previews import PREVIEWS
from ehpc_nodes.testing import Result
from ehpc_nodes.testing.worlds import ids
from engine.program import PROGRAM, declare
from unit.emulated import iid

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 84
#: What differs from run to run, and what the docs show in its place.
STEADY = {
    r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}": "8E1A2B3C-0D4E-5F60-7182-93A4B5C6D7E8",
    r"\bafter \d+ s\b": "after 5 s",
    r"server StringToSign is .*…": "…",
    r"127\.0\.0\.1:\d+": "127.0.0.1:8080",
    r"step \d of": "step 1 of",
    r"file://\S+: created by \S+ \(pid \d+\) at \S+": "file://…: created by … (pid …) at …",
}


def script(name: str) -> ModuleType:
    """A script of tools/pictures, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / "pictures" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def told(result: Result | str) -> str:
    """What the CLI says of the resource under «Diagnostics», long lines folded; a text as it is."""
    if isinstance(result, str):
        return "\n".join(folded for line in result.splitlines() for folded in fold(line))
    sections = result.text.partition("Diagnostics:\n")[2].split("\n\n")
    own = "\n".join(section for section in sections if "AttachedNodes (nodes):" in section)
    own = own or result.stderr  # the CLI's own refusals
    for pattern, steady in STEADY.items():
        own = re.sub(pattern, steady, own)
    return "\n".join(folded for line in dedent(own).splitlines() for folded in fold(line))


def fold(line: str) -> list[str]:
    line = line.expandtabs(4).rstrip()
    indent = " " * (len(line) - len(line.lstrip()))
    return wrap(
        line.strip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_on_hyphens=False,
        break_long_words=False,
    )


def refused(cloud, stack_on):
    """Everything that is wrong, at once."""
    it = cloud()
    it.emulator.outside.start(iid(1))
    it.emulator.world.instances[iid(2)].vpc_id = "vpc-other"
    stack = stack_on(it)
    declare(stack, 1, 2, job_queue="workk", replace_system_disks=False)
    return stack.preview(expect_failure=True)


def no_answer(cloud, stack_on):
    """An answer to AddExistedNodes that is lost: looked for, found, and no error."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    it.fault("reset_after", "AddExistedNodes")
    result = stack.up()
    assert it.writes() == ["AddExistedNodes"]
    return result


def partial(cloud, stack_on):
    """One of three nodes fails."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2, 3)
    it.fault(
        "fail_nodes",
        "AddExistedNodes",
        instances=[iid(2)],
        status="absent",
        errors="EcsError: sold out",
    )
    failed = stack.up(expect_failure=True)
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 3)
    assert "compute2 (i-bp1test0002) is Running" in stack.preview(expect_failure=True).text
    it.emulator.outside.stop(iid(2))
    it.forget()
    stack.up()
    assert it.named("AddExistedNodes") == [ids(2)]
    return failed


def broken_node(cloud, stack_on):
    """A node of status exception."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2, 3)
    it.fault("fail_nodes", "AddExistedNodes", instances=[iid(2)], status="exception")
    failed = stack.up(expect_failure=True)
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2, 3)
    declare(stack, 1, 3)
    stack.up()
    declare(stack, 1, 2, 3, stop_running=True)
    stack.up()
    assert {i: node.status for i, node in it.nodes.items()} == dict.fromkeys(
        ids(1, 2, 3), "running"
    )
    return failed


def call_refused(cloud, stack_on):
    """E-HPC refuses the call."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1)
    it.fault(
        "error",
        "AddExistedNodes",
        status=400,
        code="TooManyNodes",
        message="The node quota is exceeded.",
    )
    failed = stack.up(expect_failure=True)
    assert stack.resources() == {}
    return failed


def unknown_outcome(cloud, stack_on):
    """An answer that is lost, and nothing can be seen afterwards."""
    it = cloud()
    stack = stack_on(it, TIMED)
    declare(stack, 1)
    it.fault("reset_after", "AddExistedNodes")
    it.fault("error", "ListNodes", times=None, after=2)
    failed = stack.up(expect_failure=True)
    it.emulator.faults.clear()
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    return failed


TIMED = PROGRAM.replace(
    "**args)",
    "**args, opts=pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create='8s')))",
)


def timeout(cloud, stack_on):
    """The time is up before the nodes run."""
    it = cloud(pace="held")
    stack = stack_on(it, TIMED)
    declare(stack, 1, 2)
    failed = stack.up(expect_failure=True)
    it.release()
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    return failed


def interrupted(cloud, stack_on):
    """Ctrl-C while nodes are being attached."""
    it = cloud(pace="held")
    stack = stack_on(it)
    declare(stack, 1, 2)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until("nodes done")
    running.interrupt()
    failed = running.wait().checked(expect_failure=True)
    it.release()
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    return failed


def killed(cloud, stack_on):
    """The machine of a run dies, and leaves the stack's lock."""
    it = cloud(pace="held")
    stack = stack_on(it)
    declare(stack, 1, 2)
    running = stack.start("up", "--yes", "--skip-preview")
    running.wait_until("nodes done")
    running.kill_all()
    failed = stack.up(expect_failure=True)
    it.release()
    stack.cancel()
    stack.up()
    assert it.writes() == ["AddExistedNodes"]
    assert stack.outputs()["ids"] == ids(1, 2)
    return failed


def busy(cloud, stack_on):
    """A node that runs jobs is to be detached."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    for _ in range(2):
        it.emulator.outside.start_job(iid(1), owner="test2@scheduler")
    declare(stack, 2)
    failed = stack.up(expect_failure=True)
    assert sorted(it.nodes) == ids(1, 2)
    return failed


def of_another(cloud, stack_on):
    """An instance that another resource manages."""
    it = cloud()
    it.emulator.world.instances[iid(1)].tags = {"ehpc-nodes": "other/prod/nodes"}
    stack = stack_on(it)
    declare(stack, 1)
    return stack.preview(expect_failure=True)


def no_permission(cloud, stack_on):
    """The key may not attach."""
    it = cloud()
    it.emulator.world.default_key.allow = ["ehpc:Describe*", "ehpc:List*", "ecs:*"]
    stack = stack_on(it)
    declare(stack, 1)
    return stack.up(expect_failure=True)


def wrong_key(cloud, stack_on):
    """The key's secret is wrong."""
    it = cloud()
    stack = stack_on(it)
    stack.config("ehpc:accessKeySecret", "wrong", secret=True)
    declare(stack, 1)
    return stack.preview(expect_failure=True)


def outage(cloud, stack_on):
    """A refresh while the service is down."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    it.close()
    failed = stack.refresh(expect_failure=True)
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2)
    return failed


def not_seen(cloud, stack_on):
    """The key of another account, which has neither the cluster nor its instances."""
    it, other = cloud(), cloud(0)
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    other.world.clusters.clear()
    other.configure(stack)
    failed = stack.destroy("--run-program", expect_failure=True)
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1, 2)
    return failed


def strangers(cloud, stack_on):
    """A node with this resource's owner tag and another uid."""
    it = cloud(attached=(4,))
    it.emulator.world.instances[iid(4)].tags = {
        "ehpc-nodes": "project/dev/nodes",
        "ehpc-nodes-ref": f"0123456789ab/{it.cluster_id}/1-77aa/",
    }
    stack = stack_on(it)
    declare(stack, 1)
    return stack.preview()


def no_region(cloud, stack_on):
    """Nothing says which region."""
    stack = stack_on(cloud())
    stack.unset("ehpc:region")
    declare(stack, 1)
    return stack.preview(expect_failure=True)


def no_key(cloud, stack_on):
    """Nothing holds a key."""
    stack = stack_on(cloud())
    stack.unset("ehpc:accessKeyId")
    stack.unset("ehpc:accessKeySecret")
    declare(stack, 1)
    return stack.preview(expect_failure=True)


def gone(cloud, stack_on):
    """Somebody has detached a node; a refresh tells, and an up attaches it again."""
    it = cloud()
    stack = stack_on(it)
    declare(stack, 1, 2)
    stack.up()
    it.emulator.outside.detach(iid(2))
    it.emulator.outside.stop(iid(2))
    stack.refresh()
    preview = stack.preview()
    assert stack.resources()["nodes"]["outputs"]["instance_ids"] == ids(1)
    return preview


RUNS = PREVIEWS | {
    f.__name__: f
    for f in (
        *(refused, no_answer, partial, broken_node, call_refused, unknown_outcome, timeout),
        *(interrupted, killed, busy, of_another, no_permission, wrong_key, outage, strangers),
        not_seen,
        *(no_region, no_key, gone),
    )
}
