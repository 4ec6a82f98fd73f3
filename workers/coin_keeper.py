"""CoinKeeper: stores in Redis what the services of a worker know of coins, so that gateways know it."""

from __future__ import annotations

from shared.bus.coin_list import CoinList
from shared.coins import pack_coins
from shared.errors import BusError
from shared.outage import Outage
from workers.services.service import CoinKnowledge, KnowsCoins


class CoinKeeper:
    """The coins of a worker's services. One service of a cluster knows coins."""

    def __init__(self, stored: CoinList) -> None:
        self._stored = stored
        self._services: dict[str, KnowsCoins] = {}
        self._packed: tuple[CoinKnowledge, bytes] | None = None
        self._outage = Outage("the coins can't be stored", "the coins are stored again")

    def add(self, name: str, service: KnowsCoins) -> None:
        """Store what `service` knows from now on."""
        self._services[name] = service

    async def store(self, name: str, fence: int) -> None:
        """Store what service `name` knows, after each of its updates: Redis may have lost it, or others spoiled it.

        Never raises: the update is published, and its next one tries again.
        """
        service = self._services.get(name)
        if service is None:
            return
        known = service.known_coins
        if self._packed is None or self._packed[0] is not known:
            self._packed = known, pack_coins(known.coins)
        try:
            await self._stored.store(self._packed[1], fence, stays=not known.learned)
        except BusError as error:
            self._outage.lost(error)
        else:
            self._outage.back()
