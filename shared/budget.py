"""Budget: the calls that a provider's free tier allows. `shared.bus.budgets` counts those of the cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Budget:
    """At most `units` within any `seconds`; a call costs 1 unit unless its request says otherwise."""

    units: int
    seconds: float
