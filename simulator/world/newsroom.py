"""What the simulated outlets publish: headlines as a pure function of (seed, time), about the simulated market.

Each outlet has a slot every few minutes; what it publishes in it, and when within it, depends on the seed and the
number of the slot alone. Figures in a headline are those of the market at the moment of its publication. Now and then
one outlet has what another had before: Cointelegraph under the same title, Decrypt with the same link.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

from simulator.world.coins import Coin
from simulator.world.market import Market


@dataclass(frozen=True, slots=True)
class Outlet:
    """One newsroom, and the feed it fills."""

    key: str
    name: str
    every: float
    """Seconds between two slots."""
    length: int
    """Articles in the feed."""


OUTLETS = {
    outlet.key: outlet
    for outlet in (
        Outlet("coindesk", "CoinDesk", 660.0, 25),
        Outlet("cointelegraph", "Cointelegraph", 540.0, 30),
        Outlet("decrypt", "Decrypt", 840.0, 58),
        Outlet("theblock", "The Block", 960.0, 19),
    )
}
"""By the name of their host."""

_AGENCY = 5
"""Cointelegraph has every so many-th text of CoinDesk too, a little later and at a link of its own."""
_SYNDICATED = 6
"""Every so many-th piece of The Block is in Decrypt's feed too, under another title but with its link."""
_MARKUP = 7
"""Every so many-th title has HTML in it, as happens."""

_REASONS = (
    "traders weigh the Fed's next move",
    "ETF inflows hit a three-week high",
    "open interest climbs",
    "options worth $3B near expiry",
    "liquidity thins before the weekend",
    "Asia's markets open mixed",
)
_PIECES = (
    ("{name} developers set date for upgrade {n}", "Technology"),
    ("{n} banks pilot settlement in {name}", "Business"),
    ("Regulator gives {name} custodians {n} days to reply", "Policy"),
    ("{name} & friends: what 'on-chain' funds did with ${n}M this week", "Markets"),
    ("Wallet maker adds {name} staking for {n},000 users", "Technology"),
    ("Court dismisses claim of ${n}M against {name} exchange", "Policy"),
)
_LIVELY = 0.3  # volatility of a coin that is worth a headline: stablecoins are not
_FAME = 0.12  # the eighth coin by market value is written about a third as often as the first
_AUTHORS = ("Alex Moreno", "Priya Nair", "Sam O'Leary", "Yuki Tanaka", "Zoë Krüger")


@dataclass(frozen=True, slots=True)
class Story:
    """One article of a feed."""

    number: int
    title: str
    """Plain text."""
    marked: str | None
    """The same as HTML, where the feed has it so."""
    link: str
    """Without tracking parameters; each feed adds its own."""
    published: int
    """Unix seconds."""
    author: str
    categories: tuple[str, ...]
    summary: str
    """Plain text."""


class Newsroom:
    """All outlets. Holds no state but a cache."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._coins = [coin for coin in market.coins if coin.volatility >= _LIVELY]
        self._written = lru_cache(maxsize=2000)(self._write)  # a dozen feeds' worth; beyond it, written again

    def feed(self, key: str, time: float) -> tuple[Story, ...]:
        """What the outlet's feed holds at `time`, newest first."""
        outlet = OUTLETS[key]
        last = int(time // outlet.every)
        numbers = range(last, last - outlet.length - 1, -1)
        stories = [story for number in numbers if (story := self._written(key, number)).published <= time]
        return tuple(stories[: outlet.length])

    def _write(self, key: str, number: int) -> Story:
        """The article of one slot."""
        chance = Random(f"{self._market.seed}/{key}/{number}")
        every = OUTLETS[key].every
        published = int(number * every + chance.random() * every / 2)
        author = chance.choice(_AUTHORS)
        if (taken := self._taken(key, number)) is not None:
            title = f"{taken.title} (The Block)" if key == "decrypt" else taken.title
            link = taken.link if key == "decrypt" else _link(key, number, published, "", title)
            return replace(
                taken, number=number, title=title, marked=None, link=link, published=published, author=author
            )
        coin = self._coins[min(int(chance.expovariate(_FAME)), len(self._coins) - 1)]
        if chance.random() < 0.5:
            title, category = self._move(coin, published, chance), "Markets"
        else:
            pattern, category = chance.choice(_PIECES)
            title = pattern.format(name=coin.name, n=chance.randrange(2, 400))
        marked = html.escape(title, quote=False).replace(coin.name, f"<em>{coin.name}</em>", 1)
        return Story(
            number=number,
            title=title,
            marked=marked if number % _MARKUP == 0 else None,
            link=_link(key, number, published, category, title),
            published=published,
            author=author,
            categories=(category, coin.name),
            summary=f"{coin.name} ({coin.symbol.upper()}) traded at {_dollars(self._market.price(coin, published))}.",
        )

    def _taken(self, key: str, number: int) -> Story | None:
        """What the outlet takes over from another in this slot: a text of a slot that is just over there."""
        origins = {"cointelegraph": ("coindesk", _AGENCY), "decrypt": ("theblock", _SYNDICATED)}
        if key not in origins:
            return None
        origin, every = origins[key]
        theirs = int(number * OUTLETS[key].every // OUTLETS[origin].every) - 1
        first = math.ceil((theirs + 1) * OUTLETS[origin].every / OUTLETS[key].every)
        return self._written(origin, theirs) if theirs % every == 0 and number == first else None

    def _move(self, coin: Coin, time: float, chance: Random) -> str:
        """A headline about the last 24 h of `coin`, with their true change."""
        change = round(self._market.change(coin, time), 1)
        reason = chance.choice(_REASONS)
        if abs(change) < 0.3:
            return f"{coin.name} holds near {_dollars(self._market.price(coin, time))} as {reason}"
        verbs = ("rises", "climbs", "jumps") if change > 0 else ("slips", "falls", "tumbles")
        verb = verbs[(abs(change) >= 3) + (abs(change) >= 8)]
        return f"{coin.name} {verb} {abs(change)}% as {reason}"


def _dollars(price: float) -> str:
    return f"${price:,.0f}" if price >= 100 else f"${price:,.2f}" if price >= 1 else f"${price:.4g}"


def _slug(title: str) -> str:
    return "-".join("".join(char if char.isalnum() else " " for char in title.lower()).split())


def _link(key: str, number: int, published: int, category: str, title: str) -> str:
    slug = _slug(title)
    if key == "coindesk":
        days = published // 86_400
        return f"https://www.coindesk.com/{category.lower()}/{days}/{slug}-{number}/"
    if key == "theblock":
        return f"https://www.theblock.co/post/{number}/{slug}"
    if key == "decrypt":
        return f"https://decrypt.co/{number}/{slug}"
    return f"https://cointelegraph.com/news/{slug}-{number}"
