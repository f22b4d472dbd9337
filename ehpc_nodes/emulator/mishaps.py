"""What a fault does to a call: before its effect, or to its answer."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answer, ApiError, Body, Dropped, throttled
from .declared import LISTS
from .faults import Fault

_UNAVAILABLE = "The request has failed due to a temporary failure of the server"


def before_effect(fault: Fault | None) -> Answer | None:
    """Raise or answer instead of acting; None: the call continues."""
    if fault is None:
        return None
    options = fault.options
    if fault.kind == "throttle":
        raise throttled(options.get("retry_after"))
    if fault.kind == "error":
        raise _error(options)
    if fault.kind == "reset_before":
        raise Dropped("reset", after_effect=False)
    if fault.kind == "redirect":
        location = options.get("location", "http://127.0.0.1:9/")
        return Answer(302, {}, {"Location": location}, raw=b"", content_type="text/html")
    if fault.kind == "garbage" and not options.get("after_effect", False):
        return _garbage(options)
    return None


def after_effect(fault: Fault | None, action: str, answer: Answer) -> Answer:
    """Change the answer, or raise instead."""
    options = fault.options if fault else {}
    match fault.kind if fault else "":
        case "error_after":
            raise _error(options)
        case "reset_after":
            raise Dropped("reset", after_effect=True)
        case "lost":
            raise Dropped("lost", after_effect=True, seconds=options.get("seconds", 60.0))
        case "garbage" if options.get("after_effect", False):
            return _garbage(options)
        case "truncated":
            text = json.dumps(answer.body).encode()
            answer.raw, answer.truncated = text[: len(text) // 2], True
        case "half_page":
            rows = _rows(action, answer.body)
            del rows[len(rows) // 2 :]
        case "unknown_status":
            for row in _rows(action, answer.body):
                if "Status" in row:
                    row["Status"] = options.get("word", "migrating")
    return answer


def _error(options: dict[str, Any]) -> ApiError:
    return ApiError(
        options.get("status", 503),
        options.get("code", "ServiceUnavailable"),
        options.get("message", _UNAVAILABLE),
    )


def _garbage(options: dict[str, Any]) -> Answer:
    raw = options.get("body", "<html><body>Bad Gateway</body></html>").encode()
    content_type = options.get("content_type", "text/html")
    return Answer(options.get("status", 502), {}, raw=raw, content_type=content_type)


def _rows(action: str, body: Body) -> list[Body]:
    """The items of a list answer, in place; an error answer has none."""
    found: Any = body
    for name in LISTS.get(action, ("",)):
        found = found.get(name, {})
    return found if isinstance(found, list) else []
