from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, field

from shared.payloads.fields import CoinId, Payload
from shared.payloads.filtering import Choice, Rule


class MarketData(Payload, frozen=True, kw_only=True):
    """Prices, volumes and market values of the tracked coins. All maps but `disputed` have the same keys; `null` means
    that no source has a figure that is still fresh."""

    filters: ClassVar[tuple[Rule, ...]] = (
        Choice(
            name="coins",
            words="ids of coins, or symbols that only one coin has",
            maps=("prices", "volumes", "market_caps", "price_changes", "price_spread_bps", "disputed"),
            names_unknown=True,
            coins=True,
        ),
    )

    prices: Annotated[dict[CoinId, float | None], Meta(description="USD for one coin")]
    volumes: Annotated[dict[CoinId, float | None], Meta(description="USD traded in the last 24 h, all exchanges")]
    market_caps: Annotated[dict[CoinId, float | None], Meta(description="USD: circulating supply times price")]
    price_changes: Annotated[dict[CoinId, float | None], Meta(description="percent over the last 24 h")]
    price_spread_bps: Annotated[
        dict[CoinId, float | None],
        Meta(
            description="difference of the highest and the lowest price at exchanges, in basis points (hundredths of a "
            "percent) of their median; `null` unless more than one exchange has a price"
        ),
    ] = field(default_factory=dict)
    """This and `disputed` have a default because updates of older versions lack them."""
    disputed: Annotated[
        dict[CoinId, dict[str, float]],
        Meta(
            description="only the coins whose sources contradict each other, by more than a fifth within a minute: "
            "what each source says, in USD; `prices` then has what most of them say, or else the list, or `null`",
            examples=[{}, {"bitcoin": {"binance": 60912.4, "kraken": 79186.1, "coingecko": 60920.0}}],
        ),
    ] = field(default_factory=dict)
    source: Annotated[
        str,
        Meta(
            description="the providers behind these figures, the one that gave market values first, comma-separated; "
            "a simulated one says so",
            examples=["coingecko, binance", "coingecko (simulated), binance (simulated)"],
        ),
    ]
