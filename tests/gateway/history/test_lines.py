"""The history as lines: all of a range at once, within bounds, and visibly broken where it is not whole."""

from __future__ import annotations

import asyncio
import json
import os
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.filters.reading import read_filter
from gateway.history import lines
from gateway.history import records as records_module
from gateway.history.query import LARGEST_LIMIT, Range
from gateway.history.records import sent
from gateway.http.encoding import zstd
from gateway.transport import http_protocol
from shared.coins import Coins
from shared.database import Database, Record
from shared.settings import Settings
from tests.contract.conftest import Cluster, running
from tests.gateway.raw import dial
from tests.waiting import until

PATH = "/api/v1/history/market_data"
BEGIN = 1_762_857_000_000
QUERY = "?from=2025-01-01&to=2026-01-01"
NDJSON = {"Accept": lines.MEDIA_TYPE, "Accept-Encoding": "identity"}
COUNT = 2500

pytestmark = [pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]


def record(seq: int, service: str = "market_data") -> Record:
    """A record of 2 kB."""
    prices = {"bitcoin": float(seq), **{f"coin-{n}": n / 7 for n in range(80)}}
    data = json.dumps({"prices": prices, "source": "test"})
    return Record(service=service, epoch="e", seq=seq, published_at=BEGIN + seq, data=data)


@pytest.fixture
async def full(database: Database, database_settings: Settings) -> AsyncIterator[Cluster]:
    """Gateways with more records than a page may have, and more bytes than a page and all buffers of a socket."""
    await database.insert([record(n) for n in range(1, COUNT + 1)])
    async with running(database_settings) as found:
        yield found


async def ask(full: Cluster, query: str = QUERY, path: str = PATH, **headers: str) -> httpx.Response:
    """An answer in lines, or an error."""
    return await full.http.get(full.url(path + query), headers={**NDJSON, **headers})


def read(text: str) -> list[dict[str, Any]]:
    """The records of a body."""
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


async def test_every_record_of_the_range_is_a_line(full: Cluster) -> None:
    """Beyond the limit of a page, in order, each as in a page; encoded if the client likes; HEAD has no line."""
    assert COUNT > LARGEST_LIMIT
    answer = await ask(full)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.headers["vary"].split(", ")) >= {"Accept", "Accept-Encoding"}
    found = read(answer.text)
    assert [each["seq"] for each in found] == list(range(1, COUNT + 1))
    page = (await full.http.get(full.url(f"{PATH}{QUERY}&limit=1"))).json()["data"]
    assert page["records"] == found[:1]
    encoded = await ask(full, **{"Accept-Encoding": "zstd"})
    assert zstd.decompress(encoded.content).decode() == answer.text
    assert (await ask(full, **{"Accept-Encoding": "gzip"})).text == answer.text
    head = await full.http.head(full.url(PATH + QUERY), headers=NDJSON)
    assert (head.status_code, head.content, head.headers["vary"]) == (200, b"", answer.headers["vary"])
    empty = await ask(full, "?from=2025-01-01&to=2025-01-02")
    assert (empty.status_code, empty.text) == (200, "")


async def test_cursor_limit_and_filters_work_with_lines(full: Cluster) -> None:
    """Lines go on where a page ended; `limit` is how many lines there are at most; `data` is what the filter leaves."""
    page = (await full.http.get(full.url(f"{PATH}{QUERY}&limit=700"))).json()["data"]
    found = read((await ask(full, f"?cursor={page['next_cursor']}")).text)
    assert [each["seq"] for each in found] == list(range(701, COUNT + 1))
    found = read((await ask(full, f"{QUERY}&limit=700&coins=bitcoin,gold&fields=prices")).text)
    assert [each["data"] for each in found] == [
        {"prices": {"bitcoin": float(n)}, "unknown": ["gold"]} for n in range(1, 701)
    ]


async def test_errors_are_those_of_pages(full: Cluster) -> None:
    """404 and 400, as JSON, before anything is sent."""
    for path, query, status, code in (
        ("/api/v1/history/gold", "", 404, "invalid_service"),
        (PATH, "?from=x", 400, "invalid_parameter"),
        (PATH, "?coin=bitcoin", 400, "unknown_parameter"),
        (PATH, "?chains=bitcoin", 400, "invalid_filter"),
    ):
        answer = await ask(full, query, path)
        assert (answer.status_code, answer.json()["data"]["code"]) == (status, code)


