"""What the doctor finds, each with its fix: on real endpoints, keys, clocks and folders."""

import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from cli.conftest import addresses
from ehpc_nodes import __version__
from ehpc_nodes.cli.permissions import asked
from ehpc_nodes.cli.reach import client_of
from ehpc_nodes.testing.worlds import CLUSTER

HELPERS = ("pulumi-language-python", "pulumi-resource-pulumi-python")
ROOT = Path(__file__).parents[2]
POLICY = (ROOT / "docs" / "security.md").read_text().split("```json")[1].split("```")[0]
ACTIONS = json.loads(POLICY)["Statement"][0]["Action"]


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def pulumi(tmp_path, environment):
    """Stand-ins for the CLI and a Python on the PATH: the doctor asks them for versions only."""
    folder = tmp_path / "pulumi"
    folder.mkdir()
    program(folder / "pulumi", "echo v3.259.0")
    for name in HELPERS:
        program(folder / name, "")
    # for a Python that has the package, which takes a second to say so
    program(folder / "python3", f"""echo '["{__version__}", "3.259.0"]'""")
    environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"
    return folder


@pytest.fixture
def examine(run, pulumi):
    """Runs the doctor: what was looked at, and what was found, the fix and the level of it."""

    def found(*arguments, code=0, **variables):
        checks = json.loads(run("doctor", "--json", *arguments, code=code, **variables).stdout)
        return {check["what"]: check for check in checks}

    return found


def levels(checks):
    return {what: check["level"] for what, check in checks.items() if check["level"] != "ok"}


def test_all_is_well(examine, run, pulumi):
    (pulumi / "python3").unlink()
    checks = examine()
    assert levels(checks) == {}
    assert set(ACTIONS) == {what for what in checks if what[:4] in ("ehpc", "ecs:")}
    assert checks["plugin's Python"]["found"].startswith(str(Path(sys.executable).parent))
    text = run("doctor").stdout
    assert [line.split()[0] for line in text.splitlines()] == ["ok"] * len(checks)


def test_it_changes_nothing(examine, server):
    emulator = server.emulator
    before = emulator.world.to_json(), emulator.harm.to_dict()
    examine()
    assert (emulator.world.to_json(), emulator.harm.to_dict()) == before
    called = [entry for entry in emulator.journal.entries if entry.action]
    writes = [e for e in called if not e.action.startswith(("List", "Describe", "Get"))]
    assert {e.action for e in writes} == {
        *("AddExistedNodes", "DeleteNodes", "SetQueue"),
        *("StopInstances", "TagResources", "UntagResources"),
    }
    for entry in writes:
        assert CLUSTER not in entry.params.values()
        assert entry.params.get("ReleaseInstance", "false") == "false"


NEEDED = {
    *("ehpc:ListNodes", "ehpc:ListTasks", "ecs:DescribeInstances"),
    *("ehpc:AddExistedNodes", "ehpc:DeleteNodes", "ecs:TagResources"),
}


@pytest.mark.parametrize("missing", ACTIONS)
def test_each_missing_permission_is_found_out(server, monkeypatch, missing):
    for name, value in addresses(server).items():
        monkeypatch.setenv(name, value)
    server.emulator.world.default_key.allow = [action for action in ACTIONS if action != missing]
    answers = {action: (level, found) for level, action, found, _ in asked(client_of("", ""))}
    assert set(answers) == set(ACTIONS)
    assert {action for action, (level, _) in answers.items() if level != "ok"} == {missing}
    level, found = answers[missing]
    assert level == ("failed" if missing in NEEDED else "warning")
    assert found.startswith("missing: ")


def test_a_missing_permission_is_named_with_its_mend(examine, server):
    server.emulator.world.default_key.allow = ["ecs:*", "ehpc:[LSG]*", "ehpc:D*"]
    checks = examine(code=1)
    assert levels(checks) == {"ehpc:AddExistedNodes": "failed"}
    assert "docs/security.md" in checks["ehpc:AddExistedNodes"]["fix"]


NO_KEY = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ""}


@pytest.mark.parametrize(
    ("variables", "wrong", "told"),
    [
        (
            {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "wrong-fake-secret"},
            {"access key": "failed"},
            "SignatureDoesNotMatch",
        ),
        (NO_KEY, {"credentials": "failed", "permissions": "warning"}, "aliyun configure"),
        ({"ALIBABA_CLOUD_REGION_ID": ""}, {"settings": "failed"}, "No region is set"),
    ],
)
def test_a_setting_that_is_missing_or_wrong(examine, variables, wrong, told):
    checks = examine(code=1, **variables)
    assert levels(checks) == wrong
    assert told in checks[next(iter(wrong))]["found"]
    assert "wrong-fake-secret" not in json.dumps(checks)


