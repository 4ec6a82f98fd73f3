"""ClientNumbers: the `n` of client ids, each given out once in the whole cluster, without a round trip per connect."""

from __future__ import annotations

import secrets

from redis.asyncio import Redis

from shared.bus.client import load_script, redis_call, refused
from shared.channels import Channels
from shared.errors import BusError

BLOCK = 10_000
"""Numbers that a gateway takes at a time, so that a connect needs no round trip."""

DRAWN = range(2**52, 2**53 - BLOCK)
"""Where blocks of our own begin. Redis counts from 1, and after a loss from the clock in ms, which has 41 bits: it
never gets here. Up to 2^53 a number is exact as a float, in a sorted set's scores and in JavaScript."""


class ClientNumbers:
    """The numbers that one gateway may give out.

    Redis hands out blocks. While it does not, because it is full or away, blocks are drawn at random. There are 450
    thousand million: two gateways that draw a thousand each have one in common with a probability of 2 in a million.
    """

    def __init__(self, redis: Redis, channels: Channels) -> None:
        """Sends nothing yet."""
        self._key = channels.client_numbers
        self._free: range = range(0)
        self._spare: range = range(0)
        self._highest = 0  # of all numbers that Redis has handed out to us
        self._answered = False
        self._draws = False
        self._take = load_script(redis, "client_numbers")

    def next(self) -> int | None:
        """A number that no gateway has used, or None while Redis, which was never reached, has handed out none."""
        if not self._free:
            self._free, self._spare = self._spare, range(0)
        if not self._free and self._draws:
            first = DRAWN.start + secrets.randbelow(len(DRAWN) // BLOCK) * BLOCK
            self._free = range(first, first + BLOCK)
        if not self._free:
            return None
        number, self._free = self._free[0], self._free[1:]
        return number

    @property
    def low(self) -> bool:
        """Whether `refill` should be called soon."""
        return not self._spare and len(self._free) < BLOCK // 2

    async def refill(self) -> None:
        """Take a block from Redis if necessary, and always check that it hands out no number twice. Raises BusError.

        After an error, numbers are drawn: at once if Redis has refused, also if it is away but had answered before.
        """
        wanted = 0 if self._spare else BLOCK
        try:
            async with redis_call("client numbers"):
                taken = int(await self._take(keys=[self._key], args=[self._highest, wanted]))
        except BusError as error:
            self._draws = self._answered or refused(error)
            raise
        self._answered, self._draws = True, False
        if self._free and self._free[0] >= DRAWN.start:
            self._free = range(0)
        if wanted:
            self._spare = range(taken + 1, taken + 1 + wanted)
            self._highest = self._spare[-1]
