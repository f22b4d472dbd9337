"""The ownership mark, an ECS tag that names the resource which attaches an instance, and its identity."""

from __future__ import annotations

import hashlib
import secrets

LONGEST = 128  # of a tag's value (ECS TagResources)


def mark_of(urn: str) -> str:
    """The mark of a resource: ``project/stack/name`` of its URN; empty without a URN.

    A component's child adds a hash of its URN, since names are unique in one parent type only; a text
    that is too long is cut and gets one too.
    """
    parts = urn.split("::")
    if len(parts) < 4:
        return ""
    stack, project, kind, name = (
        parts[0].rpartition(":")[2],
        parts[1],
        parts[2],
        "::".join(parts[3:]),
    )
    mark = f"{project}/{stack}/{name}"
    if "$" in kind or len(mark) > LONGEST or "http://" in mark or "https://" in mark:
        digest = hashlib.sha256(urn.encode()).hexdigest()[:12]
        mark = f"{mark.replace('://', '_')[: LONGEST - 13]}#{digest}"
    return mark


def new_identity(seed: bytes) -> str:
    """What a new resource is told by from others that carry the same mark.

    Args:
        seed: what the engine gives, so that a plan and its up agree; empty: any will do.
    """
    return hashlib.sha256(seed or secrets.token_bytes()).hexdigest()[:12]
