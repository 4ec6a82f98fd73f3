"""`/api/v1/stream/{service}`: the updates of a service as an event stream (WHATWG HTML, 9.2).

The answer becomes a session with the same hub, outbox and policies as those of WebSockets. What a client says at the
beginning of a stream is a `subscribe`, and what it receives is what a WebSocket that shows `meta` receives.
"""

from __future__ import annotations

from typing import cast

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.event_session import EventSession
from gateway.event_stream import read_id
from gateway.http.admission import AdmissionPort, address_of, admit
from gateway.http.api import ApiRoute
from gateway.http.parameters import Asked, Parameter, Parameters, choice
from gateway.messages.actions import Since, Subscribe
from gateway.messages.fields import DELIVERS, Deliver
from gateway.transport.stream_protocol import EXTENSION
from gateway.transport.switching import SwitchingProtocol
from shared.bus import Position

PATH = "/api/v1/stream/{service}"

_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store, no-transform",  # some proxies compress what may be transformed, and buffer it for that
    "X-Accel-Buffering": "no",  # nginx buffers answers unless this says not to
}
_FOREIGN = 100  # characters of an id that is none of ours


def _read_since(text: str) -> Position | None:
    try:
        return read_id(text)
    except ValueError:
        raise ValueError("since must be <epoch>-<seq>, the id of an event") from None


SINCE: Parameter[Position | None] = Parameter(
    "since",
    "The id of the last event received, `<epoch>-<seq>`: what came after it is replayed. A `Last-Event-ID` header, "
    "which `EventSource` sends by itself when it comes back, is preferred",
    None,
    {"type": "string", "pattern": "^[!-~]{0,256}-[0-9]{1,15}$"},
    _read_since,
)
DELIVER = choice(
    "deliver", "What a client that is behind gets: only the latest update, or every one", DELIVERS, "every"
)
PARAMETERS = Parameters((SINCE, DELIVER))


async def stream(request: Request, asked: Asked) -> Response:
    """The updates of a service, or of `system`, as Server-Sent Events."""
    node: AdmissionPort = request.state.node
    if request.method == "HEAD":
        return _Head()
    number = admit(node, request)
    if isinstance(number, Response):
        return number
    service: str = request.path_params["service"]
    position, deliver = _came_back(request) or asked[SINCE], asked.given(DELIVER)
    command = Subscribe(
        asked=service,
        since=UNSET if position is None else Since(epoch=position.epoch, seq=position.seq),
        deliver=UNSET if deliver is None else cast(Deliver, deliver),
        filter=UNSET if asked.filter is None else asked.filter.as_dict(),
    )
    return _Stream(node, number, command, address_of(request))


def _came_back(request: Request) -> Position | None:
    """The position that a client comes back with by itself.

    An id that is not ours is one that nobody knows: what follows says that nothing could be recovered. An error would
    end an EventSource for ever, and it sends no other id until it gets one.
    """
    text = request.headers.get("last-event-id")
    if not text:
        return None
    try:
        return read_id(text)
    except ValueError:
        return Position(text[:_FOREIGN], 0)


class _Head(Response):
    """The head of an answer without length."""

    def __init__(self) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]


class _Stream(_Head):
    """A head behind which a session goes on."""

    def __init__(self, node: AdmissionPort, number: int, command: Subscribe, address: str | None) -> None:
        super().__init__()
        self._node = node
        self._number = number
        self._command = command
        self._address = address

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the head, and begin the session. It goes on without this request."""
        connection: SwitchingProtocol = scope["extensions"][EXTENSION]()
        connection.end_with_connection()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        socket = connection.stream()
        if socket is None:
            return
        socket.address = self._address
        if (reason := self._node.refusal) is not None:  # others came while the head waited for this client to read
            self._node.refusals.note(self._address, reason)
            socket.shutdown()
            return
        session = EventSession(self._node, socket, self._number)
        self._node.metrics.accepted.labels(PATH).inc()
        self._node.add(session)
        try:
            session.begin(self._command)
        except BaseException:
            session.lost()
            raise


ROUTES = [ApiRoute(PATH, stream, PARAMETERS, filtered=True)]
