"""The real engine and emulated clouds, as in tests/engine."""

from engine.conftest import cloud, stack_on

__all__ = ["cloud", "stack_on"]
