"""Refused requests and closed clients: one line per event, address and minute is logged; refusals are counted here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import Counter

log = structlog.get_logger()

_MINUTE = 60.0  # s between lines of one event about one address
_LINES = 1000  # per minute, and kept for it: 100 kB; clients beyond them are only counted until the minute is over


class Refusals:
    """Counts requests that are refused, and logs what clients did wrong."""

    def __init__(self, counter: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        """`counter` has the label `reason`."""
        self._counter = counter
        self._clock = clock
        self._logged: dict[tuple[str, str | None], float] = {}  # event and address to the time, oldest first

    def note(self, address: str | None, reason: str) -> None:
        """A request from `address` was refused."""
        self._counter.labels(reason).inc()
        self.tell("request refused: logged once per address and minute", address, reason=reason)

    def tell(self, event: str, address: str | None, **fields: Any) -> None:
        """Log that `event` befell a client at `address`: whoever comes back again and again can't fill the log."""
        now = self._clock()
        while self._logged and now - next(iter(self._logged.values())) >= _MINUTE:
            del self._logged[next(iter(self._logged))]
        if (event, address) not in self._logged and len(self._logged) < _LINES:
            self._logged[event, address] = now
            log.info(event, address=address, **fields)
