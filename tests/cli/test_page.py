"""The outputs in docs/command.md are what the command says; `make shown` writes them anew."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from cli.conftest import SCRIPT, addresses, in_this_process
from ehpc_nodes.cli.app import app
from ehpc_nodes.emulator import Emulator, EmulatorServer, World
from ehpc_nodes.emulator.world import Queue

PAGE = Path(__file__).parents[2] / "docs" / "command.md"
SHOWN = re.compile(r"(?<=```text\n)\$ (ehpc-nodes[^\n]*)\n(.*?)(?=```)", re.DOTALL)
COMMANDS = [command for command, _ in SHOWN.findall(PAGE.read_text())]
REQUEST_ID = "8E1A2B3C-0D4E-5F60-7182-93A4B5C6D7E8"
#: What differs from machine to machine, and what the page shows in its place.
STEADY = {
    r"127\.0\.0\.1:\d+": "127.0.0.1:8642",
}


@pytest.fixture
def demo():
    """The demo world with three nodes, one of them in another queue, and a candidate that isn't any more."""
    world = World.demo()
    world.knobs = world.knobs.changed({"task_pace": "instant"})
    emulator = Emulator(world)
    emulator.new_id = lambda: REQUEST_ID
    params = {f"Instance.{n}.Id": f"i-bp1demo0000000000{n}" for n in (1, 2, 3)}
    image = {"ImageId": world.clusters["ehpc-hz-demo"].image_id, "ImageOwnerAlias": "system"}
    answer = emulator.call(
        "AddExistedNodes", "2018-04-12", {"ClusterId": "ehpc-hz-demo", **image, **params}
    )
    assert answer.ok
    world.clusters["ehpc-hz-demo"].nodes["i-bp1demo00000000003"].queue = "gpu"
    world.clusters["ehpc-hz-demo"].queues["burst"] = Queue("burst", auto_grow=True)
    world.instances["i-bp1demo00000000006"].status = "Running"
    with EmulatorServer(emulator) as server:
        yield server


def said(command, environment, folder):
    """What a person sees of a command: it ends by itself, or is the emulator."""
    words = command.split()[1:]
    if words[0] == "emulator":
        process = subprocess.Popen(
            [SCRIPT, *words],
            env=environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout
        text = "".join(process.stdout.readline() for _ in range(9))
        process.send_signal(signal.SIGINT)
        text += process.communicate(timeout=100)[0]
    else:
        text = in_this_process(words, environment, folder, together=True).stdout
    for pattern, steady in STEADY.items():
        text = re.sub(pattern, steady, text)
    return text


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_the_page_shows(demo, tmp_path, command):
    path = os.pathsep.join([str(SCRIPT.parent), "/usr/bin", "/bin"])
    text = said(command, {"PATH": path, "HOME": str(tmp_path), **addresses(demo)}, tmp_path)
    page = PAGE.read_text()
    if os.environ.get("SHOWN") == "write":
        block = f"$ {command}\n{text}"
        PAGE.write_text(SHOWN.sub(lambda found: block if found[1] == command else found[0], page))
        return
    shown = dict(SHOWN.findall(page))
    assert text.strip()
    assert text == shown[command], "`make shown` writes it anew"


def test_every_command_and_option_is_on_the_page_and_no_other(run):
    page = PAGE.read_text()
    there = {name.callback.__name__: name for name in app.registered_commands if name.callback}
    listed = re.findall(r"^\| `ehpc-nodes (\w+)", page, re.MULTILINE)
    assert listed == list(there)
    options = set(re.findall(r"(?<![-\w])--[a-z][a-z-]*", page))
    known = set()
    for name in there:
        done = run(name, "--help")
        assert done.stdout.startswith(f"Usage: ehpc-nodes {name}")
        assert "\x1b" not in done.stdout
        known |= set(re.findall(r"--[a-z][a-z-]*", done.stdout))
    assert options - {"--install-completion"} == known - {"--help"}
