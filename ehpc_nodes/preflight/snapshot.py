"""What preflight compares: what the program wants, what was read, and what would be done."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ehpc_nodes.api import responses
from ehpc_nodes.errors import counted
from ehpc_nodes.models import BusyNodes, Finding

from .images import ImageFacts


@dataclass(frozen=True)
class Desired:
    """What preflight needs of the inputs; a value that is not known yet is empty.

    Attributes:
        image_known: False where the id of the wanted image is not known yet; an empty id is the cluster's own image.
        later: how many instances are wanted that are not known yet.
    """

    cluster_id: str = ""
    region: str = ""
    image_id: str = ""
    image_owner_alias: str = ""
    job_queue: str = ""
    replace_system_disks: bool = False
    stop_running: bool = False
    busy_nodes: BusyNodes = "refuse"
    take_ownership: bool = False
    image_known: bool = True
    later: int = 0

    @property
    def image(self) -> str:
        """The image, for people."""
        if not self.image_known:
            return "an image that is not known yet"
        return self.image_id or "the cluster's image"


@dataclass
class Snapshot:
    """What was read. None: not read, or not allowed (then ``notes`` has a finding).

    Attributes:
        in_queue: the nodes of the wanted queue.
        elsewhere: nodes of the region's other clusters in the same VPC, with their cluster.
        jobs: those that run on the nodes to detach.
        scaling: of the cluster; read if nodes are added.
        read_at: when it was read, in seconds since 1970.
    """

    cluster: responses.Cluster | None = None
    nodes: dict[str, responses.Node] | None = None
    tasks: list[responses.Task] | None = field(default_factory=list)
    instances: dict[str, responses.Instance] | None = None
    queues: list[responses.Queue] | None = None
    in_queue: set[str] | None = None
    images: dict[str, ImageFacts] | None = None
    elsewhere: dict[str, str] = field(default_factory=dict)
    jobs: list[responses.Job] | None = None
    scaling: responses.AutoScaleConfig | None = None
    read_at: float = 0.0
    notes: list[Finding] = field(default_factory=list)

    @property
    def attaching(self) -> set[str]:
        """Instances that a running task names."""
        return responses.attached_by(self.tasks or ())

    def is_wrong_region(self, desired: Desired) -> bool:
        """Whether the cluster's region is another than the one that is set."""
        region = self.cluster.region_id if self.cluster else ""
        return bool(region and desired.region) and region != desired.region

    def is_own_image(self, desired: Desired) -> bool:
        """Whether the wanted image is the cluster's own, which its nodes already have."""
        if self.cluster is None or desired.image_id != self.cluster.image_id:
            return False
        return self.cluster.image_owner_alias in ("", desired.image_owner_alias)

    def image_of(self, desired: Desired) -> tuple[str, str]:
        """Id and owner alias of the wanted image; without one, the cluster's own. Empty: not known."""
        if desired.image_id or not desired.image_known or self.cluster is None:
            return desired.image_id, desired.image_owner_alias
        return self.cluster.image_id, self.cluster.image_owner_alias or "system"

    def is_stopped(self, instance_id: str) -> bool:
        """Whether ECS listed it as Stopped; False if ECS was not asked."""
        instance = (self.instances or {}).get(instance_id)
        return instance is not None and instance.stopped

    def host(self, instance_id: str) -> str:
        """The host name, where it was read."""
        instance = (self.instances or {}).get(instance_id)
        node = (self.nodes or {}).get(instance_id)
        return (node.host_name if node else "") or (instance.host_name if instance else "")

    def name(self, instance_id: str) -> str:
        """For people: ``compute7 (i-…)`` where the host name is known."""
        host = self.host(instance_id)
        return f"{host} ({instance_id})" if host else instance_id


@dataclass(frozen=True)
class Changes:
    """Instance ids by what would be done. Each list is sorted.

    Attributes:
        keep: nodes of this resource.
        renew: of these, those whose owner tags get this resource's present name.
        adopt: nodes that become this resource's.
        take: of these, those whose owner tag names another resource.
        wait: instances that a task is attaching: waited for, not sent.
        attach: sent in AddExistedNodes; their system disks are replaced.
        stop: of these, those that are stopped first.
        unknown: of these, those that an earlier run may have sent: checked first.
        detaching: of these, those that are still being detached.
        detach: nodes of this resource that are not wanted.
        first: of these, those that are detached before anything is attached, for their host names.
        retain: nodes that leave this resource and stay attached.
        move: of keep and adopt, those that are in another queue than the wanted one.
    """

    keep: tuple[str, ...] = ()
    renew: tuple[str, ...] = ()
    adopt: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    wait: tuple[str, ...] = ()
    attach: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    detaching: tuple[str, ...] = ()
    detach: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    retain: tuple[str, ...] = ()
    move: tuple[str, ...] = ()

    @property
    def all(self) -> set[str]:
        """Every instance that is named."""
        return {i for ids in vars(self).values() for i in ids}


def describe(
    changes: Changes,
    names: Mapping[str, str],
    image: str,
    *,
    later: int = 0,
    queue: str = "",
    owners: Mapping[str, str] | None = None,
) -> str:
    """One line for the resource's row: "attach 3 (system disk replaced by …): a, b, c; keep 12; 1 call".

    Args:
        names: the known host names, by instance id.
        image: what replaces the system disks, for people.
        later: how many wanted instances are not known yet; some may be nodes, even those to detach.
        queue: that nodes are moved to.
        owners: the present owners of what is taken, by instance id.
    """
    last = tuple(i for i in changes.detach if i not in changes.first)
    disk, unless = f"system disk replaced by {image}", ", unless they are among those not known yet"
    stay = f"{unless if later else ''} (the instances are not released)"
    adopted = tuple(i for i in changes.adopt if i not in changes.take)
    taken = {i: f"{names.get(i) or i} (from {owner})" for i, owner in (owners or {}).items()}
    parts = [
        _part("first detach", changes.first, names, stay),
        _part("stop", changes.stop, names),
        _part("attach", changes.attach, names, f" ({disk})"),
        f"attach {later} not known yet ({disk}), unless already nodes" if later else "",
        _part("wait for", changes.wait, names, " (being attached already)"),
        _part("take ownership of", changes.take, taken),
        _part("adopt", adopted, names),
        f"keep {len(changes.keep)}" if changes.keep else "",
        _part("renew the owner tags of", changes.renew, names),
        _part("move", changes.move, names, f" to queue {queue}"),
        _part("retain", changes.retain, names, " (stay attached, leave this resource)"),
        _part("detach", last, names, stay),
    ]
    groups = (changes.first, changes.stop, changes.attach, changes.move, last)
    calls = sum(-(-len(ids) // 100) for ids in groups)
    if not later:
        parts.append(counted(calls, "call") if calls else "no call")
    return "; ".join(part for part in parts if part)


def _part(verb: str, ids: Collection[str], names: Mapping[str, str], note: str = "") -> str:
    if not ids:
        return ""
    shown = ", ".join(names.get(i) or i for i in [*ids][:6])
    more = f" and {len(ids) - 6} more" if len(ids) > 6 else ""
    return f"{verb} {len(ids)}{note}: {shown}{more}"
