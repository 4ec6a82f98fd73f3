"""Refusals and protocol closes are counted, and logged once per address and minute."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter
from structlog.testing import capture_logs

from gateway.transport import http_protocol
from gateway.transport.refusals import Refusals
from tests.contract.conftest import Cluster
from tests.gateway.raw import connect, dial, frame, header, upgrade
from tests.waiting import until


def test_one_line_per_address_and_minute() -> None:
    """All are counted; a thousand addresses are remembered, so that a herd fills neither memory nor log."""
    registry, now = CollectorRegistry(), [0.0]
    refusals = Refusals(Counter("refused", "", ["reason"], registry=registry), lambda: now[0])
    with capture_logs() as logs:
        for number in range(3000):
            refusals.note(f"address {number % 1500}", "full")
        assert len(logs) == 1000
        now[0] = 60.0
        refusals.note("address 1", "full")
    assert len(logs) == 1001
    assert registry.get_sample_value("refused_total", {"reason": "full"}) == 3001


def test_what_befalls_a_client_is_one_line_per_event_address_and_minute() -> None:
    """Whoever is closed, and comes back, fills no log."""
    refusals = Refusals(Counter("refused", "", ["reason"], registry=CollectorRegistry()), lambda: 0.0)
    with capture_logs() as logs:
        for number in range(100):
            for event in ("client too slow", "client kept on although rate limited"):
                refusals.tell(event, f"address {number % 2}", client_id=f"client_{number}")
    assert [(line["event"].split()[1], line["address"][-1], line["client_id"]) for line in logs] == [
        ("too", "0", "client_0"),
        ("kept", "0", "client_0"),
        ("too", "1", "client_1"),
        ("kept", "1", "client_1"),
    ]


@pytest.mark.parametrize(
    ("request_bytes", "reason"),
    [
        (b"nonsense\r\n\r\n", "bad request"),
        (upgrade("/ws").replace(b"Sec-WebSocket-Key", b"X-Key"), "bad request"),
        (upgrade("/ws", *(f"X-{n}: {n}" for n in range(200))), "too large"),
        (upgrade("/ws").replace(b"Version: 13", b"Version: 8"), "version"),
        (upgrade("/ws/nothing"), "unknown path"),
        (b"GET /ws HT", "late"),
    ],
    ids=["nonsense", "handshake", "large", "version", "path", "late"],
)
async def test_a_refused_request_is_counted_and_logged(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, reason: str
) -> None:
    """With the address that it came from."""
    monkeypatch.setattr(http_protocol, "HEAD", 0.5)
    registry = cluster.nodes[0].registry
    with capture_logs() as logs:
        async with dial(cluster.nodes[0].port) as raw:
            await raw.send(request_bytes)
            name = "coinwire_gateway_refused_total"
            await until(lambda: registry.get_sample_value(name, {"reason": reason}) == 1)
    assert [(line["address"], line["reason"]) for line in logs if "refused" in line["event"]] == [("127.0.0.1", reason)]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x83\x80\0\0\0\0", "protocol"),
        (frame(b"\xff"), "not_utf8"),
        (header(50_000_000), "too_big"),
        (b"", "no_pong"),
    ],
    ids=["protocol", "not_utf8", "too_big", "no_pong"],
)
async def test_a_protocol_close_is_counted(cluster: Cluster, sent: bytes, reason: str) -> None:
    """Once, by its kind."""
    node = cluster.nodes[0]
    async with connect(node.port) as raw:
        if reason == "no_pong":
            (session,) = node._sessions
            now = session._socket.loop.time()
            session._socket.look(now + 21)
            session._socket.look(now + 42)
        await raw.send(sent)
        await raw.rest()
        name = "coinwire_gateway_closed_total"
        await until(lambda: node.registry.get_sample_value(name, {"reason": reason}) == 1)
