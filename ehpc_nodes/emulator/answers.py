"""How a call ends: an answer, an error, or a broken connection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Body = dict[str, Any]


@dataclass
class Answer:
    """One answer of the API, success or error.

    `raw` is set if the bytes that are sent are not the `body` (garbage, or half of it; `truncated`: the length in
    the header is that of the whole). `delay` is how late it comes.
    """

    status: int
    body: Body
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    raw: bytes | None = None
    content_type: str | None = None
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is a readable success."""
        return self.status == 200 and self.raw is None and not self.truncated


class Dropped(Exception):  # noqa: N818  # wanted by a rule, not an error
    """The caller gets no answer: `reset` breaks the connection at once, `lost` keeps it open
    for `seconds`, then closes it. `after_effect`: whether the call took effect.
    """

    def __init__(
        self, kind: Literal["reset", "lost"], *, after_effect: bool, seconds: float = 0.0
    ) -> None:
        super().__init__(f"{kind}, {'after' if after_effect else 'before'} the effect")
        self.kind = kind
        self.after_effect = after_effect
        self.seconds = seconds


class ApiError(Exception):
    """An error in Alibaba Cloud's form: HTTP status, code, message."""

    def __init__(
        self, status: int, code: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def answer(self, request_id: str, host: str) -> Answer:
        """The error envelope."""
        body = {
            "RequestId": request_id,
            "HostId": host,
            "Code": self.code,
            "Message": self.message,
        }
        return Answer(self.status, body, dict(self.headers))


def missing(name: str) -> ApiError:
    """A mandatory parameter is missing."""
    text = (
        f"The input parameter {name} that is mandatory for processing this request is not supplied."
    )
    return ApiError(400, "MissingParameter", text)


def invalid(name: str, why: str = "") -> ApiError:
    """E-HPC's error about a parameter that is not valid."""
    text = f"The specified parameter {name} is invalid."
    return ApiError(400, "InvalidParams", f"{text} {why}".strip())


def cluster_not_found() -> ApiError:
    """E-HPC's error about a cluster that does not exist."""
    return ApiError(404, "ClusterNotFound", "The specified cluster does not exist.")


def throttled(retry_after_ms: int | None = None) -> ApiError:
    """Too many calls of this account; nothing was done."""
    headers = {} if retry_after_ms is None else {"x-acs-retry-after": str(retry_after_ms)}
    text = "Request was denied due to user flow control."
    return ApiError(400, "Throttling.User", text, headers)
