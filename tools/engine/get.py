"""Get the Pulumi engine: print the path of a `pulumi` whose helpers stand beside it (or on the PATH).

Tried in this order, each try says on stderr what it does, and the path is the last line on stdout:
  1. `pulumi` on the PATH, if it is new enough and can run Python programs;
  2. `.engine/bin/pulumi` of an earlier run, if it is of the version that go.mod names;
  3. built from its Go module (go.mod beside this file), where there is a Go that is new enough;
  4. downloaded by the official installer that comes with the Pulumi SDK.

A built CLI lacks two files that the official archive has: the language host for Python and the
starter of dynamic providers. Both are written beside it; language_host.py explains the first.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / ".engine"
CACHED = CACHE / "bin" / "pulumi"

LOWEST_CLI = (3, 180, 0)  # on the PATH; what we build or download is what go.mod names
PACKAGE = "github.com/pulumi/pulumi/pkg/v3"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
HELPERS = ("pulumi-language-python", "pulumi-resource-pulumi-python")
OURS = "# written by tools/engine/get.py"


class NotTakenError(Exception):
    """Why this way does not give an engine."""


def say(text: str) -> None:
    print(f"engine: {text}", file=sys.stderr, flush=True)


def go_mod(pattern: str) -> str:
    found = re.search(pattern, (HERE / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"engine: {HERE / 'go.mod'} has no line like {pattern}")
    return found[1]


def wanted_version() -> str:
    return go_mod(rf"{re.escape(PACKAGE)} v(\S+)")


def as_numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def version_of(pulumi: Path) -> str:
    """What `pulumi version` says, without the v."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [pulumi, "version"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NotTakenError(f"{pulumi} does not run: {error}") from error
    return done.stdout.strip().removeprefix("v")


def from_path() -> Path:
    found = shutil.which("pulumi")
    if not found:
        raise NotTakenError("there is no pulumi on the PATH")
    pulumi = Path(found).absolute()
    version = version_of(pulumi)
    if as_numbers(version) < LOWEST_CLI:
        lowest = ".".join(map(str, LOWEST_CLI))
        raise NotTakenError(f"{pulumi} is {version or 'of no version'}, lowest is {lowest}")
    for helper in HELPERS:
        # as the engine looks for them: on the PATH, then beside the binary itself
        if not shutil.which(helper) and not (pulumi.resolve().parent / helper).exists():
            raise NotTakenError(f"{pulumi} has no {helper} beside it or on the PATH")
    say(f"taking {pulumi}, version {version}, from the PATH")
    return pulumi


def from_cache() -> Path:
    if not CACHED.exists():
        raise NotTakenError("nothing in .engine from an earlier run")
    version = version_of(CACHED)
    if version != wanted_version():
        raise NotTakenError(f"{CACHED} is {version}, go.mod names {wanted_version()}")
    say(f"taking {CACHED}, version {version}, of an earlier run")
    return CACHED


def from_go() -> Path:
    go = shutil.which("go")
    if not go:
        raise NotTakenError("there is no go on the PATH to build it with")
    needed = go_mod(r"^go (\S+)")
    there = subprocess.run(
        [go, "env", "GOVERSION"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    # a Go of 1.21 or later may fetch the newer one by itself; whether it can, only the build tells
    if as_numbers(there) < (1, 21):
        raise NotTakenError(f"{go} is {there or 'of no version'}, go.mod needs {needed}")
    version = wanted_version()
    say(f"building pulumi {version} with {there} (a first time takes about three minutes) …")
    CACHED.parent.mkdir(parents=True, exist_ok=True)
    # built under another name and then renamed: an interrupted build leaves nothing half-done
    unfinished = CACHED.with_name(f"pulumi.unfinished-{os.getpid()}")
    flags = f"-s -w -X {VERSION_VARIABLE}=v{version}"
    command = [go, "build", "-ldflags", flags, "-o", str(unfinished), f"{PACKAGE}/cmd/pulumi"]
    try:
        # its stdout is ours to keep clean: the last line on it is the path
        done = subprocess.run(command, cwd=HERE, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise NotTakenError(f"go build ended with {done.returncode}")
        unfinished.replace(CACHED)
    finally:
        unfinished.unlink(missing_ok=True)
    return CACHED


def from_download() -> Path:
    version = wanted_version()
    if "--before-pip" in sys.argv:
        raise NotTakenError("what downloads it comes with the Pulumi SDK, which pip is installing")
    say(f"downloading pulumi {version} with the SDK's own installer …")
    try:
        from pulumi.automation import PulumiCommand
        from semver import VersionInfo

        PulumiCommand.install(root=str(CACHE), version=VersionInfo.parse(version))
    except subprocess.CalledProcessError as error:
        output = (error.output or b"").decode(errors="replace").strip()
        raise NotTakenError(f"the installer failed: {output or error}") from error
    except Exception as error:  # whatever it is, it is why there is no engine
        raise NotTakenError(f"the installer failed: {type(error).__name__}: {error}") from error
    return CACHED


def write_helpers(pulumi: Path) -> None:
    """Put what the Go build lacks beside it; leave what the official archive brought alone."""
    virtualenv = ROOT / ".venv"
    has_sdk = any(virtualenv.glob("lib/python*/site-packages/pulumi"))
    python = shlex.quote(str(virtualenv / "bin" / "python") if has_sdk else sys.executable)
    host = shlex.quote(str(HERE / "language_host.py"))
    starter = shlex.quote(str(HERE / "dynamic_provider.sh"))
    texts = {
        # The host itself runs in the Python that has the SDK here; the program runs in its own.
        "pulumi-language-python": f'exec {python} {host} "$@"\n',
        "pulumi-resource-pulumi-python": f'exec /bin/sh {starter} "$@"\n',
    }
    for name, command in texts.items():
        helper = pulumi.parent / name
        text = f"#!/bin/sh\n{OURS}\n{command}"
        if helper.exists():
            there = helper.read_bytes()
            if OURS.encode() not in there or there == text.encode():
                continue
        unfinished = helper.with_name(f"{name}.unfinished-{os.getpid()}")
        unfinished.write_text(text)
        unfinished.chmod(0o755)
        unfinished.replace(helper)


def first(*ways: Callable[[], Path]) -> Path | None:
    for way in ways:
        try:
            return way()
        except NotTakenError as reason:
            say(str(reason))
    return None


def get() -> Path:
    if pulumi := first(from_path):
        return pulumi
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # two at a time would build it twice
        fcntl.flock(lock, fcntl.LOCK_EX)
        if pulumi := first(from_cache, from_go, from_download):
            write_helpers(pulumi)
            return pulumi
    if "--before-pip" in sys.argv:
        raise SystemExit("engine: it is tried again when pip is done")
    needed = go_mod(r"^go (\S+)")
    raise SystemExit(
        "engine: no Pulumi engine could be had. "
        f"Install the Pulumi CLI, or Go {needed} or later, and try again."
    )


if __name__ == "__main__":
    print(get())