async def test_one_answer_at_a_time_per_address_and_few_in_all(full: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is 429 `one_at_a_time`, one too many in all 503 `busy`, both with Retry-After; pages go on."""
    node = full.nodes[0]
    monkeypatch.setattr(lines, "UNDER_WAY", 1)
    async with dial(node.port, window=4096) as raw:
        await raw.send(f"GET {PATH}{QUERY} HTTP/1.1\r\nHost: x\r\nAccept: {lines.MEDIA_TYPE}\r\n\r\n".encode())
        await until(lambda: len(node.streams) == 1)
        answer = await ask(full)
        assert (answer.status_code, answer.json()["data"]["code"]) == (429, "one_at_a_time")
        assert int(answer.headers["retry-after"]) >= 1
        answer = await ask(full, **{"X-Forwarded-For": "192.0.2.7"})
        assert (answer.status_code, answer.json()["data"]["code"]) == (503, "busy")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await full.http.get(full.url(f"{PATH}{QUERY}&limit=2"))).status_code == 200
    await until(lambda: len(node.streams) == 0)
    assert (await ask(full, f"{QUERY}&limit=1")).status_code == 200
    metrics = (await full.http.get(full.url("/metrics"))).text
    for outcome, count in {"lines": 2, "one_at_a_time": 1, "busy": 1, "page": 1}.items():
        assert f'coinwire_gateway_history_total{{outcome="{outcome}"}} {count}.0' in metrics


async def test_a_client_that_reads_nothing_is_cut(full: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with pages: its place is free again."""
    monkeypatch.setattr(http_protocol, "STALLED", 0.2)
    node = full.nodes[0]
    async with dial(node.port, window=4096) as raw:
        await raw.send(f"GET {PATH}{QUERY} HTTP/1.1\r\nHost: x\r\nAccept: {lines.MEDIA_TYPE}\r\n\r\n".encode())
        await until(lambda: len(node.streams) == 1)
        await until(lambda: len(node.streams) == 0)


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
async def test_a_database_that_fails_in_the_middle_ends_the_connection(
    full: Cluster, database_settings: Settings, coding: str, no_errors: None
) -> None:
    """What was sent are whole lines in order; the end is missing, in every coding, and the gateway goes on."""
    file = database_settings.database_url.get_secret_value().removeprefix("sqlite:///")
    node, received = full.nodes[0], bytearray()

    async def take(answer: httpx.Response) -> None:
        async for piece in answer.aiter_raw():
            if not received:
                os.rename(file, f"{file}.gone")
            received.extend(piece)

    async with full.http.stream("GET", full.url(PATH + QUERY), headers={**NDJSON, "Accept-Encoding": coding}) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            await take(answer)
    await until(lambda: len(node.streams) == 0)
    if coding == "identity":
        whole, _, _ = received.rpartition(b"\n")
        assert [each["seq"] for each in read(whole.decode() + "\n")] == list(range(1, whole.count(b"\n") + 2))
    assert (await ask(full)).status_code == 503
    os.rename(f"{file}.gone", file)
    assert (await ask(full, f"{QUERY}&limit=1")).status_code == 200


async def test_http_1_0_gets_no_chunks_and_a_reset_if_it_is_not_whole(
    full: Cluster, database_settings: Settings
) -> None:
    """It knows the end of an answer of unknown length by the end of the connection."""
    file, port = database_settings.database_url.get_secret_value().removeprefix("sqlite:///"), full.nodes[0].port

    async def get(query: str, spoil: bool) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {PATH}{query} HTTP/1.0\r\nAccept: {lines.MEDIA_TYPE}\r\n\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            if spoil:
                os.rename(file, f"{file}.gone")
            assert b"transfer-encoding" not in head
            async with asyncio.timeout(10):
                return await reader.read()
        finally:
            writer.close()

    assert [each["seq"] for each in read((await get(QUERY, spoil=False)).decode())] == list(range(1, COUNT + 1))
    with pytest.raises(ConnectionResetError):
        await get(QUERY, spoil=True)


async def test_a_gateway_that_stops_does_not_wait_for_lines(
    database: Database, database_settings: Settings, no_errors: None
) -> None:
    """They end where they are, visibly not whole."""
    await database.insert([record(n) for n in range(1, COUNT + 1)])
    received = bytearray()
    async with running(database_settings) as cluster, httpx.AsyncClient() as http:

        async def take(answer: httpx.Response) -> None:
            async for piece in answer.aiter_raw():
                if not received:
                    cluster.nodes[0].stop("the test")
                received.extend(piece)
                await until(lambda: cluster.nodes[0].archive._stopping)

        async with http.stream("GET", cluster.url(PATH + QUERY), headers=NDJSON) as answer:
            with pytest.raises(httpx.RemoteProtocolError):
                await take(answer)
    assert len(received) < 5_000_000


async def test_memory_does_not_grow_with_the_range(full: Cluster) -> None:
    """Of 5 MB, one read and a piece are in memory at a time."""
    node = full.nodes[0]
    archive = node.archive
    asked = Range("market_data", 0, 2 * BEGIN)
    tracemalloc.start()
    try:
        records = await archive.read(asked, lines.READ_ROWS, lines.READ_BYTES)
        size = 0
        async for piece in lines.lines(archive, asked, None, records, None):
            size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 4_000_000
    assert peak < 3 * lines.READ_BYTES


async def test_filtering_leaves_the_loop_to_others(full: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between slices, other tasks run; here, a slice is over at once."""
    monkeypatch.setattr(records_module, "_SLICE", 0.0)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    node = full.nodes[0]
    records = await node.archive.read(Range("market_data", 0, 2 * BEGIN), 500, 2**22)
    only = read_filter(("market_data",), {"coins": ["bitcoin"]}, Coins())["market_data"]
    counting = asyncio.create_task(count())

    async def filtered() -> int:
        return len([each async for each in sent(records, only, node.archive.filtering)])

    assert await asyncio.gather(*(filtered() for _ in range(4))) == [500] * 4
    counting.cancel()
    assert turns >= 4 * 500
