"""Budgets: providers are never asked more than their free tier allows, by all processes of the cluster together."""

from __future__ import annotations

from math import ceil

from redis.asyncio import Redis

from shared.budget import Budget
from shared.bus.client import load_script, redis_call
from shared.channels import Channels


class Budgets:
    """What the cluster has spent, kept in Redis so that restarts and takeovers don't forget it."""

    def __init__(self, redis: Redis, channels: Channels) -> None:
        self._channels = channels
        self._block = load_script(redis, "budget_block")
        self._spend = load_script(redis, "budget")

    async def spend(self, provider: str, budget: Budget, cost: int = 1, *, reserve: int = 0) -> float:
        """Take `cost` units: 0.0 if the call may be made now, else the seconds until it may be (nothing was taken).

        Units below `reserve` are left to others. Raises BusError if Redis is away: whoever can't count must not ask.
        """
        args = [budget.units - reserve, ceil(budget.seconds * 1000), cost]
        async with redis_call(f"budget of {provider}"):
            wait = await self._spend(keys=self._keys(provider), args=args)
        return int(wait) / 1000

    async def block(self, provider: str, seconds: float) -> None:
        """Let nobody in the cluster ask `provider` for `seconds`: it said so (Retry-After). Raises BusError.

        A longer block that stands already stays as it is.
        """
        async with redis_call(f"block of {provider}"):
            await self._block(keys=self._keys(provider)[1:], args=[max(1, ceil(seconds * 1000))])

    def _keys(self, provider: str) -> list[str]:
        return [self._channels.budget(provider), self._channels.budget_block(provider)]
