"""The archive where it can't be read, is asked too much, or is read too slowly; and cursors, forged or damaged."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from gateway.history import archive
from gateway.history.archive import PAGE_BYTES
from gateway.history.query import Range, decode_cursor, encode_cursor
from gateway.http.moments import read_time
from gateway.transport import http_protocol
from shared.database import Database, Record, open_database
from shared.errors import DatabaseError
from shared.settings import Settings
from tests.contract.conftest import Cluster, running
from tests.gateway.raw import dial, upgrade
from tests.waiting import until

PATH = "/api/v1/history/news"
BEGIN = 1_762_857_000_000  # 2025-11-11T10:30:00Z, in ms
QUERY = "?from=2025-01-01&limit=1000"


def record(seq: int, data: str = '{"n":1}') -> Record:
    """A record of news, some ms after BEGIN."""
    return Record(service="news", epoch="e", seq=seq, published_at=BEGIN + seq, data=data)


# A database that is away.


async def test_a_database_that_was_never_migrated_is_503_until_it_is(settings: Settings, tmp_path: Path) -> None:
    """503 `unavailable` with Retry-After, told once in the log; the gateway is ready all the same; then it is back."""
    settings = settings.model_copy(update={"database_url": SecretStr(f"sqlite:///{tmp_path}/none/history.db")})
    with capture_logs() as logs:
        async with running(settings) as cluster:
            for _ in range(3):
                answer = await cluster.http.get(cluster.url(PATH))
                assert (answer.status_code, answer.json()["data"]["code"]) == (503, "unavailable")
                assert int(answer.headers["retry-after"]) >= 1
                assert (await cluster.http.get(cluster.url("/health/ready"))).status_code == 200
            recorder = open_database(settings)
            await recorder.migrate()
            await recorder.insert([record(1)])
            await recorder.aclose()
            answer = await cluster.http.get(cluster.url(PATH + QUERY))
            assert [each["seq"] for each in answer.json()["data"]["records"]] == [1]
            metrics = (await cluster.http.get(cluster.url("/metrics"))).text
            assert 'coinwire_gateway_history_total{outcome="unavailable"} 3.0' in metrics
    told = [line["event"] for line in logs if "database" in line["event"]]
    assert told == ["database lost: no history is served", "database back"]


async def test_a_server_out_of_reach_is_503_without_its_password(settings: Settings) -> None:
    """Neither the answer nor the log holds the password; snapshots and sockets go on."""
    url = SecretStr("postgresql://reader:sesame-street@127.0.0.1:1/history?connect_timeout=2")
    with capture_logs() as logs:
        async with running(settings.model_copy(update={"database_url": url})) as cluster:
            answer = await cluster.http.get(cluster.url(PATH))
            assert answer.status_code == 503
            client = await cluster.connect("/ws/data")
            await client.say(action="subscribe", service="news")
            await cluster.publish("news")
            assert (await client.next())["type"] == "update"
            assert (await cluster.http.get(cluster.url("/api/v1/snapshot/news"))).status_code == 200
    assert "sesame" not in answer.text
    assert "sesame" not in str(logs)
    assert [line["log_level"] for line in logs if "database" in line["event"]] == ["warning"]


async def test_a_server_that_says_nothing_is_given_up(settings: Settings) -> None:
    """A database that accepts connections but never answers fails a request after its timeout; logged once."""
    silent = socket.create_server(("127.0.0.1", 0))  # the kernel takes connections in, and nobody reads them
    url = SecretStr(f"postgresql://reader@127.0.0.1:{silent.getsockname()[1]}/history")
    database = open_database(settings.model_copy(update={"database_url": url}))
    asked = Range("news", 0, BEGIN)
    found = archive.Archive(database, settings.retention_days, patience=0.2)
    with capture_logs() as logs:
        async with asyncio.timeout(5):
            for _ in range(2):
                with pytest.raises(DatabaseError, match="no answer"):
                    await found.page(asked, 10)
    assert [line["reason"] for line in logs] == ["no answer within 0.2 s"]
    await found.aclose()
    silent.close()


# Too much, and too slow: no matter on which database.

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def full(database: Database, database_settings: Settings) -> AsyncIterator[Cluster]:
    """Gateways with two pages of PAGE_BYTES in their database."""
    text = json.dumps({"text": "x" * (PAGE_BYTES // 4)})
    await database.insert([record(n, text) for n in range(1, 9)])
    async with running(database_settings) as found:
        yield found


async def stalled(stack: AsyncExitStack, port: int) -> asyncio.StreamReader:
    """A connection that has asked for a page and reads next to nothing of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # else the kernel takes the page in
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=1024)
    stack.callback(writer.close)
    writer.write(f"GET {PATH}{QUERY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return reader


@on_sqlite
async def test_too_many_pages_at_once_are_503_and_delay_no_broadcast(full: Cluster) -> None:
    """With as many pages under way as may be, the next is 503 `busy` with Retry-After, and updates still arrive."""
    async with AsyncExitStack() as stack:
        readers = [await stalled(stack, full.nodes[0].port) for _ in range(archive.UNDER_WAY)]
        for reader in readers:
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        answer = await full.http.get(full.url(PATH))
        assert (answer.status_code, answer.json()["data"]["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        client = await full.connect("/ws/data")
        await client.say(action="subscribe", service="news")
        await full.publish("news")
        assert (await client.next())["type"] == "update"
        assert (await full.http.get(full.url(PATH, 1))).status_code == 200

    async def free() -> bool:
        return (await full.http.get(full.url(PATH))).status_code == 200

    await until(free)


@on_sqlite
async def test_a_client_that_reads_nothing_is_cut(full: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bounded time without reading, its connection is reset and its place is free again."""
    monkeypatch.setattr(http_protocol, "STALLED", 0.2)
    async with AsyncExitStack() as stack:
        reader = await stalled(stack, full.nodes[0].port)
        await until(lambda: full.nodes[0].archive.under_way == 1)
        await until(lambda: full.nodes[0].archive.under_way == 0)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(PAGE_BYTES)


@on_sqlite
async def test_an_upgrade_does_not_take_over_an_answer_in_progress(
    full: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handshake behind a page that is not read is no way around the limits: the page's place becomes free again."""
    monkeypatch.setattr(http_protocol, "STALLED", 0.5)
    node = full.nodes[0]
    async with dial(node.port, window=4096) as raw:
        await raw.send(f"GET {PATH}{QUERY} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await until(lambda: node.archive.under_way == 1)
        await raw.send(upgrade())
        await until(lambda: node.archive.under_way == 0)
        assert not node._sessions


@on_sqlite
async def test_a_client_that_reads_slowly_gets_its_page(full: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that keeps reading is not disconnected, and gets every byte."""
    monkeypatch.setattr(http_protocol, "STALLED", 2.0)
    plain = {"Accept-Encoding": "identity"}
    async with full.http.stream("GET", full.url(PATH + QUERY), headers=plain) as answer:
        size = 0
        async for piece in answer.aiter_raw(16_384):
            size += len(piece)
    assert size == int(answer.headers["content-length"]) > PAGE_BYTES // 2


# Cursors and times.

ranges = st.builds(
    Range, st.sampled_from(["news", "system"]), st.integers(0, BEGIN), st.integers(BEGIN, 253_402_300_799_999)
)
records = st.builds(
    Record,
    service=st.just("news"),
    epoch=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
    seq=st.integers(1, 2**53),
    published_at=st.integers(0, 2 * BEGIN),
    data=st.just("{}"),
)


@given(ranges, records)
def test_a_cursor_comes_back_as_it_went(asked: Range, last: Record) -> None:
    """Range and sort key survive, in characters that a URL holds unescaped."""
    text = encode_cursor(asked, last)
    assert decode_cursor(text) == Range(asked.service, asked.first, asked.last, last.sort_key)
    assert httpx.URL("http://x/", params={"cursor": text}).query.decode() == f"cursor={text}"


@given(ranges, records, st.data())
def test_a_cursor_that_was_touched_is_refused(asked: Range, last: Record, data: st.DataObject) -> None:
    """One character changed, dropped or added: ValueError, never another place."""
    text = encode_cursor(asked, last)
    at = data.draw(st.integers(0, len(text) - 1))
    put = data.draw(
        st.sampled_from(["", "A", "-", "_", "+", "=", "AA", " ", "é", "\n", text[at] + "=", text[at] + "A"])
    )
    touched = text[:at] + put + text[at + 1 :]
    if touched != text:
        with pytest.raises(ValueError, match="cursor is damaged"):
            decode_cursor(touched)


@given(st.text(max_size=300))
@example("")
@example("é")
@example("A" * 2047)
def test_whatever_comes_as_a_cursor_is_a_value_error(text: str) -> None:
    """Nothing else is raised."""
    with pytest.raises(ValueError, match="cursor"):
        decode_cursor(text)


@pytest.mark.parametrize(
    ("text", "down", "up"),
    [
        ("2025-11-11T10:30:00Z", BEGIN, BEGIN),
        ("2025-11-11T10:30:00", BEGIN, BEGIN),
        ("2025-11-11 10:30", BEGIN, BEGIN),
        ("2025-11-11T11:30:00+01:00", BEGIN, BEGIN),
        ("2025-11-11T11:30:00 01:00", BEGIN, BEGIN),
        ("20251111T103000Z", BEGIN, BEGIN),
        ("2025-11-11", BEGIN - 37_800_000, BEGIN - 37_800_000),
        ("1762857000", BEGIN, BEGIN),
        ("1762857000.001", BEGIN + 1, BEGIN + 1),
        ("1762857000.0015", BEGIN + 1, BEGIN + 2),
        ("2025-11-11T10:30:00.0015Z", BEGIN + 1, BEGIN + 2),
        ("0", 0, 0),
        ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999, None),
    ],
)
def test_times_are_read_to_the_millisecond(text: str, down: int, up: int | None) -> None:
    """ISO 8601 with or without a zone (UTC), a plus that nobody escaped, or unix seconds; finer is rounded inwards."""
    assert read_time(text, up=False) == down
    if up is not None:
        assert read_time(text, up=True) == up


@given(st.text(max_size=30))
@example("١٢٣")
@example("0001-01-01T00:00+14:00")
@example("99999999999999999999")
@example("1e3")
@example("-1")
@example("NaN")
def test_whatever_comes_as_a_time_is_in_range_or_a_value_error(text: str) -> None:
    """From 1970 to 9999, or ValueError and nothing else."""
    try:
        found = read_time(text, up=True)
    except ValueError:
        return
    assert 0 <= found <= 253_402_300_799_999
