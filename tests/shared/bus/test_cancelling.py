"""Whatever talks to Redis can be cancelled: a task that loses its cancellation never ends."""

from __future__ import annotations

import asyncio

from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings

_TRIALS = 60  # with redis-py's socket_timeout, Python 3.11 lost more than half of them


async def test_a_task_that_publishes_all_the_time_ends_when_it_is_cancelled_once(settings: Settings) -> None:
    """One cancel is enough, at whatever moment of a command it comes."""
    redis = open_redis(settings)
    bus = Bus(redis, Channels(settings.redis_prefix), 10)

    async def publish() -> None:
        while True:
            await bus.publish("news", {})

    for trial in range(_TRIALS):
        task = asyncio.create_task(publish())
        await asyncio.wait([task], timeout=trial / 10_000)  # another moment of a command each time
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=5)
        assert done, f"still running after its cancellation (trial {trial})"
    await redis.aclose()
