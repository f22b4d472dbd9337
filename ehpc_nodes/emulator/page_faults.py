"""The form for new faults: its texts, its fields, and the rule of a filled form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .declared import ACTIONS


def _number(text: str) -> object:
    """A number; any other text is kept, and the rule's own check names it."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text


def _names(text: str) -> object:
    return text.replace(",", " ").split()


def _flag(text: str) -> object:
    return {"yes": True, "no": False}.get(text, text)


@dataclass(frozen=True)
class Option:
    """A field for one option of a kind. If it is empty, the option is not given, and `default` is used."""

    name: str
    label: str
    default: str = ""
    read: Callable[[str], object] = str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of fault in words: its name, and what it does."""

    label: str
    does: str
    options: tuple[Option, ...] = ()


_ERROR = (
    Option("status", "HTTP status", "503", _number),
    Option("code", "Code", "ServiceUnavailable"),
    Option("message", "Message", "a temporary failure"),
)
_TASKS_ONLY = "For calls that start a task only."

KINDS: dict[str, Kind] = {
    "throttle": Kind(
        "Throttled",
        "Rejected with Throttling.User. Nothing is done.",
        (Option("retry_after", "Retry after (ms)", "none", _number),),
    ),
    "error": Kind("Error", "Rejected with this error. Nothing is done.", _ERROR),
    "error_after": Kind(
        "Error after the effect", "The call takes effect, the answer is this error.", _ERROR
    ),
    "reset_before": Kind(
        "Connection reset before the effect", "The connection breaks. Nothing is done."
    ),
    "reset_after": Kind(
        "Connection reset after the effect", "The call takes effect, then the connection breaks."
    ),
    "lost": Kind(
        "Answer lost",
        "The call takes effect. The caller gets no answer, until the connection closes.",
        (Option("seconds", "Silence (s)", "60", _number),),
    ),
    "slow": Kind(
        "Slow answer",
        "The answer comes late. Can be combined with other faults.",
        (Option("seconds", "Delay (s)", "1", _number),),
    ),
    "garbage": Kind(
        "Unreadable answer",
        "Another server answers, such as a proxy.",
        (
            Option("status", "HTTP status", "502", _number),
            Option("content_type", "Content type", "text/html"),
            Option("body", "Body", "Bad Gateway"),
            Option("after_effect", "After the effect", "no", _flag, ("no", "yes")),
        ),
    ),
    "truncated": Kind("Answer cut in half", "The call takes effect, half of its answer arrives."),
    "half_page": Kind("Half a list", "A list comes without its second half."),
    "unknown_status": Kind(
        "Unknown status",
        "All entries of a list have an unknown status.",
        (Option("word", "Status", "migrating"),),
    ),
    "redirect": Kind(
        "Redirect",
        "The answer is a redirect to another address. Nothing is done.",
        (Option("location", "To", "http://127.0.0.1:9/"),),
    ),
    "fail_nodes": Kind(
        "Nodes fail",
        f"The call is accepted, then nodes of its task fail. {_TASKS_ONLY}",
        (
            Option("instances", "Instance ids", "all of the call", _names),
            Option("count", "How many at most", "all", _number),
            Option("status", "They end", "exception", str, ("exception", "absent")),
            Option("task_status", "Status of the task", "PartialFail or Failed"),
            Option("errors", "Reason", "The node could not be initialised."),
        ),
    ),
    "task_never_ends": Kind("Task never ends", f"The call's task stays open. {_TASKS_ONLY}"),
}

SERVICES = {"E-HPC": sorted(ACTIONS["ehpc"]), "ECS": sorted(ACTIONS["ecs"])}


def rule(form: Mapping[str, str]) -> dict[str, Any]:
    """The rule of a filled form, for `Steering`, which checks it."""
    kind = form.get("kind", "")
    said: dict[str, Any] = {"kind": kind, "action": form.get("action", "*")}
    times, after, instance = (form.get(name, "").strip() for name in ("times", "after", "instance"))
    said["times"] = _number(times) if times else None
    if after:
        said["after"] = _number(after)
    if instance:
        said["instance"] = instance
    for option in KINDS[kind].options if kind in KINDS else ():
        text = form.get(f"{kind}-{option.name}", "").strip()
        if text:
            said[option.name] = option.read(text)
    return said
