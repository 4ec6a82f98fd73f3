"""How old the figures of onchain may get."""

from __future__ import annotations

from workers.asking.bounds import Bound, Figures

POINT = 3 * 86_400.0
"""Seconds since the beginning of a chart's newest day, which is usually yesterday, sometimes a day later."""

GAS = Bound("onchain gas", 120.0)  # the price changes within ten blocks
USE = Bound("onchain utilization", 300.0)  # the 25 blocks that are averaged
# Figures over a day move by some percent in two hours.
ETHEREUM_DAY = Bound("onchain ethereum day", 7200.0, POINT, part="Ethereum's")
BITCOIN_DAY = Bound("onchain bitcoin day", 7200.0, part="Bitcoin's")
ADDRESSES = {  # charts are cached for 4 h
    chain: Bound(f"onchain {chain} addresses", 6 * 3600.0, POINT, part=f"{chain.title()}'s")
    for chain in ("bitcoin", "ethereum")
}
BITCOIN_FEES = Bound("onchain bitcoin fees", 6 * 3600.0, POINT, part="Bitcoin's")
LOCKED = Bound("onchain value", 3600.0)  # an hour of prices is a percent
FEES = Bound("onchain fees", 7200.0)
SOLANA = Bound("onchain solana", 300.0)  # nodes take a sample per minute

_EACH: Figures = {
    "active_addresses": tuple(ADDRESSES.values()),
    "transaction_count": (BITCOIN_DAY, ETHEREUM_DAY),
    "total_fees": (BITCOIN_FEES, FEES),
    "gas_price": (GAS,),
    "network_utilization": (USE,),
    "total_value_locked": (LOCKED,),
}
_SOLANAS: Figures = {"chains.*.transactions_per_second": (SOLANA,), "chains.*.priority_fee": (SOLANA,)}
FIGURES: Figures = {**_EACH, **{f"chains.*.{name}": bounds for name, bounds in _EACH.items()}, **_SOLANAS}
