"""CoinGecko v3: https://docs.coingecko.com/v3.0.1/reference/coins-markets

Works without a key; the limit per address is unpublished. Answers are cached for 60 s. Unknown ids are absent from the
answer. Numbers are JSON numbers; any may be null. A figure that does not fit is null; a row with another id, name,
price or time is left out, and so is the second row of an id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import DatedPrice, ListedCoin
from workers.answers.dates import unix_seconds
from workers.asking.limits import limit_in
from workers.asking.ports import Aggregator, PriceList
from workers.asking.provider import Amount, Ask, Change, Moment, Parsers, ProbePlan, Request, decode, known
from workers.asking.rows import Label, decode_list, decode_outside, decode_row_map, decode_rows, distinct

NAME = "coingecko"
_PAGE = 250  # rows an answer may have at most; the settings ask for no more
_ONLY_VOTES = dict.fromkeys(("localization", "tickers", "market_data", "developer_data", "sparkline"), "false")
"""Parameters that leave out other parts of /coins/{id}, most of its 110 kB."""
# Five per minute on average: CoinGecko publishes no number, users report 5 to 15, depending on its load. Counted over
# five minutes, as sentiment asks three at once every ten minutes; the busiest minute has eight planned calls.
_KEYLESS = Budget(25, 300.0)
# The calls of a key are counted per month, which these spread evenly: no 31 days have more. The demo plan has
# 10,000 (https://docs.coingecko.com/docs/errors-and-rate-limits: and 100 per minute), the smallest paid plan 100,000.
_DEMO = Budget(320, 86_400.0)
_PRO = Budget(3200, 86_400.0)
_PRO_HOST = "https://pro-api.coingecko.com/api/v3"


class _Row(Struct):
    id: Label
    symbol: Label
    name: Label
    current_price: Amount | None = None
    market_cap: Amount | None = None
    total_volume: Amount | None = None
    circulating_supply: Amount | None = None
    price_change_percentage_24h: Change | None = None
    last_updated: Moment | None = None


def parse_markets(body: bytes) -> tuple[ListedCoin, ...]:
    """The rows of /coins/markets. Raises ProviderError."""
    rows = decode_list(NAME, body, _Row, vital=("current_price", "last_updated"))
    if not rows:
        raise ProviderError(NAME, "no coin in the answer")
    return tuple(
        ListedCoin(
            coin_id=row.id,
            symbol=row.symbol.upper(),
            name=row.name,
            price=known(row.current_price),
            volume=known(row.total_volume),
            market_cap=known(row.market_cap),
            supply=known(row.circulating_supply),
            change=row.price_change_percentage_24h,
            as_of=unix_seconds(row.last_updated),
        )
        for row in distinct(rows, lambda row: row.id, "id")
    )


class _Price(Struct):
    usd: Amount | None = None


def parse_simple_price(body: bytes) -> dict[str, float]:
    """USD by id, from /simple/price; an id without a price is left out. Raises ProviderError."""
    found = decode_outside(NAME, body, dict[str, Raw])
    try:
        rows = decode_row_map(NAME, found, _Price, vital=("usd",))
    except ProviderError as error:  # an object of texts is no list of prices, but may be a notice
        raise limit_in(NAME, body) or error from None
    prices = {coin_id: row.usd for coin_id, row in rows.items() if row.usd}
    if not prices:
        raise limit_in(NAME, body) or ProviderError(NAME, "no price in the answer")
    return prices


class _Ping(Struct):
    gecko_says: str


def parse_ping(body: bytes) -> str:
    """The text in /ping's answer. Raises ProviderError."""
    return decode(NAME, body, _Ping).gecko_says


class _Found(Struct):
    name: Label


class _Searched(Struct):
    item: _Found


class _Trending(Struct):
    coins: list[Raw]


def parse_trending(body: bytes) -> tuple[str, ...]:
    """Names of the coins of /search/trending, the most searched first: 7 in 2022, 15 later. Raises ProviderError."""
    rows = decode_rows(NAME, decode_outside(NAME, body, _Trending).coins, _Searched, "$.coins")
    names = tuple(dict.fromkeys(row.item.name.strip() for row in rows))
    if not names:
        raise ProviderError(NAME, "no coin in the answer", field="$.coins")
    return names


