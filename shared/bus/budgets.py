"""Budgets: all processes of the cluster together never call a provider more often than its free tier allows."""

from __future__ import annotations

from math import ceil

from redis.asyncio import Redis

from shared.budget import Budget
from shared.bus.client import load_script, redis_call
from shared.channels import Channels


class Budgets:
    """What the cluster has spent, in Redis, so that it outlives restarts and takeovers."""

    def __init__(self, redis: Redis, channels: Channels) -> None:
        self._channels = channels
        self._block = load_script(redis, "budget_block")
        self._spend = load_script(redis, "budget")

    async def spend(self, provider: str, budget: Budget, cost: int = 1, *, reserve: int = 0) -> float:
        """Spend `cost` units. Returns 0.0 if the call may be made now, else the seconds until then, with nothing spent.

        The last `reserve` units are left to other callers. Raises BusError if Redis can't be reached: a call that
        can't be counted must not be made.
        """
        args = [budget.units - reserve, ceil(budget.seconds * 1000), cost]
        async with redis_call(f"budget of {provider}"):
            wait = await self._spend(keys=self._keys(provider), args=args)
        return int(wait) / 1000

    async def block(self, provider: str, seconds: float) -> None:
        """Block calls of `provider` in the whole cluster for `seconds` (its Retry-After). Raises BusError.

        A longer block that exists already is left as it is.
        """
        async with redis_call(f"block of {provider}"):
            await self._block(keys=self._keys(provider)[1:], args=[max(1, ceil(seconds * 1000))])

    def _keys(self, provider: str) -> list[str]:
        return [self._channels.budget(provider), self._channels.budget_block(provider)]
