"""market_data: asks an exchange (Binance) in every cycle, and a list (CoinGecko) once its cached figures expire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from shared.errors import NoSourceError, ProviderError
from shared.payloads import MarketData
from workers.answers import ListedCoin
from workers.asking.pool import SourcePool
from workers.asking.ports import Aggregator, Exchange
from workers.asking.provider import Ask
from workers.providers import provider_class
from workers.services.market_data.coins import Coin, identify, known_coins, learn, seed
from workers.services.market_data.combine import RECENT, TETHER, Listing, Quotes, combine
from workers.services.service import CoinKnowledge, Service, ServiceContext

A = TypeVar("A", Listing, Quotes)

LISTS = ("coingecko", "coinmarketcap", "coinpaprika", "coinlore")
"""Aggregators in the order they are tried."""
EXCHANGES = ("binance", "kraken", "coinbase")
"""Exchanges in the order of preference; all are asked in every cycle, so that their prices can be compared."""
_FEWEST = 10  # least coins to ask a list for, so that Tether, the rate of USDT prices, is among them
_PATIENCE = 0.25  # of a cycle's time, a second, to wait for the other exchanges when the best has answered: Kraken's
# answer is large. A slower one's prices are published in the next cycle.


class MarketDataService(Service):
    """Keeps the last answers of the sources, and publishes those that are still fresh."""

    def __init__(self, context: ServiceContext) -> None:
        self._label = context.label
        self._wanted = context.settings.coins
        self._clock = context.clock
        lists = [name for name in LISTS if _lists(name, context)]
        self.lists: SourcePool[Aggregator] = context.pool("market_data listing", lists)
        self.exchanges: SourcePool[Exchange] = context.pool("market_data prices", EXCHANGES)
        self._listings: dict[str, Listing] = {}
        self._quotes: dict[str, Quotes] = {}
        """Both with the time of their receipt by `clock`, which nobody sets; see `_dated`."""
        self._known: tuple[Coin, ...] = seed()
        self._ranked: tuple[str, ...] = ()
        """Ids by market value, from the best list so far; empty before the first list."""
        self._ranked_by_ids = False
        """Whether that list has CoinGecko's ids itself: then no other list changes the order."""
        self._knowledge: tuple[object, CoinKnowledge] | None = None
        """What it was made of, and `known_coins`."""

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        return self.lists, self.exchanges

    @property
    def known_coins(self) -> CoinKnowledge:
        """See KnowsCoins: the published coins, those with a market value first, then all others."""
        made_of = (self._known, self._ranked)
        if self._knowledge is None or self._knowledge[0] != made_of:
            coins = known_coins(self._coins(), self._ranked, self._known)
            self._knowledge = made_of, CoinKnowledge(coins, learned=bool(self._ranked))
        return self._knowledge[1]

    async def collect(self, now: float, deadline: float) -> MarketData:
        """See Service. Raises NoSourceError if no price is known, or none of the sources answers.

        After a failure of one source its last answer is used until it is too old. If neither an exchange nor a due list
        answers, the old answers are not published again.
        """
        results = await asyncio.gather(
            self._refresh_listing(deadline), self._refresh_quotes(deadline), return_exceptions=True
        )
        errors: list[ProviderError] = []
        for result in results:
            if isinstance(result, NoSourceError):
                errors += result.errors
            elif isinstance(result, BaseException):
                raise result
            elif result is not None:
                errors += result
        if all(isinstance(result, NoSourceError) for result in results):
            raise NoSourceError("market_data", errors)
        listings = [self._dated(self._listings[name], now) for name in LISTS if name in self._listings]
        quotes = [self._dated(self._quotes[name], now) for name in EXCHANGES if name in self._quotes]
        data = combine(now, self._coins(), listings, quotes)
        if data is None:
            raise NoSourceError("market_data", errors)
        return data

    def _dated(self, answer: A, now: float) -> A:
        """An answer with the time of its receipt in unix seconds, as measured back from `now`."""
        return msgspec.structs.replace(answer, received=now - (self._clock() - answer.received))

    def _coins(self) -> tuple[Coin, ...]:
        """The coins to publish."""
        if isinstance(self._wanted, int):
            ids = self._ranked or tuple(coin.id for coin in self._known)
            ids = ids[: self._wanted]
        else:
            ids = self._wanted
        by_id = {coin.id: coin for coin in self._known}
        # An unknown coin is published with nulls, so that clients see that it is configured.
        return tuple(by_id.get(coin_id) or Coin(id=coin_id, symbol="", name="") for coin_id in ids)

    async def _refresh_listing(self, deadline: float) -> None:
        """Ask for a list if one is due. Raises NoSourceError if none answers then."""
        names = [source.provider.name for source in self.lists.sources]
        young = [source.provider.name for source in self.lists.sources if self._is_young(source.provider)]
        # Keep the best fresh list; ask only higher-ranked sources.
        spare = names[names.index(young[0]) :] if young else []
        if young and not set(self.lists.available) - set(spare):
            return
        began = self._clock()
        try:
            name, rows = await self.lists.ask(self._ask_listing(), deadline, skip=spare)
        except NoSourceError:
            if not young:
                raise
            return
        coins = {row.coin_id: row for row in rows if row.coin_id is not None}
        self._listings[name] = Listing(source=self._label(name), coins=coins, received=began)

    def _is_young(self, provider: Aggregator) -> bool:
        listing = self._listings.get(provider.name)
        return listing is not None and self._clock() - listing.received < provider.refresh

    def _ask_listing(self) -> Callable[[Aggregator, Ask], Any]:
        wanted: int | tuple[str, ...]
        if isinstance(self._wanted, int):
            wanted = max(self._wanted, _FEWEST)
        else:
            wanted = tuple(dict.fromkeys((*self._wanted, TETHER)))

        async def question(provider: Aggregator, ask: Ask) -> tuple[ListedCoin, ...]:
            rows = await provider.listing(ask, wanted)
            own_ids = tuple(row for row in rows if row.coin_id is not None)
            if own_ids:
                rows, self._known = own_ids, learn(own_ids)
            else:
                rows = identify(rows, self._known, self._prices())
            if not rows:
                raise ProviderError(provider.name, "no coin that is known")
            if own_ids or not self._ranked_by_ids:
                self._ranked = tuple(row.coin_id for row in rows if row.coin_id is not None)
                self._ranked_by_ids = bool(own_ids)
            return rows

        return question

    def _prices(self) -> dict[str, float]:
        """The latest listed price of each coin that is less than a day old."""
        now = self._clock()
        listings = sorted(self._listings.values(), key=lambda listing: listing.received)
        return {
            coin_id: coin.price
            for listing in listings
            if now - listing.received <= RECENT
            for coin_id, coin in listing.coins.items()
            if coin.price is not None
        }

    async def _refresh_quotes(self, deadline: float) -> list[ProviderError]:
        """Ask the exchanges. Returns the errors of those that failed. Raises NoSourceError if none has answered."""
        symbols = tuple(dict.fromkeys(coin.symbol for coin in self._coins() if coin.symbol))

        async def question(provider: Exchange, ask: Ask) -> Quotes:
            began = self._clock()
            tickers = await provider.tickers(ask, symbols)
            return Quotes(source=self._label(provider.name), tickers=tickers, received=began)

        answers, errors = await self.exchanges.ask_each(question, deadline, patience=deadline * _PATIENCE)
        self._quotes.update(answers)
        if not answers:
            raise NoSourceError(self.exchanges.name, errors)
        return errors


def _lists(name: str, context: ServiceContext) -> bool:
    """Whether the aggregator `name` can list coins: without a key, or with the operator's."""
    kind: type[Any] = provider_class(name)
    return not kind.listing_needs_key or context.key_of(name) is not None
