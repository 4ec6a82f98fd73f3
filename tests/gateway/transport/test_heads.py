"""What a client may take before it has asked for something: time, bytes, headers."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from gateway.transport import http_protocol
from tests.contract.conftest import Cluster
from tests.gateway.raw import Raw, connect, dial, upgrade
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

ALIVE = b"GET /health/live HTTP/1.1\r\nHost: coinwire\r\n\r\n"
CATALOGUE = b"GET /ws/services HTTP/1.1\r\nHost: coinwire\r\n\r\n"


async def answer(raw: Raw) -> str:
    """The status of the next answer; its body is read."""
    head = await raw.head()
    size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
    await raw._take(size)
    return head.split()[1]


async def ended(raw: Raw) -> bool:
    """Wait for the end. Whether nothing came before it."""
    try:
        await raw._take(1)
    except (EOFError, ConnectionResetError):
        return True
    return False


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n\r\n"], ids=["idle", "the last answer"])
async def test_who_does_not_read_the_end_of_an_answer_is_cut(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, last: bytes
) -> None:
    """A closed connection does not wait for ever for its peer to read the last bytes."""
    monkeypatch.setattr(http_protocol, "STALLED", 0.3)
    protocols: list[http_protocol.HttpProtocol] = []
    made = http_protocol.HttpProtocol.connection_made

    def noted(self: http_protocol.HttpProtocol, transport: asyncio.BaseTransport) -> None:
        protocols.append(self)
        self.timeout_keep_alive = 1
        made(self, transport)

    monkeypatch.setattr(http_protocol.HttpProtocol, "connection_made", noted)
    async with dial(cluster.nodes[0].port, window=2048) as raw:
        await raw.send(ALIVE)
        await until(lambda: bool(protocols))
        (protocol,) = protocols
        protocol.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for count in range(protocol.server_state.total_requests + 1, 100):
            await raw.send(CATALOGUE)
            await until(lambda count=count: protocol.server_state.total_requests >= count)
            if protocol.transport.get_write_buffer_size():  # the kernel takes no more
                break
        assert 0 < protocol.transport.get_write_buffer_size() < 65_536
        if last:
            await raw.send(CATALOGUE[:-2] + last)
        await until(lambda: protocol not in protocol.connections, 10)


async def test_a_connection_that_says_nothing_is_closed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file is needed for others."""
    monkeypatch.setattr(http_protocol, "HEAD", 0.2)
    async with dial(cluster.nodes[0].port) as raw:
        assert await ended(raw)


