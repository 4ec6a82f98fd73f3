"""Residents: services that also work between their cycles, run while this worker leads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from workers.services.service import Resident

log = structlog.get_logger()

_PAUSE = 0.2  # s between two checks for a change of leader: a fiftieth of the lease


class Residents:
    """All residents of a worker. `run` is the one task that owns their tasks."""

    def __init__(self, leads: Callable[[], bool]) -> None:
        """`leads` returns whether this worker holds its lease."""
        self._leads = leads
        self._services: dict[str, Resident] = {}

    def add(self, name: str, service: Resident) -> None:
        """Run `service` from the next time this worker begins to lead."""
        self._services[name] = service

    async def run(self) -> None:
        """Run them whenever this worker leads, until cancelled. An error of one of them passes through."""
        while True:
            if self._leads() and self._services:
                await self._lead()
            await asyncio.sleep(_PAUSE)

    async def _lead(self) -> None:
        tasks = [asyncio.create_task(service.run(), name=name) for name, service in self._services.items()]
        try:
            while self._leads():
                done, _ = await asyncio.wait(tasks, timeout=_PAUSE, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await task
                    raise RuntimeError(f"{task.get_name()} ended by itself")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
