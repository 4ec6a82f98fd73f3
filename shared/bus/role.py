"""Role: whether the Redis that is asked hears what is published at all."""

from __future__ import annotations

from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.bus.client import redis_call

log = structlog.get_logger()

_REPLICA, _CONNECTED = b"slave", b"connected"  # ROLE still says so: https://redis.io/docs/latest/commands/role/


class Role:
    """What a server says of itself: a replica that has lost its primary answers everything, and hears nothing new."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.detached = False
        """Whether it was a replica without its primary when last asked."""

    async def look(self) -> None:
        """Ask it. Raises BusError. A server that does not say, or may not, counts as one that hears."""
        async with redis_call("role"):
            try:
                answer: Any = await self._redis.execute_command("ROLE")  # type: ignore[no-untyped-call]
            except ResponseError:
                answer = [b""]
        detached = answer[0] == _REPLICA and answer[3] != _CONNECTED
        if detached != self.detached:
            self.detached = detached
            if detached:
                log.warning("redis is a replica without its primary: it hears nothing new")
            else:
                log.info("redis hears what is published again")
