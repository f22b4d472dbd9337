"""Tests of programs that use `AttachedNodes`: a pytest plugin, and the classes of its fixtures.

The plugin (`ehpc_nodes.testing.plugin`) comes with the package, and pytest finds it by itself::

    def test_the_nodes_are_attached(ehpc, pulumi_stack):
        stack = pulumi_stack(Path("infrastructure"))  # a project's folder, or a program's text
        ehpc.configure(stack, cluster=ehpc.cluster_id, instances=ids(1, 2))
        stack.up()
        assert sorted(ehpc.nodes) == ids(1, 2)

Nothing here is imported before it is used: a test suite without the fixtures loads nothing. `EmulatedCloud` and
`PulumiStack` work without pytest, and without Pulumi until a program runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cloud import EmulatedCloud
    from .processes import Running
    from .results import Diagnostic, Result, Step
    from .stack import PulumiStack
    from .worlds import ids, small_world

_HOMES = {
    "Diagnostic": "results",
    "EmulatedCloud": "cloud",
    "PulumiStack": "stack",
    "Result": "results",
    "Running": "processes",
    "Step": "results",
    "ids": "worlds",
    "small_world": "worlds",
}
__all__ = [
    "Diagnostic",
    "EmulatedCloud",
    "PulumiStack",
    "Result",
    "Running",
    "Step",
    "ids",
    "small_world",
]


def __getattr__(name: str) -> Any:
    """Load a class when it is used."""
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
