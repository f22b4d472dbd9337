"""The facts of one instance: from what was read of it, what this run has written, and what the state has."""

from __future__ import annotations

import math

from ehpc_nodes.api import responses
from ehpc_nodes.models import ATTACHING, STUCK, NodeState

from .facts import Call, EcsIs, Facts, Generation, Saved, Tag, TaskIs, is_being_attached
from .ledger import Write
from .observer import LARGEST_SKEW, REPORTED_AFTER, Observer, is_awake
from .owner_tags import Reference
from .records import Record, length, node_is

#: Seconds for which an instance on another image may stay without a node before its attach counts as failed, and
#: for which one that only runs is taken for one that is being attached.
LONGEST_HIDDEN = 600.0


def facts_of(seen: Observer, instance_id: str) -> Facts:
    """All that is known of the instance."""
    record, wanted = seen.record(instance_id), instance_id in seen.wanted.ids
    ecs = _ecs(seen, instance_id, record)
    if instance_id in seen.detached_first:
        return Facts(wanted=wanted, ecs=ecs, absence_counts=True)
    instance, node = seen.instances.get(instance_id), seen.nodes.get(instance_id)
    _, reference, tag = record.owners
    sent = seen.ledger.latest("AddExistedNodes", instance_id)
    detached = seen.ledger.latest("DeleteNodes", instance_id)
    saved = _saved(seen, instance_id)
    gone = saved is Saved.NODE and node is None
    generation = _generation(seen, instance_id, reference, tag, gone=gone)
    resent = sent is not None or generation in {Generation.PENDING, Generation.THIS_RUN}
    now, steady = seen.clock.now(), _steady(seen, instance_id, record)
    before = seen.saved.nodes.get(instance_id) if seen.saved else None
    confirmed_at = before.confirmed_at if before else 0
    absent = steady if record.status == "" else -math.inf
    return Facts(
        wanted=wanted,
        retained=instance_id in seen.wanted.retained and not wanted,
        take_ownership=seen.wanted.take_ownership,
        claimed=instance_id in seen.claimed,
        planned=None if seen.planned is None else instance_id in seen.planned,
        tag=tag,
        generation=generation,
        former_name=instance is not None and record.owners.name != seen.identity.name,
        for_other_cluster=reference is not None
        and reference.cluster_id != seen.identity.cluster_id
        and tag is not Tag.UNKNOWN,
        saved=saved,
        confirmed=confirmed_at > 0 and not resent,
        node=node_is(node),
        is_compute=node is None or node.is_compute,
        busy=node is not None and node.busy,
        joining=sent is not None and _joins(seen, steady, node),
        misplaced=_misplaced(seen, instance_id, record),
        steady=steady >= seen.grace,
        seen_node=record.node is not None,
        absence_counts=_absence_counts(seen, absent, saved, detached, confirmed_at),
        task=record.task_is,
        unnamed_task=_has_unnamed_task(seen, sent),
        in_other_cluster=instance_id in seen.elsewhere,
        ecs=ecs,
        image_changed=record.has_changed(instance),
        image_replaced=_image_replaced(instance, reference, before),
        known_stuck=before is not None and before.status == STUCK,
        tagged=now - seen.ledger.tagged.get(instance_id, -math.inf) < seen.grace,
        woke=record.was_stopped and ecs in (EcsIs.STARTING, EcsIs.RUNNING),
        awake_for_minutes=length(record.awake) >= LONGEST_HIDDEN,
        quiet=length(record.quiet) >= seen.grace,
        quiet_for_minutes=length(record.quiet) >= LONGEST_HIDDEN,
        sent=_sent(sent),
        detached=_detached(detached, now - seen.grace),
        mate_shows=sent is not None and not sent.answered and _shows(seen, sent),
        verdict=seen.ledger.verdict(instance_id),
        tries=len(seen.ledger.errors("DeleteNodes" if node else "AddExistedNodes", instance_id)),
        unreadable=_unreadable(seen, instance_id, wanted=wanted, saved=saved),
    )


def _saved(seen: Observer, instance_id: str) -> Saved:
    if instance_id in seen.ledger.adopted:
        return Saved.NODE
    if seen.saved is None or instance_id not in seen.saved_ids:
        return Saved.NO
    node = seen.saved.nodes.get(instance_id)
    coming = node is not None and is_being_attached(node.status, node.confirmed_at)
    return Saved.ATTACHING if coming else Saved.NODE


def _generation(
    seen: Observer, instance_id: str, reference: Reference | None, tag: Tag, *, gone: bool
) -> Generation:
    """By which run the reference was written.

    Args:
        gone: the state has it as a node, which it is no more: nobody may be attaching it.
    """
    if reference is None:
        return Generation.NONE
    if tag is Tag.UNKNOWN:
        return Generation.RESOLVED if gone else Generation.PENDING
    written = instance_id in seen.ledger.tagged
    if tag is Tag.MINE and written and reference.run == seen.identity.run:
        return Generation.THIS_RUN
    if reference.leaving:
        return Generation.LEAVING
    if reference.generation == 0:
        return Generation.ADOPTED
    known = seen.saved.generation if seen.saved and tag is Tag.MINE else 0
    return Generation.RESOLVED if reference.generation <= known else Generation.PENDING


