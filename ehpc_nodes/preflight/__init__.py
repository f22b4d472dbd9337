"""What can be known before the first write to be wrong with a plan. Pure: from what was read to findings."""

from .findings import findings, of_instances

__all__ = ["findings", "of_instances"]
