"""How a command of the Pulumi CLI ended, and what the engine did in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]
COLOUR = re.compile(r"<\{%[^%]*%\}>")


@dataclass(frozen=True)
class Step:
    """What the engine decided for one resource; in a preview nothing more happened."""

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
    """Shown on the resource's row only until the next one."""


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
        """In the order in which they began; resources without a change have the operation `same`."""
        found = [e["resourcePreEvent"]["metadata"] for e in self.events if "resourcePreEvent" in e]
        return [Step(m["op"], m["urn"], m["type"], m) for m in found]

    def ops(self, name: str) -> list[str]:
        """The operations on the resource of this name, in order: two of them for a replacement."""
        return [step.op for step in self.steps if step.name == name]

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The log without debug messages, colours and outer white space."""
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
