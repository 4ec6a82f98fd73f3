"""What one client, or a crowd of them, may make the HTTP side keep: requests, answers, threads."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import cast

import httpx
import pytest

from gateway import docs
from gateway.transport import http_protocol
from gateway.transport.http_protocol import PIPELINED
from gateway.transport.joining import Joining
from tests.contract.conftest import Cluster
from tests.gateway.raw import dial
from tests.gateway.transport.test_heads import ALIVE, answer, ended
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

LARGEST = b"/docs/assets/swagger-ui-bundle.js"


async def test_pipelined_requests_are_answered_in_order(cluster: Cluster) -> None:
    """One that is answered, and as many as may wait behind it."""
    other = ALIVE.replace(b"/health/live", b"/nothing")
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(other + ALIVE * (PIPELINED - 1) + other)
        assert [await answer(raw) for _ in range(PIPELINED + 1)] == ["404", *["200"] * (PIPELINED - 1), "404"]


async def test_a_flood_of_pipelined_requests_gets_few_answers_and_the_end(cluster: Cluster) -> None:
    """The others are not kept: one read holds hundreds, and reading goes on with every answer."""
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(ALIVE * 600)
        assert [await answer(raw) for _ in range(PIPELINED + 1)] == ["200"] * (PIPELINED + 1)
        assert await ended(raw)


@pytest.mark.parametrize("size", [8_192, 8_193])
async def test_a_target_may_be_8_kib_long(cluster: Cluster, size: int) -> None:
    """A longer one is 414: its query would take longer to read than anything else of a request."""
    path = b"/ws/stats?"
    target = path + b"a" * (size - len(path))
    async with dial(cluster.nodes[0].port) as raw:
        await raw.send(b"GET " + target + b" HTTP/1.1\r\nHost: coinwire\r\n\r\n")
        assert await answer(raw) == ("200" if size == 8_192 else "414")


async def test_an_answer_that_is_not_read_is_not_kept(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the largest page, 1.7 MB, two pieces wait for a client that reads nothing."""
    protocols: list[http_protocol.HttpProtocol] = []
    made = http_protocol.HttpProtocol.connection_made

    def noted(self: http_protocol.HttpProtocol, transport: asyncio.BaseTransport) -> None:
        protocols.append(self)
        made(self, transport)

    monkeypatch.setattr(http_protocol.HttpProtocol, "connection_made", noted)
    async with dial(cluster.nodes[0].port, window=2048) as raw:
        await raw.send(ALIVE.replace(b"/health/live", LARGEST))
        await until(lambda: any(protocol.flow.write_paused for protocol in protocols))
        assert 0 < protocols[0].transport.get_write_buffer_size() <= 2 * 16_384 + 1024


async def test_pieces_for_a_lost_connection_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A page whose client has gone is written to the end without a wait; asyncio would log each piece."""
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        joining = Joining(cast(asyncio.Transport, transport))
        joining.write(b"head")
        joining.abort()
        for _ in range(20):
            joining.write(b"x" * 16_384)
    assert [record.getMessage() for record in caplog.records] == []


async def test_a_page_that_many_ask_for_is_rendered_once(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that render take turns with the loop that broadcasts: there is one of them."""
    rendered: list[str] = []
    path = "how-to/operate.md"
    render = docs.html.render_guide

    def counted(path: str) -> str:
        rendered.append(threading.current_thread().name)
        return render(path)

    monkeypatch.setattr(docs.html, "render_guide", counted)
    monkeypatch.setattr(docs, "_rendered", {})
    async with httpx.AsyncClient(base_url=cluster.url("/")) as http:
        answers = await asyncio.gather(*(http.get(f"/docs/{path}") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(rendered) == 1
    assert rendered != [threading.main_thread().name]
