"""What a program declares, what the state keeps, and how a resource is named. Strict, unlike `wire`."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    StrictBool,
    StrictStr,
    ValidationError,
)

OwnerAlias = Literal["system", "self", "others", "marketplace"]
#: What is done about nodes to detach that run jobs.
BusyNodes = Literal["refuse", "wait", "detach"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong or worth saying, on the input that it is about.

    Attributes:
        property: the input's name, as the program writes it.
        reason: one sentence: what is wrong, with which thing, what to do.
        warning: True where it doesn't forbid going on.
    """

    property: str
    reason: str
    warning: bool = False


def _form(pattern: str, what: str, example: str) -> AfterValidator:
    def check(value: str) -> str:
        value = value.strip()  # what files and shells leave around it
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value[:80]!r} is not {what} (such as {example})")
        return value

    return AfterValidator(check)


CLUSTER_ID = r"ehpc-[A-Za-z0-9-]{1,60}"
ClusterId = Annotated[StrictStr, _form(CLUSTER_ID, "a cluster id", "ehpc-hz-FYUr32abcd")]
InstanceId = Annotated[
    StrictStr, _form(r"i-[A-Za-z0-9]{1,60}", "an instance id", "i-bp16mxn6mt3t7ftkabcd")
]
Region = Annotated[StrictStr, _form(r"[a-z0-9-]{1,60}", "a region", "cn-hangzhou")]
ImageId = Annotated[
    StrictStr, _form(r"[A-Za-z0-9._:-]{1,200}", "an image id", "centos_7_06_64_20G.vhd or m-bp1…")
]
QueueName = Annotated[StrictStr, _form(r"[^\s/&?#]{1,100}", "a queue's name", "workq")]


def _keys_of_map(value: Any) -> Any:
    """The checked inputs and the engine's state hold the set as a map keyed by instance id."""
    return list(value) if isinstance(value, Mapping) else value


def _as_set(ids: list[str]) -> list[str]:
    if not ids:
        raise ValueError("name at least one instance; to detach all, remove the resource")
    twice = sorted(i for i, times in Counter(ids).items() if times > 1)
    if twice:
        raise ValueError(f"{', '.join(twice[:10])} is listed more than once; list it once")
    return sorted(ids)


def _sorted(ids: list[str]) -> list[str]:
    return sorted({*ids})


DeclaredIds = Annotated[list[InstanceId], AfterValidator(_sorted)]
RetainedIds = Annotated[list[InstanceId], BeforeValidator(_keys_of_map)]
DeclaredSet = Annotated[list[InstanceId], AfterValidator(_as_set)]
InstanceSet = Annotated[list[InstanceId], BeforeValidator(_keys_of_map), AfterValidator(_as_set)]


class Declared(BaseModel):
    """The arguments as a program gave them, form checked; None: not given (or not known yet)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster_id: ClusterId | None = None
    region: Region | None = None
    instance_ids: DeclaredSet | None = None
    image_id: ImageId | None = None
    image_owner_alias: OwnerAlias | None = None
    job_queue: QueueName | None = None
    replace_system_disks: StrictBool | None = None
    stop_running: StrictBool | None = None
    busy_nodes: BusyNodes | None = None
    retain_ids: DeclaredIds | None = None
    take_ownership: StrictBool | None = None


class Inputs(BaseModel):
    """The arguments with every default resolved: what an operation works towards.

    ``image_id`` is empty where the cluster's own image isn't known yet; ``job_queue`` is empty where the
    program leaves the queue to the cluster.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    cluster_id: ClusterId
    region: Region
    instance_ids: InstanceSet
    image_id: str = ""
    image_owner_alias: str = ""
    job_queue: str = ""
    replace_system_disks: bool = False
    stop_running: bool = False
    busy_nodes: BusyNodes = "refuse"
    retain_ids: RetainedIds = []
    take_ownership: bool = False


#: The status of a node that was sent and is not among the cluster's nodes yet.
ATTACHING = "attaching"
#: The same, where a run has waited in vain for anything else to show it than that the instance runs.
STUCK = "stuck"


class NodeState(BaseModel):
    """One attached node, as the state keeps it.

    ``scheduler_state``: the scheduler's own word, such as ``active`` or ``down``.
    ``confirmed_at``: since when it is known as settled, in seconds since 1970; 0: it is not.
    """

    host_name: str = ""
    private_ip: str = ""
    status: str = ""
    queue: str = ""
    image_id: str = ""
    instance_type: str = ""
    scheduler_state: str = ""
    confirmed_at: int = 0


class TaskRecord(BaseModel):
    """One write call of the last operation.

    ``status`` is the task's own word (``Processing`` where it was last seen running), ``Done`` for calls
    without a task, ``Unknown`` where the answer was lost and the work was found by looking.
    """

    action: str
    task_id: str = ""
    request_id: str = ""
    instance_ids: list[str]
    status: str = ""
    error: str = ""


