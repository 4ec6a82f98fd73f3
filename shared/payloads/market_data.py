from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from shared.payloads.fields import CoinId, Payload


class MarketData(Payload, frozen=True, kw_only=True):
    """Prices, volumes and market values of the tracked coins. All four maps have the same keys; `null` means that no
    source has a figure that is still fresh."""

    prices: Annotated[dict[CoinId, float | None], Meta(description="USD for one coin")]
    volumes: Annotated[dict[CoinId, float | None], Meta(description="USD traded in the last 24 h, all exchanges")]
    market_caps: Annotated[dict[CoinId, float | None], Meta(description="USD: circulating supply times price")]
    price_changes: Annotated[dict[CoinId, float | None], Meta(description="percent over the last 24 h")]
    source: Annotated[
        str,
        Meta(
            description="the providers behind these figures, the one that gave market values first, comma-separated; "
            "a simulated one says so",
            examples=["coingecko, binance", "coingecko (simulated), binance (simulated)"],
        ),
    ]
