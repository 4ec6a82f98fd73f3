"""Node: everything that a gateway process runs, and the order in which it stops.

uvicorn runs inside the node and not the other way round: if a relay died inside an ASGI lifespan, the server would go
on accepting clients and send them nothing. Here, if any task dies, the process logs why and exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket

import structlog
import uvicorn

from gateway.app import create_app
from gateway.broadcast.comments import COMMENT_SECONDS, Comments
from gateway.broadcast.heartbeat import HEARTBEAT_SECONDS, Heart
from gateway.broadcast.hub import Hub
from gateway.broadcast.relay import Relay
from gateway.consumer import Consumer
from gateway.directory import Directory
from gateway.history.archive import Archive
from gateway.history.lines import Streams
from gateway.http import coins
from gateway.http.coins import CoinTable
from gateway.http.rest import stats_answers
from gateway.messages.faults import CloseCode
from gateway.protocol import notice
from gateway.transport.keepalive import Keepalive
from gateway.transport.listener import listen
from gateway.transport.proxies import TrustedProxies
from gateway.transport.refusals import Refusals
from gateway.transport.server import Server
from gateway.transport.shared import Shared
from gateway.transport.switching import SwitchingProtocol
from gateway.transport.turn import Turn
from gateway.waiting import Waiting
from shared.bus import Subscription, open_redis
from shared.bus.coin_list import CoinList
from shared.bus.presence import Presence
from shared.bus.stats_reader import StatsReader
from shared.catalog import CHANNEL_NAMES, SYSTEM
from shared.channels import Channels
from shared.database import open_database
from shared.envelope import UPDATE
from shared.errors import BusError
from shared.metrics import BusMetrics, GatewayMetrics, open_registry
from shared.payloads import SystemNotice
from shared.settings import Settings
from shared.timestamps import now_iso

log = structlog.get_logger()

_NOTICE_SHARE = 0.1  # of a drain that passes before the first close: half a second as deployed
_STEP = 0.01  # s between closes of a drain; finer steps would only wake the loop more often
_CLOSING = 5  # s for clients to answer our close frame; then the server stops anyway


class Node:
    """One gateway."""

    def __init__(
        self, settings: Settings, *, heartbeat: float = HEARTBEAT_SECONDS, comment: float = COMMENT_SECONDS
    ) -> None:
        """Build everything; start nothing. A heartbeat is sent every `heartbeat` seconds, a comment every `comment`.

        Raises SettingsError for an address that can't be used.
        """
        self.settings = settings
        self.name = secrets.token_hex(6)
        self.registry = open_registry()
        self.metrics = GatewayMetrics(self.registry)
        self.waiting = Waiting(settings.waiting_bytes)
        self.metrics.waiting.set_function(lambda: self.waiting.used)
        self.refusals = Refusals(self.metrics.refused)
        self.clients: Shared
        """What the connections of all clients share; made when the node runs."""
        self.port = settings.port
        self._redis = open_redis(settings)
        self._public = open_redis(settings)  # for requests: what they take, readiness does not wait for
        channels = Channels(settings.redis_prefix)
        bus_metrics = BusMetrics(self.registry)
        self.presence = Presence(self._redis, channels, self.name)
        self.stats = stats_answers(StatsReader(self._public, channels, self.presence))
        self.hub = Hub(
            CHANNEL_NAMES,
            settings.history_length,
            self.metrics,
            kept=settings.outbox_bytes,
            joins=settings.ws_join_updates,
            spare_bytes=settings.history_bytes,
        )
        self.directory = Directory(CoinList(self._redis, channels))
        self.coins = CoinTable(self.hub.recent[coins.SERVICE], self.directory)
        self._heart = Heart(self.hub, heartbeat)
        self._comments = Comments(self.hub, comment)
        self.relay = Relay(
            Subscription(
                self._redis,
                channels,
                CHANNEL_NAMES,
                self.name,
                deadline=settings.delivery_deadline,
                metrics=bus_metrics,
            ),
            self.hub,
            bus_metrics,
        )
        self.archive = Archive(open_database(settings), settings.retention_days)
        self.streams = Streams()
        self._app = TrustedProxies(create_app(self), settings.forwarded_allow_ips)
        self._sessions: dict[Consumer, None] = {}  # in the order in which they connected
        self._number: int | None = None
        self._draining = False
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.metrics.connections.set_function(lambda: len(self._sessions))

    # What requests need (see gateway.app.AppPort).

    @property
    def unready(self) -> list[str]:
        """Why this gateway is not ready for clients; empty when it is."""
        reasons = []
        if self._draining:
            reasons.append("draining")
        if not self.relay.whole:
            reasons.append("the histories are not read yet")
        elif not self.relay.proven:
            reasons.append("delivery from Redis is not proven")
        if not self.directory.asked:
            reasons.append("the coins are not read yet")
        if self._number is None:
            self._number = self.presence.next_number()
            if self._number is None:
                reasons.append("no client numbers yet")
        return reasons

    @property
    def refusal(self) -> str | None:
        """Why a new client is refused, or None. An outage of Redis is no reason: it ends."""
        if self._draining:
            return "draining"
        if not self.relay.whole:
            return "not ready"  # it could be sent something older than what it has
        if not self.directory.asked:
            return "not ready"  # symbols of coins would be unknown
        if len(self._sessions) >= self.settings.max_connections:
            return "full"
        return None

    def next_number(self) -> int | None:
        """The number of a new client, or None while there is none yet."""
        number, self._number = self._number, None
        return self.presence.next_number() if number is None else number

    def add(self, session: Consumer) -> None:
        """Count `session` until it is removed."""
        self._sessions[session] = None

    def remove(self, session: Consumer) -> None:
        """The session has ended."""
        self._sessions.pop(session, None)

    # Life of the process.

    def bind(self) -> socket.socket:
        """Listen on the host and port of the settings. Raises OSError where that is not possible."""
        listener = listen(self.settings.host, self.settings.port)
        self.port = listener.getsockname()[1]
        return listener

    async def run(self, listener: socket.socket) -> int:
        """Serve until a signal, or until a task dies. Returns the exit status: 0 after a signal, else 1."""
        self._loop = asyncio.get_running_loop()
        server = Server(self._config(), self.stop, listener)
        keepalive = Keepalive(self.settings.ws_ping_interval, self.settings.ws_ping_timeout)
        self.clients = Shared(
            self._app,
            self.metrics,
            self.refusals,
            keepalive,
            Turn(self._loop),
            self.waiting,
            compresses=self.settings.ws_compression,
            state={"node": self},
            connections=server.server_state.connections,
            tasks=server.server_state.tasks,
        )
        self.metrics.http_connections.set_function(lambda: server.http_connections)
        tasks = {
            "relay": asyncio.create_task(self.relay.run()),
            "hub": asyncio.create_task(self.hub.run()),
            "heartbeat": asyncio.create_task(self._heart.run()),
            "directory": asyncio.create_task(self.directory.run()),
            "coins": asyncio.create_task(self.coins.run()),
            "comments": asyncio.create_task(self._comments.run()),
            "presence": asyncio.create_task(self.presence.run()),
            "keepalive": asyncio.create_task(keepalive.run(server.clients)),
            "server": asyncio.create_task(server.serve()),
        }
        if self._app.has_names:
            tasks["proxies"] = asyncio.create_task(self._app.run())
        stopping = asyncio.create_task(self._stop.wait())
        log.info("gateway listening", host=self.settings.host, port=self.port, node=self.name)
        await asyncio.wait([stopping, *tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        died = [name for name, task in tasks.items() if task.done()]
        for name in died:
            log.critical("gateway stops: a task died", task=name, exc_info=_cause(tasks[name]))
        await self._drain(server, tasks["server"])
        for task in (stopping, *tasks.values()):
            task.cancel()
        await asyncio.gather(stopping, *tasks.values(), return_exceptions=True)
        await server.close_listener()  # a server that died did not close it
        listener.close()
        with contextlib.suppress(BusError):  # the entries expire by themselves
            await self.presence.leave()
        await self._redis.aclose()
        await self._public.aclose()
        await self.archive.aclose()
        log.info("gateway stopped", node=self.name)
        return 1 if died else 0

    def stop(self, reason: str) -> None:
        """Ask the node to stop; asked again, it does not wait any more. Safe to call from a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin_stop, reason)

    def _begin_stop(self, reason: str) -> None:
        if not self._stop.is_set() and not self._draining:
            log.info("gateway stopping", reason=reason, clients=len(self._sessions))
            self._stop.set()
        elif not self._hurry.is_set():
            log.info("gateway stops at once", reason=reason, clients=len(self._sessions))
            self._hurry.set()

    async def _drain(self, server: Server, serving: asyncio.Task[None]) -> None:
        """Become unready, so that balancers route elsewhere; close one client after another; then stop listening."""
        self._draining = True
        self.hub.announce(notice(UPDATE, _stopping()))
        hurrying = asyncio.create_task(self._hurry.wait())
        await self._close_clients(0.0 if serving.done() else self.settings.drain_seconds, hurrying)
        self.archive.stop()
        server.should_exit = True
        await asyncio.wait([serving, hurrying], timeout=_CLOSING + 2, return_when=asyncio.FIRST_COMPLETED)
        server.force_exit = hurrying.done()
        hurrying.cancel()
        await asyncio.wait([serving], timeout=_CLOSING + 2)

    async def _close_clients(self, seconds: float, hurrying: asyncio.Task[bool]) -> None:
        """Close all connections, spread evenly over `seconds`, so that the clients do not reconnect all at once.

        Before the first, subscribers get the notice, and balancers see that this gateway is not ready. The newest
        connections are closed last: they may have come from another gateway that stopped a moment ago.
        """
        clock = asyncio.get_running_loop().time
        began, leaving, first = clock(), list(self._sessions), seconds * _NOTICE_SHARE
        for number, session in enumerate(leaving, 1):
            pause = began + first + (seconds - first) * number / len(leaving) - clock()
            if pause > _STEP and not hurrying.done():
                await asyncio.wait([hurrying], timeout=pause)
            session.close(CloseCode.RESTART, "this gateway stops: reconnect")

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http=SwitchingProtocol,
            ws="none",  # SwitchingProtocol makes the connections
            proxy_headers=False,  # TrustedProxies
            timeout_graceful_shutdown=_CLOSING,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
        )


def _stopping() -> SystemNotice:
    """What subscribers of `system` hear of a drain."""
    text = "this gateway stops, and closes its clients one after another: reconnect"
    now = now_iso()
    return SystemNotice(event="gateway_stopping", message=text, about=SYSTEM, timestamp=now, as_of={"gateway": now})


def _cause(task: asyncio.Task[None]) -> BaseException | None:
    return None if task.cancelled() else task.exception()
