"""The two owner tags of an instance: which resource manages it, and by which numbered run it was sent.

Written by one call, before an instance is sent and when a node is adopted or gets another name; removed when it is
detached. Two special references: `leaving` before a detach, `unknown` where somebody else may be attaching the instance.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from functools import lru_cache

from ehpc_nodes.api.responses import Instance

#: ``project/stack/name`` of the resource, for people and for finding all of one name.
NAME_KEY = "ehpc-nodes"
#: ``uid/cluster/generation-run/image-before``.
REFERENCE_KEY = "ehpc-nodes-ref"
#: The longest value of a tag (ECS TagResources).
LONGEST = 128
#: In the run's place: written before the detach of what a run may have sent.
LEAVING = "leaving"
#: In the uid's place: somebody attaches the instance, nobody knows who.
UNKNOWN = "unknown"


def name_of(urn: str) -> str:
    """The owner's name of a resource: ``project/stack/name`` of its URN; empty without a URN.

    A component's child adds a hash of its URN, since names are unique in one parent type only; a text that is too
    long is cut and gets one too.
    """
    parts = urn.split("::")
    if len(parts) < 4:
        return ""
    stack, project = parts[0].rpartition(":")[2], parts[1]
    kind, name = parts[2], "::".join(parts[3:])
    text = f"{project}/{stack}/{name}"
    if "$" in kind or len(text) > LONGEST or "http://" in text or "https://" in text:
        digest = hashlib.sha256(urn.encode()).hexdigest()[:12]
        text = f"{text.replace('://', '_')[: LONGEST - 13]}#{digest}"
    return text


def parts_of(owner: str) -> tuple[str, str]:
    """``project/stack`` and the resource's name of an owner's name, as far as it has them.

    A hash that was added is left out.
    """
    *stack, name = owner.split("/", 2)
    return "/".join(stack), re.sub(r"#[0-9a-f]{12}$", "", name)


def new_uid(seed: bytes = b"") -> str:
    """The difference between a resource and others of the same name, as Kubernetes' ``metadata.uid``.

    Args:
        seed: what the engine gives, so that a plan and its up agree; empty: any will do.
    """
    return hashlib.sha256(seed or secrets.token_bytes()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Reference:
    """The owner reference.

    Attributes:
        uid: of the resource.
        cluster_id: that the instance is (being) attached to.
        generation: number of the run that wrote it; 0: adopted.
        run: letters that differ between two processes with the same generation; ``leaving`` before the detach of what a run may have sent.
        image: that the instance had before; empty: not known. A hash where it would be too long.
    """

    uid: str
    cluster_id: str
    generation: int = 0
    run: str = ""
    image: str = ""

    @classmethod
    @lru_cache(maxsize=20_000)  # a run asks for each instance's many times
    def parse(cls, text: str) -> Reference | None:
        """From a tag's value; None where it is none."""
        parts = text.split("/", 3)
        if len(parts) != 4:
            return None
        number, _, run = parts[2].partition("-")
        if not (number.isascii() and number.isdecimal()):
            return None
        return cls(parts[0], parts[1], int(number), run, parts[3])

    def __str__(self) -> str:
        generation = f"{self.generation}-{self.run}" if self.run else str(self.generation)
        text = f"{self.uid}/{self.cluster_id}/{generation}/"
        return text + _shortened(self.image, LONGEST - len(text))

    @property
    def leaving(self) -> bool:
        """Whether it was written before a detach: then the instance does not count as sent."""
        return self.run == LEAVING

    def had_image(self, image_id: str) -> bool:
        """Whether this is the image that the instance had before; so where that is not known."""
        text = str(self).rpartition("/")[2]
        return not text or text in {image_id, _shortened(image_id, len(text))}


def _shortened(image_id: str, room: int) -> str:
    if len(image_id) <= room:
        return image_id
    return "sha256:" + hashlib.sha256(image_id.encode()).hexdigest()[: max(0, min(room, 40) - 7)]


def reference_of(instance: Instance) -> Reference | None:
    """The instance's owner reference; None: it has none."""
    return Reference.parse(instance.tag(REFERENCE_KEY))


def owner_name(instance: Instance) -> str:
    """The resource that the instance's tag names; empty: none."""
    return instance.tag(NAME_KEY)


def new_run() -> str:
    """Letters that differ between this process's run and another's with the same generation."""
    return secrets.token_hex(2)
