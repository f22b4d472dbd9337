"""What a call can end in: an answer, a refusal, or a connection that breaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Body = dict[str, Any]


@dataclass
class Answer:
    """One answer of the API, success or refusal.

    `raw` is set where the bytes on the wire aren't the `body` (garbage, or one cut in half; then
    `truncated` says that the announced length is longer). `delay` is how late it comes.
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
        """Whether the API said yes, in words that can be read."""
        return self.status == 200 and self.raw is None and not self.truncated


class Dropped(Exception):  # noqa: N818  # what was asked for isn't an error
    """The caller gets no answer: `reset` breaks the connection at once, `lost` holds it open
    for `seconds` and closes it in silence. `after_effect` says whether the call took effect.
    """

    def __init__(
        self, kind: Literal["reset", "lost"], *, after_effect: bool, seconds: float = 0.0
    ) -> None:
        super().__init__(f"{kind}, {'after' if after_effect else 'before'} the effect")
        self.kind = kind
        self.after_effect = after_effect
        self.seconds = seconds


class ApiError(Exception):
    """A refusal in Alibaba Cloud's words: HTTP status, code, message."""

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
    """A mandatory parameter isn't there."""
    text = (
        f"The input parameter {name} that is mandatory for processing this request is not supplied."
    )
    return ApiError(400, "MissingParameter", text)


def invalid(name: str, why: str = "") -> ApiError:
    """E-HPC's word for a parameter that it can't accept."""
    text = f"The specified parameter {name} is invalid."
    return ApiError(400, "InvalidParams", f"{text} {why}".strip())


def cluster_not_found() -> ApiError:
    """E-HPC's answer about a cluster that isn't there."""
    return ApiError(404, "ClusterNotFound", "The specified cluster does not exist.")


def throttled(retry_after_ms: int | None = None) -> ApiError:
    """Too many calls of this account; nothing was done."""
    headers = {} if retry_after_ms is None else {"x-acs-retry-after": str(retry_after_ms)}
    text = "Request was denied due to user flow control."
    return ApiError(400, "Throttling.User", text, headers)
