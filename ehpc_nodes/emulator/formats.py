"""Answers as bytes: JSON or XML."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.sax.saxutils import escape

from .answers import Answer

JSON_TYPE = "application/json;charset=utf-8"
XML_TYPE = "text/xml;charset=utf-8"  # exactly so: the official SDK compares it as text

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def encode(answer: Answer, action: str, *, as_xml: bool) -> tuple[str, bytes]:
    """The content type and the bytes of an answer."""
    if answer.raw is not None:
        return answer.content_type or JSON_TYPE, answer.raw
    if as_xml:
        root = "Error" if answer.status >= 400 else f"{action}Response"
        return XML_TYPE, f'<?xml version="1.0" encoding="UTF-8"?>{_xml(root, answer.body)}'.encode()
    return JSON_TYPE, json.dumps(answer.body, ensure_ascii=False).encode("utf-8", "replace")


def _xml(name: str, value: Any) -> str:
    """An element; a list repeats it, so an empty list has no element."""
    if isinstance(value, list):
        return "".join(_xml(name, item) for item in value)
    return f"<{name}>{_content(value)}</{name}>"


def _content(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(_xml(name, item) for name, item in value.items())
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_NOT_IN_XML.sub("\ufffd", str(value)))
