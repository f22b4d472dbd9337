"""Requests and answers, one entry for each request; never a secret or a signature."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .codec import dump

# Parameters of the signature and the envelope only: not passed to an action or the journal.
COMMON_PARAMETERS = frozenset(
    {
        "AccessKeyId",
        "Action",
        "Format",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureNonce",
        "SignatureType",
        "SignatureVersion",
        "Timestamp",
        "Version",
    }
)


@dataclass(frozen=True)
class Entry:
    """One request. `status` and `code` are None without an answer."""

    number: int
    time: float
    service: str
    action: str
    params: dict[str, str]
    access_key_id: str
    status: int | None
    code: str | None
    request_id: str
    task_id: str | None
    fault: str | None


@dataclass
class Journal:
    """All requests since the start or the last reset."""

    entries: list[Entry] = field(default_factory=list)

    def note(self, **fields: Any) -> Entry:
        """Append an entry."""
        params = {
            name: value
            for name, value in fields.pop("params").items()
            if name not in COMMON_PARAMETERS
        }
        entry = Entry(number=len(self.entries) + 1, params=params, **fields)
        self.entries.append(entry)
        return entry

    def of(self, action: str | None = None) -> list[Entry]:
        """The entries, of one action or of all."""
        return [entry for entry in self.entries if action in (None, entry.action)]

    def dump(self, action: str | None = None) -> list[dict[str, Any]]:
        return [dump(entry) for entry in self.of(action)]
