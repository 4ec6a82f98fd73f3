"""Each fault, as a client meets it on a real socket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.faults import FAULT_NAMES, Fault, FaultName
from simulator.server import Server, running
from simulator.wire import SPOIL
from tests.simulator.conftest import NO_TLS, Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

GECKO = "api.coingecko.com"
HOSTS = Simulator().hosts
EXAMPLES = [(name, example) for name, host in HOSTS.items() for example in host.examples]
"""A request of each host that tells a price or another figure. Those that want a POST or a token have none: their
faults are in test_crowd, test_huggingface and test_rpc_hosts."""
FEEDS = [name for name, host in HOSTS.items() if isinstance(host.too_many, str)]
"""Hosts that answer in XML and refuse in HTML; what becomes of their figures is in test_newsroom."""


async def spoilt(
    simulator: Simulator, ask: Ask, fault: str, host: str = GECKO, example: str | None = None, **more: Any
) -> httpx.Response:
    """The host's answer to one of its examples with the fault."""
    simulator.faults.set(Fault(host=host, fault=fault, **more))
    return await ask(host, example or HOSTS[host].examples[0])


async def test_every_fault_has_a_form() -> None:
    """What may be asked for is what can be done."""
    assert set(SPOIL) == set(FAULT_NAMES)


@pytest.mark.parametrize(("host", "example"), EXAMPLES)
async def test_429(simulator: Simulator, ask: Ask, host: str, example: str) -> None:
    """`429` is the provider's own refusal, with the pause that was asked for."""
    answer = await spoilt(simulator, ask, "429", host, example, retry_after=17)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "17")
    assert answer.text.startswith("<!DOCTYPE html>") if host in FEEDS else answer.json()


async def test_429_of_coingecko(simulator: Simulator, ask: Ask) -> None:
    """CoinGecko's refusal has the code in `status` and closes the connection."""
    answer = await spoilt(simulator, ask, "429")
    assert answer.json()["status"]["error_code"] == 429
    assert answer.headers["connection"] == "close"


async def test_429_no_retry_after(simulator: Simulator, ask: Ask) -> None:
    """`429_no_retry_after` does not say how long to wait."""
    answer = await spoilt(simulator, ask, "429_no_retry_after")
    assert answer.status_code == 429
    assert "retry-after" not in answer.headers


async def test_429_html(simulator: Simulator, ask: Ask) -> None:
    """`429_html` is Cloudflare's page, with a pause."""
    answer = await spoilt(simulator, ask, "429_html", retry_after=30)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert "Access denied | api.coingecko.com used Cloudflare" in answer.text
    assert answer.headers["content-type"].startswith("text/html")


async def test_429_in_200(simulator: Simulator, ask: Ask) -> None:
    """`429_in_200` is the provider's own words for a limit, with a status that says nothing of it."""
    answer = await spoilt(simulator, ask, "429_in_200", "api.kraken.com")
    assert (answer.status_code, answer.json()) == (200, {"error": ["EGeneral:Too many requests"]})


async def test_418(simulator: Simulator, ask: Ask) -> None:
    """`418` is Binance's ban, with a pause."""
    answer = await spoilt(simulator, ask, "418", "data-api.binance.vision", retry_after=120)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (418, "120", -1003)


async def test_500(simulator: Simulator, ask: Ask) -> None:
    """`500` is the provider's own error body."""
    answer = await spoilt(simulator, ask, "500")
    assert (answer.status_code, answer.json()) == (500, {"status": 500, "error": "Internal Server Error"})


async def test_hang(simulator: Simulator, server: Server) -> None:
    """`hang` takes the request and never answers."""
    simulator.faults.set(Fault(host=GECKO, fault="hang"))
    async with httpx.AsyncClient(base_url=server.url, timeout=httpx.Timeout(5, read=0.3), verify=NO_TLS) as impatient:
        with pytest.raises(httpx.ReadTimeout):
            await impatient.get("/api/v3/ping", headers={"Host": GECKO})


