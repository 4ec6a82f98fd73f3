"""Coins: what a cluster knows of each coin, and which coin a client means by an id or a symbol."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.errors import AmbiguousCoinError, CoinListError

MOST_COINS = 10_000
"""Coins of a list; a longer one is refused. A worker knows some 400: those that it publishes, at most 250, and the ones
that are part of coinwire."""
_MOST_BYTES = 4 << 20  # four times as much as so many coins take
_MOST_CHARACTERS = 100  # of an id, a symbol or a name; the longest of CoinGecko's ids has 90

_Text = Annotated[str, Meta(min_length=1, max_length=_MOST_CHARACTERS)]


class KnownCoin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One coin. Its JSON in Redis has these names; absent means unknown."""

    id: _Text
    """CoinGecko id."""
    symbol: _Text | None = None
    name: _Text | None = None
    rank: Annotated[int, Meta(ge=1, le=MOST_COINS)] | None = None
    """Place by market value among the published coins, from 1."""


def known_coin(coin_id: str, symbol: str = "", name: str = "", rank: int | None = None) -> KnownCoin | None:
    """One coin as upstreams describe it; None for an id that is none. A text that is empty or too long is unknown."""
    if not 0 < len(coin_id) <= _MOST_CHARACTERS:
        return None
    return KnownCoin(id=coin_id, symbol=_kept(symbol), name=_kept(name), rank=rank)


def _kept(text: str) -> str | None:
    return text if 0 < len(text) <= _MOST_CHARACTERS else None


class Coins:
    """Some coins, by id and by symbol. Never changes."""

    def __init__(self, coins: Iterable[KnownCoin] = ()) -> None:
        """Of several entries with one id the first counts."""
        self.by_id: dict[str, KnownCoin] = {}
        self._by_symbol: defaultdict[str, list[str]] = defaultdict(list)
        for coin in coins:
            if coin.id in self.by_id:
                continue
            self.by_id[coin.id] = coin
            if coin.symbol is not None:
                self._by_symbol[_folded(coin.symbol)].append(coin.id)

    def resolve(self, name: str) -> str | None:
        """The id of the coin that `name` means: its id, or else its symbol regardless of case; None for neither.

        An id counts first, also where it is another coin's symbol: each coin can be named without doubt.
        Raises AmbiguousCoinError if `name` is the symbol of several coins.
        """
        if name in self.by_id:
            return name
        found = self._by_symbol.get(_folded(name), ())
        if len(found) > 1:
            raise AmbiguousCoinError(name, found)
        return found[0] if found else None

    def is_ambiguous(self, coin_id: str) -> bool:
        """Whether another coin has the symbol of this one."""
        coin = self.by_id.get(coin_id)
        return coin is not None and coin.symbol is not None and len(self._by_symbol[_folded(coin.symbol)]) > 1


def _folded(symbol: str) -> str:
    """Equal for symbols that differ in case only, however their accents are encoded."""
    return unicodedata.normalize("NFC", symbol.casefold())


def pack_coins(coins: Iterable[KnownCoin]) -> bytes:
    """A list of coins as Redis has it: JSON. Those beyond MOST_COINS are left out."""
    return msgspec.json.encode(list(coins)[:MOST_COINS])


def unpack_coins(raw: bytes) -> Coins:
    """The coins of a list. Raises CoinListError if it is none: others may write to Redis, too."""
    if len(raw) > _MOST_BYTES:
        raise CoinListError(f"{len(raw)} bytes, more than {_MOST_BYTES}")
    try:
        return Coins(msgspec.json.decode(raw, type=Annotated[list[KnownCoin], Meta(max_length=MOST_COINS)]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CoinListError(str(error)) from None