def test_why_no_place_has_a_key_is_told_in_a_line_each(run, pulumi, tmp_path):
    home = tmp_path / "home"
    (home / ".aliyun").mkdir(parents=True)
    (home / ".aliyun" / "config.json").write_text('{"current": "gone", "profiles": []}')
    text = run("doctor", code=1, HOME=str(home), **NO_KEY).stdout
    lines = [line.strip() for line in text.splitlines()]
    heading = next(
        n for n, line in enumerate(lines) if line.startswith("failed   credentials: No access key")
    )
    assert lines[heading + 1 : heading + 4] == [
        "- ~/.aliyun/config.json: it has no profile 'gone', its current profile.",
        "- ~/.alibabacloud/credentials.ini: the file does not exist.",
        "- the instance's RAM role: turned off (ALIBABA_CLOUD_ECS_METADATA_DISABLED).",
    ]


def test_an_endpoint_that_isn_t_there(examine):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        checks = examine(code=1, ALIBABA_CLOUD_ECS_ENDPOINT=url)
    assert levels(checks) == {"ECS endpoint": "failed", "permissions": "warning"}
    assert "cannot be reached" in checks["ECS endpoint"]["found"]
    assert "ALIBABA_CLOUD_ECS_ENDPOINT" in checks["ECS endpoint"]["fix"]


@pytest.mark.parametrize(
    ("skew", "level", "code"), [(-120, "warning", 0), (120, "warning", 0), (3600, "failed", 1)]
)
def test_a_clock_that_is_off(examine, server, skew, level, code):
    server.emulator.world.knobs.signature_clock_skew = skew
    check = examine(code=code)["clock"]
    assert check["level"] == level
    side = "behind" if skew > 0 else "ahead of"
    assert check["found"].endswith(f" s {side} the service's")
    assert "NTP" in check["fix"]


def test_no_pulumi(examine, pulumi):
    (pulumi / "pulumi").unlink()
    checks = examine(code=1, PATH="/usr/bin:/bin")
    assert checks["Pulumi CLI"]["level"] == "failed"
    assert "https://www.pulumi.com/docs/iac/download-install/" in checks["Pulumi CLI"]["fix"]


def test_an_old_pulumi_and_one_without_python(examine, pulumi):
    program(pulumi / "pulumi", "echo v3.100.0")
    (pulumi / HELPERS[1]).unlink()
    checks = examine(code=1)
    assert levels(checks) == {"Pulumi CLI": "warning", "Pulumi's Python support": "failed"}
    assert HELPERS[1] in checks["Pulumi's Python support"]["found"]


def test_a_virtualenv_of_the_project_without_the_package(examine, tmp_path):
    (tmp_path / "Pulumi.yaml").write_text(
        "name: x\nruntime:\n  name: python\n  options:\n    virtualenv: venv\n"
    )
    checks = examine(code=1)
    assert "the virtualenv of" in checks["plugin's Python"]["found"]
    assert checks["plugin's Python"]["fix"].startswith("create it: pulumi install")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    program(tmp_path / "venv" / "bin" / "python", "echo 'No module named ehpc_nodes' >&2; exit 1")
    checks = examine(code=1)
    assert levels(checks) == {"plugin's Python": "failed"}
    assert "No module named ehpc_nodes" in checks["plugin's Python"]["found"]
    assert "pip install ehpc-nodes" in checks["plugin's Python"]["fix"]


@pytest.mark.parametrize(
    "options", [{"toolchain": "uv"}, {"toolchain": "poetry"}, {"virtualenv": sys.prefix}]
)
def test_the_project_s_virtualenv_is_the_one(examine, pulumi, tmp_path, options):
    runtime = {"name": "python", "options": options}
    (tmp_path / "Pulumi.yaml").write_text(json.dumps({"name": "x", "runtime": runtime}))
    (tmp_path / ".venv").symlink_to(sys.prefix)  # where uv has it
    if options.get("toolchain") == "poetry":
        assert "is not on the PATH" in examine(code=1)["plugin's Python"]["found"]
        program(pulumi / "poetry", f"echo {sys.prefix}")
    found = examine()["plugin's Python"]["found"]
    home = tmp_path / ".venv" if options.get("toolchain") == "uv" else Path(sys.prefix)
    assert found.startswith(f"{home / 'bin' / 'python'} (from {tmp_path / 'Pulumi.yaml'})")


@pytest.mark.parametrize(
    ("project", "found", "fix"),
    [
        ("name: x\nruntime: nodejs\n", "has the runtime nodejs, not python", "runtime: python"),
        ("name: [q\n", "cannot be read", "concepts/projects"),
        (
            "name: x\nruntime: {name: python, options: {toolchain: uv}}\n",
            "is .venv, but there is no",
            "pulumi install",
        ),
    ],
    ids=["nodejs", "no YAML", "uv"],
)
def test_a_project_that_pulumi_could_not_run_is_told_with_what_to_do(
    examine, tmp_path, project, found, fix
):
    (tmp_path / "Pulumi.yaml").write_text(project)
    told = examine(code=1)["plugin's Python"]
    assert (told["level"], found in told["found"], fix in told["fix"]) == ("failed", True, True)
