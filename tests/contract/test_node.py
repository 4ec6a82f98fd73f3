"""A gateway process: what it does when something in it dies, how it stops, and how its sockets are set."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from websockets.frames import Frame as ReferenceFrame
from websockets.frames import Opcode

from gateway.broadcast.outbox import Outbox
from gateway.broadcast.relay import Relay
from gateway.frames import Buffer, Form, Frame
from gateway.node import Node
from gateway.updates import Update
from gateway.waiting import Waiting
from launcher.redis_server import RedisServer
from shared.envelope import Envelope
from shared.settings import Settings
from tests.contract.conftest import Cluster
from tests.waiting import until


class Broken:
    """A subscription that dies."""

    proven = whole = True

    async def run(self, deliver: Callable[..., None]) -> None:
        raise RuntimeError("the relay is broken")


async def test_a_relay_that_dies_takes_the_process_down(settings: Settings) -> None:
    """Exit status 1 and a closed port, rather than a server whose clients never hear anything."""
    node = Node(settings)
    node.relay = Relay(cast(Any, Broken()), node.hub, cast(Any, None))
    assert await asyncio.wait_for(node.run(node.bind()), 10) == 1
    with pytest.raises(OSError, match=r"."):
        await asyncio.open_connection("127.0.0.1", node.port)


async def test_a_port_that_is_taken_is_an_os_error_before_anything_starts(settings: Settings) -> None:
    """`bind` fails at once; nothing listens and nothing runs."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = Node(settings.model_copy(update={"port": taken.getsockname()[1]}))
        with pytest.raises(OSError, match="in use"):
            node.bind()
    await node._redis.aclose()


async def test_readiness_follows_redis(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ready, not ready within the deadline once Redis is killed, ready again by itself when it is back; statistics
    are 503 meanwhile; live all the time."""
    own = RedisServer(tmp_path_factory.mktemp("own")).start()
    node = Node(settings.model_copy(update={"redis_url": Settings(redis_url=own.url).redis_url}))
    running = asyncio.create_task(node.run(node.bind()))
    url = f"http://127.0.0.1:{node.port}"
    async with httpx.AsyncClient() as http:

        async def ready(status: int) -> bool:
            return (await http.get(f"{url}/health/ready")).status_code == status

        await until(lambda: ready(200))
        own.kill()
        await until(lambda: ready(503))
        assert (await http.get(f"{url}/ws/stats")).status_code == 503
        assert (await http.get(f"{url}/health/live")).status_code == 200
        own.start()
        await until(lambda: ready(200), 20)
    node.stop("the test is over")
    assert await running == 0
    own.stop()


async def test_stopping_closes_every_client_with_1012(cluster: Cluster) -> None:
    """A gateway that stops closes its clients with the code to reconnect; those of the other gateway stay."""
    leaving = [await cluster.connect("/ws/data", 0) for _ in range(5)]
    staying = await cluster.connect("/ws/data", 1)
    cluster.nodes[0].stop("the test")
    for client in leaving:
        assert await client.rest() == ([], 1012)
    await staying.quiet()
    await until(lambda: cluster.nodes[1].presence.total_clients == 1)


async def test_replies_do_not_wait_for_acknowledgements(cluster: Cluster) -> None:
    """TCP_NODELAY is set on what the gateway accepts: ten commands sent in pairs take no 40 ms each."""
    client = await cluster.connect("/ws/data")
    (session,) = cluster.nodes[0]._sessions
    connection = session._socket.transport.get_extra_info("socket")
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    await client.quiet()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 200_000])
@pytest.mark.parametrize("binary", [False, True])
def test_a_frame_is_what_the_reference_implementation_makes(size: int, binary: bool) -> None:
    """Byte for byte a whole unmasked frame, at every size of header."""
    payload = b"x" * size
    opcode = Opcode.BINARY if binary else Opcode.TEXT
    frame = Frame(payload, binary=binary)
    assert frame.wire == ReferenceFrame(opcode, payload).serialize(mask=False)
    assert (frame.payload, frame.binary) == (payload, binary)


def test_an_update_is_encoded_once_per_form() -> None:
    """However often a form is wanted, its frame is one object; each form is another."""
    update = Update(Envelope("news", "update", {"n": 1}, "t", "e", 1), b"")
    assert all(update.frame(form) is update.frame(form) for form in Form)
    assert len({update.frame(form).wire for form in Form}) == len(Form)


class Plug:
    """A socket that takes frames while it is open."""

    def __init__(self) -> None:
        self.ready = True
        self.sent: list[Frame] = []

    def write_buffer(self, buffer: Buffer) -> None:
        self.sent.extend(buffer.frames)


def frames(count: int) -> list[Frame]:
    return [Frame(str(n).encode(), binary=False) for n in range(count)]


async def test_an_outbox_keeps_the_order_and_sends_what_waited() -> None:
    """What the socket does not take waits, and goes out before what comes later."""
    plug, some = Plug(), frames(6)
    outbox = Outbox(plug, messages=10, size=1000, close_slow=lambda dropped: None, budget=Waiting())
    outbox.offer(some[0])
    plug.ready = False
    for frame in some[1:4]:
        outbox.offer(frame)
    assert plug.sent == some[:1]
    plug.ready = True
    outbox.offer(some[4])
    outbox.drain()
    await outbox.drained()
    outbox.offer(some[5])
    assert plug.sent == some


@pytest.mark.parametrize(("messages", "size"), [(3, 10_000), (100, 10)])
async def test_a_full_outbox_closes_its_client_once(messages: int, size: int) -> None:
    """Beyond either limit everything that waits is dropped, close_slow is told how much, and nothing is taken more."""
    plug, told = Plug(), []
    plug.ready = False
    outbox = Outbox(plug, messages=messages, size=size, close_slow=told.append, budget=Waiting())
    for frame in frames(20):
        outbox.offer(frame)
    assert told == [4]
    plug.ready = True
    outbox.drain()
    assert plug.sent == []
    async with asyncio.timeout(5):
        await outbox.drained()