@pytest.mark.parametrize("fault", [Fault(host=GECKO, fault="hang"), Fault(host=GECKO, fault="slow", seconds=3600)])
async def test_stopping_ends_what_hangs(fault: Fault) -> None:
    """A simulator that stops ends its hanging requests at once."""
    simulator = Simulator()
    simulator.faults.set(fault)
    async with running(simulator) as server, httpx.AsyncClient(base_url=server.url, verify=NO_TLS) as client:
        waiting = asyncio.create_task(client.get("/api/v3/ping", headers={"Host": GECKO}))
        async with asyncio.timeout(10):
            while not simulator.tally.by_host():  # noqa: ASYNC110 - there is no event for "a request came in"
                await asyncio.sleep(0)
            server.stop()
            await server.serving
        with pytest.raises(httpx.TransportError):
            await waiting


async def test_slow(simulator: Simulator, ask: Ask) -> None:
    """`slow` gives the real answer after so many seconds."""
    start = asyncio.get_running_loop().time()
    answer = await spoilt(simulator, ask, "slow", seconds=0.2)
    assert asyncio.get_running_loop().time() - start >= 0.2
    assert answer.json()[0]["id"] == "bitcoin"


async def test_html(simulator: Simulator, ask: Ask) -> None:
    """`html` is a page with status 200, as a captive portal sends it."""
    answer = await spoilt(simulator, ask, "html")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(("host", "example"), EXAMPLES)
async def test_truncated(simulator: Simulator, ask: Ask, host: str, example: str) -> None:
    """`truncated` announces the whole body and closes in the middle of it."""
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        await spoilt(simulator, ask, "truncated", host, example)


async def test_truncated_bytes_are_the_beginning_of_the_body(simulator: Simulator, client: httpx.AsyncClient) -> None:
    """What a truncated answer does send is half of what it announces."""
    simulator.faults.set(Fault(host=GECKO, fault="truncated"))
    whole = b'{"gecko_says":"(V3) To the Moon!"}'
    async with client.stream("GET", "/api/v3/ping", headers={"Host": GECKO}) as answer:
        chunks = answer.aiter_raw()
        assert answer.headers["content-length"] == str(len(whole))
        assert await anext(chunks) == whole[: len(whole) // 2]
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(chunks)


async def test_truncated_json(simulator: Simulator, ask: Ask) -> None:
    """`truncated_json` is complete as HTTP and cut as JSON."""
    answer = await spoilt(simulator, ask, "truncated_json")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.startswith(b'[{"id":"bitcoin"')
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize(("host", "example"), [pair for pair in EXAMPLES if pair[0] not in FEEDS])
@pytest.mark.parametrize("fault", ["wrong_types", "odd_row"])
async def test_wrong_types(simulator: Simulator, ask: Ask, host: str, example: str, fault: FaultName) -> None:
    """Real answers but for one figure, which is an object: in every row (`wrong_types`) or in one (`odd_row`)."""
    real = (await ask(host, example)).json()
    answer = await spoilt(simulator, ask, fault, host, example)
    assert answer.status_code == 200
    spoilt_ones: list[object] = []

    def heal(row: dict[str, Any]) -> Any:
        if row.keys() == {"value"}:
            spoilt_ones.append(row)
            return row["value"]
        return row

    assert json.loads(answer.content, object_hook=heal) == real
    assert len(spoilt_ones) == 1 or (spoilt_ones and fault == "wrong_types")


async def test_wrong_types_of_an_answer_without_figures(simulator: Simulator, ask: Ask) -> None:
    """An answer that has no figure becomes a string as a whole."""
    simulator.faults.set(Fault(host=GECKO, fault="wrong_types"))
    assert isinstance((await ask(GECKO, "/api/v3/ping")).json(), str)


async def test_zeros(simulator: Simulator, ask: Ask) -> None:
    """`zeros` is the real answer with its figures at zero."""
    real = (await ask("eth.blockscout.com", "/api/v2/stats")).json()
    answer = await spoilt(simulator, ask, "zeros", "eth.blockscout.com")
    assert real["transactions_today"] != 0
    rows = await spoilt(simulator, ask, "zeros")
    assert {row["current_price"] for row in rows.json()} == {0}
    assert {**real, "transactions_today": answer.json()["transactions_today"]} == answer.json()


async def test_empty(simulator: Simulator, ask: Ask) -> None:
    """`empty` is a 200 that claims JSON and has no body."""
    answer = await spoilt(simulator, ask, "empty")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("host", "key"),
    [(GECKO, "status"), ("api.coinpaprika.com", "error"), ("api.kraken.com", "error"), ("api.binance.com", "code")],
)
async def test_error_in_200(simulator: Simulator, ask: Ask, host: str, key: str) -> None:
    """`error_in_200` is the provider's own error under status 200."""
    answer = await spoilt(simulator, ask, "error_in_200", host)
    assert answer.status_code == 200
    assert key in answer.json()


