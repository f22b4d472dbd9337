"""The base that the wall times are measured against: a dynamic resource that does nothing."""

from __future__ import annotations

from typing import Any

from pulumi.dynamic import CreateResult, Resource, ResourceProvider


class NothingProvider(ResourceProvider):
    """Takes the inputs for outputs."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create nothing."""
        return CreateResult("nothing", dict(props))


class Nothing(Resource):
    """Has the same inputs as `AttachedNodes`."""

    def __init__(self, name: str, **props: Any) -> None:
        super().__init__(NothingProvider(), name, props)
