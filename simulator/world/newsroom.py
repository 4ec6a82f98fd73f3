"""Headlines of the simulated outlets about the simulated market: a pure function of (seed, time).

Each outlet has a slot every few minutes. Its article and the time within the slot depend only on the seed and the
number of the slot. Figures in a headline are those of the market when it is published. Some articles are taken from
another outlet: Cointelegraph repeats the title, Decrypt the link.
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
"""Cointelegraph repeats one in this many of CoinDesk's articles, a little later and with its own link."""
_SYNDICATED = 6
"""Decrypt's feed repeats one in this many of The Block's articles, with another title but the same link."""
_MARKUP = 7
"""One in this many titles has HTML in it, as in real feeds."""

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
_LIVELY = 0.3  # least volatility of a coin in headlines, to leave out stablecoins
_FAME = 0.12  # the eighth coin by market value is written about a third as often as the first
_AUTHORS = ("Alex Moreno", "Priya Nair", "Sam O'Leary", "Yuki Tanaka", "Zoë Krüger")


@dataclass(frozen=True, slots=True)
class Story:
    """One article of a feed."""

    number: int
    title: str
    """Plain text."""
    marked: str | None
    """The title as HTML, if the feed has it in that form."""
    link: str
    """Without tracking parameters; each feed adds its own."""
    published: int
    """Unix seconds."""
    author: str
    categories: tuple[str, ...]
    summary: str
    """Plain text."""


class Newsroom:
    """All outlets. It has no state except a cache."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._coins = [coin for coin in market.coins if coin.volatility >= _LIVELY]
        self._written = lru_cache(maxsize=2000)(self._write)  # a dozen feeds; beyond that, articles are written again

    def feed(self, key: str, time: float) -> tuple[Story, ...]:
        """The articles in the outlet's feed at `time`, newest first."""
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
        """The article that the outlet takes from another in this slot: one of the other's slot that just ended."""
        origins = {"cointelegraph": ("coindesk", _AGENCY), "decrypt": ("theblock", _SYNDICATED)}
        if key not in origins:
            return None
        origin, every = origins[key]
        theirs = int(number * OUTLETS[key].every // OUTLETS[origin].every) - 1
        first = math.ceil((theirs + 1) * OUTLETS[origin].every / OUTLETS[key].every)
        return self._written(origin, theirs) if theirs % every == 0 and number == first else None

    def _move(self, coin: Coin, time: float, chance: Random) -> str:
        """A headline about the last 24 h of `coin`, with the change of its price."""
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