_Percent = Annotated[float, Meta(ge=0, le=100)]


class _Coin(Struct):
    id: Label
    sentiment_votes_up_percentage: _Percent | None = None
    sentiment_votes_down_percentage: _Percent | None = None


def parse_coin(body: bytes) -> float | None:
    """Share of up votes for a coin, 0 to 1, from /coins/{id}; None without votes. Raises ProviderError."""
    coin = decode(NAME, body, _Coin)
    up, down = coin.sentiment_votes_up_percentage, coin.sentiment_votes_down_percentage
    return None if up is None or not (up or down) else round(up / 100, 4)


class CoinGecko(Aggregator, PriceList):
    """The primary list of coins: coinwire uses its ids."""

    name = NAME
    base_url = "https://api.coingecko.com/api/v3"
    other_urls = (_PRO_HOST,)
    refresh = 60.0
    key_settings = ("coingecko_plan", "coingecko_demo_key")
    # Of 25 calls in five minutes, market_data needs 5 and sentiment at most 3. Probes may use the rest, so that an
    # outage of the primary list is detected soon. A probe leaves the four calls that collectors may need at once. If
    # collectors have just used these, a probe need leave only one, as waiting would delay the detection.
    probe_plan: ProbePlan | None = ProbePlan(14.0, 4, insists=19.0)
    parsers: ClassVar[Parsers] = {
        "markets": parse_markets,
        "simple_price": parse_simple_price,
        "trending": parse_trending,
        "coin": parse_coin,
        "ping": parse_ping,
    }

    def __init__(self, key: str | None = None) -> None:
        """`key` is `plan:key`, or a demo key alone. Demo keys have their own header, and paid ones their own host."""
        plan, _, secret = (key or "").partition(":")
        key = secret if plan in ("demo", "pro") else key
        self.budget = _KEYLESS
        self._headers: dict[str, str] = {}
        if not key:
            return
        self.probe_plan = None  # it depends on the budget, and while services ask none is due
        if plan == "pro":
            self.base_url, self.budget, self._headers = _PRO_HOST, _PRO, {"x-cg-pro-api-key": key}
        else:
            # 144 lists a day leave 176 of the 320 calls to sentiment, which asks that much less often.
            self.budget, self.refresh, self._headers = _DEMO, 600.0, {"x-cg-demo-api-key": key}

    def headers(self) -> Mapping[str, str]:
        """The key, where there is one: without a key the header must be absent."""
        return self._headers

    async def probe(self, ask: Ask) -> None:
        """See Provider. /ping, which counts like any other call."""
        await ask(Request("/ping", parse_ping))

    async def listing(self, ask: Ask, wanted: int | tuple[str, ...]) -> tuple[ListedCoin, ...]:
        """See Aggregator. One call of `wanted` coins."""
        params = {"vs_currency": "usd", "order": "market_cap_desc", "page": "1", "sparkline": "false"}
        if isinstance(wanted, int):
            params["per_page"] = str(min(wanted, _PAGE))
        else:
            params["per_page"] = str(min(len(wanted), _PAGE))
            params["ids"] = ",".join(wanted)  # with a space after the comma, CoinGecko silently drops ids
        return await ask(Request("/coins/markets", parse_markets, params))

    async def prices(self, ask: Ask, ids: tuple[str, ...]) -> dict[str, DatedPrice]:
        """See PriceList. Without times: prices are cached for a minute."""
        params = {"ids": ",".join(ids), "vs_currencies": "usd"}
        prices = await ask(Request("/simple/price", parse_simple_price, params))
        return {coin_id: DatedPrice(usd=usd) for coin_id, usd in prices.items()}

    async def trending(self, ask: Ask) -> tuple[str, ...]:
        """Names of the coins searched most in the last day, the most searched first. One call. Raises ProviderError."""
        return await ask(Request("/search/trending", parse_trending))

    async def votes(self, ask: Ask, coin_id: str) -> float | None:
        """Share of up votes for the coin, 0 to 1; None without votes. One call, some 50 kB.

        Raises ProviderError.
        """
        return await ask(Request(f"/coins/{coin_id}", parse_coin, _ONLY_VOTES))
