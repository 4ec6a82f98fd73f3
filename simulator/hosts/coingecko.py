"""CoinGecko v3: https://docs.coingecko.com/v3.0.1/reference/introduction"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, significant, whole
from simulator.world.clock import iso
from simulator.world.coins import Coin
from simulator.world.crowd import Crowd

_CACHED = {"cache-control": "max-age=30, public, must-revalidate, s-maxage=60", "cf-cache-status": "HIT"}
_WINDOWS = {"1h": 1, "24h": 24, "7d": 168, "14d": 336, "30d": 720, "200d": 4800, "1y": 8760}
_LIMITED = (
    "You've exceeded the Rate Limit. Please visit https://www.coingecko.com/en/api/pricing to subscribe to our API "
    "plans for higher rate limits."
)
_CAP_SYMBOLS = 10
_TRENDING = 15
"""Coins in the trending list: 15 since 2024, 7 before."""


def host(world: World) -> Host:
    """api.coingecko.com."""
    market, crowd = world.market, Crowd(world.market)

    def as_of() -> float:
        """Time of the figures in the CDN's cache, which is renewed at most every `coingecko_refresh` seconds."""
        now, keep = world.clock.now(), world.coingecko_refresh
        return math.floor(now / keep) * keep if keep > 0 else now

    async def ping(request: Request) -> Response:
        return answer({"gecko_says": "(V3) To the Moon!"})

    async def markets(request: Request) -> Response:
        query = request.query_params
        if "vs_currency" not in query:
            return answer({"error": "Missing parameter vs_currency"}, 422)
        if query["vs_currency"] != "usd":
            return answer({"error": "invalid vs_currency"}, 422)
        time = as_of()
        coins = market.ranked(time)
        ranks = {coin.id: rank for rank, coin in enumerate(coins, 1)}
        if query.get("ids"):
            # Not stripped: the real service silently drops an id with a space before it.
            wanted = set(query["ids"].split(","))
            coins = [coin for coin in coins if coin.id in wanted]
        field, _, direction = query.get("order", "market_cap_desc").rpartition("_")
        orders: dict[str, Callable[[Coin], Any]] = {
            "market_cap": lambda coin: -ranks[coin.id],
            "volume": lambda coin: market.volume(coin, time),
            "id": lambda coin: coin.id,
        }
        coins.sort(key=orders.get(field, orders["market_cap"]), reverse=direction != "asc")
        size = whole(query.get("per_page"), 100, 1, 250)
        start = (whole(query.get("page"), 1, 1, 100_000) - 1) * size
        windows = [name for name in query.get("price_change_percentage", "").split(",") if name in _WINDOWS]
        rows = [_market_row(world, coin, ranks[coin.id], time, windows) for coin in coins[start : start + size]]
        return answer(rows, headers={**_CACHED, "total": str(len(market.coins)), "per-page": str(size)})

    async def simple_price(request: Request) -> Response:
        query = request.query_params
        for name in ("ids", "vs_currencies"):
            if not query.get(name):
                return answer({"error": f"Missing parameter {name}"}, 422)
        time = as_of()
        body: dict[str, dict[str, float]] = {}
        for coin in (market.by_id[name] for name in query["ids"].split(",") if name in market.by_id):
            row: dict[str, float] = {}
            if "usd" in query["vs_currencies"].split(","):
                row["usd"] = significant(market.price(coin, time))
                if query.get("include_market_cap") == "true":
                    row["usd_market_cap"] = market.market_cap(coin, time)
                if query.get("include_24hr_vol") == "true":
                    row["usd_24h_vol"] = market.volume(coin, time)
                if query.get("include_24hr_change") == "true":
                    row["usd_24h_change"] = market.change(coin, time)
            if query.get("include_last_updated_at") == "true":
                row["last_updated_at"] = int(time)
            body[coin.id] = row
        return answer(body, headers=_CACHED)

    async def global_figures(request: Request) -> Response:
        time = as_of()
        caps = {coin.symbol: market.market_cap(coin, time) for coin in market.ranked(time)}
        before = sum(market.market_cap(coin, time - 86_400) for coin in market.coins)
        total, bitcoin = sum(caps.values()), market.price(market.by_id["bitcoin"], time)
        volume = sum(market.volume(coin, time) for coin in market.coins)
        data = {
            "active_cryptocurrencies": len(caps),
            "upcoming_icos": 0,
            "ongoing_icos": 49,
            "ended_icos": 3376,
            "markets": 1297,
            "total_market_cap": {"btc": total / bitcoin, "usd": total},
            "total_volume": {"btc": volume / bitcoin, "usd": volume},
            "market_cap_percentage": {s: cap / total * 100 for s, cap in list(caps.items())[:_CAP_SYMBOLS]},
            "market_cap_change_percentage_24h_usd": (total / before - 1) * 100,
            "updated_at": int(time),
        }
        return answer({"data": data}, headers=_CACHED)

    async def trending(request: Request) -> Response:
        time = as_of()
        ranks = {coin.id: rank for rank, coin in enumerate(market.ranked(time), 1)}
        coins = crowd.trending(time, _TRENDING)
        rows = [_trending_row(world, coin, ranks[coin.id], score, time) for score, coin in enumerate(coins)]
        return answer({"coins": rows, "nfts": [], "categories": []}, headers=_CACHED)

    async def one_coin(request: Request) -> Response:
        time = as_of()
        if (coin := market.by_id.get(request.path_params["id"])) is None:
            return answer({"error": "Could not find coin with the given id"}, 404, {"cache-control": "no-cache"})
        rank = market.ranked(time).index(coin) + 1
        body = _coin(coin, rank, crowd.votes_up(coin, time), time)
        if request.query_params.get("market_data") != "false":
            body["market_data"] = {
                "current_price": {"usd": significant(market.price(coin, time))},
                "market_cap": {"usd": round(market.market_cap(coin, time))},
                "total_volume": {"usd": round(market.volume(coin, time))},
            }
        return answer(body, headers=_CACHED)

    return Host(
        routes=[
            Route("/api/v3/ping", ping),
            Route("/api/v3/coins/markets", markets),
            Route("/api/v3/simple/price", simple_price),
            Route("/api/v3/global", global_figures),
            Route("/api/v3/search/trending", trending),
            Route("/api/v3/coins/{id}", one_coin),  # after /markets, which is not a coin
        ],
        figures=("sentiment_votes_up_percentage", "coins", "current_price", "usd", "active_cryptocurrencies"),
        examples=("/api/v3/coins/markets?vs_currency=usd",),
        not_found={"error": "Incorrect path. Please check https://docs.coingecko.com/"},
        too_many={"status": {"error_code": 429, "error_message": _LIMITED}},
        server_error={"status": 500, "error": "Internal Server Error"},
        error_in_200={
            "status": {"error_code": 10005, "error_message": "This request is limited to PRO API subscribers"}
        },
        headers={"connection": "close", "server": "cloudflare"},
    )


