"""The simulated DefiLlama: shapes as documented, values that move with prices, fees of the simulated chains."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator.hosts.defillama import CHAINS, locked
from simulator.world.clock import Clock
from simulator.world.coins import load_coins
from simulator.world.market import Market
from tests.places import UPSTREAM
from tests.simulator.conftest import Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORDED = UPSTREAM / "defillama"
LLAMA = "api.llama.fi"
NO_CHARTS = {"excludeTotalDataChart": "true", "excludeTotalDataChartBreakdown": "true"}


async def test_chains(ask: Ask) -> None:
    """/v2/chains is a list of the recorded rows."""
    rows = (await ask(LLAMA, "/v2/chains")).json()
    assert [row["name"] for row in rows] == [chain.name for chain in CHAINS]
    assert any(row["gecko_id"] is None for row in rows)
    path = RECORDED / "v2_chains_one_element.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    record = json.loads(path.read_text())[0]
    optimism = next(row for row in rows if row["chainId"] == 10)
    assert list(optimism) == list(record)
    assert type(optimism["tvl"]) is type(record["tvl"])


async def test_documented_fields(ask: Ask) -> None:
    """Every answer has the documented fields that are read, with the documented types."""
    path = RECORDED / "openapi-free.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    paths = json.loads(path.read_text())["paths"]
    kinds: dict[str, tuple[type, ...]] = {"number": (int, float), "string": (str,), "array": (list,), "object": (dict,)}

    def check(value: Any, schema: dict[str, Any]) -> None:
        assert isinstance(value, kinds[schema["type"]])
        if isinstance(value, list):
            for element in value:
                check(element, schema["items"])
        for name, field in schema.get("properties", {}).items():
            if isinstance(value, dict) and value.get(name) is not None:
                check(value[name], field)

    for documented, asked in {
        "/v2/chains": "/v2/chains",
        "/protocols": "/protocols",
        "/tvl/{protocol}": "/tvl/lido",
        "/v2/historicalChainTvl": "/v2/historicalChainTvl",
        "/v2/historicalChainTvl/{chain}": "/v2/historicalChainTvl/Ethereum",
        "/overview/fees": "/overview/fees",
        "/overview/fees/{chain}": "/overview/fees/ethereum",
    }.items():
        content = paths[documented]["get"]["responses"]["200"]["content"]
        check((await ask(LLAMA, asked, **NO_CHARTS)).json(), content["application/json"]["schema"])


async def test_one_protocol(ask: Ask) -> None:
    """/tvl/{slug} is a bare number, the same as in the list; an unknown one is a 404."""
    rows = {row["slug"]: row["tvl"] for row in (await ask(LLAMA, "/protocols")).json()}
    assert (await ask(LLAMA, "/tvl/lido")).json() == rows["lido"]
    assert (await ask(LLAMA, "/tvl/nope")).status_code == 404


async def test_fees(ask: Ask) -> None:
    """Chains and applications are in one list, the largest first; a chain's own list has what is on it."""
    body = (await ask(LLAMA, "/overview/fees", **NO_CHARTS)).json()
    kinds = {row["protocolType"] for row in body["protocols"]}
    assert kinds == {"chain", "protocol"}
    paid = [row["total24h"] or 0 for row in body["protocols"]]
    assert paid == sorted(paid, reverse=True)
    assert body["total24h"] == pytest.approx(sum(paid))
    own = (await ask(LLAMA, "/overview/fees/ethereum", **NO_CHARTS)).json()["protocols"]
    assert all("Ethereum" in row["chains"] for row in own)
    chain = next(row for row in own if row["defillamaId"] == "chain#ethereum")
    assert (await ask(LLAMA, "/summary/fees/ethereum")).json() == chain
    assert (await ask(LLAMA, "/summary/fees/nope")).status_code == 404


async def test_answers_are_cached_for_ten_minutes(ask: Ask, clock: Clock) -> None:
    """Within ten minutes the figures stay; then they are others, and the headers say so."""
    clock.advance(-clock.now() % 600 + 1)
    first = await ask(LLAMA, "/v2/chains")
    assert first.headers["cache-control"] == "max-age=600"
    clock.advance(500)
    assert (await ask(LLAMA, "/v2/chains")).json() == first.json()
    clock.advance(100)
    assert (await ask(LLAMA, "/v2/chains")).json() != first.json()


async def test_history(ask: Ask) -> None:
    """A chain's history adds up to that of all chains; an unknown chain is a 404."""
    whole = (await ask(LLAMA, "/v2/historicalChainTvl")).json()
    one = (await ask(LLAMA, "/v2/historicalChainTvl/Ethereum")).json()
    assert [point["date"] for point in one] == [point["date"] for point in whole]
    assert all(a["tvl"] < b["tvl"] for a, b in zip(one, whole, strict=True))
    assert (await ask(LLAMA, "/v2/historicalChainTvl/nope")).status_code == 404


async def test_what_is_locked_moves_with_the_price() -> None:
    """It is a function of seed and time, and follows its coin within the few percent of its own walk."""
    market = Market(load_coins(), 7)
    ethereum, coin = CHAINS[0], market.by_id["ethereum"]
    for time in range(1_795_000_000, 1_796_000_000, 100_000):
        ratio = locked(market, ethereum, time) / market.price(coin, time)
        assert ratio == pytest.approx(ethereum.locked * 1e9 / coin.price, rel=0.021)
        assert locked(Market(load_coins(), 7), ethereum, time) == locked(market, ethereum, time)