async def test_no_rows(simulator: Simulator, ask: Ask) -> None:
    """`no_rows` is the real answer with its lists empty, and a feed without its articles."""
    assert (await spoilt(simulator, ask, "no_rows")).json() == []
    fees = (await spoilt(simulator, ask, "no_rows", "blockstream.info")).json()
    assert fees["1"] > 0
    feed = await spoilt(simulator, ask, "no_rows", "decrypt.co")
    assert "<channel>" in feed.text
    assert "<item" not in feed.text


async def test_refuse(simulator: Simulator, ask: Ask) -> None:
    """`refuse` closes the connection before the first byte, and only this one."""
    with pytest.raises(httpx.TransportError):
        await spoilt(simulator, ask, "refuse", count=1)
    assert (await ask(GECKO, "/api/v3/ping")).status_code == 200


async def test_stuck(simulator: Simulator, ask: Ask) -> None:
    """`stuck` is a host that goes on telling what was true when the fault began; other hosts go on."""
    before = (await spoilt(simulator, ask, "stuck", "mempool.space", "/api/v1/blocks")).json()
    simulator.clock.advance(3600)
    assert (await ask("mempool.space", "/api/v1/blocks")).json() == before
    assert (await ask("blockstream.info", "/api/blocks")).json()[0]["height"] > before[0]["height"]
    simulator.faults.clear()
    assert (await ask("mempool.space", "/api/v1/blocks")).json()[0]["height"] > before[0]["height"]


@pytest.mark.parametrize(
    ("host", "example"),
    [
        ("mempool.space", "/api/v1/blocks"),
        ("blockstream.info", "/api/blocks"),
        ("blockchain.info", "/latestblock"),
        ("api.blockchair.com", "/bitcoin/stats"),
    ],
)
async def test_far_ahead(simulator: Simulator, ask: Ask, host: str, example: str) -> None:
    """`far_ahead` is the real answer with its heights 40 million too high."""
    simulator.faults.clear()
    keys = {"height", "best_block_height"}

    def heights(node: Any) -> list[int]:
        if isinstance(node, list):
            return [height for child in node for height in heights(child)]
        found = [value for key, value in node.items() if key in keys] if isinstance(node, dict) else []
        children = node.values() if isinstance(node, dict) else ()
        return [*found, *(height for child in children for height in heights(child))]

    real = heights((await ask(host, example)).json())
    assert real
    assert heights((await spoilt(simulator, ask, "far_ahead", host, example)).json()) == [
        height + 40_000_000 for height in real
    ]


@pytest.mark.parametrize(("host", "example"), EXAMPLES)
async def test_mislabelled(simulator: Simulator, ask: Ask, host: str, example: str) -> None:
    """`mislabelled` is the real answer, labelled as HTML."""
    simulator.faults.clear()
    real = await ask(host, example)
    answer = await spoilt(simulator, ask, "mislabelled", host, example)
    assert answer.content == real.content
    assert answer.headers.get_list("content-type") == ["text/html; charset=utf-8"]


async def test_count(simulator: Simulator, ask: Ask) -> None:
    """A counted fault spoils so many requests and is gone."""
    simulator.faults.set(Fault(host=GECKO, fault="500", count=2))
    assert [(await ask(GECKO, "/api/v3/ping")).status_code for _ in range(3)] == [500, 500, 200]
    assert simulator.faults.in_force() == []


async def test_other_hosts_are_well(simulator: Simulator, ask: Ask) -> None:
    """A fault is one host's own, even between two names of one provider."""
    await spoilt(simulator, ask, "500", "api.binance.com")
    assert (await ask("data-api.binance.vision", "/api/v3/ping")).status_code == 200
