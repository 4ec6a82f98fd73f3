"""DefiLlama: https://api-docs.defillama.com

Value locked follows the price of the chain's coin. Names of chains are DefiLlama's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.bitcoin import Bitcoin
from simulator.world.ethereum import Ethereum
from simulator.world.market import DAY, Market

_CACHE = 600.0
"""Seconds for which its answers are cached (recorded: `max-age=600`)."""
_CACHED = {"cache-control": f"max-age={_CACHE:g}"}
_HISTORY = 30
"""Days of a chart; the real one has years."""
_SAMPLES = 48
"""Blocks sampled for the fees of a day on Ethereum."""
_BITCOIN_VSIZE = 400
"""Virtual bytes of a transaction, on average, as blockchain.com's charts here have it."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain, with the middle values of its walk."""

    name: str
    coin: str
    """Id of the coin whose price the value follows."""
    symbol: str | None
    cmc_id: str | None
    chain_id: int | None
    locked: float
    """Billions of USD."""
    fees: float | None
    """Thousands of USD a day; None if they are not counted."""
    gecko_id: str | None = None
    """Only if it differs from `coin`; empty for none."""


CHAINS = (
    Chain("Ethereum", "ethereum", "ETH", "1027", 1, 68.0, 310),
    Chain("Solana", "solana", "SOL", "5426", None, 9.1, 620),
    Chain("BSC", "binancecoin", "BNB", "1839", 56, 6.9, 410),
    Chain("Bitcoin", "bitcoin", "BTC", "1", None, 6.6, 290),
    Chain("Tron", "tron", "TRX", "1958", None, 4.6, 950),
    Chain("Base", "ethereum", None, None, 8453, 4.4, 140, ""),
    Chain("Arbitrum", "ethereum", "ARB", "11841", 42161, 2.9, 31, ""),
    Chain("Hyperliquid L1", "hyperliquid", "HYPE", "32196", 999, 1.9, None),
    Chain("Avalanche", "avalanche-2", "AVAX", "5805", 43114, 1.3, 22),
    Chain("Sui", "sui", "SUI", "20947", None, 1.2, 12),
    Chain("Polygon", "ethereum", "POL", "28321", 137, 1.1, 19, ""),
    Chain("Aptos", "solana", "APT", "21794", None, 0.62, 4, ""),
    Chain("OP Mainnet", "ethereum", "OP", "11840", 10, 0.44, 9, ""),
    Chain("Near", "near", "NEAR", "6535", None, 0.16, 11),
    Chain("Stellar", "stellar", "XLM", "512", None, 0.14, None),
    Chain("Doge", "dogecoin", "DOGE", "74", None, 0.0, 3),
)
_APPS = (
    # name, slug, category, chains, fees in thousands of USD a day, locked in billions of USD
    ("Uniswap V3", "uniswap-v3", "Dexs", ["Ethereum", "Base", "Arbitrum", "Polygon"], 1900, 2.4),
    ("Aave V3", "aave-v3", "Lending", ["Ethereum", "Arbitrum", "Base"], 2600, 31.0),
    ("Lido", "lido", "Liquid Staking", ["Ethereum"], 2300, 26.0),
    ("PancakeSwap AMM V3", "pancakeswap-amm-v3", "Dexs", ["BSC", "Base"], 1500, 0.5),
    ("Binance CEX", "binance-cex", "CEX", ["Ethereum", "Bitcoin", "BSC"], 0, 140.0),
)
_NOT_FOUND = {"message": "Protocol not found"}


def host(world: World) -> Host:
    """api.llama.fi."""
    market, clock = world.market, world.clock

    def as_of() -> float:
        """Time of the figures in the cache."""
        return math.floor(clock.now() / _CACHE) * _CACHE

    async def chains(request: Request) -> Response:
        return answer([_row(market, chain, as_of()) for chain in CHAINS], headers=_CACHED)

    async def history(request: Request) -> Response:
        name = request.path_params.get("chain")
        chosen = [chain for chain in CHAINS if name is None or chain.name.lower() == name.lower()]
        if not chosen:
            return answer({"message": "Chain not found"}, 404)
        midnight = clock.now() // DAY * DAY
        days = [midnight - back * DAY for back in range(_HISTORY, -1, -1)]
        points = [{"date": int(day), "tvl": sum(locked(market, chain, day) for chain in chosen)} for day in days]
        return answer(points, headers=_CACHED)

    async def protocols(request: Request) -> Response:
        return answer([_protocol(market, app, as_of()) for app in _APPS], headers=_CACHED)

    async def tvl(request: Request) -> Response:
        found = [app for app in _APPS if app[1] == request.path_params["slug"]]
        return answer(_protocol(market, found[0], as_of())["tvl"]) if found else answer(_NOT_FOUND, 404)

    async def overview(request: Request) -> Response:
        name = request.path_params.get("chain")
        rows = _fee_rows(market, as_of())
        if name is not None:
            rows = [row for row in rows if name.lower() in (chain.lower() for chain in row["chains"])]
        totals = {"total24h": sum(row["total24h"] or 0 for row in rows), "change_1d": 1.2}
        return answer(
            {**totals, "chain": name, "allChains": [chain.name for chain in CHAINS], "protocols": rows},
            headers=_CACHED,
        )

    async def summary(request: Request) -> Response:
        slug = request.path_params["slug"].lower()
        found = [row for row in _fee_rows(market, as_of()) if row["slug"] == slug]
        return answer(found[0], headers=_CACHED) if found else answer(_NOT_FOUND, 404)

    return Host(
        routes=[
            Route("/v2/chains", chains),
            Route("/v2/historicalChainTvl", history),
            Route("/v2/historicalChainTvl/{chain}", history),
            Route("/protocols", protocols),
            Route("/tvl/{slug}", tvl),
            Route("/overview/fees", overview),
            Route("/overview/fees/{chain}", overview),
            Route("/summary/fees/{slug}", summary),
        ],
        figures=("tvl", "total24h"),
        examples=("/v2/chains",),
        not_found={"message": "Not Found"},
        too_many={"message": "Too Many Requests"},
        server_error={"message": "Internal server error"},
        error_in_200={"message": "Internal server error"},
    )


