"""Run programs with the real Pulumi CLI in tests, and read what it did.

    stack = PulumiStack(engine, tmp_path)
    stack.write("import pulumi; pulumi.export('answer', 42)")
    stack.up()
    assert stack.outputs() == {"answer": 42}

Each stack has a Pulumi home, a file backend and a passphrase of its own; nothing of the caller's
account, cloud credentials or proxies reaches it. What an operation did is read from the event log of
the CLI (`--event-log`, a flag that it has with PULUMI_DEBUG_COMMANDS; `--json` has no diagnostics).

This module knows nothing of the project that it tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JSON = dict[str, Any]

SCRUBBED = re.compile(
    r"(PULUMI|ALIBABA|ALICLOUD|ALIYUN|AWS|AZURE|ARM|GOOGLE|CLOUDSDK)_.*|.*_PROXY", re.IGNORECASE
)
# Client libraries that find no credentials ask the machine's metadata service, which may not answer.
NO_METADATA = {
    "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
    "AWS_EC2_METADATA_DISABLED": "true",
}
COLOUR = re.compile(r"<\{%[^%]*%\}>")


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without credentials, proxies, and Pulumi's settings."""
    kept = {name: value for name, value in environment.items() if not SCRUBBED.fullmatch(name)}
    return {**kept, **NO_METADATA}


# ---------------------------------------------------------------------------- what was done


@dataclass(frozen=True)
class Step:
    """What the engine decided for one resource. In a preview nothing more than that happened."""

    op: str
    urn: str
    type: str
    metadata: JSON = field(repr=False)
    """As the event log has it: `old`, `new`, `diffs`, `detailedDiff`, …"""

    @property
    def name(self) -> str:
        return self.urn.rpartition("::")[2]


@dataclass(frozen=True)
class Diagnostic:
    severity: str
    urn: str
    message: str
    ephemeral: bool = False
    """Shown on the resource's row for as long as it was the newest, and not kept."""


@dataclass(frozen=True)
class Result:
    """How a command of the CLI ended."""

    command: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str
    events: list[JSON] = field(default_factory=list, repr=False)

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    def __str__(self) -> str:
        return f"`{' '.join(self.command)}` ended with {self.exit_code}:\n{self.text}"

    @property
    def changes(self) -> dict[str, int]:
        """Operation -> number of resources, the stack itself and unchanged ones included."""
        for event in reversed(self.events):
            if "summaryEvent" in event:
                return dict(event["summaryEvent"].get("resourceChanges") or {})
        return {}

    @property
    def steps(self) -> list[Step]:
        """In the order in which they began; resources that don't change have the operation `same`."""
        found = [e["resourcePreEvent"]["metadata"] for e in self.events if "resourcePreEvent" in e]
        return [Step(m["op"], m["urn"], m["type"], m) for m in found]

    def ops(self, name: str) -> list[str]:
        """The operations on the resource of this name, in order: two of them for a replacement."""
        return [step.op for step in self.steps if step.name == name]

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """What was logged, debugging apart, without colours and outer white space."""
        found = [e["diagnosticEvent"] for e in self.events if "diagnosticEvent" in e]
        return [
            Diagnostic(
                severity=event["severity"],
                urn=event.get("urn", ""),
                message=COLOUR.sub("", event["message"]).strip(),
                ephemeral=event.get("ephemeral", False),
            )
            for event in found
            if event["severity"] != "debug"
        ]

    def messages(self, severity: str) -> list[str]:
        return [d.message for d in self.diagnostics if d.severity == severity]

    @property
    def errors(self) -> list[str]:
        return self.messages("error")

    def checked(self, *, expect_failure: bool = False) -> Result:
        if (self.exit_code != 0) != expect_failure:
            raise AssertionError(
                f"{'a failure' if expect_failure else 'success'} was expected, but {self}"
            )
        return self


# -------------------------------------------------------------------------------- processes


def processes_of_session(session: int) -> Iterator[int]:
    """The processes that one command started, however they are grouped and whoever their parent is by now."""
    if Path("/proc/self").exists():
        numbers: Iterable[str] = (p.name for p in Path("/proc").iterdir() if p.name.isdigit())
    else:
        numbers = subprocess.check_output(["ps", "-A", "-o", "pid="], text=True).split()
    for number in map(int, numbers):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(number) == session and not is_zombie(number):
                yield number