@pytest.mark.parametrize("before", [b"", ALIVE], ids=["first", "second"])
async def test_half_a_head_ends_in_time(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    """The first request of a connection, or one after another; a byte now and then does not help."""
    monkeypatch.setattr(http_protocol, "HEAD", 0.3)
    async with dial(cluster.nodes[0].port) as raw:
        if before:
            await raw.send(before)
            assert await answer(raw) == "200"
        for byte in ALIVE[:-4]:
            await raw.send(bytes([byte]))
        assert await ended(raw)


@pytest.mark.parametrize("more", [b"", b"\r\n"], ids=["nothing", "an empty line"])
@pytest.mark.slow
async def test_an_idle_connection_is_closed(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, more: bytes) -> None:
    """Between requests a connection is kept for a while only; an empty line, which may precede a request, is none."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(ALIVE)
        assert await answer(raw) == "200"
        monkeypatch.setattr(http_protocol, "HEAD", 0.2)
        await raw.send(more)
        assert await ended(raw)


async def test_a_body_that_never_comes_is_not_waited_for(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is answered from its head; then the connection ends."""
    monkeypatch.setattr(http_protocol, "HEAD", 0.3)
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(ALIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: 500\r\n\r\n"))
        assert await answer(raw) == "200"
        await raw.send(b"x")
        assert await ended(raw)


async def test_a_slow_handshake_is_no_late_head(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline ends with the head: a WebSocket lives on."""
    monkeypatch.setattr(http_protocol, "HEAD", 0.5)
    async with connect(cluster.nodes[0].port) as raw, dial(cluster.nodes[0].port) as silent:
        assert await ended(silent)
        await raw.send(b"\x89\x80\0\0\0\0")
        assert await raw.frame() == (10, b"")


@pytest.mark.parametrize(
    "lines",
    [
        [b"X-%d: %s\r\n" % (number, b"a" * 8000) for number in range(10)],
        [b"X-%d: 1\r\n" % number for number in range(200)],
        [b"X: " + b"a" * 100_000],
    ],
    ids=["large", "many", "one endless"],
)
@pytest.mark.parametrize("target", [b"/health/live", b"/ws/data"])
async def test_a_head_too_large_is_431(cluster: Cluster, target: bytes, lines: list[bytes]) -> None:
    """64 KiB and 128 headers are enough for anybody; it is answered as soon as there are more."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(b"GET " + target + b" HTTP/1.1\r\nHost: coinwire\r\n" + b"".join(lines))
        assert await answer(raw) == "431"
        assert await ended(raw)


async def test_who_goes_on_with_an_endless_head_is_cut(cluster: Cluster) -> None:
    """After the 431 little more is read."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(ALIVE[:-2])
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await raw.send(b"X-A: " + b"a" * (64 << 20))


async def test_a_large_head_in_time_is_served(cluster: Cluster) -> None:
    """60 KiB in 100 headers, and a second one of the same size behind it."""
    head = ALIVE[:-2] + b"".join(b"X-%d: %s\r\n" % (number, b"a" * 600) for number in range(100)) + b"\r\n"
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(head * 2)
        assert [await answer(raw) for _ in range(2)] == ["200", "200"]


async def test_endless_trailers_end_the_connection(cluster: Cluster) -> None:
    """What comes behind a body is bounded as well; the answer that is due is sent."""
    head = ALIVE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(head)
        assert await answer(raw) == "200"
        await raw.send((b"X-A: " + b"a" * 100_000 + b"\r\n") * 2)
        assert await ended(raw)


async def test_nonsense_behind_a_request_gets_no_answer_of_its_own(cluster: Cluster) -> None:
    """The request before it is answered whole, then the connection ends."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(ALIVE + b"nonsense\r\n\r\n")
        assert await answer(raw) == "200"
        assert await ended(raw)


async def test_an_unknown_upgrade_is_ignored(cluster: Cluster) -> None:
    """The request is answered as if it had not asked (RFC 9110, 7.8)."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(ALIVE.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"))
        assert await answer(raw) == "200"
        assert await ended(raw)


PLAIN = upgrade("/ws/data")


@pytest.mark.parametrize(
    "request_bytes",
    [
        upgrade("http://elsewhere:80/ws/data"),
        upgrade("ws://elsewhere/ws/data?meta=1"),
        PLAIN.replace(b"Connection: Upgrade", b"Connection: keep-alive\r\nConnection: Upgrade"),
        PLAIN.replace(b"Connection: Upgrade", b"Connection: Upgrade\r\nConnection: keep-alive"),
        PLAIN.replace(b"Connection: Upgrade", b"Connection: keep-alive, upgrade"),
        PLAIN.replace(b"Upgrade: websocket", b"Upgrade: h2c\r\nUpgrade: WebSocket"),
        PLAIN.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nUpgrade: h2c"),
        PLAIN.replace(b"Upgrade: websocket", b"Upgrade: h2c, websocket"),
        PLAIN.replace(b"Host: coinwire", b"Host: [::1]:7860"),
        PLAIN.replace(b"Host: coinwire", b"host:coinwire"),
    ],
)
async def test_a_lawful_handshake_is_accepted(cluster: Cluster, request_bytes: bytes) -> None:
    """In whatever form RFC 9110, 9112 and 6455 allow it."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(request_bytes)
        assert (await raw.head()).split()[1] == "101"
        assert (await raw.message())["data"]["endpoint"] == "/ws/data"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (PLAIN.replace(b"Host: coinwire\r\n", b""), "400"),
        (ALIVE.replace(b"Host: coinwire\r\n", b""), "400"),
        (ALIVE.replace(b"Host: coinwire\r\n", b"Host: a\r\nHost: b\r\n"), "400"),
        (ALIVE.replace(b"Host: coinwire", b"Host: a b"), "400"),
        (ALIVE.replace(b"Host: coinwire", b"Host: you@a"), "400"),
        (ALIVE.replace(b"Host: coinwire", b"Host: \t coinwire \t"), "200"),
        (ALIVE.replace(b"/health", b"http:///health"), "400"),
        (ALIVE.replace(b"/health", b"http://elsewhere/health"), "200"),
        (ALIVE.replace(b"1.1\r\nHost: coinwire", b"1.0"), "200"),
        (PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), "426"),
        (PLAIN.replace(b"Connection: Upgrade\r\n", b""), "426"),
    ],
    ids=[
        "handshake without Host",
        "without Host",
        "two Hosts",
        "no name",
        "userinfo",
        "white space around it",
        "no authority",
        "absolute",
        "HTTP/1.0",
        "handshake in HTTP/1.0",
        "no Connection",
    ],
)
async def test_the_form_of_a_request(cluster: Cluster, request_bytes: bytes, status: str) -> None:
    """What is not lawful is refused; HTTP/1.0 needs no Host, and can't upgrade."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(request_bytes)
        assert await answer(raw) == status


@pytest.mark.parametrize("version", [b"8", b"0", b"14", b"13, 8", b""])
async def test_another_version_gets_426_with_ours(cluster: Cluster, version: bytes) -> None:
    """RFC 6455, 4.2.2: the client may try again with what it is told."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(PLAIN.replace(b"Version: 13", b"Version: " + version))
        head = await raw.head()
    assert head.split()[1] == "426"
    assert "\r\nSec-WebSocket-Version: 13" in head
    assert "\r\nUpgrade: websocket" in head


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["json"], "json"), (["other", "json"], "json"), (["json", "msgpack"], "json"), (["msgpack", "json"], "msgpack")],
)
async def test_the_subprotocol_that_a_client_prefers_is_chosen(
    cluster: Cluster, offered: list[str], chosen: str
) -> None:
    """The first of those that the gateway knows: a browser closes a connection that selects none of its own."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(upgrade("/ws/data", f"Sec-WebSocket-Protocol: {', '.join(offered)}"))
        assert f"Sec-WebSocket-Protocol: {chosen}" in await raw.head()
        assert (await raw.frame())[0] == (1 if chosen == "json" else 2)


async def test_an_answer_is_one_piece(cluster: Cluster) -> None:
    """Head and body arrive together: who reads once has both."""
    async with dial(cluster.nodes[0].port) as raw:
        for _ in range(3):
            await raw.send(b"GET /health/live HTTP/1.1\r\nHost: coinwire\r\n\r\n")
            await raw._more()
            head, _, body = raw._read.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert json.loads(body)
            raw._read = b""
