from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from shared.payloads.fields import Payload, UtcTime


class WhaleTransaction(Struct, frozen=True, kw_only=True):
    """One transfer above the threshold."""

    hash: str
    value: Annotated[float, Meta(description="USD at the price of the moment; the same as value_usd")]
    from_: Annotated[str | None, Meta(description="sender's address; null where the chain names none")] = field(
        name="from"
    )
    to: Annotated[str | None, Meta(description="receiver's address; null for a contract creation")]
    timestamp: UtcTime
    chain: Annotated[str, Meta(examples=["ethereum", "bitcoin"])]
    symbol: Annotated[str, Meta(examples=["ETH", "USDT"])]
    amount: Annotated[float, Meta(description="units of the symbol")]
    value_usd: Annotated[float, Meta(description="USD")]
    from_label: Annotated[str | None, Meta(description="owner of the sender's address; null if unknown")]
    to_label: Annotated[str | None, Meta(description="owner of the receiver's address; null if unknown")]


class WhaleWallet(Struct, frozen=True, kw_only=True):
    """A known wallet that took part in a large transfer."""

    address: str
    label: Annotated[str, Meta(examples=["Binance 14"])]
    chain: str


class WhaleTracking(Payload, frozen=True, kw_only=True):
    """Large transfers since the last update."""

    large_transactions: Annotated[list[WhaleTransaction], Meta(description="newest first, one entry per transfer")]
    whale_wallets: Annotated[list[WhaleWallet], Meta(description="known wallets in these transfers")]
    total_volume: Annotated[float, Meta(description="USD, sum of the large transactions")]
    alert_threshold: Annotated[float, Meta(description="USD from which a transfer counts as large")]
    sources: Annotated[list[str], Meta(description="providers that answered for this update")]
