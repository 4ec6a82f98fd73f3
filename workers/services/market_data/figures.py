"""How old the figures of market_data may get."""

from __future__ import annotations

from workers.asking.bounds import Bound, Figures

TRADED = 3600.0
"""Seconds without a trade, by the exchange's own time, after which it has halted the pair: its price is not used."""
QUOTED = Bound("market_data prices", 30.0)  # six missed cycles; then the list's price is preferred
LISTED = Bound("market_data listing", 900.0)  # three missed rounds of the slowest fallback
SUPPLY = Bound("market_data listing", 86_400.0, part="the supply")  # supplies change by a fraction of a percent per day

FIGURES: Figures = {
    "prices.*": (QUOTED, LISTED),
    "volumes.*": (LISTED,),
    "market_caps.*": (SUPPLY, LISTED),
    "price_changes.*": (LISTED, QUOTED),
    "price_spread_bps.*": (QUOTED,),
}