def _steady(seen: Observer, instance_id: str, record: Record) -> float:
    write = seen.write_about(instance_id)
    ended = record.task_ended
    if write:
        ended = -math.inf if write.over_at is None else write.over_at
    return max(0.0, seen.nodes_begun - max(record.since, ended))


def _absence_counts(
    seen: Observer, absent: float, saved: Saved, detached: Write | None, confirmed_at: int
) -> bool:
    """Whether lists have lacked the node for long enough.

    Args:
        absent: for how long; minus infinity: the latest list has it.
        confirmed_at: of the state; by a clock that may differ from this one.
    """
    if absent < 0:
        return False
    if detached is not None and detached.has_succeeded:
        return True
    needed = seen.grace
    settled_for = seen.clock.wall() - confirmed_at - LARGEST_SKEW
    forgotten = saved is Saved.NO  # an earlier report has told its absence
    if seen.reporting and (forgotten or (confirmed_at and settled_for > seen.grace)):
        needed = min(needed, REPORTED_AFTER)
    return absent >= needed


def _joins(seen: Observer, steady: float, node: responses.Node | None) -> bool:
    runs = node is not None and node.in_status(responses.NODE_READY) and not node.active
    return runs and steady < seen.scheduler_seconds


def _misplaced(seen: Observer, instance_id: str, record: Record) -> bool:
    moved = seen.ledger.latest("SetQueue", instance_id)
    if not seen.wanted.queue or seen.in_queue is None or instance_id not in seen.nodes:
        return False
    return record.queue_read and instance_id not in seen.in_queue and not (moved and moved.answered)


def _has_unnamed_task(seen: Observer, sent: Write | None) -> bool:
    """Whether a task runs that may be an earlier run's call, or this run's that got no answer."""
    before = sent.before if sent and not sent.answered else frozenset()
    return not seen.unnamed_tasks <= seen.ledger.task_ids | before


def _shows(seen: Observer, write: Write) -> bool:
    """Whether any instance of an unanswered call shows that it was accepted."""
    write.shown = write.shown or any(_has_evidence(seen, i) for i in write.ids)
    return write.shown


def _has_evidence(seen: Observer, instance_id: str) -> bool:
    record, instance = seen.record(instance_id), seen.instances.get(instance_id)
    there = instance_id in seen.nodes or record.task_is is TaskIs.RUNNING
    return there or record.has_changed(instance) or is_awake(instance)


def _ecs(seen: Observer, instance_id: str, record: Record) -> EcsIs:
    status = record.ecs_is(seen.instances.get(instance_id))
    stop = seen.ledger.latest("StopInstances", instance_id)
    sent = seen.ledger.latest("AddExistedNodes", instance_id)
    late = stop and not sent and seen.clock.now() - stop.at < seen.grace
    return EcsIs.STOPPING if late and status is EcsIs.RUNNING else status


def _unreadable(seen: Observer, instance_id: str, *, wanted: bool, saved: Saved) -> bool:
    """Whether a permission is missing for what decides about it."""
    if "ListNodes" in seen.denied:
        return True
    if instance_id not in seen.nodes:
        return bool({"ListTasks", "DescribeInstances"} & seen.denied.keys())
    no_tags = "DescribeInstances" in seen.denied and instance_id not in seen.instances
    refresh = seen.reporting and not seen.wanted.ids  # keeps a node, whatever its tags say
    return no_tags and not (wanted and saved is not Saved.NO) and not refresh


def _image_replaced(
    instance: responses.Instance | None, reference: Reference | None, before: NodeState | None
) -> bool:
    """Whether it has another image than before the attach, by its reference, else by the state."""
    if instance is None:
        return False
    if reference is not None:
        return not reference.had_image(instance.image_id)
    image = before.image_id if before and before.status in {ATTACHING, STUCK} else ""
    return image not in {"", instance.image_id}


def _sent(write: Write | None) -> Call:
    """The result of an AddExistedNodes."""
    if write is None:
        return Call.NONE
    if not write.answered:
        return Call.UNANSWERED
    return Call.ANSWERED if write.over_at is None else Call.OVER


def _detached(write: Write | None, long_ago: float) -> Call:
    """The result of a DeleteNodes, which a list may not show yet if it was later than ``long_ago``."""
    result = _sent(write)
    if write is None or result is Call.ANSWERED:
        return result
    if result is Call.UNANSWERED:
        return Call.EXPIRED if write.at <= long_ago else result
    return Call.ANSWERED if (write.over_at or 0.0) > long_ago else result
