"""When a worker's jobs run first."""

from __future__ import annotations

import time

from tests.waiting import until
from workers.jobs import Jobs


async def test_a_start_that_takes_long_does_not_put_off_the_first_cycle() -> None:
    """A service that takes seconds to make, as one with a model does, leaves no other service waiting an interval."""
    ran: list[float] = []

    async def cycle() -> bool:
        ran.append(time.monotonic())
        return True

    jobs = Jobs()
    jobs.add("news", 3600.0, cycle)
    planned = time.monotonic() + 1.0
    await until(lambda: time.monotonic() > planned, 5)
    jobs.start()
    await until(lambda: bool(ran), 5)
    await jobs.stop()
    assert len(ran) == 1
