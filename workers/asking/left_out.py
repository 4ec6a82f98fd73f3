"""LeftOut: counts rows and figures that do not fit, and logs when a field begins to misfit and when it fits again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import structlog

from shared.metrics import WorkerMetrics
from workers.asking.rows import Misfits

log = structlog.get_logger()

_QUIET = 3600.0
"""Seconds without a misfit after which a field fits again. An odd row on one page of a list, or an answer that is odd
now and then, would otherwise be logged with every page.
"""


class LeftOut:
    """What a process left out of its providers' answers."""

    def __init__(self, metrics: WorkerMetrics | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Without `metrics` nothing is counted. `clock` gives seconds."""
        self._metrics = metrics
        self._clock = clock
        self._odd: dict[tuple[str, str], float] = {}
        """When a field of a provider misfitted last. Bounded: fields are those of our schemas."""

    def __call__(self, provider: str, misfits: Misfits) -> None:
        """Take note of one answer of `provider`."""
        if not misfits.read:
            return
        now = self._clock()
        if self._metrics is not None:
            self._metrics.rows_read.labels(provider).inc(misfits.read)
            for field, count in misfits.rows.items():
                self._metrics.rows_left_out.labels(provider, field).inc(count)
            for field, count in misfits.figures.items():
                self._metrics.figures_left_out.labels(provider, field).inc(count)
        for field in misfits.reasons:
            if (provider, field) not in self._odd:
                self._begins(provider, field, misfits)
            self._odd[provider, field] = now
        for other, field in [odd for odd, last in self._odd.items() if now - last >= _QUIET]:
            if other == provider:
                del self._odd[provider, field]
                log.info("rows of a provider fit again", provider=provider, field=field)

    def _begins(self, provider: str, field: str, misfits: Misfits) -> None:
        found: Counter[str] = misfits.rows if field in misfits.rows else misfits.figures
        log.warning(
            "rows of a provider don't fit and are left out"
            if field in misfits.rows
            else "figures of a provider don't fit and are null",
            provider=provider,
            field=field,
            reason=misfits.reasons[field],
            rows=found[field],
            of=misfits.read,
        )
