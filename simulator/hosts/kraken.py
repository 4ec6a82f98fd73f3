"""Kraken, public market data: https://docs.kraken.com/api/docs/rest-api/get-ticker-information

Errors come with HTTP 200.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.clock import iso
from simulator.world.coins import Coin

_SHARE = 0.03
_CACHED = {"cache-control": "max-age=2, public"}
_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
_FOUR_LETTERS = frozenset({"XBT", "ETH", "XRP", "LTC", "XLM", "XMR", "ZEC", "ETC"})
"""Kraken's oldest assets: their pairs are keyed `XETHZUSD`, all others `SOLUSD`."""
_DEAD = ("AI16Z/USD", "OMNI/USD", "STEP/USD")
"""Pairs that the full answer still has, with zeros (108 of 1530 in the recording)."""


def host(world: World) -> Host:
    """api.kraken.com."""
    market, clock = world.market, world.clock
    pairs: dict[str, Coin | None] = {f"{coin.symbol.upper()}/USD": coin for coin in market.coins if coin.kraken}
    pairs |= dict.fromkeys(_DEAD)
    spellings = {spelling: pair for pair in pairs for spelling in _spellings(pair)}

    async def ticker(request: Request) -> Response:
        query = request.query_params
        readable = query.get("assetVersion") == "1"
        names = query["pair"].split(",") if query.get("pair") else list(pairs)
        result = {}
        for name in names:
            if (pair := spellings.get(name)) is None:
                return answer({"error": ["EQuery:Unknown asset pair"]}, headers=_CACHED)
            result[pair if readable else _own_name(pair)] = _ticker(world, pairs[pair], clock.now())
        return answer({"error": [], "result": result}, headers=_CACHED)

    async def status(request: Request) -> Response:
        return answer({"error": [], "result": {"status": "online", "timestamp": iso(clock.now(), "seconds")}})

    return Host(
        routes=[Route("/0/public/Ticker", ticker), Route("/0/public/SystemStatus", status)],
        figures=("c",),
        examples=("/0/public/Ticker?assetVersion=1",),
        not_found={"error": ["EGeneral:Unknown method"]},
        too_many={"error": ["EGeneral:Too many requests"]},
        server_error={"error": ["EService:Unavailable"]},
        error_in_200={"error": ["EAPI:Rate limit exceeded"]},
    )


def _old_pair(pair: str) -> str:
    base = pair.removesuffix("/USD")
    return _OLD_NAMES.get(base, base) + "USD"


def _own_name(pair: str) -> str:
    """The key of a pair in an answer without `assetVersion`."""
    old = _old_pair(pair)
    base = old.removesuffix("USD")
    if base == "USDT":
        return "USDTZUSD"
    return f"X{base}ZUSD" if base in _FOUR_LETTERS else old


def _spellings(pair: str) -> set[str]:
    """All names under which a request may ask for a pair."""
    old = _old_pair(pair)
    return {pair, pair.replace("/", ""), old, f"{old.removesuffix('USD')}/USD", _own_name(pair)}


def _ticker(world: World, coin: Coin | None, time: float) -> dict[str, Any]:
    """One pair. `v`, `p`, `t`, `l`, `h` are [today, 24 h]; `o` is today's open, not that of 24 h ago."""
    if coin is None:
        last = open_price = high = low = average = volume = 0.0
    else:
        market = world.market
        day = market.range(coin, time, "kraken")
        last = market.price(coin, time, "kraken")
        open_price = market.price(coin, time // 86_400 * 86_400, "kraken")
        # Midnight's price may be slightly outside the sampled range: the samples lack the venue's spread.
        high, low, average = max(day.high, open_price), min(day.low, open_price), day.average
        volume = market.volume(coin, time) * _SHARE / average
    share = time % 86_400 / 86_400
    spread = last * 0.0001
    places = 5 if last >= 1 else 10
    top = max(last, open_price)
    bottom = min(last, open_price)

    def price(value: float) -> str:
        return f"{value:.{places}f}"

    return {
        "a": [price(last + spread), "1", "1.000"],
        "b": [price(last - spread), "1", "1.000"],
        "c": [price(last), "0.01000000"],
        "v": [f"{volume * share:.8f}", f"{volume:.8f}"],
        "p": [price((last + open_price) / 2), price(average)],
        "t": [int(volume * share / 10), int(volume / 10)],
        "l": [price(bottom), price(low)],
        "h": [price(top), price(high)],
        "o": price(open_price),
    }