def is_zombie(number: int) -> bool:
    """Whether it has ended and nobody asks how: in a container there may be no init that does."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


class Running:
    """A command of the CLI that was started and not waited for."""

    def __init__(
        self,
        command: list[str],
        directory: Path,
        environment: Mapping[str, str],
        events: Path | None,
    ):
        self.command = command
        self._events = events
        self._files = [directory / f"{time.monotonic_ns()}.{name}" for name in ("stdout", "stderr")]
        # files and not pipes: they can be read while it runs, and an orphan does not keep them open
        with self._files[0].open("wb") as stdout, self._files[1].open("wb") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return "".join(file.read_text(errors="replace") for file in self._files)

    def wait_until(self, condition: str | Callable[[], object], timeout: float = 30.0) -> None:
        """Wait for a text in the output, or for a condition to hold, while it runs."""
        holds = condition if callable(condition) else lambda: condition in self.text
        deadline = time.monotonic() + timeout
        while not holds():
            if self.process.poll() is not None and not holds():
                raise AssertionError(
                    f"ended with {self.process.returncode} before {condition!r}:\n{self.text}"
                )
            if time.monotonic() > deadline:
                raise AssertionError(f"no {condition!r} in {timeout} s:\n{self.text}")
            time.sleep(0.02)

    def interrupt(self) -> None:
        """What Ctrl-C does: the CLI gets SIGINT, its plugins (which have process groups of their own) don't."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the CLI without a word; its plugins may go on, as they do in life."""
        self.process.kill()
        self.process.wait()

    def kill_all(self) -> None:
        """End the CLI and all that it started, as a machine that loses power does."""
        for _ in range(10):  # a process may be starting another just now
            numbers = [n for n in processes_of_session(self.process.pid) if n != os.getpid()]
            for number in numbers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            if not numbers:
                break
            if self.process.poll() is None:
                self.process.wait()
            time.sleep(0.02)

    def leftovers(self) -> list[int]:
        """Processes that it started and that are still there."""
        return list(processes_of_session(self.process.pid))

    def wait(self, timeout: float = 100.0) -> Result:
        try:
            exit_code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill_all()
            raise AssertionError(
                f"`{' '.join(self.command)}` took more than {timeout} s:\n{self.text}"
            ) from None
        stdout, stderr = (file.read_text(errors="replace") for file in self._files)
        return Result(tuple(self.command), exit_code, stdout, stderr, self._read_events())

    def _read_events(self) -> list[JSON]:
        if self._events is None or not self._events.exists():
            return []
        events = []
        for line in self._events.read_text().splitlines():
            with contextlib.suppress(
                ValueError
            ):  # the last line of a killed CLI may be half a line
                events.append(json.loads(line))
        return events


# ------------------------------------------------------------------------------------ stack


