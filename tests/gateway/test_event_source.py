"""A real EventSource, Chromium's, on a stream: what it receives, how it comes back, and when it gives up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websockets

from gateway.messages.faults import CloseCode
from tests.contract.conftest import Cluster
from tests.gateway.browsing import browsing, needs_chromium
from tests.proxy import Proxy
from tests.waiting import until

pytestmark = [pytest.mark.slow, needs_chromium, pytest.mark.usefixtures("no_errors")]

PROGRAM = """
const report = new WebSocket("REPORT");
report.onopen = () => {
  const events = new EventSource("STREAM");
  const tell = (event) => report.send(JSON.stringify({
    type: event.type, id: event.lastEventId, data: event.data && JSON.parse(event.data), state: events.readyState,
  }));
  for (const name of ["open", "error", "message", "subscription_confirmed", "stream_closed"])
    events.addEventListener(name, tell);
};
"""
CLOSED = 2  # EventSource.CLOSED


async def test_an_event_source_misses_nothing_over_gateways_that_come_and_go(cluster: Cluster, tmp_path: Path) -> None:
    """Cut off, it comes back to another gateway with its last id; after a drain, too. After a 503 it gives up."""
    reported: list[dict[str, Any]] = []

    async def take(connection: websockets.ServerConnection) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                reported.append(json.loads(await connection.recv()))

    def of(kind: str) -> list[dict[str, Any]]:
        return [each for each in reported if each["type"] == kind]

    async def wait(condition: Callable[[], bool]) -> None:
        await until(lambda: condition() or browser.returncode is not None, 60)
        assert browser.returncode is None

    first, second = cluster.nodes
    async with Proxy(first.port) as proxy, websockets.serve(take, "127.0.0.1", 0) as server:
        report = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        stream = f"http://127.0.0.1:{proxy.port}/api/v1/stream/market_data"
        await cluster.publish("market_data", n=1)
        async with browsing(PROGRAM.replace("REPORT", report).replace("STREAM", stream), tmp_path) as browser:
            await wait(lambda: len(of("message")) == 1)
            await cluster.publish("market_data", 2, n=2)
            await wait(lambda: len(of("message")) == 3)
            proxy.target = second.port
            proxy.cut()
            await cluster.publish("market_data", 3, n=3)
            await wait(lambda: len(of("message")) == 6)
            await cluster.publish("market_data", n=4)
            await wait(lambda: len(of("message")) == 7)
            proxy.target = first.port
            (session,) = second._sessions
            session.close(CloseCode.RESTART, "this gateway stops: reconnect")
            await cluster.publish("market_data", 2, n=5)
            await wait(lambda: len(of("message")) == 9)
            first._draining = True
            proxy.cut()
            await wait(lambda: of("error")[-1]["state"] == CLOSED)
            first._draining = False
    updates = of("message")
    epoch = updates[0]["data"]["meta"]["epoch"]
    assert [update["data"]["meta"]["seq"] for update in updates] == [*range(1, 10)]
    assert [update["id"] for update in updates] == [f"{epoch}-{seq}" for seq in range(1, 10)]
    marks = [next((mark for mark in ("snapshot", "recovered") if mark in each["data"]["meta"]), "") for each in updates]
    assert marks == ["snapshot", "", "", *["recovered"] * 3, "", *["recovered"] * 2]
    confirmed = [each["data"]["data"].get("recovered") for each in of("subscription_confirmed")]
    assert confirmed == [None, True, True]
    assert [each["data"]["data"]["code"] for each in of("stream_closed")] == [1012]
