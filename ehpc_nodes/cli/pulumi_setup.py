"""Pulumi on this computer: the CLI, its Python support, and the Python of programs and plugin."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ehpc_nodes import __version__

Answer = tuple[Literal["ok", "warning", "failed"], str, str, str]

LOWEST_CLI = (3, 180)
HELPERS = ("pulumi-language-python", "pulumi-resource-pulumi-python")
INSTALL = "install it: https://www.pulumi.com/docs/iac/download-install/"
PROBE = (
    "import importlib.metadata as m, json, ehpc_nodes.resource;"
    "print(json.dumps([m.version('ehpc-nodes'), m.version('pulumi')]))"
)


class NoPythonError(Exception):
    """There is no Python that Pulumi could start; with the way to fix it."""

    def __init__(self, why: str, fix: str) -> None:
        self.fix = fix
        super().__init__(why)


def problems_and_findings() -> Iterator[Answer]:
    """The CLI, its helpers, the virtualenv."""
    pulumi = shutil.which("pulumi")
    if pulumi is None:
        yield "failed", "Pulumi CLI", "there is no pulumi on the PATH", INSTALL
    else:
        yield _version(pulumi)
        yield _helpers(Path(pulumi))
    yield _virtualenv(Path.cwd())


def _version(pulumi: str) -> Answer:
    done = _run([pulumi, "version"])
    numbers = tuple(int(part) for part in re.findall(r"\d+", done.stdout)[:2])
    if done.returncode or not numbers:
        return "failed", "Pulumi CLI", f"{pulumi} does not run: {_last(done.stderr)}", INSTALL
    found = f"{done.stdout.strip()} ({pulumi})"
    if numbers < LOWEST_CLI:
        return (
            "warning",
            "Pulumi CLI",
            f"{found} is too old: v3.180 is the lowest tested version",
            INSTALL,
        )
    return "ok", "Pulumi CLI", found, ""


def _helpers(pulumi: Path) -> Answer:
    """They are beside the binary in the official archive."""
    folder = pulumi.resolve().parent
    missing = [name for name in HELPERS if not (folder / name).exists() and not shutil.which(name)]
    if missing:
        fix = "install the official archive of the CLI, which includes them"
        return "failed", "Pulumi's Python support", f"{' and '.join(missing)} missing", fix
    return "ok", "Pulumi's Python support", ", ".join(HELPERS), ""


def _virtualenv(directory: Path) -> Answer:
    """Whether the Python that runs the program and its plugin has this package."""
    what = "plugin's Python"
    try:
        python, why = plugin_python(directory)
    except NoPythonError as error:
        return "failed", what, str(error), error.fix
    done = _run([python, "-c", PROBE])
    if done.returncode:
        fix = f"run {python} -m pip install ehpc-nodes, or activate the virtualenv that has it"
        return "failed", what, f"{python} ({why}) cannot use ehpc-nodes: {_last(done.stderr)}", fix
    version, sdk = json.loads(done.stdout)
    found = f"{python} ({why}), with ehpc-nodes {version} and pulumi {sdk}"
    if version != __version__:
        return (
            "warning",
            what,
            found,
            f"this command has version {__version__}: install the same version",
        )
    return "ok", what, found, ""


def plugin_python(directory: Path) -> tuple[str, str]:
    """The Python that Pulumi will start for the project in this folder, and why that one.

    Raises:
        NoPythonError: there is none.
    """
    project = next(
        (
            p / "Pulumi.yaml"
            for p in (directory, *directory.parents)
            if (p / "Pulumi.yaml").exists()
        ),
        None,
    )
    virtualenv = _named_virtualenv(project) if project else ""
    if project and virtualenv:
        python = project.parent / virtualenv / "bin" / "python"
        if not python.exists():
            raise NoPythonError(
                f"the virtualenv of {project} is {virtualenv}, but there is no {python}",
                "create it: pulumi install, or python3 -m venv, in the project's folder",
            )
        return str(python), f"from {project}"
    named = os.environ.get("PULUMI_PYTHON_CMD", "")
    found = shutil.which(named or "python3")
    if found is None:
        fix = "correct the variable PULUMI_PYTHON_CMD, or remove it" if named else "install Python"
        raise NoPythonError(f"there is no {named or 'python3'} on the PATH", fix)
    return found, "from PULUMI_PYTHON_CMD" if named else "from the PATH"


def _named_virtualenv(project: Path) -> str:
    """The virtualenv that a Pulumi.yaml names, or that of its toolchain; empty: none is named."""
    runtime, options = _runtime(project)
    if runtime not in ("", "python"):
        raise NoPythonError(
            f"{project} has the runtime {runtime}, not python", "set runtime: python in this file"
        )
    toolchain = "" if options.get("virtualenv") else options.get("toolchain")
    if toolchain == "uv":
        return ".venv"
    if toolchain == "poetry":
        poetry = shutil.which("poetry")
        if poetry is None:
            raise NoPythonError(
                f"{project} has the toolchain poetry, which is not on the PATH",
                "install poetry, or set another toolchain",
            )
        return _run(
            [poetry, "env", "info", "--path", "--directory", str(project.parent)]
        ).stdout.strip()
    return str(options.get("virtualenv") or "")


def _runtime(project: Path) -> tuple[str, dict[str, Any]]:
    """The runtime of a Pulumi.yaml, and its options; may be empty.

    Raises:
        NoPythonError: the file cannot be read.
    """
    import yaml

    try:
        found = yaml.safe_load(project.read_text(encoding="utf-8"))
        runtime = found.get("runtime") or ""
    except (OSError, ValueError, yaml.YAMLError, AttributeError) as error:
        text = f"{project} cannot be read: {_last(str(error))}"
        raise NoPythonError(
            text, "see https://www.pulumi.com/docs/iac/concepts/projects/"
        ) from error
    if not isinstance(runtime, dict):
        return str(runtime), {}
    options = runtime.get("options")
    return str(runtime.get("name") or ""), options if isinstance(options, dict) else {}


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment,
        check=False,
    )


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "no output"
