from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, field

from shared.payloads.fields import Payload, UtcTime
from shared.payloads.filtering import Again, Choice, Least, Row, Rule, figures


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


def total_volume(rows: list[Row], _before: Any) -> float:
    """USD, sum of the transactions in `rows`."""
    return round(sum(figures(rows, "value_usd"), 0.0), 2)


def wallets_of(rows: list[Row], before: Any) -> Any:
    """Those of the wallets `before` that took part in the transactions in `rows`."""
    if not isinstance(before, list):
        return before
    parties = {(str(row.get("chain")), str(row.get(side))) for row in rows for side in ("from", "to")}
    wallets = [wallet for wallet in before if isinstance(wallet, dict)]
    return [wallet for wallet in wallets if (str(wallet.get("chain")), str(wallet.get("address"))) in parties]


class WhaleTracking(Payload, frozen=True, kw_only=True):
    """Large transfers since the last update."""

    filters: ClassVar[tuple[Rule, ...]] = (
        Choice(name="chains", words="names of chains", rows={"large_transactions": "chain"}),
        Least(
            name="min_value_usd", words="USD from which a transfer is sent", rows={"large_transactions": "value_usd"}
        ),
        Choice(name="symbols", words="symbols of what is transferred", rows={"large_transactions": "symbol"}),
    )
    again: ClassVar[tuple[Again, ...]] = (
        Again("whale_wallets", "large_transactions", wallets_of),
        Again("total_volume", "large_transactions", total_volume),
    )

    large_transactions: Annotated[list[WhaleTransaction], Meta(description="newest first, one entry per transfer")]
    whale_wallets: Annotated[list[WhaleWallet], Meta(description="known wallets in these transfers")]
    total_volume: Annotated[float, Meta(description="USD, sum of the large transactions")]
    alert_threshold: Annotated[float, Meta(description="USD from which a transfer counts as large")]
    sources: Annotated[list[str], Meta(description="providers that answered for this update")]
