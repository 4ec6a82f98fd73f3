"""Collector: the cycles of one service. It collects, publishes, and reports a service that has gone stale."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from shared.bus import LastPublish, Position
from shared.catalog import SERVICES, STALE_INTERVALS
from shared.errors import BusError, FencedError, NoSourceError
from shared.payloads import Payload
from workers.services.service import Resuming, Service

log = structlog.get_logger()

_CYCLE_SHARE = 0.8  # share of the interval that a cycle may take, so that it ends before the next one begins


class Publisher(Protocol):
    """What a collector needs from its worker."""

    @property
    def fence(self) -> int:
        """The fence to publish with; 0 while another worker leads."""
        ...

    async def publish(self, name: str, payload: Payload, fence: int, cursor: bytes | None = None) -> Position:
        """Publish an update of service `name`. Raises FencedError if a newer leader has published, else BusError."""
        ...

    async def last_publish(self, name: str) -> LastPublish | None:
        """The position and age of the newest update of `name`, whoever published it. Raises BusError."""
        ...

    async def cursor_of(self, name: str, fence: int) -> bytes | None:
        """The cursor stored with the last update of `name`. It stops leaders before `fence`. Raises BusError."""
        ...

    async def publish_notices(self) -> None:
        """Publish this cycle's notices on `system`."""
        ...

    def failed(self, name: str, reason: str) -> None:
        """Count a cycle that published nothing."""
        ...

    def tell_stale(self, name: str, seconds: float) -> None:
        """Report once that a service has had no update for `seconds`."""
        ...

    def tell_recovered(self, name: str, seconds: float) -> None:
        """Report that a stale service has an update again, after `seconds`."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    """A payload whose publish Redis did not confirm."""

    payload: Payload
    cursor: bytes | None
    collected: float
    """By the collector's clock."""


class Collector:
    """The cycles of one service: collect, publish, and report a service without updates."""

    def __init__(
        self,
        name: str,
        service: Service,
        publisher: Publisher,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._name = name
        self._service = service
        self._publisher = publisher
        self._interval = SERVICES[name].interval
        self._last_update: float | None = None
        self._stale = False
        self._resumed = 0
        """The fence under which the service continued from the last update; 0 if its cursor must be read from Redis."""
        self._position: Position | None = None
        """That of the newest update known."""
        self._kept: _Kept | None = None

    def lead(self, last: LastPublish | None) -> float | None:
        """Call it when this worker begins to lead, with the service's newest update; returns the age to plan by."""
        position = last.position if last is not None else None
        if self._is_passed(position):
            self._kept = None  # another worker has published something newer
            self._last_update, self._stale = None, False  # and watched the service
        elif position != self._position and isinstance(self._service, Resuming):
            self._kept = None  # Redis lost updates, which the service must go through again
        self._position = position
        if self._kept is not None:
            return self._interval  # it waits to be published
        return last.age if last is not None else None

    async def cycle(self) -> bool:
        """Run once. Returns whether it succeeded, or another worker leads. Raises BusError if Redis failed."""
        fence = self._publisher.fence
        if not fence:
            return True
        began = self._clock()
        if self._last_update is None:
            self._last_update = began
        try:
            if not await self._publish_kept(fence):
                await self._collect_and_publish(fence)
        except NoSourceError:
            self._no_update("no_source")
            return False
        except FencedError:
            self._publisher.failed(self._name, "fenced")
            log.warning("publish refused: another worker leads", service=self._name)
            return False
        except BusError:
            self._publisher.failed(self._name, "redis")
            raise
        else:
            self._updated()
            return True
        finally:
            await self._publisher.publish_notices()

    async def _collect_and_publish(self, fence: int) -> None:
        service = self._service
        resuming = service if isinstance(service, Resuming) else None
        if resuming is not None and self._resumed != fence:
            resuming.resume(await self._publisher.cursor_of(self._name, fence))
        self._resumed = 0  # until Redis confirms the update, this worker can't be sure what was published
        payload = await service.collect(self._wall_clock(), self._interval * _CYCLE_SHARE)
        await self._publish(_Kept(payload, resuming.cursor if resuming is not None else None, self._clock()), fence)
        self._resumed = fence

    async def _publish_kept(self, fence: int) -> bool:
        """Publish the payload whose publish failed, unless it happened or is old. Returns whether it will do as this
        cycle's update, so that its sources are not asked again at once.
        """
        kept, self._kept = self._kept, None
        if kept is None:
            return False
        age = self._clock() - kept.collected
        try:
            last = await self._publisher.last_publish(self._name)
        except BusError:
            self._kept = kept
            raise
        if last is not None and self._is_passed(last.position):
            self._position = last.position
            if not last.own:
                return False
            # Only Redis' answer was lost.
        elif age >= STALE_INTERVALS * self._interval:
            return False
        else:
            await self._publish(kept, fence)
        return age < self._interval

    async def _publish(self, kept: _Kept, fence: int) -> None:
        try:
            self._position = await self._publisher.publish(self._name, kept.payload, fence, kept.cursor)
        except BusError:
            self._kept = kept
            raise

    def _is_passed(self, position: Position | None) -> bool:
        """Whether `position` is newer than that of the newest update known, or of another epoch."""
        known = self._position
        if position is None or known is None:
            return position is not None
        return position.epoch != known.epoch or position.seq > known.seq

    def _updated(self) -> None:
        now = self._clock()
        if self._stale and self._last_update is not None:
            self._stale = False
            self._publisher.tell_recovered(self._name, now - self._last_update)
        self._last_update = now

    def _no_update(self, reason: str) -> None:
        self._publisher.failed(self._name, reason)
        silent = 0.0 if self._last_update is None else self._clock() - self._last_update
        if not self._stale and silent >= STALE_INTERVALS * self._interval - 1:
            self._stale = True
            self._publisher.tell_stale(self._name, silent)
