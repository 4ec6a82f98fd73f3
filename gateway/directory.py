"""Directory: what this gateway knows of the coins, as workers have stored it in Redis."""

from __future__ import annotations

import asyncio

import structlog

from shared.bus.coin_list import CoinList
from shared.coins import Coins, unpack_coins
from shared.errors import BusError, CoinListError

log = structlog.get_logger()

LOOK_SECONDS = 5.0
"""How often it asks whether the list has changed. That is one short answer; the list itself, 10 to 25 kB, is read only
then. Nobody is told of a change, so none is missed: not after a reconnect, a failover or a Redis that has lost it."""
_LOOK_AGAIN = 0.2  # s after a failure while nothing is known yet: until then this gateway is not ready


class Directory:
    """The coins. `run` is its only task. Without a list, as an older worker leaves it, no coin is known."""

    def __init__(self, stored: CoinList, look: float = LOOK_SECONDS) -> None:
        """Sends nothing. It looks for a new list every `look` seconds."""
        self._stored = stored
        self._look_seconds = look
        self._refused: str | None = None
        """Why the list that was found last is not used; None if it is. Logged when it changes."""
        self.coins = Coins()
        """As of the newest list that could be read. Another list is another object."""
        self.version: str | None = None
        """That of `coins`; None before the first list."""
        self.asked = False
        """Whether Redis has answered once: then an unknown symbol is unknown to the cluster."""

    def resolve(self, name: str) -> str | None:
        """The id of a coin by its id or symbol, None for neither. Raises AmbiguousCoinError. See Coins.resolve."""
        return self.coins.resolve(name)

    async def run(self) -> None:
        """Look for new lists until cancelled."""
        while True:
            try:
                await self._look()
            except CoinListError as error:
                self._refuse(str(error))
            except BusError:  # the relay has the same trouble, and logs it
                pass
            await asyncio.sleep(self._look_seconds if self.asked else min(_LOOK_AGAIN, self._look_seconds))

    async def _look(self) -> None:
        """Read the list if it is another one. Raises BusError and CoinListError; then what is known stays."""
        version = await self._stored.version()
        if version is not None and version != self.version:
            found = await self._stored.read()
            if found is not None:
                self.coins, self.version = unpack_coins(found.raw), found.version
                log.debug("coins read", coins=len(self.coins.by_id))
        self._refused, self.asked = None, True

    def _refuse(self, reason: str) -> None:
        """Use what is known: the worker replaces the list within seconds, or people have to."""
        if reason != self._refused:
            log.warning("the list of coins in Redis is not used", reason=reason)
        self._refused, self.asked = reason, True