def _market_row(world: World, coin: Coin, rank: int, time: float, windows: list[str]) -> dict[str, Any]:
    """One coin of /coins/markets, keys in the recorded order."""
    market = world.market
    price, cap, day = market.price(coin, time), market.market_cap(coin, time), market.range(coin, time)
    before = market.price(coin, time - 86_400)
    change = (price / before - 1) * 100
    return {
        "id": coin.id,
        "symbol": coin.symbol,
        "name": coin.name,
        "image": f"https://assets.coingecko.com/coins/images/{rank}/large/{coin.id}.png",
        "current_price": significant(price),
        "market_cap": round(cap),
        "market_cap_rank": rank,
        "fully_diluted_valuation": round(price * (coin.max_supply or coin.total_supply or coin.supply)),
        "total_volume": round(market.volume(coin, time)),
        "high_24h": significant(day.high),
        "low_24h": significant(day.low),
        "price_change_24h": price - before,
        "price_change_percentage_24h": round(change, 5),
        "market_cap_change_24h": (price - before) * coin.supply,
        "market_cap_change_percentage_24h": round(change, 5),
        "circulating_supply": coin.supply,
        "total_supply": coin.total_supply,
        "max_supply": coin.max_supply,
        "ath": significant(coin.price * 3),
        "ath_change_percentage": round((price / (coin.price * 3) - 1) * 100, 5),
        "ath_date": "2021-11-10T14:24:11.849Z",
        "atl": significant(coin.price / 50),
        "atl_change_percentage": round((price / (coin.price / 50) - 1) * 100, 5),
        "atl_date": "2013-07-06T00:00:00.000Z",
        "roi": None,
        "last_updated": iso(time),
    } | {f"price_change_percentage_{w}_in_currency": market.change(coin, time, _WINDOWS[w] * 3600) for w in windows}


def _trending_row(world: World, coin: Coin, rank: int, score: int, time: float) -> dict[str, Any]:
    """One coin of /search/trending, in the shape of 2024: caps and volumes are text there."""
    market = world.market
    price, bitcoin = market.price(coin, time), market.price(market.by_id["bitcoin"], time)
    cap, volume = market.market_cap(coin, time), market.volume(coin, time)
    images = f"https://coin-images.coingecko.com/coins/images/{rank}"
    item = {
        "id": coin.id,
        "coin_id": rank,
        "name": coin.name,
        "symbol": coin.symbol.upper(),
        "market_cap_rank": rank,
        "thumb": f"{images}/standard/{coin.id}.png",
        "small": f"{images}/small/{coin.id}.png",
        "large": f"{images}/large/{coin.id}.png",
        "slug": coin.id,
        "price_btc": price / bitcoin,
        "score": score,
        "data": {
            "price": price,
            "price_btc": f"{price / bitcoin:.18f}",
            "price_change_percentage_24h": {"usd": market.change(coin, time)},
            "market_cap": f"${cap:,.0f}",
            "market_cap_btc": str(cap / bitcoin),
            "total_volume": f"${volume:,.0f}",
            "total_volume_btc": str(volume / bitcoin),
            "sparkline": f"https://www.coingecko.com/coins/{rank}/sparkline.svg",
            "content": None,
        },
    }
    return {"item": item}


def _coin(coin: Coin, rank: int, up: float, time: float) -> dict[str, Any]:
    """One coin of /coins/{id}; its community figures are empty, as they have been since 2024."""
    return {
        "id": coin.id,
        "symbol": coin.symbol,
        "name": coin.name,
        "web_slug": coin.id,
        "categories": [],
        "public_notice": None,
        "additional_notices": [],
        "genesis_date": None,
        "sentiment_votes_up_percentage": up,
        "sentiment_votes_down_percentage": round(100 - up, 2),
        "market_cap_rank": rank,
        "community_data": {
            "facebook_likes": None,
            "reddit_average_posts_48h": 0,
            "reddit_average_comments_48h": 0,
            "reddit_subscribers": 0,
            "reddit_accounts_active_48h": 0,
            "telegram_channel_user_count": None,
        },
        "status_updates": [],
        "last_updated": iso(time),
    }
