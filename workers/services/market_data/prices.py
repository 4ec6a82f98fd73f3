"""PriceBook: current prices of coins, for services that convert amounts to dollars."""

from __future__ import annotations

from typing import Any

from shared.errors import NoSourceError, ProviderError
from shared.payloads import MarketData
from workers.answers import DatedPrice
from workers.asking.moments import believed, is_mistaken
from workers.asking.pool import SourcePool
from workers.asking.ports import PriceList
from workers.asking.provider import Ask
from workers.services.service import ServiceContext

SOURCES = ("defillama_coins", "coingecko")
"""Sources for coins that market_data does not have (COINS may leave out any coin), in order of preference."""
_OLDEST = 3600.0  # s since a price's own time, when it is read: an hour of a large coin's price is a percent
_KEEP = 900.0  # s for which a price is used: as long as a listed price in market_data (docs/adr/0004)
_REFRESH = (
    60.0  # s before a coin that market_data does not have is asked for again: the lifetime of the sources' caches
)


class PriceBook:
    """Prices from market_data's last update; for coins that are not in it, from its own sources."""

    def __init__(self, context: ServiceContext, service: str) -> None:
        """`service` is the service that uses it; the pool has its name."""
        self._latest = context.latest
        self._wall_clock = context.wall_clock
        self.pool: SourcePool[PriceList] = context.pool(f"{service} prices", SOURCES)
        self._prices: dict[str, tuple[float, float]] = {}
        """By CoinGecko id: USD, and when that was read, by the pool's clock."""
        self._asked: dict[str, float] = {}
        """By CoinGecko id: when it was asked for last, known or not, by the pool's clock."""

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pool, for reports on it."""
        return (self.pool,)

    async def usd(self, ids: tuple[str, ...], deadline: float) -> dict[str, float]:
        """USD for one of each of `ids` (CoinGecko's); unknown ones are left out.

        They were read at most 15 minutes ago. A listed price may have been 15 minutes old when it was read, another
        one an hour. Raises BusError if Redis can't count calls.
        """
        now = self.pool.clock()
        market = self._latest("market_data", _KEEP)
        known = market.prices if isinstance(market, MarketData) else {}
        missing = tuple(coin_id for coin_id in ids if known.get(coin_id) is None)
        if any(now - self._asked.get(coin_id, float("-inf")) >= _REFRESH for coin_id in missing):
            # Ask for all at once: an answer without any price would count as a failed source.
            source, old = await self._ask(missing, now, deadline)
            if source is not None and old and (left := deadline - (self.pool.clock() - now)) > 0:
                await self._ask(old, now, left, skip=(source,))
        own = {coin_id: self._prices[coin_id][0] for coin_id in missing if now - self._read_at(coin_id) <= _KEEP}
        return own | {coin_id: price for coin_id in ids if (price := known.get(coin_id)) is not None}

    def _read_at(self, coin_id: str) -> float:
        return self._prices.get(coin_id, (0.0, float("-inf")))[1]

    async def _ask(
        self, ids: tuple[str, ...], now: float, deadline: float, skip: tuple[str, ...] = ()
    ) -> tuple[str | None, tuple[str, ...]]:
        """Ask for these prices. Returns the source, and the ids whose prices were too old; None if none answers.

        The pool has logged the failure then, and earlier prices stay valid for a while.
        """

        async def question(provider: PriceList, ask: Ask) -> tuple[dict[str, DatedPrice], tuple[str, ...]]:
            prices = await provider.prices(ask, ids)
            old = tuple(
                coin_id for coin_id, price in prices.items() if not _is_current(price.as_of, self._wall_clock())
            )
            if len(old) == len(prices):
                raise ProviderError(provider.name, "its prices are over an hour old", kind="stale")
            return {coin_id: price for coin_id, price in prices.items() if coin_id not in old}, old

        try:
            source, (prices, old) = await self.pool.ask(question, deadline, skip=skip)
        except NoSourceError:
            return None, ()
        self._asked |= dict.fromkeys(ids, now)
        self._prices |= {coin_id: (price.usd, now) for coin_id, price in prices.items()}
        return source, old


def _is_current(as_of: float | None, now: float) -> bool:
    """Whether a price of `as_of` may be used at `now`, both in unix seconds."""
    return not is_mistaken(as_of, now) and now - believed(as_of, now) <= _OLDEST
