"""Status: the health and metrics of a worker over HTTP: `/health/live`, `/health/ready`, `/metrics`.

Separate threads answer, also while the event loop hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import structlog
from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_BEAT = 1.0  # s between two signs of life of the event loop
_HANGS = 5.0  # s without one after which the loop counts as hanging: a cycle parses some MB in a fraction of that
_SLOWEST = 5.0  # s for a client to ask and to read the answer, which takes milliseconds; then it is disconnected
_OPEN = 16  # connections, each with a thread: a health check, Prometheus, a person. One more disconnects the oldest
_LOOK = 0.1  # s between two checks for slow clients and for `close`

log = structlog.get_logger()


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name for it
        """Log nothing: health checks come every few seconds."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a client that is slow does not keep the worker from ending
    block_on_close = False
    request_queue_size = _OPEN  # with the library's 5, some of a burst wait a second for TCP to retransmit

    def __init__(self, address: tuple[str, int]) -> None:
        self._since: dict[Any, float] = {}  # connection → time when it came, the oldest first
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As the library's, but without a DNS query for our own name, which is not used."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread. Beyond the limit, close the oldest connection, so that a health check gets through."""
        self._since[request] = time.monotonic()
        for oldest in list(self._since)[:-_OPEN]:
            self._cut(oldest)
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """After every poll: disconnect clients that take too long."""
        now = time.monotonic()
        for request, since in self._since.copy().items():  # threads remove theirs meanwhile
            if now - since > _SLOWEST:
                self._cut(request)

    def _cut(self, request: Any) -> None:
        """Close a connection; its thread then ends too."""
        self._since.pop(request, None)
        with contextlib.suppress(OSError):  # it was closing already
            request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, whatever ended it."""
        self._since.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing for a client that left; the library would print a traceback."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.error("a request for the worker's status failed", exc_info=error)


class _Server6(_Server):
    address_family = socket.AF_INET6


class Status:
    """The answers of one worker, and the server that sends them."""

    def __init__(
        self,
        registry: CollectorRegistry,
        unready: Callable[[], list[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`unready` returns the reasons why the worker can't work now; it is called from other threads."""
        self._metrics = make_wsgi_app(registry)
        self._unready = unready
        self._clock = clock
        self._turned_at = clock()
        self._server: WSGIServer | None = None

    async def run(self) -> None:
        """Record that the event loop runs, until cancelled."""
        while True:
            self._turned_at = self._clock()
            await asyncio.sleep(_BEAT)

    def serve(self, host: str, port: int) -> int:
        """Answer from now on. Returns the port, a free one for 0. Raises OSError if it is taken."""
        server = (_Server6 if ":" in host else _Server)((host, port))
        server.set_app(self)
        self._server = server
        Thread(target=server.serve_forever, args=[_LOOK], name="status", daemon=True).start()
        return int(server.server_address[1])

    def close(self) -> None:
        """Stop answering. Blocks until the server's next poll, so call it from a thread."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One WSGI request."""
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET":
            return _json(start_response, "405 Method Not Allowed", {"status": "error"}, ("Allow", "GET"))
        if path == "/metrics":
            page: Iterable[bytes] = self._metrics(environ, start_response)
            return page
        hangs = self._clock() - self._turned_at
        dead = [f"the event loop has not turned for {hangs:.0f} s"] if hangs > _HANGS else []
        if path == "/health/live":
            return _health(start_response, "live", dead)
        if path == "/health/ready":
            return _health(start_response, "ready", dead + self._unready())
        return _json(start_response, "404 Not Found", {"status": "error"})


def _health(start_response: StartResponse, good: str, reasons: list[str]) -> list[bytes]:
    if reasons:
        return _json(start_response, "503 Service Unavailable", {"status": f"not {good}", "reasons": reasons})
    return _json(start_response, "200 OK", {"status": good, "reasons": []})


def _json(
    start_response: StartResponse, status: str, body: dict[str, object], *headers: tuple[str, str]
) -> list[bytes]:
    start_response(status, [("Content-Type", "application/json"), *headers])
    return [json.dumps(body).encode()]
