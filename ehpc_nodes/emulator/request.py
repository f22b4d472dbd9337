"""One HTTP request as the emulator reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, unquote

from .answers import ApiError

Pairs = list[tuple[str, str]]

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Request:
    """`path` is decoded, `query` is not; the names of `headers` are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """Read the request line's target."""
        path, _, query = target.partition("?")
        return cls(method, unquote(path), query, headers, body)

    @cached_property
    def query_pairs(self) -> Pairs:
        return _pairs(self.query)

    @cached_property
    def form_pairs(self) -> Pairs:
        """The form in the body, if it is one."""
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return _pairs(self.body.decode("utf-8", "replace")) if content_type == FORM else []

    @cached_property
    def params(self) -> dict[str, str]:
        """Parameters of query and form; the last value of each."""
        return dict(self.query_pairs + self.form_pairs)

    def check(self) -> None:
        """Reject what cannot be a call of an RPC action. The codes are guessed."""
        if self.method not in ("GET", "POST"):
            raise ApiError(400, "UnsupportedHTTPMethod", "This http method is not supported.")
        if self.path != "/":
            text = "The specified api is not found, please check your url and method."
            raise ApiError(404, "InvalidAction.NotFound", text)
        if self.body and not self.form_pairs:
            text = f"The body is not of the type {FORM}."
            raise ApiError(400, "InvalidParameter", text)
        if len(self.params) != len(self.query_pairs) + len(self.form_pairs):
            raise ApiError(400, "InvalidParameter", "A parameter is there more than once.")

    def named(self, header: str, parameter: str) -> str:
        """A value from a header or from a parameter."""
        return self.headers.get(header) or self.params.get(parameter, "")

    @property
    def action(self) -> str:
        return self.named("x-acs-action", "Action")

    @property
    def version(self) -> str:
        return self.named("x-acs-version", "Version")

    @property
    def wants_xml(self) -> bool:
        """The Format parameter, else the Accept header, else JSON."""
        if "Format" in self.params:
            return self.params["Format"].upper() == "XML"
        accept = self.headers.get("accept", "").lower()
        return "xml" in accept and "json" not in accept


def _pairs(text: str) -> Pairs:
    return parse_qsl(text, keep_blank_values=True)
