"""The simulated Whale Alert, and our provider's manners towards it."""

from __future__ import annotations

import httpx
import pytest

from simulator.app import Simulator
from simulator.world.bitcoin import Bitcoin
from workers.answers import ReportedTransfer
from workers.providers.whale_alert import WhaleAlert, parse_transactions

HOST = "api.whale-alert.io"


@pytest.fixture
def simulator() -> Simulator:
    return Simulator()


async def get(simulator: Simulator, params: dict[str, str], headers: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(simulator)
    async with httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}") as client:
        return await client.get("/v1/transactions", params=params, headers=headers)


async def test_without_a_key_it_answers_as_recorded(simulator: Simulator) -> None:
    """401, and JSON that calls itself plain text."""
    answer = await get(simulator, {}, {})
    assert answer.status_code == 401
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.json() == {"result": "error", "message": "invalid api_key"}


async def test_its_bitcoin_transfers_are_in_the_blocks(simulator: Simulator) -> None:
    """What it tells of Bitcoin is in the simulated chain; the rest is on Tron; a cursor leads to what is left."""
    now = simulator.clock.now()
    headers = WhaleAlert("a-key").headers()
    params = {"start": str(int(now - 3500)), "limit": "5"}
    seen: list[ReportedTransfer] = []
    while True:
        page = parse_transactions((await get(simulator, params, dict(headers))).content)
        if not page.transfers:
            break
        assert len(page.transfers) <= 5
        seen += page.transfers
        assert page.cursor is not None
        params["cursor"] = page.cursor
    chain = Bitcoin(simulator.market)
    newest = chain.height(now)
    txids = {tx.txid for height in range(newest - 30, newest + 1) for tx in chain.block(height).transactions}
    assert {transfer.chain for transfer in seen} <= {"bitcoin", "tron"}
    assert {transfer.hash for transfer in seen if transfer.chain == "bitcoin"} <= txids
    assert any(transfer.chain == "tron" for transfer in seen)
    assert len({transfer.hash for transfer in seen}) == len(seen)
    assert [transfer.time for transfer in seen] == sorted(transfer.time for transfer in seen)


async def test_the_key_is_in_no_url(simulator: Simulator) -> None:
    """The key is sent as a header; the URL has only the query."""
    asked = []

    async def ask(request):  # type: ignore[no-untyped-def]
        asked.append(request)
        return request.parse(b'{"result": "success", "count": 0}')

    provider = WhaleAlert("a-secret-key")
    await provider.transfers(ask, 1_000_000, 1_763_980_215.7)
    (request,) = asked
    assert "a-secret-key" not in f"{provider.base_url}{request.path}{request.params}{provider!r}"
    assert request.params == {"min_value": "1000000", "start": "1763980215", "limit": "100"}
    assert provider.headers() == {"X-WA-API-KEY": "a-secret-key"}
