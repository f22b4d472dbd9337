"""Start the Pulumi CLI, watch it, interrupt it, kill it, and end its processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from .results import JSON, Result

SCRUBBED = re.compile(
    r"(PULUMI|ALIBABA|ALIBABACLOUD|ALICLOUD|ALIYUN|ECS|AWS|AZURE|ARM|GOOGLE|CLOUDSDK)_.*|.*_PROXY",
    re.IGNORECASE,
)
# Client libraries without credentials ask the instance's metadata service, which may not answer.
NO_METADATA = {
    "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without credentials, proxies, and Pulumi's settings."""
    kept = {name: value for name, value in environment.items() if not SCRUBBED.fullmatch(name)}
    return {**kept, **NO_METADATA}


def processes_of_session(session: int) -> Iterator[int]:
    """The processes that one command started, in any process group and with any parent."""
    if Path("/proc/self").exists():
        numbers: Iterable[str] = (p.name for p in Path("/proc").iterdir() if p.name.isdigit())
    else:
        numbers = subprocess.check_output(["ps", "-A", "-o", "pid="], text=True).split()
    for number in map(int, numbers):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(number) == session and not is_zombie(number):
                yield number


def is_zombie(number: int) -> bool:
    """Whether it has ended without a parent that reads its exit code: a container may have no init."""
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
        scratch: Path,
        environment: Mapping[str, str],
        events: Path | None,
    ) -> None:
        self.command = command
        self._events = events
        self._files = [scratch / f"{time.monotonic_ns()}.{name}" for name in ("stdout", "stderr")]
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

    def wait_until(self, condition: str | Callable[[], object], timeout: float = 100.0) -> None:
        """Wait for a text in the output, or for a condition, while it runs."""
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
        """As Ctrl-C: the CLI gets SIGINT, its plugins (with their own process groups) do not."""
        self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the CLI; its plugins may continue, as in a real run."""
        self.process.kill()
        self.process.wait()

    def kill_all(self) -> None:
        """Kill the CLI and all its processes, as when the computer loses power."""
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
        """Its processes that still run."""
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
