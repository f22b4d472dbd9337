"""``python -m ehpc_nodes.emulator``: one line when it is ready, one line when it can't be."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
import requests

from ehpc_nodes.emulator.__main__ import main

COMMAND = [sys.executable, "-m", "ehpc_nodes.emulator"]


@pytest.fixture
def running():
    """Starts the command; its first line, and itself."""
    started = []

    def run(*arguments, env=None):
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            text=True,
        )
        started.append(process)
        assert process.stdout
        return json.loads(process.stdout.readline()), process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_told_to_stop(running, number):
    said, process = running()
    assert set(said) == {"url", "access_key_id", "access_key_secret", "region", "page"}
    assert said["page"] == f"{said['url']}/_emulator/"
    with requests.Session() as session:
        world = session.get(f"{said['url']}/_emulator/world", timeout=100).json()
        assert world["access_keys"][0]["secret"] == said["access_key_secret"]
        process.send_signal(number)  # while a connection is open
        rest, errors = process.communicate(timeout=100)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_world_of_ones_own(running, tmp_path):
    path = tmp_path / "world.json"
    path.write_text('{"region": "cn-own", "access_keys": [{"id": "a", "secret": "b"}]}')
    said, _ = running("--world", path, "--verbose")
    assert (said["region"], said["access_key_id"], said["access_key_secret"]) == (
        "cn-own",
        "a",
        "b",
    )


@pytest.mark.parametrize("port", ["99999", "-1", "web"])
def test_a_port_that_is_none_is_a_wrong_call(capsys, port):
    with pytest.raises(SystemExit, match="2"):
        main(["--port", port])
    out, errors = capsys.readouterr()
    assert (out, "argument --port: " in errors, port in errors) == ("", True, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 is not a loopback address"),
        (
            ["--port", "{taken}"],
            "cannot listen on 127.0.0.1:{taken}: Address already in use; give another port, or none for a free",
        ),
        (["--world", "/nowhere/world.yaml"], "No such file or directory: '/nowhere/world.yaml'"),
        (["--world", "{tmp}"], "Is a directory: '{tmp}'"),
        (["--world", "{tmp}/bad.yaml"], "{tmp}/bad.yaml: line 2, column 1: "),
        (["--world", "{tmp}/slip.yaml"], "{tmp}/slip.yaml: clusters[0]: unknown nodez; known: "),
        (["--world", "{tmp}/fault.yaml"], "a fault needs a kind of "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(monkeypatch, capsys, tmp_path, arguments, message):
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    (tmp_path / "bad.yaml").write_text("a: [\n")
    (tmp_path / "slip.yaml").write_text("clusters: [{id: c, nodez: []}]")
    (tmp_path / "fault.yaml").write_text("faults: [{kind: nope}]")
    with socket.create_server(("127.0.0.1", 0)) as other:
        places = {"tmp": tmp_path, "taken": other.getsockname()[1]}
        assert main([text.format(**places) for text in arguments]) == 1
    out, errors = capsys.readouterr()
    assert out == ""
    assert errors.startswith(f"ehpc_nodes.emulator: {message.format(**places)}")
    assert errors.count("\n") == 1


def without(module, folder):
    """The environment of a Python that doesn't have this module."""
    error = f"No module named {module!r}"
    (folder / f"{module}.py").write_text(f"raise ModuleNotFoundError({error!r})")
    return {**os.environ, "PYTHONPATH": str(folder)}


def test_the_extra_is_not_installed(tmp_path):
    done = subprocess.run(
        COMMAND, env=without("yaml", tmp_path), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ehpc_nodes.emulator: No module named 'yaml': pip install 'ehpc-nodes[emulator]'\n"
    )


def test_no_page_is_offered_where_it_can_t_be_shown(running, tmp_path):
    said, process = running(env=without("jinja2", tmp_path))
    assert said["page"] == ""
    assert requests.get(f"{said['url']}/_emulator/world", timeout=100).status_code == 200
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 0
    assert errors == (
        "ehpc_nodes.emulator: the page needs another package: No module named 'jinja2': "
        "pip install 'ehpc-nodes[emulator]'\n"
    )


def test_in_process_it_needs_nothing_else(tmp_path):
    """Neither the extra, nor pytest, nor Pulumi."""
    program = (
        "import sys; from ehpc_nodes.testing import EmulatedCloud\n"
        "with EmulatedCloud(attached=[1]) as cloud: print(len(cloud.nodes))\n"
        "assert not {'werkzeug', 'requests', 'pytest', 'pulumi', 'yaml'} & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=without("yaml", tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
