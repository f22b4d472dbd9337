"""Marks on instances: tags in the cloud itself that tell, whatever becomes of a run, whose an instance is.

Set before an instance is sent; the announcement goes when its fate is known, the others when it is detached.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from .api import responses
from .api.paging import TAG_BATCH, chunks
from .errors import ApiError, AuthError, EhpcError, listed
from .operation import Cloud, Operation

#: The ownership mark's tag, whose value names the resource.
TAG_KEY = "ehpc-nodes"
#: A second tag beside the mark, from before an instance is sent until its fate is known: who carries it
#: and is no node may be being attached, to the cluster that it names, by a call whose run was interrupted.
ATTACHING_KEY = "ehpc-nodes-attaching"
#: A third tag beside the mark, as long as that: tells resources of one name in several backends apart, and
#: stays with a resource whose name changes.
IDENTITY_KEY = "ehpc-nodes-id"
#: DescribeInstances doesn't tell all that a tag filter matches where that is more.
MOST_TAGGED = 1000
#: Set and taken away to find out whether tags can be set; means nothing.
TRIAL_KEY = "ehpc-nodes-trial"


def owner_of(instance: responses.Instance, mark: str, identity: str) -> str:
    """The other resource that manages the instance; empty: none, or this one (perhaps under a former name)."""
    owner = instance.tag(TAG_KEY)
    ours = owner == mark or (identity and instance.tag(IDENTITY_KEY) == identity)
    return "" if ours else owner


def announced_for(instance: responses.Instance) -> str:
    """The cluster that the instance is announced for; empty: none."""
    return instance.tag(ATTACHING_KEY).partition("/")[0]


def announced_image(instance: responses.Instance) -> str:
    """The image that the instance had when it was announced; empty: not known."""
    return instance.tag(ATTACHING_KEY).partition("/")[2]


def begun_of(
    marked: Collection[responses.Instance], cluster_id: str, identity: str, nodes: Collection[str]
) -> set[str]:
    """Of the instances with a resource's mark, those that an interrupted run of it sent, or may have sent.

    They are announced for this cluster; or nodes with its identity (the caller leaves out those that the
    state knows): that run came to its end, and its state was not saved.
    """
    return {
        x.instance_id
        for x in marked
        if announced_for(x) == cluster_id
        or (identity and x.tag(IDENTITY_KEY) == identity and x.instance_id in nodes)
    }


def marked_with(cloud: Cloud, mark: str) -> list[responses.Instance]:
    """The instances with this mark; of more than a thousand, at least those that are announced."""
    marked = cloud.instances_tagged({TAG_KEY: mark})
    if len(marked) >= MOST_TAGGED:
        marked += cloud.instances_tagged({TAG_KEY: mark, ATTACHING_KEY: ""})
    return marked


def begun_by(operation: Operation) -> set[str]:
    """The instances that a run of this resource announced, and did not live to put into a state."""
    if not operation.mark:
        return set()
    try:
        marked = marked_with(operation.cloud, operation.mark)
    except AuthError as error:
        if not error.forbidden:
            raise
        operation.marks_refused(error)
        return set()
    ours = ("", operation.identity)  # another's are a namesake's in another backend
    if operation.identity:
        marked = [x for x in marked if x.tag(IDENTITY_KEY) in ours]
    operation.announced |= begun_of(marked, operation.cluster_id, "", ())
    begun = begun_of(marked, operation.cluster_id, operation.identity, operation.nodes)
    return begun - operation.see_awaited()


def announce(
    operation: Operation,
    ids: Sequence[str],
    images: Mapping[str, str],
    free: Callable[[Sequence[str]], list[str]],
) -> bool:
    """Mark instances that are about to be sent, so that a crash after the write loses none.

    They are Stopped by now: one that is announced and isn't Stopped, or has another image, has been sent.

    Args:
        images: of each instance, as it is before the call.
        free: tells, by a look, which of them nobody has taken meanwhile; asked before a call is repeated, and before
            the next ones then, since they would replace another resource's marks.

    Returns:
        False where that has just turned out to be forbidden.
    """
    if not operation.mark or not ids:
        return True
    own = {IDENTITY_KEY: operation.identity} if operation.identity else {}
    operation.announced |= set(ids)  # a lost answer may have set them
    late = False
    try:
        for image, same in sorted(_by_image(ids, images).items()):
            told = f"{operation.cluster_id}/{image}" if image else operation.cluster_id
            tags = {TAG_KEY: operation.mark, ATTACHING_KEY: told, **own}
            for batch in chunks(same, TAG_BATCH):
                late = _announce(operation.cloud, free(batch) if late else batch, tags, free)
    except AuthError as error:
        if not error.forbidden:
            raise
        operation.announced -= set(ids)
        operation.marks_refused(error)
        return False
    return True


def _announce(
    cloud: Cloud,
    batch: list[str],
    tags: Mapping[str, str],
    free: Callable[[Sequence[str]], list[str]],
) -> bool:
    """Mark one batch; whether that took several attempts."""
    tried = 0
    for attempt in cloud.attempts(harmless=True):
        with attempt:
            batch = free(batch) if tried else batch
            tried += 1
            if batch:
                cloud.tag_once(batch, tags)
    return tried > 1


def _by_image(ids: Sequence[str], images: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for instance_id in ids:
        found.setdefault(images.get(instance_id, ""), []).append(instance_id)
    return found


def renew(operation: Operation, ids: Sequence[str]) -> None:
    """Give nodes of this name this resource's identity, so that they stay its own under another name.

    They have that of a create that was killed, or of the half that a forced replacement took away.
    """
    if not ids:
        return
    try:
        operation.cloud.tag_instances(ids, {IDENTITY_KEY: operation.identity})
    except EhpcError as error:
        operation.reporter.warning(f"The tag {IDENTITY_KEY} of {listed(list(ids))} is old: {error}")


def take_over(operation: Operation, adopted: Collection[str]) -> None:
    """Mark nodes that another resource of the run has given up: its state may hold them still, and no run after this
    one would tell it whose they are. Other nodes that are adopted stay unmarked: adopting writes nothing.
    """
    ids = sorted(set(adopted).intersection(operation.others.given_up(operation.cluster_id)))
    if not operation.mark or not ids:
        return
    own = {IDENTITY_KEY: operation.identity} if operation.identity else {}
    try:
        operation.cloud.tag_instances(ids, {TAG_KEY: operation.mark, **own})
    except EhpcError as error:
        operation.reporter.warning(f"The tag {TAG_KEY} could not be set on {listed(ids)}: {error}")


def disclaim(operation: Operation, ids: Sequence[str]) -> None:
    """Take away the announcement of nodes that are to be detached; they stay known by the identity.

    A run that is killed after the detach would leave it on an instance that runs and is no node: as if sent.
    """
    if not operation.mark or not ids:
        return
    if operation.identity:
        renew(operation, ids)
    _untag(operation, ids, ATTACHING_KEY)


def settle(operation: Operation, nodes: Collection[str], saved: Collection[str]) -> None:
    """Take away the announcements of all whose fate is known, and the marks of those that are no nodes.

    The last calls of an operation: until the state that knows them is on its way to the engine, only these
    tags tell that they are this resource's.

    Args:
        saved: the nodes that a state knows; the others stay announced.
    """
    known = operation.announced - operation.sent - operation.doubtful
    unmark(operation, _free(operation, known.difference(nodes)))
    _untag(operation, sorted(known.intersection(saved)), ATTACHING_KEY)


def _free(operation: Operation, ids: Collection[str]) -> list[str]:
    """Of these, the ones that a look just now shows as nobody's; none where it fails: a mark may stay.

    They may be nodes since the last look, or have been marked by another resource at the same moment. Those that were
    taken meanwhile are another's nodes, on which nothing of this resource's may stay.
    """
    if not operation.mark or not ids:
        return []
    cloud, cluster_id = operation.cloud, operation.cluster_id
    try:
        held = {*operation.see_compute_nodes()}
        with suppress(AuthError):
            held |= responses.attached_by(cloud.list_running_tasks(cluster_id))
        seen = cloud.describe_instances(sorted({*ids} - (held - operation.taken)))
    except EhpcError as error:
        operation.reporter.warning(
            f"Marks stay on {listed(sorted(ids))} until the next change: {error}"
        )
        return []
    return [x.instance_id for x in seen if not owner_of(x, operation.mark, operation.identity)]


def unmark(operation: Operation, ids: Sequence[str]) -> None:
    """Take all marks away; that they stay is a warning."""
    _untag(operation, ids, TAG_KEY, ATTACHING_KEY, IDENTITY_KEY)


def _untag(operation: Operation, ids: Sequence[str], *keys: str) -> None:
    if not operation.mark or not ids:
        return
    try:
        operation.cloud.untag_instances(ids, *keys)
    except EhpcError as error:  # what was done is done, and has to reach the state
        if isinstance(error, AuthError) and error.forbidden:
            _void(operation, ids, keys)
            operation.marks_refused(error)
            return
        left = _existing(operation, ids) if isinstance(error, ApiError) else ids
        if len(left) < len(ids):  # one that was released keeps the others' marks
            _untag(operation, left, *keys)
            return
        operation.reporter.warning(
            f"The tags {', '.join(keys)} stay on {listed(list(ids))} until the next change: {error}"
        )


def _void(operation: Operation, ids: Sequence[str], keys: Collection[str]) -> None:
    """Without the permission to remove tags: let the announcement name no cluster, so that no run waits for it."""
    if ATTACHING_KEY in keys:
        with suppress(EhpcError):
            operation.cloud.tag_instances(ids, {ATTACHING_KEY: ""})


def _existing(operation: Operation, ids: Sequence[str]) -> Sequence[str]:
    """Of these, the instances that still exist; all where that can't be seen."""
    try:
        seen = {x.instance_id for x in operation.cloud.describe_instances(ids)}
    except EhpcError:
        return ids
    return [i for i in ids if i in seen]
