"""Every list of independent rows that a provider's answer holds, where it is, and what its rows must and may have."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.places import RECORDED
from workers.providers import load_provider, provider_class

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class ListOfRows:
    """One list of one parser."""

    provider: str
    parser: str
    at: Path
    """Where the list is in the answer."""
    vital: tuple[Path, ...]
    """Fields of a row that cost it where they don't fit."""
    figures: tuple[Path, ...] = ()
    """Fields that become null instead."""
    keyed: str = ""
    """The key of a row, with `{}` for its number, where the rows are an object and not an array."""
    texts: tuple[Path, ...] = ()
    """Fields with text that reaches the answer."""

    @property
    def parse(self) -> Callable[[bytes], Any]:
        """The provider's parser."""
        kind = provider_class(self.provider)
        return load_provider(self.provider, "id:secret" if kind.needs_key else None).parsers[self.parser]

    @property
    def recordings(self) -> Iterator[Any]:
        """Every recorded answer of this parser that has rows, decoded."""
        for path in sorted((RECORDED / self.provider).glob(f"{self.parser}*.json")):
            if path.stem.partition("-")[0] == self.parser and not path.name.endswith(".expected.json"):
                body = json.loads(path.read_bytes())
                if self.rows(body):
                    yield body

    def rows(self, body: Any) -> Any:
        """The list in an answer."""
        try:
            return inner(body, self.at)
        except KeyError:
            return None  # Whale Alert leaves an empty list out

    def with_rows(self, body: Any, rows: list[tuple[int, Any]]) -> Any:
        """A copy of an answer with `rows` put in, each at its place."""
        body = copy.deepcopy(body)
        held = self.rows(body)
        if isinstance(held, dict):
            items = list(held.items())
            for number, (place, row) in enumerate(rows):
                items.insert(place % (len(items) + 1), (self.keyed.format(f"ODD{number}"), row))
            held.clear()
            held.update(items)
        else:
            for place, row in rows:
                held.insert(place % (len(held) + 1), row)
        if self.provider == "whale_alert" and "count" in body:
            body["count"] = len(held)
        return body


LISTS = (
    ListOfRows(
        "coingecko",
        "markets",
        (),
        vital=(("id",), ("symbol",), ("name",), ("current_price",), ("last_updated",)),
        figures=(("market_cap",), ("total_volume",), ("circulating_supply",), ("price_change_percentage_24h",)),
        texts=(("name",), ("id",)),
    ),
    ListOfRows("coingecko", "simple_price", (), vital=(("usd",),), keyed="odd-{}"),
    ListOfRows("coingecko", "trending", ("coins",), vital=(("item",), ("item", "name")), texts=(("item", "name"),)),
    ListOfRows(
        "coinpaprika",
        "tickers",
        (),
        vital=(("name",), ("symbol",), ("quotes",), ("quotes", "USD"), ("quotes", "USD", "price"), ("last_updated",)),
        figures=(
            ("quotes", "USD", "volume_24h"),
            ("quotes", "USD", "market_cap"),
            ("quotes", "USD", "percent_change_24h"),
            ("circulating_supply",),
        ),
        texts=(("name",),),
    ),
    ListOfRows(
        "coinlore",
        "tickers",
        ("data",),
        vital=(("name",), ("symbol",), ("price_usd",)),
        figures=(("market_cap_usd",), ("volume24",), ("csupply",), ("percent_change_24h",)),
        texts=(("name",),),
    ),
    ListOfRows(
        "coinmarketcap",
        "listings",
        ("data",),
        vital=(("name",), ("symbol",), ("quote",), ("quote", "USD", "price"), ("quote", "USD", "last_updated")),
        figures=(
            ("quote", "USD", "volume_24h"),
            ("quote", "USD", "market_cap"),
            ("quote", "USD", "percent_change_24h"),
            ("circulating_supply",),
        ),
        texts=(("name",),),
    ),
    ListOfRows("binance", "prices", (), vital=(("symbol",), ("price",))),
    ListOfRows(
        "binance",
        "day",
        (),
        vital=(("symbol",), ("lastPrice",), ("closeTime",), ("count",)),
        figures=(("openPrice",),),
    ),
    ListOfRows("kraken", "ticker", ("result",), vital=(("c",), ("c", 0)), keyed="{}/USD"),
    ListOfRows(
        "coinbase",
        "products",
        ("products",),
        vital=(("product_id",), ("price",), ("volume_24h",), ("trading_disabled",), ("product_type",)),
        figures=(("price_percentage_change_24h",),),
    ),
    ListOfRows("coinmetrics", "days", ("data",), vital=(("asset",), ("time",)), figures=(("AdrActCnt",),)),
    ListOfRows("defillama_coins", "current", ("coins",), vital=(("price",),), keyed="coingecko:odd-{}"),
    ListOfRows("defillama", "chains", (), vital=(("name",), ("tvl",))),
    ListOfRows(
        "defillama",
        "fees",
        ("protocols",),
        vital=(("total24h",), ("chains",), ("protocolType",), ("latestFetchIsOk",)),
    ),
    ListOfRows("defillama_coins", "dated", ("coins",), vital=(("price",), ("timestamp",)), keyed="coingecko:odd-{}"),
    ListOfRows("coinmetrics", "days", ("data",), vital=(("asset",), ("time",))),
    ListOfRows(
        "coinbase",
        "products",
        ("products",),
        vital=(("product_id",), ("price",), ("volume_24h",), ("is_disabled",), ("auction_mode",), ("product_type",)),
        figures=(("price_percentage_change_24h",),),
    ),
    ListOfRows("alternative_me", "fng", ("data",), vital=(("value",), ("timestamp",))),
    ListOfRows("blockchain_com", "chart", ("values",), vital=(("x",), ("y",))),
    ListOfRows(
        "whale_alert",
        "transactions",
        ("transactions",),
        vital=(("blockchain",), ("symbol",), ("hash",), ("timestamp",), ("amount",), ("amount_usd",)),
        figures=(("from",), ("to",), ("from", "owner"), ("to", "address")),
        texts=(("from", "owner"),),
    ),
    ListOfRows("whale_alert", "status", ("blockchains",), vital=(("name",), ("status",)), texts=(("status",),)),
    ListOfRows(
        "reddit",
        "listing",
        ("data", "children"),
        vital=(("data",), ("data", "id"), ("data", "title"), ("data", "created_utc")),
        texts=(("data", "title"),),
    ),
    ListOfRows(
        "cryptopanic",
        "posts",
        ("results",),
        vital=(("title",), ("published_at",)),
        figures=(("id",), ("source", "title")),
        texts=(("title",), ("source", "title")),
    ),
    ListOfRows("huggingface", "models", (), vital=(("id",), ("downloads",), ("private",))),
    ListOfRows("huggingface", "datasets", (), vital=(("id",), ("downloads",), ("private",))),
)


def inner(body: Any, path: Path) -> Any:
    """The value at `path`."""
    for key in path:
        body = body[key]
    return body


def with_value(body: Any, path: Path, value: Any) -> Any:
    """A copy of `body` with another value at `path`."""
    body = copy.deepcopy(body)
    inner(body, path[:-1])[path[-1]] = value
    return body
