"""Collector: the cycles of one service. It collects, publishes, and reports a service that has gone stale."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import structlog

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

    async def publish(self, name: str, payload: Payload, fence: int, cursor: bytes | None = None) -> None:
        """Publish an update of service `name`. Raises FencedError if a newer leader has published, else BusError."""
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

    async def cycle(self) -> bool:
        """Run once. Returns whether it succeeded, or another worker leads."""
        fence = self._publisher.fence
        if not fence:
            self._last_update, self._stale = None, False  # another worker leads and watches its own updates
            self._resumed = 0
            return True
        began = self._clock()
        if self._last_update is None:
            self._last_update = began
        try:
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
            return False
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
        cursor = resuming.cursor if resuming is not None else None
        await self._publisher.publish(self._name, payload, fence, cursor)
        self._resumed = fence

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
