"""The clock of the simulated market: the machine's time, plus time that was skipped by request."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


class Clock:
    """Unix seconds that can be moved forward. `source` is the time it runs on."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._skipped = 0.0

    def now(self) -> float:
        """Seconds since 1970."""
        return self._source() + self._skipped

    def advance(self, seconds: float) -> None:
        """Skip `seconds`."""
        self._skipped += seconds


class HostClock(Clock):
    """The clock of one host, which may stand still while the market's goes on."""

    def __init__(self, market: Clock) -> None:
        super().__init__(market.now)
        self._stopped: float | None = None

    def now(self) -> float:
        """Seconds since 1970."""
        return super().now() if self._stopped is None else self._stopped

    def stop(self) -> None:
        """Stand still, if it does not yet."""
        self._stopped = self.now()

    def go_on(self) -> None:
        """Follow the market's clock again."""
        self._stopped = None


def iso(seconds: float, timespec: str = "milliseconds") -> str:
    """UTC time as providers write it, with a `Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
