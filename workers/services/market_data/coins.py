"""Identifies the coin of a row: coinwire's ids are CoinGecko's, and not every provider has them.

Symbols are not unique, so a row without an id is identified by symbol and name together. An ambiguous row is left out:
a missing figure is better than another coin's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

import msgspec
from msgspec import Struct

from shared.coins import KnownCoin, known_coin
from workers.answers import ListedCoin


class Coin(Struct, frozen=True, kw_only=True):
    """One coin's identity."""

    id: str
    """CoinGecko id."""
    symbol: str
    """Upper case."""
    name: str
    also: tuple[str, ...] = ()
    """Other names that providers use for it."""
    symbols: tuple[str, ...] = ()
    """Other symbols that providers use for it."""


_FILLERS = frozenset({"coin", "dao", "finance", "governance", "hub", "network", "protocol", "the", "token"})
"""Words that only some providers add to a name. Words that distinguish a fork or a wrapper are not among them."""

_FAR = 3.0  # factor: larger than any move of a larger coin within the day that `prices` may be old


@cache
def seed() -> tuple[Coin, ...]:
    """Coins known before CoinGecko's first answer: the largest market value (mid 2026) first, rare ones last."""
    return msgspec.json.decode((resources.files(__package__) / "coins.json").read_bytes(), type=tuple[Coin, ...])


def learn(listed: Iterable[ListedCoin]) -> tuple[Coin, ...]:
    """Learn the coins that CoinGecko lists now, in its order, then those of the seed that don't contradict it."""
    before = {coin.id: coin for coin in seed()}
    fresh = {row.coin_id: _renewed(row, row.coin_id, before.get(row.coin_id)) for row in listed if row.coin_id}
    taken = {coin.symbol for coin in fresh.values()}
    rest = (coin for coin in before.values() if coin.id not in fresh and coin.symbol not in taken)
    return (*fresh.values(), *rest)


def _renewed(row: ListedCoin, coin_id: str, before: Coin | None) -> Coin:
    if before is None:
        return Coin(id=coin_id, symbol=row.symbol, name=row.name)
    symbols = tuple({*before.symbols, before.symbol} - {row.symbol})
    return Coin(id=coin_id, symbol=row.symbol, name=row.name, also=(*before.also, before.name), symbols=symbols)


def known_coins(published: Sequence[Coin], ranked: Sequence[str], known: Iterable[Coin]) -> tuple[KnownCoin, ...]:
    """What clients may know: the `published` coins with their places in `ranked`, then `known` and all of the seed.

    A coin of the seed whose symbol now belongs to another one is among them: that symbol has two meanings.
    """
    places = {coin_id: place for place, coin_id in enumerate(ranked)}
    ordered = sorted(published, key=lambda coin: places.get(coin.id, len(places)))
    listed = [coin for coin in ordered if coin.id in places]
    found: dict[str, KnownCoin | None] = {}
    for rank, coin in enumerate(listed, 1):
        found.setdefault(coin.id, known_coin(coin.id, coin.symbol, coin.name, rank))
    for coin in (*ordered, *known, *seed()):
        found.setdefault(coin.id, known_coin(coin.id, coin.symbol, coin.name))
    return tuple(coin for coin in found.values() if coin is not None)


def identify(
    rows: Sequence[ListedCoin], known: Iterable[Coin], prices: Mapping[str, float] | None = None
) -> tuple[ListedCoin, ...]:
    """Those of `rows` that match one of the `known` coins without doubt, with its id, in their order.

    A row matches a coin if the symbol is equal and a name is equal apart from fillers. Equal names beat names that are
    equal apart from fillers. A row that fits two coins, or a coin that two rows fit, is left out. So is a row whose
    price is far from the coin's recent price in `prices` (by id): a redenominated coin keeps symbol and name.
    """
    prices = prices or {}
    by_symbol: defaultdict[str, list[Coin]] = defaultdict(list)
    for coin in known:
        for symbol in {coin.symbol, *coin.symbols}:
            by_symbol[symbol].append(coin)
    claims: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)  # coin id → (result of `_fit`, row number)
    for number, row in enumerate(rows):
        fits = [
            (_fit(row, coin), coin.id)
            for coin in by_symbol.get(row.symbol, ())
            if _near(row.price, prices.get(coin.id))
        ]
        best = max((fit for fit, _ in fits), default=0)
        fitting = [coin_id for fit, coin_id in fits if fit == best]
        if best and len(fitting) == 1:
            claims[fitting[0]].append((best, number))
    chosen: dict[int, str] = {}
    for coin_id, claimants in claims.items():
        best = max(fit for fit, _ in claimants)
        numbers = [number for fit, number in claimants if fit == best]
        if len(numbers) == 1:
            chosen[numbers[0]] = coin_id
    return tuple(msgspec.structs.replace(rows[number], coin_id=chosen[number]) for number in sorted(chosen))


def _fit(row: ListedCoin, coin: Coin) -> int:
    """2 if the names are equal, 1 if they are equal apart from fillers, else 0."""
    names = {coin.name, coin.id, *coin.also}
    if _plain(row.name) in map(_plain, names):
        return 2
    return int(any(_cores(row.name) & _cores(name) for name in names))


def _near(price: float | None, before: float | None) -> bool:
    return not price or not before or 1 / _FAR <= price / before <= _FAR


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _cores(name: str) -> set[str]:
    """The name without fillers, with and without its part in brackets."""
    cores = set()
    for text in (name, re.sub(r"[(\[].*?[)\]]", "", name)):
        words = [word for word in re.split(r"[\W_]+", text.casefold()) if word]
        cores.add("".join(word for word in words if word not in _FILLERS))
    return cores - {""}
