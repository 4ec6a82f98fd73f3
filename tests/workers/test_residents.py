"""Services that work between their cycles: only while their worker leads, and never dead unnoticed."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import until
from workers.residents import Residents


class Resident:
    """Counts how often it was begun and cancelled."""

    def __init__(self) -> None:
        self.begun = self.cancelled = 0
        self.fails = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        try:
            await self.fails.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        raise ValueError("broken")


async def test_residents_run_while_their_worker_leads() -> None:
    """Begun with the lease, cancelled without it, begun again with the next; cancelled with the worker."""
    leading = False
    first, second = Resident(), Resident()
    residents = Residents(lambda: leading)
    residents.add("first", first)
    residents.add("second", second)
    running = asyncio.create_task(residents.run())
    leading = True
    await until(lambda: (first.begun, second.begun) == (1, 1), 5)
    leading = False
    await until(lambda: (first.cancelled, second.cancelled) == (1, 1), 5)
    leading = True
    await until(lambda: first.begun == 2, 5)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (first.cancelled, second.cancelled) == (2, 2)


async def test_a_resident_that_dies_is_noticed() -> None:
    """What it raises comes out of `run`, and the others are ended: a worker without it must not go on."""
    first, second = Resident(), Resident()
    residents = Residents(lambda: True)
    residents.add("first", first)
    residents.add("second", second)
    first.fails.set()
    with pytest.raises(ValueError, match="broken"):
        await residents.run()
    assert second.cancelled == 1
