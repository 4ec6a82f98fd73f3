"""GATEWAYS: what is measured, in the order of the tables. Each relays a Redis channel to WebSocket clients."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.install import PROGRAMS, ROOT, Installed
from benchmarks.load import Dialect, Group
from benchmarks.payloads import Encode, Envelopes, as_centrifugo, as_channels, as_json, as_socketio
from gateway.endpoints import ENDPOINTS
from shared.catalog import SERVICES
from shared.channels import Channels

SERVICE = "market_data"


@dataclass(frozen=True, slots=True)
class Gateway:
    """One program. `{PORT}` and other names of its environment may stand in `command` and `env`."""

    name: str
    kit: str
    """What has to be installed for it, of `KITS`."""
    command: Callable[[Installed], Sequence[str | Path]]
    dialect: Dialect = field(default_factory=Dialect)
    channels: Sequence[tuple[str, str]] = (("", "bench"),)
    """Pairs of a service and its Redis channel."""
    encode: Callable[[], Encode] = lambda: as_json
    env: Mapping[str, str] = field(default_factory=dict)
    history: int = 1000
    """Updates per service that the Bus keeps, for gateways of ours to fill holes from."""


def _node(script: str) -> Callable[[Installed], Sequence[str | Path]]:
    return lambda installed: ("node", PROGRAMS / script)


def _uvicorn(*arguments: str) -> Callable[[Installed], Sequence[str | Path]]:
    options = ("--host", "127.0.0.1", "--port", "{PORT}", "--log-level", "warning", "--app-dir", str(PROGRAMS))
    return lambda installed: (installed.python, "-m", "uvicorn", *options, *arguments)


def _says(**fields: object) -> str:
    return json.dumps(fields)


_EVERY_UPDATE = _says(action="subscribe", service=SERVICE, deliver="every")  # as others deliver: a slow client, too


def coinwire(
    name: str = "coinwire",
    groups: Sequence[Group] = (Group("/ws", (_EVERY_UPDATE,)),),
    *,
    services: Sequence[str] = (SERVICE,),
    compressed: bool = False,
    history: int = 1000,
) -> Gateway:
    """Our gateway, of this checkout, with clients that do what `groups` say."""
    return Gateway(
        name,
        "c",
        lambda installed: (sys.executable, "-m", "gateway"),
        Dialect(tuple(groups), wait_for='"subscription_confirmed"', deflate=compressed),
        [(service, Channels().channel(service)) for service in services],
        lambda: Envelopes(services),
        {
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": "sqlite:///{FOLDER}/history.db",
            "LOG_LEVEL": "warning",
            "MAX_CONNECTIONS": "12000",  # more than a scenario connects
            "HISTORY_LENGTH": str(history),
            **({"WS_COMPRESSION": "true"} if compressed else {}),
        },
        history,
    )


def mixed() -> Gateway:
    """Our gateway with clients on all endpoints; where an endpoint subscribes nothing, they subscribe what it lists."""
    groups = []
    for path, endpoint in ENDPOINTS.items():
        own = {endpoint.subscribes} if endpoint.subscribes else set(endpoint.lists)
        wanted = frozenset(SERVICES) if "all" in own else frozenset(own & set(SERVICES))
        sends = () if endpoint.subscribes else (_says(action="subscribe", service=sorted(wanted)),)
        groups.append(Group(path, sends, wanted))
    return coinwire("sixteen endpoints", groups, services=tuple(SERVICES))


def filtered(name: str, coins: Sequence[str], filters: int, *, compressed: bool = False) -> Gateway:
    """Our gateway with clients of so many filters, in equal numbers: five coins each, of `coins`."""
    chosen = [[coins[(number + 7 * step) % len(coins)] for step in range(5)] for number in range(filters)]
    groups = [Group(f"/ws/{SERVICE}?coins={','.join(five)}") for five in chosen]
    return coinwire(name, groups, compressed=compressed)


def patient(history: int) -> Gateway:
    """Our gateway with clients that want every update, also those that the next one replaces, and so long a history."""
    command = _says(action="subscribe", service=SERVICE, deliver="every")
    return coinwire(groups=[Group("/ws", (command,))], history=history)


def returning(epoch: str, seq: int) -> Gateway:
    """Our gateway with clients that come back, and want what was published after a position."""
    command = _says(action="subscribe", service=SERVICE, since={"epoch": epoch, "seq": seq})
    return coinwire(groups=[Group("/ws", (command,))])


_ENGINE_IO = Dialect((Group("/socket.io/?EIO=4&transport=websocket", ("40",)),), wait_for='40{"sid"', reply="2=3")

_OTHERS = (
    Gateway("C loop", "c", lambda installed: [installed.loop]),
    Gateway(
        "Centrifugo",
        "go",
        lambda installed: (installed.centrifugo, "-c", PROGRAMS / "centrifugo.json"),
        Dialect(
            (Group("/connection/websocket", ('{"id":1,"connect":{}}', '{"id":2,"subscribe":{"channel":"bench"}}')),),
            wait_for='"id":2',
            reply="{}={}",
            several=True,
        ),
        [("", "centrifugo.client.bench")],
        lambda: as_centrifugo,
        {"CENTRIFUGO_HTTP_SERVER_PORT": "{PORT}", "CENTRIFUGO_ENGINE_REDIS_ADDRESS": "{REDIS_URL}"},
    ),
    Gateway("picows", "python",
            lambda installed: (installed.python, PROGRAMS / "picows_server.py")),
    Gateway("ws", "node", _node("ws.js")),
    Gateway("Socket.IO", "node", _node("socketio.js"), _ENGINE_IO,
            [("", "socket.io#/#")], lambda: as_socketio),
    Gateway("naive Starlette", "python",
            _uvicorn("--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "naive:app")),
    Gateway("Django Channels", "python",
            _uvicorn("channels_app:app"), channels=[("", "asgi__group__bench")], encode=lambda: as_channels),
)  # fmt: skip

GATEWAYS: dict[str, Gateway] = {each.name: each for each in (coinwire(), *_OTHERS)}
"""By name."""
