"""The real engine and emulated clouds, as in tests/engine."""

from engine.conftest import cloud, engine, pulumi_stack, stack_on

__all__ = ["cloud", "engine", "pulumi_stack", "stack_on"]