class Failure(BaseModel):
    """Why an instance is not what the program wants."""

    code: str
    reason: str


class State(Inputs):
    """The resource's outputs: its inputs as resolved, and what is attached.

    ``instance_ids`` are the instances that are attached, or may be; tolerant of what other versions saved.
    """

    instance_ids: list[str] = []
    task_id: str = ""
    request_id: str = ""
    tasks: list[TaskRecord] = []
    nodes: dict[str, NodeState] = {}
    failed: dict[str, Failure] = {}
    owner: str = ""
    generation: int = 0

    def without(self, instance_ids: Collection[str]) -> State:
        """The same without these instances and their nodes."""
        return self.model_copy(
            update={
                "instance_ids": [i for i in self.instance_ids if i not in instance_ids],
                "nodes": {i: node for i, node in self.nodes.items() if i not in instance_ids},
            }
        )


@dataclass(frozen=True)
class ResourceId:
    """The Pulumi id, ``<cluster_id>/<digest of the set that it was created with>``.

    The digest tells two resources of one cluster apart and follows from the inputs, so that a create
    which is repeated after a crash gives the same id.
    """

    cluster_id: str
    digest: str

    @classmethod
    def of(cls, inputs: Inputs) -> ResourceId:
        text = "\n".join(sorted(inputs.instance_ids))
        return cls(inputs.cluster_id, hashlib.sha256(text.encode()).hexdigest()[:10])

    @classmethod
    def parse(cls, text: str) -> ResourceId:
        cluster_id, _, digest = text.strip().partition("/")
        return cls(cluster_id, digest)

    def __str__(self) -> str:
        return f"{self.cluster_id}/{self.digest}"


def check_form(
    known: Mapping[str, Any], unknown: Collection[str]
) -> tuple[Declared, list[Finding]]:
    """The declared arguments, and what is wrong with their form (those fields are then None).

    Args:
        known: argument name to value.
        unknown: names of arguments whose values come later: not missing, not checked.
    """
    findings = [
        Finding(name, f"{name} is required")
        for name in ("cluster_id", "instance_ids")
        if known.get(name) is None and name not in unknown
    ]
    try:
        declared = Declared.model_validate(known)
    except ValidationError as error:
        problems = [(str(item["loc"][0]), item) for item in error.errors()]
        findings += [Finding(name, _say(item)) for name, item in problems]
        bad = {name for name, _ in problems}
        declared = Declared.model_validate({k: v for k, v in known.items() if k not in bad})
    if declared.image_owner_alias and known.get("image_id") is None and "image_id" not in unknown:
        text = "is given without image_id: name the image too"
        findings.append(Finding("image_owner_alias", text))
    twice = {*(declared.instance_ids or ())} & {*(declared.retain_ids or ())}
    if twice:
        text = f"{', '.join(sorted(twice)[:10])} is in retain_ids and in instance_ids: list it in one of them"
        findings.append(Finding("retain_ids", text))
    return declared, findings


#: What each argument takes, for who gave something of another type.
_TAKES = {
    "cluster_id": "give a cluster id, like 'ehpc-hz-FYUr32abcd'",
    "region": "give a region, like 'cn-hangzhou'",
    "instance_ids": "give a list of instance ids, like ['i-bp16mxn6mt3t7ftkabcd'] (from config: require_object)",
    "retain_ids": "give a list of instance ids, like ['i-bp16mxn6mt3t7ftkabcd']",
    "image_id": "give an image id, like 'centos_7_06_64_20G.vhd' or 'm-bp1…'",
    "image_owner_alias": "give 'system', 'self', 'others' or 'marketplace'",
    "job_queue": "give a queue's name, like 'workq'",
    "busy_nodes": "give 'refuse', 'wait' or 'detach'",
    **dict.fromkeys(
        ("replace_system_disks", "stop_running", "take_ownership"),
        "give True or False (from config: get_bool)",
    ),
}


def _say(item: Any) -> str:
    name, *entry = item["loc"]
    if item["type"] == "extra_forbidden":
        return f"{name} is not an argument of AttachedNodes"
    if item["type"] == "value_error":
        where = f" (entry {entry[0]})" if entry else ""
        return str(item["msg"]).removeprefix("Value error, ") + where
    got = f"entry {entry[0]} is" if entry else "got"
    value = item["input"]
    told = (
        repr(value) if item["type"] == "literal_error" and isinstance(value, str) else _kind(value)
    )
    return f"{_TAKES[str(name)]}; {got} {told[:80]}"


def _kind(value: Any) -> str:
    """What a value is, in plain words."""
    if isinstance(value, bool):
        return str(value)
    kinds = ((str, "a string"), ((int, float), "a number"), (Mapping, "a map"), (list, "a list"))
    if value is None:
        return "nothing"
    return next((told for kind, told in kinds if isinstance(value, kind)), type(value).__name__)
