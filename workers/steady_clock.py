"""SteadyClock: unix time that does not jump when the machine's clock is set."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

_DRIFT = 1.0  # s between two readings that are no jump: what NTP slews, and what a busy machine takes in between
_BELIEVED = 600.0
"""Seconds for which a new time must have stood before it is used. A clock that is set wrong, and right again within
them, changes nothing; one that is set right only after this process has started is used soon.
"""


def _elapsed() -> float:
    """Seconds that no setting of the clock changes. On Linux it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyClock:
    """Unix seconds by the machine's clock. A jump of it is ignored for ten minutes, then followed."""

    def __init__(
        self, wall_clock: Callable[[], float] = time.time, steady_clock: Callable[[], float] = _elapsed
    ) -> None:
        """`wall_clock` gives unix seconds and may be set; `steady_clock` gives seconds and may not."""
        self._wall_clock = wall_clock
        self._steady_clock = steady_clock
        self._offset = wall_clock() - steady_clock()
        self._doubted: tuple[float, float] | None = None
        """The new offset, and since when (by the steady clock) it stands."""

    def __call__(self) -> float:
        """The time now."""
        steady = self._steady_clock()
        offset = self._wall_clock() - steady
        if abs(offset - self._offset) <= _DRIFT:
            self._offset, self._doubted = offset, None
        elif self._doubted is None or abs(offset - self._doubted[0]) > _DRIFT:
            self._doubted = offset, steady
            log.warning("this machine's clock was set", seconds=round(offset - self._offset, 1))
        elif steady - self._doubted[1] >= _BELIEVED:
            self._offset, self._doubted = offset, None
            log.info("the clock that was set is used from now on")
        return steady + self._offset
