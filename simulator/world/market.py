"""The one market behind all hosts: prices, volumes and caps as a pure function of (seed, time).

A price is its base times e^walk. The walk is a sum of smooth noises with periods from 5 s to a week: bounded (so it
always returns), visible from one 5 s poll to the next, and computable for any moment. So a 24 h change needs no
history, two processes with one seed agree, and tests can use any time.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from simulator.world.coins import Coin

DAY = 86_400.0

_WALK = ((5.0, 0.0008), (20.0, 0.0012), (90.0, 0.002), (600.0, 0.004), (3600.0, 0.008), (21_600.0, 0.015))
"""(period in seconds, largest deviation) of a coin's own moves over minutes and hours."""
_TREND = ((100_000.0, 0.03), (604_800.0, 0.06))
"""The same over days."""
_TIDE = ((45.0, 0.001), (1800.0, 0.005), (43_200.0, 0.02), (400_000.0, 0.05))
"""The common move of all coins, in proportion to their volatility."""

_SPREAD = 0.0003
"""Prices of two exchanges differ by at most twice this; arbitrage keeps real ones close too."""
_RANGE_STEP = 1800.0
"""High and low are sampled at this step (seconds); a finer step is too expensive."""

_MASK = (1 << 64) - 1


@lru_cache(
    maxsize=200_000
)  # about 100 lattice points per coin are in use at once; beyond this size, points are computed again
def _lattice(stream: int, index: int) -> float:
    """A pseudo-random number in [-1, 1] that depends only on the arguments (splitmix64)."""
    z = (stream * 0x9E3779B97F4A7C15 + index * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) / float(1 << 52) - 1.0


@lru_cache(maxsize=4096)
def _stream(seed: int, name: str) -> int:
    """Start of the noise called `name`; in practice it never overlaps that of another name or seed."""
    return zlib.crc32(name.encode()) * 64 + seed * 0x1_0000_0000_0000


def _noise(stream: int, period: float, time: float) -> float:
    """Smooth noise in [-1, 1]: lattice points one period apart, joined without corners."""
    index, fraction = divmod(time / period, 1.0)
    ease = fraction * fraction * (3.0 - 2.0 * fraction)
    left = _lattice(stream, int(index))
    return left + (_lattice(stream, int(index) + 1) - left) * ease


@dataclass(frozen=True, slots=True)
class Range:
    """The last 24 hours of one coin."""

    open: float
    high: float
    low: float
    average: float


class Market:
    """Prices of all coins at any time. It has no state except caches."""

    def __init__(self, coins: Iterable[Coin], seed: int = 1) -> None:
        self.coins = tuple(coins)
        self.by_id = {coin.id: coin for coin in self.coins}
        self.seed = seed
        self._sampled = lru_cache(maxsize=100 * max(1, len(self.coins)))(self._sample)

    def price(self, coin: Coin, time: float, venue: str = "") -> float:
        """USD price at `time`; at a named `venue` it differs by a spread of a few hundredths of a percent."""
        walk = self._walk("", _TIDE, time) + self._walk(coin.tracks or coin.id, _WALK + _TREND, time)
        price = coin.price * math.exp(walk * coin.volatility)
        if venue:
            price *= 1.0 + _SPREAD * _noise(self._stream(f"{venue}/{coin.id}"), 30.0, time)
        return price

    def change(self, coin: Coin, time: float, seconds: float = DAY) -> float:
        """Percent by which the price moved over the last `seconds`."""
        return (self.price(coin, time) / self.price(coin, time - seconds) - 1.0) * 100.0

    def market_cap(self, coin: Coin, time: float) -> float:
        """USD price times circulating supply."""
        return self.price(coin, time) * coin.supply

    def volume(self, coin: Coin, time: float) -> float:
        """USD traded in the 24 h before `time`, on all exchanges."""
        return coin.volume * (1.0 + 0.3 * _noise(self._stream(f"volume/{coin.id}"), 7200.0, time))

    def range(self, coin: Coin, time: float, venue: str = "") -> Range:
        """Open, high, low and average of the last 24 h; the venue's present price is always within high and low."""
        last = math.floor(time / _RANGE_STEP)
        first = last - int(DAY / _RANGE_STEP) + 1
        samples = [self._sampled(coin.id, index) for index in range(first, last + 1)]
        ends = (self.price(coin, time - DAY, venue), self.price(coin, time, venue))
        return Range(
            open=ends[0],
            high=max(*samples, *ends),
            low=min(*samples, *ends),
            average=(sum(samples) + sum(ends)) / (len(samples) + 2),
        )

    def ranked(self, time: float) -> list[Coin]:
        """All coins, the largest market value first."""
        return sorted(self.coins, key=lambda coin: -self.market_cap(coin, time))

    def wave(self, name: str, period: float, time: float) -> float:
        """Smooth noise in [-1, 1] called `name`, for other moving figures of the simulated world."""
        return _noise(self._stream(name), period, time)

    def _sample(self, coin_id: str, index: int) -> float:
        return self.price(self.by_id[coin_id], index * _RANGE_STEP)

    def _walk(self, name: str, octaves: tuple[tuple[float, float], ...], time: float) -> float:
        stream = self._stream(name)
        return sum(size * _noise(stream + k, period, time) for k, (period, size) in enumerate(octaves))

    def _stream(self, name: str) -> int:
        return _stream(self.seed, name)
