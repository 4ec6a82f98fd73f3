"""Floods, slow readers, oversized messages: each gets what the contract says and costs the others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket

import pytest
import websockets

from tests.contract.conftest import Cluster
from tests.waiting import until


async def test_a_message_of_8_kib_is_read_and_a_larger_one_closes_1009(cluster: Cluster) -> None:
    """8,192 bytes are a message, 8,193 are too many."""
    client = await cluster.connect("/ws/data")
    frame = '{"action":"ping","data":{"x":"%s"}}'
    await client.connection.send(frame % ("x" * (8_192 - len(frame) + 2)))
    assert (await client.next())["type"] == "pong"
    await client.connection.send(frame % ("x" * (8_193 - len(frame) + 2)))
    assert await client.rest() == ([], 1009)


async def test_a_fragmented_message_is_measured_whole(cluster: Cluster) -> None:
    """Parts that are small and together too large close with 1009 all the same."""
    client = await cluster.connect("/ws/data")
    await client.connection.send(["x" * 3_000] * 3)
    assert await client.rest() == ([], 1009)


@pytest.mark.parametrize(("sent", "answer"), [('{"action":"ping"}', "pong"), ("rubbish", "invalid_json")])
async def test_a_flood_is_refused_with_how_long_to_wait_and_then_closed_with_1008(
    cluster: Cluster, sent: str, answer: str
) -> None:
    """Forty at once are answered, further ones get retry_after_ms; a client that continues is closed with 1008."""
    flooding = await cluster.connect("/ws/data")
    other = await cluster.connect("/ws/news")
    await other.next()
    with contextlib.suppress(websockets.ConnectionClosed):  # it may be closed before it has sent them all
        for _ in range(400):
            await flooding.connection.send(sent)
    messages, code = await flooding.rest()
    assert code == 1008
    kinds = [message["data"].get("code", message["type"]) for message in messages]
    waits = [message["data"]["retry_after_ms"] for message in messages if message["data"].get("code") == "rate_limited"]
    assert kinds[:40] == [answer] * 40
    assert "rate_limited" in kinds
    assert all(0 < wait <= 1000 for wait in waits)
    await cluster.publish("news", n=1)
    assert (await other.next())["data"] == {"n": 1}


async def test_a_client_that_pauses_may_go_on(cluster: Cluster) -> None:
    """After a refusal, waiting retry_after_ms is enough for the next command."""
    client = await cluster.connect("/ws/data")
    refused = await client.say(action="ping")
    while refused["type"] == "pong":
        refused = await client.say(action="ping")
    wait = refused["data"]["retry_after_ms"] / 1000
    later = asyncio.get_running_loop().time() + wait
    await until(lambda: asyncio.get_running_loop().time() >= later)
    assert (await client.say(action="ping"))["type"] == "pong"


async def deaf_client(cluster: Cluster, path: str) -> socket.socket:
    """A client that completes the handshake and reads nothing after it."""
    host, port = "127.0.0.1", cluster.nodes[0].port
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, (host, port))
    handshake = (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await loop.sock_sendall(raw, handshake.encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await loop.sock_recv(raw, 1)
    assert head.startswith(b"HTTP/1.1 101")
    return raw


async def test_a_client_that_never_reads_is_closed_and_costs_the_others_nothing(cluster: Cluster) -> None:
    """Its outbox fills, it is dropped within seconds, its presence goes; another client gets every update in order."""
    raw = await deaf_client(cluster, "/ws/news?meta=1")
    await until(lambda: cluster.nodes[0].presence.total_clients == 1)
    reader = await cluster.connect("/ws/news")
    await reader.next()
    text = os.urandom(150_000).hex()
    got = 0
    for n in range(60):
        await cluster.bus.publish("news", {"n": n, "text": text})
        assert (await reader.next())["data"]["n"] == n
        got += 1
        if cluster.nodes[0].presence.total_clients == 1:
            break
    await until(lambda: cluster.nodes[0].presence.total_clients == 1)
    metrics = (await cluster.http.get(cluster.url("/metrics"))).text
    assert 'coinwire_gateway_closed_total{reason="slow"} 1.0' in metrics
    assert got < 60
    raw.close()


async def test_invalid_utf8_closes_with_1007(cluster: Cluster) -> None:
    """A text frame that is no UTF-8 breaks the protocol."""
    client = await cluster.connect("/ws/data")
    await client.connection.send(b"\xff\xfe", text=True)
    assert await client.rest() == ([], 1007)


async def test_a_full_gateway_refuses_with_503(cluster: Cluster) -> None:
    """Beyond MAX_CONNECTIONS the handshake is answered with 503 and Retry-After."""
    cluster.nodes[0].settings = cluster.settings.model_copy(update={"max_connections": 1})
    await cluster.connect("/ws/data")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await cluster.connect("/ws/data")
    assert refused.value.response.status_code == 503
    assert "Retry-After" in refused.value.response.headers
    assert "full" in json.loads(refused.value.response.body or b"{}")["data"]["message"]


@pytest.mark.slow
async def test_a_client_that_never_reads_its_replay_is_dropped(cluster: Cluster) -> None:
    """Half a minute without reading what it asked for ends the connection; nothing of it stays behind."""
    text = os.urandom(150_000).hex()
    await cluster.publish("news", 20, text=text)
    latest = cluster.nodes[0].hub.recent["news"].latest
    assert latest is not None
    raw = await deaf_client(cluster, "/ws/data")
    since = {"epoch": latest.position.epoch, "seq": 1}
    command = json.dumps({"action": "subscribe", "service": "news", "since": since}).encode()
    frame = bytes([0x81, 0x80 | len(command)]) + b"\0\0\0\0" + command
    # The second waits behind the first, so the gateway reads nothing more, pongs neither: no ping can time out.
    await asyncio.get_running_loop().sock_sendall(raw, frame * 2)
    await until(lambda: any(session.subscriptions.services for session in cluster.nodes[0]._sessions))
    await until(lambda: not cluster.nodes[0]._sessions, 45)
    assert cluster.nodes[0].presence.total_clients == 0
    raw.close()
