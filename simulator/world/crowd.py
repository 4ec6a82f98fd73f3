"""Mood, searches and posts of the simulated market's people: a pure function of (seed, time) that follows prices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from simulator.world.coins import Coin
from simulator.world.market import DAY, Market

_LEADERS = ("bitcoin", "ethereum", "binancecoin", "solana", "ripple", "cardano", "dogecoin")
"""Coins whose moves determine the mood; coins that the market lacks are left out."""
_EVERY = 420.0
"""Seconds between two posts on average: about 200 a day, so that a day of them fills more than one page."""
_PRICED = 0.05
"""Least volatility of a coin that posts are about; stablecoins have less."""

_UP = (
    "{name} is up {move} today, is this the rally we waited for?",
    "{name} just broke out, bullish as ever",
    "{symbol} gains {move} in a day. Who else is still holding?",
)
_DOWN = (
    "{name} drops {move}, how low can it go?",
    "Why is {name} crashing again",
    "{symbol} down {move} in a day, I am rekt & tired",
)
_IDLE = (
    "How do you keep your seed phrase?",
    "{name} for a beginner: where do I start",
    "Is there a good explorer for {name}?",
    "What was your first coin & why",
)


@dataclass(frozen=True, slots=True)
class SimulatedPost:
    """One post."""

    number: int
    title: str
    created: float
    """Unix seconds."""
    author: str
    score: int
    comments: int


class Crowd:
    """The people of one market. It has no state except caches."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._leaders = tuple(market.by_id[name] for name in _LEADERS if name in market.by_id)
        self._lively = tuple(coin for coin in market.coins if coin.volatility >= _PRICED)
        self.greed = lru_cache(maxsize=4096)(self._greed)
        self.post = lru_cache(maxsize=4096)(self._post)

    def _greed(self, time: float, day: float = 3.0, week: float = 1.5) -> int:
        """An index from 1 to 99: 50 while prices don't move, plus points per percent over a day and a week."""
        moves = [
            day * self._market.change(coin, time) + week * self._market.change(coin, time, 7 * DAY)
            for coin in self._leaders
        ]
        return round(50 + 49 * math.tanh(sum(moves) / max(1, len(moves)) / 49))

    def votes_up(self, coin: Coin, time: float) -> float:
        """Percent of up votes for a coin: around 72, and more when the price rises."""
        move = 2.0 * self._market.change(coin, time) + 8.0 * self._market.wave(f"votes/{coin.id}", 3600.0, time)
        return round(72 + 26 * math.tanh(move / 26), 2)

    def trending(self, time: float, count: int) -> list[Coin]:
        """The coins that are searched most: those with the largest moves in 24 h, up or down."""
        return sorted(self._lively, key=lambda coin: -abs(self._market.change(coin, time)))[:count]

    def newest(self, time: float) -> int:
        """Number of the newest post at `time`."""
        number = math.floor(time / _EVERY)
        return number if self.post(number).created <= time else number - 1

    def _post(self, number: int) -> SimulatedPost:
        """The post with that number; later posts have higher numbers."""
        random = Random(f"{self._market.seed}/post/{number}")
        created = (number + random.uniform(0.0, 0.999)) * _EVERY
        coin = random.choice((*self._leaders, random.choice(self._lively)))
        move = self._market.change(coin, created)
        kind = _IDLE if random.random() < 0.4 or abs(move) < 0.5 else _UP if move > 0 else _DOWN
        words = {"name": coin.name, "symbol": coin.symbol.upper(), "move": f"{abs(move):.1f}%"}
        return SimulatedPost(
            number=number,
            title=random.choice(kind).format_map(words),
            created=float(int(created)),
            author=f"simulated_user_{random.randrange(5000)}",
            score=int(random.paretovariate(1.2)),
            comments=random.randrange(80),
        )
