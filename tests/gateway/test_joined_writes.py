"""WS_JOIN_UPDATES: how many writes updates take is no matter of the bytes that a client receives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import zlib
from collections import Counter
from typing import Any

import msgpack
import pytest

from gateway.deflate import TAIL
from gateway.frames import Buffer
from gateway.transport.ws_protocol import FrameProtocol
from shared.bus import Position
from shared.catalog import CHANNEL_NAMES
from shared.settings import Settings
from tests.contract.conftest import Cluster, running
from tests.gateway.raw import Raw, dial, frame, upgrade
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

PACKED = "Sec-WebSocket-Protocol: msgpack"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"
CLIENTS = [
    ("/ws/all",),
    ("/ws/all",),
    ("/ws/all?meta=1",),
    ("/ws/all", PACKED),
    ("/ws/news",),
    ("/ws/market_data?meta=1",),
    ("/ws",),
    ("/ws", PACKED),
    ("/ws/all", DEFLATE),
    ("/ws/all", PACKED, DEFLATE),
    ("/ws/news", DEFLATE + "; server_no_context_takeover"),
]
STEPS = 14  # two commands each at most: no more than a burst
_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class Pair:
    """One client at each of two gateways, which say the same."""

    def __init__(self, raws: list[Raw], *, packed: bool) -> None:
        self._raws = raws
        self._packed = packed
        self.received = [b"", b""]
        """Frames as they came; the headers of compressed ones, and what they inflate to."""
        self._inflaters = [zlib.decompressobj(-15) for _ in raws]

    async def say(self, number: int, command: dict[str, Any] | None) -> None:
        """Send a command, and read until a ping is answered: all that was broadcast before goes before its answer."""
        await asyncio.gather(*(self._say(index, number, command) for index in (0, 1)))

    async def _say(self, index: int, number: int, command: dict[str, Any] | None) -> None:
        raw = self._raws[index]
        for each in ([command] if command else []) + [{"action": "ping", "id": number}]:
            await raw.send(frame(msgpack.packb(each), 2) if self._packed else frame(json.dumps(each)))
        answered = False
        while not answered:
            head, payload = await raw.whole()
            if head[0] & 0x40:  # two streams, cut differently, have one content
                head, payload = head[:1], self._inflaters[index].decompress(payload + TAIL)
            message = msgpack.unpackb(payload) if self._packed else json.loads(payload)
            answered = message["type"] == "pong" and message["data"].get("id") == number
            # The time of an answer is each gateway's own; an update has that of its publication.
            self.received[index] += head + (payload if message["type"] == "update" else _TIME.sub(b"", payload))


async def a_pair(stack: contextlib.AsyncExitStack, cluster: Cluster, path: str, *more: str) -> Pair:
    """Two clients, past their greetings; the rest is read with the answer to the first ping."""
    raws = []
    for node in cluster.nodes:
        raw = await stack.enter_async_context(dial(node.port))
        await raw.send(upgrade(path, *more))
        assert (await raw.head()).startswith("HTTP/1.1 101 ")
        await raw.frame()
        raws.append(raw)
    return Pair(raws, packed=PACKED in more)


async def burst(cluster: Cluster, chance: random.Random) -> None:
    """Publish up to forty updates at once; wait until both gateways have them."""
    services = [chance.choice(CHANNEL_NAMES) for _ in range(chance.randrange(1, 40))]
    sizes = [chance.choice([0, 10, 200, 3000]) for _ in services]
    positions = await asyncio.gather(
        *(cluster.bus.publish(service, {"n": "x" * size}) for service, size in zip(services, sizes, strict=True))
    )
    newest: dict[str, Position] = {}
    for service, position in zip(services, positions, strict=True):
        newest[service] = max(newest.get(service, position), position)
    for node in cluster.nodes:
        await until(lambda node=node: all(node.hub.recent[name].position == at for name, at in newest.items()))


def command(cluster: Cluster, chance: random.Random) -> dict[str, Any]:
    """A subscription more or less, or a recovery of what was published some time ago."""
    service = chance.choice(CHANNEL_NAMES)
    position = cluster.nodes[0].hub.recent[service].position
    since = {"epoch": position.epoch, "seq": max(position.seq - chance.randrange(20), 0)}
    return chance.choice(
        [
            {"action": "subscribe", "service": service},
            {"action": "subscribe", "service": "all"},
            {"action": "subscribe", "service": service, "since": since},
            {"action": "unsubscribe", "service": service},
            {"action": "unsubscribe", "service": "all"},
            {"action": "nonsense"},
        ]
    )


@pytest.mark.parametrize("seed", range(3))
async def test_joined_or_not_every_client_receives_the_same_bytes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Two gateways, one that joins and one that does not: bursts, subscriptions, recoveries, and equal bytes.

    Where they are compressed, they inflate to equal bytes.
    """
    joined: Counter[int] = Counter()
    write = FrameProtocol.write_buffer

    def counted(self: FrameProtocol, buffer: Buffer) -> None:
        joined[self.transport.get_extra_info("sockname")[1]] += len(buffer.frames) > 1
        write(self, buffer)

    monkeypatch.setattr(FrameProtocol, "write_buffer", counted)
    chance = random.Random(seed)
    joins, apart = (
        settings.model_copy(update={"ws_join_updates": each, "ws_compression": True}) for each in (True, False)
    )
    async with running(joins, apart, heartbeat=3600) as cluster, contextlib.AsyncExitStack() as stack:
        for service in CHANNEL_NAMES:  # the first update of a service may overtake those of others, on each gateway
            await cluster.publish(service)
        pairs = [await a_pair(stack, cluster, *client) for client in CLIENTS]
        for number in range(STEPS):
            await burst(cluster, chance)
            for pair in pairs:
                await pair.say(number, command(cluster, chance) if chance.random() < 0.3 else None)
        ports = [node.port for node in cluster.nodes]
        for client, pair in zip(CLIENTS, pairs, strict=True):
            assert len(pair.received[0]) > 1000
            assert pair.received[0] == pair.received[1], client
    assert joined[ports[0]] > 10
    assert joined[ports[1]] == 0
