"""Counts what calls of the API did and cannot be undone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .codec import dump


@dataclass
class Harm:
    """disk_replacements: how often each instance's system disk was replaced (once per
    AddExistedNodes that was accepted); releases: instances that DeleteNodes released;
    double_attach: AddExistedNodes calls naming instances that were attached or attaching;
    touched: Manager and Login nodes named by DeleteNodes, SetQueue or StopNodes.
    """

    disk_replacements: dict[str, int] = field(default_factory=dict)
    releases: list[str] = field(default_factory=list)
    double_attach: list[dict[str, Any]] = field(default_factory=list)
    touched: list[dict[str, Any]] = field(default_factory=list)

    def disk_replaced(self, instance_id: str) -> None:
        self.disk_replacements[instance_id] = self.disk_replacements.get(instance_id, 0) + 1

    def to_dict(self) -> dict[str, Any]:
        """The counts as plain data."""
        data: dict[str, Any] = dump(self)
        return data
