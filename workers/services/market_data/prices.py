"""PriceBook: what a coin costs now, for services that value other things in dollars."""

from __future__ import annotations

from typing import Any

from shared.errors import NoSourceError
from shared.payloads import MarketData
from workers.asking.pool import SourcePool
from workers.asking.ports import PriceList
from workers.asking.provider import Ask
from workers.services.service import ServiceContext

SOURCES = ("defillama_coins", "coingecko")
"""Asked for coins that market_data does not have (COINS may leave any out), in this order."""
_KEEP = 900.0  # s a price counts: as long as a listed price does in market_data (docs/adr/0004)
_REFRESH = 60.0  # s after which a coin that market_data does not have is asked for again: the sources' own caches


class PriceBook:
    """Prices from market_data's last update, and from sources of its own for coins that are not in it."""

    def __init__(self, context: ServiceContext, service: str) -> None:
        """`service` is the one that asks; its pool is named after it."""
        self._latest = context.latest
        self.pool: SourcePool[PriceList] = context.pool(f"{service} prices", SOURCES)
        self._prices: dict[str, tuple[float, float]] = {}
        """By CoinGecko id: USD, and the unix seconds when that was read."""
        self._asked: dict[str, float] = {}
        """By CoinGecko id: the unix seconds when it was asked for last, known or not."""

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pool, for reports on it."""
        return (self.pool,)

    async def usd(self, ids: tuple[str, ...], now: float, deadline: float) -> dict[str, float]:
        """USD for one of each of `ids` (CoinGecko's) at `now` (unix seconds); unknown ones are left out.

        Read 15 minutes ago at most; by then a listed price may be as old again. Raises BusError where Redis can't
        count calls.
        """
        market = self._latest("market_data", _KEEP)
        known = market.prices if isinstance(market, MarketData) else {}
        missing = tuple(coin_id for coin_id in ids if known.get(coin_id) is None)
        if any(not 0 <= now - self._asked.get(coin_id, float("-inf")) < _REFRESH for coin_id in missing):
            try:
                # For all at once: an answer without any price would be taken for a source that fails.
                _, prices = await self.pool.ask(_question(missing), deadline)
            except NoSourceError:
                pass  # the pool has logged it; earlier prices stay valid for a while
            else:
                self._asked |= dict.fromkeys(missing, now)
                self._prices |= {coin_id: (price, now) for coin_id, price in prices.items()}
        own = {coin_id: self._prices[coin_id][0] for coin_id in missing if now - self._read_at(coin_id) <= _KEEP}
        return own | {coin_id: price for coin_id in ids if (price := known.get(coin_id)) is not None}

    def _read_at(self, coin_id: str) -> float:
        return self._prices.get(coin_id, (0.0, float("-inf")))[1]


def _question(ids: tuple[str, ...]) -> Any:
    async def question(provider: PriceList, ask: Ask) -> dict[str, float]:
        return await provider.prices(ask, ids)

    return question