class PulumiStack:
    """A project with one stack in a folder, and the CLI to run it."""

    def __init__(
        self,
        engine: str | Path,
        directory: Path,
        *,
        program: str = "",
        env: Mapping[str, str] | None = None,
        python: str | Path = sys.executable,
        virtualenv: str | Path | None = None,
        main: str | None = None,
        pythonpath: Iterable[str | Path] = (),
        project: str = "project",
        stack: str = "dev",
        timeout: float = 100.0,
    ):
        """`python` runs the program and its dynamic providers, unless `virtualenv` is named in Pulumi.yaml."""
        self.engine = str(engine)
        self.directory = directory
        self.stack = stack
        self.timeout = timeout
        self.started: list[Running] = []
        own = directory / ".own"  # the CLI's things, out of the way of the program's
        self._scratch = own / "runs"
        for folder in (self._scratch, own / "home", own / "backend"):
            folder.mkdir(parents=True, exist_ok=True)
        self.env = {
            **scrubbed(os.environ),
            "PULUMI_HOME": str(own / "home"),
            "PULUMI_BACKEND_URL": f"file://{own / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "passphrase",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_PYTHON_CMD": str(python),
            "PYTHONPATH": os.pathsep.join(map(str, pythonpath)),
            "PATH": os.pathsep.join([str(Path(self.engine).parent), os.environ.get("PATH", "")]),
            "NO_COLOR": "1",
            **(env or {}),
        }
        options = {"virtualenv": str(virtualenv)} if virtualenv else {}
        settings: JSON = {"name": project, "runtime": {"name": "python", "options": options}}
        if main is not None:
            settings["main"] = main
        (directory / "Pulumi.yaml").write_text(json.dumps(settings))  # JSON is YAML
        self.program = directory / (main or ".") / "__main__.py"
        self.write(program)
        self.run("stack", "init", stack)

    # ---- the project

    def write(self, program: str) -> None:
        """Replace the program."""
        self.program.parent.mkdir(parents=True, exist_ok=True)
        self.program.write_text(program)

    def config(self, key: str, value: str, *, secret: bool = False) -> None:
        self.run("config", "set", key, "--secret" if secret else "--plaintext", "--", value)

    def unset(self, key: str) -> None:
        self.run("config", "rm", key)

    # ---- operations

    def preview(self, *args: str, expect_failure: bool = False) -> Result:
        return self._operation("preview", *args).checked(expect_failure=expect_failure)

    def up(self, *args: str, expect_failure: bool = False) -> Result:
        """Without the preview that a person is shown first: call preview() for that one."""
        return self._operation("up", "--yes", "--skip-preview", *args).checked(
            expect_failure=expect_failure
        )

    def refresh(self, *args: str, expect_failure: bool = False) -> Result:
        return self._operation("refresh", "--yes", "--skip-preview", *args).checked(
            expect_failure=expect_failure
        )

    def destroy(self, *args: str, expect_failure: bool = False) -> Result:
        return self._operation("destroy", "--yes", "--skip-preview", *args).checked(
            expect_failure=expect_failure
        )

    def cancel(self) -> Result:
        """Take away the lock that a killed operation left."""
        return self.run("cancel", "--yes")

    def outputs(self, *, show_secrets: bool = False) -> JSON:
        args = ["--show-secrets"] if show_secrets else []
        outputs: JSON = json.loads(self.run("stack", "output", "--json", *args).stdout)
        return outputs

    def state(self, *, show_secrets: bool = False) -> JSON:
        """The whole deployment as `pulumi stack export` gives it."""
        args = ["--show-secrets"] if show_secrets else []
        state: JSON = json.loads(self.run("stack", "export", *args).stdout)
        return state

    def resources(self) -> dict[str, JSON]:
        """Name -> what the state holds of it, of the custom resources (the stack and providers apart)."""
        found = self.state()["deployment"].get("resources") or []
        return {
            r["urn"].rpartition("::")[2]: r
            for r in found
            if r.get("custom") and not r["type"].startswith("pulumi:providers:")
        }

    def state_files(self) -> dict[Path, str]:
        """All files that the backend and the CLI keep, to look for what must stand nowhere."""
        own = self.directory / ".own"
        files = [
            p for folder in ("backend", "home") for p in (own / folder).rglob("*") if p.is_file()
        ]
        return {
            p: p.read_text(errors="replace") for p in [*files, *self.directory.glob("Pulumi.*yaml")]
        }

    # ---- the CLI

    def run(self, *args: str, expect_failure: bool = False) -> Result:
        """Any command, from start to end."""
        return self.start(*args).wait(self.timeout).checked(expect_failure=expect_failure)

    def start(self, *args: str) -> Running:
        """Any command, to be interrupted or killed."""
        command = [self.engine, "--non-interactive", "--color", "never", *args]
        events = None
        if args[0] in {"preview", "up", "refresh", "destroy"}:
            events = self._scratch / f"{time.monotonic_ns()}.events"
            command += ["--event-log", str(events)]
        running = Running(command, self.directory, self.env, events)
        self.started.append(running)
        return running

    def close(self) -> None:
        """End whatever is still running."""
        for running in self.started:
            running.kill_all()

    def _operation(self, *args: str) -> Result:
        return self.start(*args).wait(self.timeout)
