"""Rate limits and slow readers, where the contract's tests do not look: rubbish, exact pauses, what is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import COMMAND_BURST, REFUSALS_BEFORE_CLOSE, CommandRate, Fault
from shared.settings import Settings
from tests.contract.conftest import Cluster, running
from tests.gateway.raw import code_of, connect
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")


class Clock:
    """A clock that stands until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def taken(rate: CommandRate, size: int = 0) -> int | None:
    """None, or how many ms to wait."""
    try:
        rate.take(size)
    except Fault as fault:
        refused = fault
    else:
        return None
    assert refused.code == "rate_limited"
    wait: int = refused.data["retry_after_ms"]
    return wait


@given(st.lists(st.floats(0, 0.2), max_size=80))
def test_retry_after_is_never_too_short(pauses: list[float]) -> None:
    """After exactly that pause the next command is taken, whatever went before."""
    clock = Clock()
    rate = CommandRate(clock)
    for pause in [*[0.0] * 45, *pauses]:
        clock.now += pause
        wait = taken(rate)
        if wait is not None:
            clock.now += wait / 1000
            assert taken(rate) is None


def test_forty_at_once_then_twenty_a_second() -> None:
    """A burst of 40; from then on 20 in every second, however often the others are tried."""
    clock = Clock()
    rate = CommandRate(clock)
    assert [taken(rate) for _ in range(40)] == [None] * 40
    assert taken(rate) == 50
    for _ in range(10):
        clock.now += 1
        assert [taken(rate) for _ in range(20)] == [None] * 20
        assert taken(rate) is not None


def test_a_long_command_counts_as_one_per_kib() -> None:
    """Up to 1 KiB is one command; 8 KiB are eight, and the pause is as long."""
    clock = Clock()
    rate = CommandRate(clock)
    assert [taken(rate, 8192) for _ in range(5)] == [None] * 5
    assert taken(rate, 8192) == 400
    assert taken(rate, 100) == 50
    clock.now += 0.4
    assert [taken(rate, 100) for _ in range(8)] == [None] * 8
    assert taken(rate, 1024) == 50


def test_only_who_keeps_on_is_hopeless() -> None:
    """A hundred refusals without a pause; a pause that refills the burst forgives all of them."""
    clock = Clock()
    rate = CommandRate(clock)
    for _ in range(int(COMMAND_BURST) + REFUSALS_BEFORE_CLOSE - 1):
        taken(rate)
    assert not rate.hopeless
    clock.now += 2.01
    assert taken(rate) is None
    assert not rate.hopeless
    for _ in range(int(COMMAND_BURST) + REFUSALS_BEFORE_CLOSE - 1):
        taken(rate)
    assert rate.hopeless


@pytest.mark.parametrize("rubbish", ["nope", "[]", "{}", b"\x00", '{"action":"subscribe","service":"nope"}'])
async def test_rubbish_counts_against_the_rate_too(cluster: Cluster, rubbish: str | bytes) -> None:
    """A flood of messages that are no commands at all is refused, and closed with 1008, like any other."""
    client = await cluster.connect("/ws/data")
    with contextlib.suppress(websockets.ConnectionClosed):
        for _ in range(400):
            await client.connection.send(rubbish)
    messages, code = await client.rest()
    assert code == 1008
    codes = [message["data"]["code"] for message in messages]
    assert "rate_limited" not in codes[:40]
    assert codes[45:].count("rate_limited") >= 90


async def test_a_refused_command_keeps_its_id(cluster: Cluster) -> None:
    """rate_limited has the id of the refused command."""
    client = await cluster.connect("/ws/data")
    # Sixty above the burst: on a machine however slow some are refused, and never as many as end the connection.
    for number in range(100):
        await client.connection.send(json.dumps({"action": "ping", "id": number}))
    answers = await client.take(100)
    assert [answer["data"]["id"] for answer in answers] == list(range(100))
    assert "rate_limited" in [answer["data"].get("code") for answer in answers[40:]]


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_long_command_is_counted_by_its_size_and_before_it_is_decoded(
    settings: Settings, compression: str | None
) -> None:
    """Five of 8 KiB use up the burst, compressed to a few bytes or not; the next is refused, its id unread."""
    async with running(settings.model_copy(update={"ws_compression": True})) as cluster:
        client = await cluster.connect("/ws/data", compression=compression)
        text = json.dumps({"action": "ping", "id": 1, "data": {"x": ""}})
        for _ in range(40):
            await client.connection.send(text.replace('""', f'"{"x" * (8192 - len(text))}"'))
        answers = await client.take(40)
    assert [answer["type"] for answer in answers[:5]] == ["pong"] * 5
    refused = [answer["data"] for answer in answers if answer["type"] == "error"]
    assert {answer["code"] for answer in refused} == {"rate_limited"}
    assert all("id" not in answer for answer in refused)


async def test_a_slow_client_that_reads_again_is_told_4008(cluster: Cluster) -> None:
    """Dropped messages are counted, session and presence end at once, and the last frame has the reason."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/market_data?meta=1", window=4096) as raw:
        (session,) = node._sessions
        while node._sessions:
            await cluster.publish("market_data", text="x" * 500_000)
        assert not session.outbox._waiting
        await until(lambda: node.presence.total_clients == 0)
        assert node.hub.cohorts == 0
        frames = await raw.until_close()
    assert code_of(frames[-1]) == 4008
    assert b"since" in frames[-1][1]
    assert [opcode for opcode, _ in frames[:-1]] == [1] * (len(frames) - 1)  # whole updates, nothing torn
    metrics = (await cluster.http.get(cluster.url("/metrics"))).text
    dropped = next(line for line in metrics.splitlines() if line.startswith("coinwire_gateway_dropped_total"))
    assert float(dropped.split()[-1]) > 0


@pytest.mark.slow
async def test_a_client_that_never_reads_its_close_is_cut(cluster: Cluster) -> None:
    """The gateway waits a few seconds for an answer and then frees the socket, unread data or not."""
    node = cluster.nodes[0]
    async with connect(node.port, "/ws/market_data?meta=1", window=4096):
        (session,) = node._sessions
        transport = session._socket.transport
        while node._sessions:
            await cluster.publish("market_data", text="x" * 500_000)
        began = asyncio.get_running_loop().time()
        await until(lambda: transport.get_extra_info("socket").fileno() < 0)
        assert asyncio.get_running_loop().time() - began < 5
        assert transport.get_write_buffer_size() == 0


async def test_no_task_and_no_session_outlives_its_connection(cluster: Cluster) -> None:
    """After a hundred clients of every kind of leaving, as many tasks run as before."""
    node = cluster.nodes[0]
    tasks = len(asyncio.all_tasks())
    async with contextlib.AsyncExitStack() as stack:
        for number in range(100):
            raw = await stack.enter_async_context(connect(node.port, "/ws/data"))
            leaving: list[Any] = [b"", b"\x88\x80\0\0\0\0", b"\x81\x82\0\0\0\0\xff\xff", b"\x8f\x80\0\0\0\0"]
            await raw.send(leaving[number % 4])
    await until(lambda: not node._sessions)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)
    assert node.presence.subscription_counts == {}
