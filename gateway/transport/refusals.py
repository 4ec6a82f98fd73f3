"""Refused requests: all are counted, and one line per address and minute is logged."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter

log = structlog.get_logger()

_MINUTE = 60.0  # s between lines about one address
_ADDRESSES = 1000  # kept, 100 kB; addresses beyond them are only counted until the minute is over


class Refusals:
    """Counts and logs them."""

    def __init__(self, counter: Counter, clock: Callable[[], float] = time.monotonic) -> None:
        """`counter` has the label `reason`."""
        self._counter = counter
        self._clock = clock
        self._logged: dict[str | None, float] = {}  # address to the time of its line, oldest first

    def note(self, address: str | None, reason: str) -> None:
        """A request from `address` was refused."""
        self._counter.labels(reason).inc()
        now = self._clock()
        while self._logged and now - next(iter(self._logged.values())) >= _MINUTE:
            del self._logged[next(iter(self._logged))]
        if address not in self._logged and len(self._logged) < _ADDRESSES:
            self._logged[address] = now
            log.info("request refused: logged once per address and minute", address=address, reason=reason)
