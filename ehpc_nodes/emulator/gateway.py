"""From an HTTP request to the bytes of its reply, without sockets."""

from __future__ import annotations

from dataclasses import dataclass, field

from .answers import Answer, ApiError, missing
from .formats import JSON_TYPE, encode
from .journal import COMMON_PARAMETERS
from .page import TEXT_TYPE, Page, leads_to_page
from .request import Request
from .service import Emulator
from .signatures import Gate, claimed_key_id
from .steering import PREFIX, Steering


@dataclass
class Reply:
    """The bytes of a reply, sent after `delay` seconds; `truncated`: the length in the header is longer."""

    status: int
    content_type: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    truncated: bool = False


class Gateway:
    """The front of an emulator: reads requests, checks signatures, writes answers; also serves the control and the page."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._gate = Gate()
        self._steering = Steering(emulator)
        self._page = Page(emulator, self._steering)

    def reply(self, request: Request) -> Reply:
        """Answer a request.

        Raises:
            Dropped: the caller gets no answer.
        """
        if leads_to_page(request):
            return Reply(302, TEXT_TYPE, b"", {"Location": PREFIX})
        if request.path == PREFIX and request.method in ("GET", "HEAD", "POST"):
            return Reply(*self._page.reply(request))
        if request.path.startswith(PREFIX):
            status, said = self._steering.reply(request)
            return Reply(status, JSON_TYPE, said)
        answer = self._answer(request)
        content_type, body = encode(answer, request.action, as_xml=request.wants_xml)
        request_id = answer.body.get("RequestId", "")
        headers = {"x-acs-request-id": request_id} if request_id else {}
        return Reply(
            answer.status,
            content_type,
            body,
            {**headers, **answer.headers},
            answer.delay,
            answer.truncated,
        )

    def _answer(self, request: Request) -> Answer:
        try:
            request.check()
            key = self._gate.admit(request, self.emulator.world)
            for name, value in (("Action", request.action), ("Version", request.version)):
                if not value:
                    raise missing(name)
        except ApiError as error:
            return self.emulator.refuse(error, request.action, claimed_key_id(request))
        params = {k: v for k, v in request.params.items() if k not in COMMON_PARAMETERS}
        return self.emulator.call(request.action, request.version, params, key)
