"""The one table of what a run has read of each instance, and since when.

Times are those of the clock; an age counts from the end of a read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from ehpc_nodes.api import responses

from .facts import EcsIs, NodeIs, Tag, TaskIs
from .owner_tags import Reference


class Span(NamedTuple):
    """From the end of the first reading that showed something to the begin of the last one, without a break."""

    first: float
    last: float


class Owners(NamedTuple):
    """The owner tags: the name, the reference, and whom they name."""

    name: str = ""
    reference: Reference | None = None
    tag: Tag = Tag.NONE


NO_TAGS = Owners()


@dataclass(slots=True)
class Record:
    """One instance.

    Attributes:
        status: of the node by the latest list, in lower case; empty: the list lacks it; None: no list was read.
        since: when a list had shown this status first.
        node: as last listed.
        queue_read: whether it was a node when the wanted queue was read.
        task: names it, and may attach it; as last read.
        task_ended: when this was first read as ended.
        owners: by its tags.
        missing: ECS does not know it, twice.
        first_image: when it was first read; empty: it was not.
        was_stopped: it was Stopped in this run.
        quiet: whole readings showed no evidence of an attach.
        awake: whole readings showed that it runs, without a node or a task.
        read_at: when all about it was read last, and nothing was written since.
    """

    status: str | None = None
    since: float = math.inf
    node: responses.Node | None = None
    queue_read: bool = False
    task: responses.Task | None = None
    task_ended: float = -math.inf
    owners: Owners = NO_TAGS
    missing: bool = False
    first_image: str = ""
    was_stopped: bool = False
    quiet: Span | None = None
    awake: Span | None = None
    read_at: float = -math.inf

    def note_listed(self, node: responses.Node | None, at: float) -> None:
        """Note what a list has of it."""
        self.node = node or self.node
        status = node.status.lower() if node else ""
        if status != self.status:
            self.status, self.since = status, at

    def note_reading(self, begun: float, ended: float, *, node: bool, awake: bool) -> None:
        """Note that all about it was read.

        Args:
            node: it is a node.
            awake: it is neither Stopped nor Stopping.
        """
        self.read_at = ended
        hidden = not node and self.task_is is not TaskIs.RUNNING
        self.quiet = _gone_on(self.quiet, begun, ended) if hidden and not awake else None
        self.awake = _gone_on(self.awake, begun, ended) if hidden and awake else None

    @property
    def task_is(self) -> TaskIs:
        """Whether the task that names it runs."""
        if self.task is None:
            return TaskIs.NONE
        return TaskIs.OVER if self.task.over else TaskIs.RUNNING

    def has_changed(self, instance: responses.Instance | None) -> bool:
        """Whether it has another image than when it was first read."""
        return instance is not None and instance.image_id != self.first_image

    def ecs_is(self, instance: responses.Instance | None) -> EcsIs:
        """ECS's status of the instance, by what it means."""
        if self.missing:
            return EcsIs.NOT_FOUND
        if instance is None:
            return EcsIs.UNREAD
        status = instance.status.lower()
        if status in responses.INSTANCE_COMING:
            return EcsIs.STARTING
        if status == responses.INSTANCE_STOPPING:
            return EcsIs.STOPPING
        return EcsIs.STOPPED if instance.stopped else EcsIs.RUNNING


def _gone_on(span: Span | None, begun: float, ended: float) -> Span:
    return Span(span.first if span else ended, begun)


def length(span: Span | None) -> float:
    """Seconds."""
    return max(0.0, span.last - span.first) if span else 0.0


def node_is(node: responses.Node | None) -> NodeIs:
    """The cluster's status of the node, by what it means."""
    if node is None:
        return NodeIs.ABSENT
    for words, meaning in (
        (responses.NODE_READY | responses.NODE_STOPPED, NodeIs.READY),
        (responses.NODE_INITIAL, NodeIs.INITIAL),
        (responses.NODE_FAILED, NodeIs.EXCEPTION),
        (responses.NODE_LEAVING, NodeIs.RELEASING),
    ):
        if node.in_status(words):
            return meaning
    return NodeIs.OTHER
