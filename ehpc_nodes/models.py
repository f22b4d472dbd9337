"""What a program declares, what the state keeps, and how a resource is named. Strict, unlike the API's responses."""

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
#: What is done with nodes to detach that run jobs.
BusyNodes = Literal["refuse", "wait", "detach"]


@dataclass(frozen=True)
class Finding:
    """An error or a warning of the preview, about one input.

    Attributes:
        property: the input's name, as the program writes it.
        reason: which instance or thing, what is wrong, what to do.
        warning: True if the update is possible all the same.
    """

    property: str
    reason: str
    warning: bool = False


def _form(pattern: str, what: str, example: str) -> AfterValidator:
    def check(value: str) -> str:
        value = value.strip()  # files and shells may leave blanks around it
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
    """In the checked inputs and the engine's state, the set is a map with the instance ids as keys."""
    return list(value) if isinstance(value, Mapping) else value


def _as_set(ids: list[str]) -> list[str]:
    if not ids:
        raise ValueError(
            "list at least one instance. To detach all, or after all went to other resources, remove this resource"
        )
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
    """The arguments of a program, with their form checked; None: not given, or not known yet."""

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
    """The arguments with every default filled in: the desired state of an operation.

    ``image_id`` is empty if the cluster's own image is not known yet; ``job_queue`` is empty if the program leaves
    the queue to E-HPC.
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


#: The status of an instance that was sent and is not listed as a node yet.
ATTACHING = "attaching"
#: The same, after a run that waited in vain for a node or a task: only the instance runs.
STUCK = "stuck"


class NodeState(BaseModel):
    """One attached node, as saved in the state.

    ``scheduler_state``: the scheduler's own status, such as ``active`` or ``down``.
    ``confirmed_at``: when the node was confirmed, in seconds since 1970; 0: not confirmed.
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

    ``status`` is the task's own status (``Processing`` if it ran at the last read), ``Done`` for calls
    without a task, ``Unknown`` if the call got no answer and a later read showed that it was accepted.
    """

    action: str
    task_id: str = ""
    request_id: str = ""
    instance_ids: list[str]
    status: str = ""
    error: str = ""


class Failure(BaseModel):
    """Why an instance is not as the program wants it."""

    code: str
    reason: str


class State(Inputs):
    """The resource's outputs: its inputs with defaults, and what is attached.

    ``instance_ids`` are the instances that are attached, or may be. A state of another version can be read.
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

    The digest differs for two resources of one cluster. It depends on the inputs only, so a create that is repeated
    after a crash gives the same id.
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
        unknown: names of arguments that are not known yet: not missing, not checked.
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
        findings += [Finding(name, _problem(item)) for name, item in problems]
        bad = {name for name, _ in problems}
        declared = Declared.model_validate({k: v for k, v in known.items() if k not in bad})
    if declared.image_owner_alias and known.get("image_id") is None and "image_id" not in unknown:
        text = "is set without image_id: set image_id too"
        findings.append(Finding("image_owner_alias", text))
    twice = {*(declared.instance_ids or ())} & {*(declared.retain_ids or ())}
    if twice:
        text = f"{', '.join(sorted(twice)[:10])} is in retain_ids and in instance_ids: list it in one of them"
        findings.append(Finding("retain_ids", text))
    return declared, findings


#: What each argument takes, for the error about a wrong type.
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


def _problem(item: Any) -> str:
    name, *entry = item["loc"]
    if item["type"] == "extra_forbidden":
        return f"{name} is not an argument of AttachedNodes"
    if item["type"] == "value_error":
        where = f" (entry {entry[0]})" if entry else ""
        return str(item["msg"]).removeprefix("Value error, ") + where
    got = f"entry {entry[0]} is" if entry else "got"
    value = item["input"]
    kind = (
        repr(value) if item["type"] == "literal_error" and isinstance(value, str) else _kind(value)
    )
    return f"{_TAKES[str(name)]}; {got} {kind[:80]}"


def _kind(value: Any) -> str:
    """The type of a value, for people."""
    if isinstance(value, bool):
        return str(value)
    kinds = ((str, "a string"), ((int, float), "a number"), (Mapping, "a map"), (list, "a list"))
    if value is None:
        return "nothing"
    return next((name for kind, name in kinds if isinstance(value, kind)), type(value).__name__)
