"""Retention: the days for which updates of each service are kept in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

from shared.catalog import CHANNEL_NAMES

_LONGEST = 36_500.0  # days: a century; a larger number is a typing error


@dataclass(frozen=True, slots=True)
class Retention:
    """`days`, with exceptions in `by_service`."""

    days: float
    by_service: Mapping[str, float] = field(default_factory=dict)

    def of(self, service: str) -> float:
        """Days for which updates of `service` are kept."""
        return self.by_service.get(service, self.days)

    def __str__(self) -> str:
        """In the form that `parse` reads."""
        return ",".join([f"{self.days:g}", *(f"{service}={days:g}" for service, days in self.by_service.items())])

    @classmethod
    def parse(cls, text: str) -> Retention:
        """Reads `7,news=90,market_data=2`. Raises ValueError with a line for the operator."""
        days: float | None = None
        by_service: dict[str, float] = {}
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, equals, number = part.rpartition("=")
            if not equals and days is None:
                days = _days(number)
            elif equals and name.strip() in CHANNEL_NAMES and name.strip() not in by_service:
                by_service[name.strip()] = _days(number)
            else:
                raise ValueError("a number of days, then service=days for exceptions, separated by commas")
        return cls(7.0 if days is None else days, by_service)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not (isfinite(days) and 0 < days <= _LONGEST):
        raise ValueError(f"days are a number above 0, at most {_LONGEST:.0f}")
    return days
