"""Status: how a worker is, for whoever asks it over HTTP: `/health/live`, `/health/ready`, `/metrics`.

Asked in threads of their own: a loop that hangs can't answer, and it is just then that an answer is wanted.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_BEAT = 1.0  # s between two proofs that the loop turns
_HANGS = 5.0  # s without one: a cycle parses some MB in a fraction of that
_SLOWEST = 5.0  # s for a client to send its request: beyond it, its thread ends


class _Handler(WSGIRequestHandler):
    timeout = _SLOWEST

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        """Nothing: being asked every few seconds is no news."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # a client that is slow does not keep the worker from ending
    block_on_close = False

    def server_bind(self) -> None:
        """As the library's, but without asking DNS for a name of ours that nobody reads."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class Status:
    """The answers of one worker, and the server that gives them."""

    def __init__(
        self,
        registry: CollectorRegistry,
        unready: Callable[[], list[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`unready` has the reasons why the worker can't do its work now; it is called from other threads."""
        self._metrics = make_wsgi_app(registry)
        self._unready = unready
        self._clock = clock
        self._turned_at = clock()
        self._server: WSGIServer | None = None

    async def run(self) -> None:
        """Prove that the event loop turns, until cancelled."""
        while True:
            self._turned_at = self._clock()
            await asyncio.sleep(_BEAT)

    def serve(self, host: str, port: int) -> int:
        """Answer from now on. Returns the port, a free one for 0. Raises OSError where it is taken."""
        server = (_Server6 if ":" in host else _Server)((host, port), _Handler)
        server.set_app(self)
        self._server = server
        Thread(target=server.serve_forever, name="status", daemon=True).start()
        return int(server.server_address[1])

    def close(self) -> None:
        """Stop answering. Takes half a second at most: call it from a thread."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request, as WSGI has it."""
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET":
            return _json(start_response, "405 Method Not Allowed", {"status": "error"})
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


def _json(start_response: StartResponse, status: str, body: dict[str, object]) -> list[bytes]:
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]
