"""The page to watch, at the root of the steering prefix: a GET shows it, a POST of one of its forms acts.

Each form becomes a request to `Steering`, whose errors the page shows. To view the page changes nothing, and the
journal has no entry of it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any

from .page_faults import KINDS, SERVICES, rule
from .page_view import view
from .page_words import many, often, tone
from .request import Request
from .service import Emulator
from .steering import PREFIX, Refused, Steering, check_site

if TYPE_CHECKING:
    from jinja2 import Template

HTML_TYPE = "text/html; charset=utf-8"
TEXT_TYPE = "text/plain; charset=utf-8"
Form = Mapping[str, str]

# The paces of new tasks: as `Steering` takes them, and in words.
PACES: dict[str, tuple[Any, str]] = {
    "instant": ("instant", "at once"),
    "held": ("held", "when released"),
    "s2": ({"seconds": 2}, "after 2 s"),
    "s10": ({"seconds": 10}, "after 10 s"),
    "reads5": ({"reads": 5}, "after 5 reads"),
    "never": ("never", "never"),
}


def _seconds(form: Form) -> Any:
    try:
        return {"advance": float(form.get("seconds", ""))}
    except ValueError:
        return {"advance": form.get("seconds", "")}


def _switched(form: Form, *, off: bool) -> tuple[str, str, Any]:
    number = form.get("number", "")
    named = int(number) if number.isdecimal() and len(number) < 10 else number
    return "PATCH", "faults", {"number": named, "off": off}


def _end_job(form: Form) -> tuple[str, str, Any]:
    named = {"cluster_id": form.get("cluster", ""), "job_id": form.get("job", "")}
    return "POST", "outside", {"do": "end_job", **named}


# A form's `do` -> its section of the page, and its request to `Steering`.
Act = Callable[[Form], tuple[str, str, Any]]
_ACTS: dict[str, tuple[str, Act]] = {
    "add-fault": ("faults", lambda form: ("POST", "faults", rule(form))),
    "remove-fault": (
        "faults",
        lambda form: ("DELETE", f"faults?number={form.get('number', '')}", None),
    ),
    "switch-fault-off": ("faults", lambda form: _switched(form, off=True)),
    "switch-fault-on": ("faults", lambda form: _switched(form, off=False)),
    "clear-faults": ("faults", lambda _: ("DELETE", "faults", None)),
    "release": ("tasks", lambda form: ("POST", "tasks", {"release": form.get("task", "")})),
    "end-job": ("clusters", _end_job),
    "pace": (
        "time",
        lambda form: ("PATCH", "knobs", {"task_pace": PACES.get(form.get("pace", ""), ("",))[0]}),
    ),
    "advance": ("time", lambda form: ("POST", "clock", _seconds(form))),
    "reset": ("time", lambda _: ("POST", "reset", None)),
    "clear-journal": ("journal", lambda _: ("DELETE", "journal", None)),
}


class Page:
    """The page that shows an emulator and controls it."""

    def __init__(self, emulator: Emulator, steering: Steering) -> None:
        self._emulator = emulator
        self._steering = steering

    def reply(self, request: Request) -> tuple[int, str, bytes, dict[str, str]]:
        """The status, the content type, the body and headers of the answer."""
        try:
            check_site(request)
            if request.method == "POST":
                return self._act(request)
            return self._show(request)
        except Refused as error:
            return error.status, TEXT_TYPE, f"{error}\n".encode(), {}
        except ModuleNotFoundError as error:
            return 503, TEXT_TYPE, f"{_lacking(error)}\n".encode(), {}

    def _act(self, request: Request) -> tuple[int, str, bytes, dict[str, str]]:
        form = dict(request.form_pairs)
        if form.get("do") not in _ACTS:
            raise Refused(400, f"the form's `do` must be one of {', '.join(_ACTS)}")
        section, act = _ACTS[form["do"]]
        method, target, body = act(form)
        sent = Request.of(method, PREFIX + target, request.headers, json.dumps(body).encode())
        status, said = self._steering.reply(sent)
        if status != 200:
            return self._show(request, status, section, json.loads(said)["error"], form)
        return 303, TEXT_TYPE, b"", {"Location": f"{_here(request)}#{section}"}

    def _show(
        self,
        request: Request,
        status: int = 200,
        section: str = "",
        error: str = "",
        form: Form | None = None,
    ) -> tuple[int, str, bytes, dict[str, str]]:
        template, headers = _template()
        with self._emulator.turn():
            html = template.render(
                view(self._emulator),
                here=_here(request),
                is_still=_is_still(request),
                failed=(section, error),
                form=form or {},
            )
        return status, HTML_TYPE, html.encode("utf-8", "replace"), headers


def why_not() -> str:
    """Why there is no page; empty if there is one."""
    try:
        _template()
    except ModuleNotFoundError as error:
        return _lacking(error)
    return ""


def _lacking(error: ModuleNotFoundError) -> str:
    return f"the page needs another package: {error}: pip install 'ehpc-nodes[emulator]'"


def leads_to_page(request: Request) -> bool:
    """Whether a browser asks for the root: a call of the API has an action, or does not accept HTML."""
    names_call = any(name.startswith("x-acs-") for name in request.headers) or request.query
    wants_html = "text/html" in request.headers.get("accept", "")
    return (
        request.method in ("GET", "HEAD")
        and request.path in ("/", PREFIX.rstrip("/"))
        and wants_html
        and not names_call
    )


def _is_still(request: Request) -> bool:
    """Whether the page does not reload itself in a browser without scripts."""
    return request.query == "still"


def _here(request: Request) -> str:
    return f"{PREFIX}?still" if _is_still(request) else PREFIX


@functools.cache
def _template() -> tuple[Template, dict[str, str]]:
    """The template, and the headers: only its own style and script, and no frames."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    css, script = _text("page.css") + "".join(map(_shown_when_chosen, KINDS)), _text("page.js")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"tone": tone, "many": many, "often": often}
    environment.globals |= {
        "css": Markup(css),  # noqa: S704  # a file of the package
        "script": Markup(script),  # noqa: S704  # a file of the package
        "kinds": KINDS,
        "services": SERVICES,
        "paces": {name: words for name, (_, words) in PACES.items()},
    }
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(script)}'; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        # not `no-referrer`: with it, browsers send the Origin `null` for the page's own forms
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return environment.from_string(_text("page.html")), headers


def _shown_when_chosen(kind: str) -> str:
    """The style that shows a kind's fields; browsers without `:has` show those of all kinds."""
    return f'form:has(option[value="{kind}"]:checked) [data-kind="{kind}"] {{ display: block; }}\n'


def _text(name: str) -> str:
    return resources.files(__package__ or "").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