def locked(market: Market, chain: Chain, time: float) -> float:
    """USD locked on `chain`."""
    coin = market.by_id[chain.coin]
    wave = 1 + 0.02 * market.wave(f"defillama/{chain.name}", 7200.0, time)
    return chain.locked * 1e9 * market.price(coin, time) / coin.price * wave


def fees(market: Market, chain: Chain, time: float) -> float | None:
    """USD that users paid for transactions on `chain` in 24 h; for Bitcoin and Ethereum from their blocks."""
    if chain.fees is None:
        return None
    if chain.name == "Ethereum":
        return _ethereum_fees(market, Ethereum(market).height(time))
    if chain.name == "Bitcoin":
        day, bitcoin = time // DAY * DAY, Bitcoin(market)
        return bitcoin.transactions_24h(day) * _BITCOIN_VSIZE * bitcoin.fees(day).slow / 1e8 * bitcoin.price(day)
    return chain.fees * 1e3 * (1 + 0.3 * market.wave(f"defillama/fees/{chain.name}", DAY, time))


@lru_cache(maxsize=16)  # only a few cached times are in use at once
def _ethereum_fees(market: Market, height: int) -> float:
    chain = Ethereum(market)
    step = int(DAY / chain.network.block_time) // _SAMPLES
    numbers = range(height - step * (_SAMPLES - 1), height + 1, step)
    wei = sum(chain.gas_used(number) * (chain.base_fee(number) + chain.tip(number)) for number in numbers) * step
    return wei / 1e18 * market.price(market.by_id["ethereum"], chain.time_of(height))


def _row(market: Market, chain: Chain, time: float) -> dict[str, Any]:
    return {
        "gecko_id": chain.coin if chain.gecko_id is None else chain.gecko_id or None,
        "tvl": locked(market, chain, time) if chain.locked else 0,
        "tokenSymbol": chain.symbol,
        "cmcId": chain.cmc_id,
        "name": chain.name,
        "chainId": chain.chain_id,
    }


def _protocol(market: Market, app: tuple[str, str, str, list[str], int, float], time: float) -> dict[str, Any]:
    name, slug, category, chains, _, billions = app
    coin = market.by_id["ethereum"]
    value = billions * 1e9 * market.price(coin, time) / coin.price
    return {
        "id": slug,
        "name": name,
        "slug": slug,
        "symbol": "-",
        "category": category,
        "chains": chains,
        "tvl": value,
        "chainTvls": {chain: value / len(chains) for chain in chains},
        "gecko_id": None,
        "cmcId": None,
        "change_1h": None,
        "change_1d": round(market.change(coin, time), 2),
        "change_7d": round(market.change(coin, time, 7 * DAY), 2),
    }


def _fee_rows(market: Market, time: float) -> list[dict[str, Any]]:
    """Chains and applications, the highest fees first, as in the real list."""
    rows = [
        _fee_row(chain.name, chain.name.lower().replace(" ", "-"), "Chain", [chain.name], fees(market, chain, time))
        for chain in CHAINS
    ]
    rows += [
        _fee_row(name, slug, category, chains, thousands * 1e3 * (1 + 0.2 * market.wave(slug, DAY, time)))
        for name, slug, category, chains, thousands, _ in _APPS
        if thousands
    ]
    return sorted(rows, key=lambda row: -(row["total24h"] or 0))


def _fee_row(name: str, slug: str, category: str, chains: list[str], paid: float | None) -> dict[str, Any]:
    kind = "chain" if category == "Chain" else "protocol"
    return {
        "total24h": None if paid is None else round(paid, 2),
        "change_1d": None if paid is None else 0.7,
        "defillamaId": f"chain#{slug}" if kind == "chain" else slug,
        "name": name,
        "displayName": name,
        "module": slug,
        "category": category,
        "chains": chains,
        "protocolType": kind,
        "methodology": {"UserFees": "Gas fees paid by users"} if kind == "chain" else None,
        "latestFetchIsOk": True,
        "slug": slug,
    }
