"""Which coin a client means, and which lists of coins are ours."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.coins import MOST_COINS, Coins, KnownCoin, known_coin, pack_coins, unpack_coins
from shared.errors import AmbiguousCoinError, CoinListError

BITCOIN = KnownCoin(id="bitcoin", symbol="BTC", name="Bitcoin", rank=1)
COINS = (
    BITCOIN,
    KnownCoin(id="ethereum", symbol="ETH", name="Ethereum", rank=2),
    KnownCoin(id="one", symbol="SAME", rank=3),
    KnownCoin(id="two", symbol="same"),
    KnownCoin(id="eth", symbol="OTHER"),
    KnownCoin(id="nameless"),
    KnownCoin(id="coffee", symbol="CAFÉ"),
)


@pytest.mark.parametrize(
    ("name", "coin_id"),
    [
        ("bitcoin", "bitcoin"),
        ("BTC", "bitcoin"),
        ("btc", "bitcoin"),
        ("ETH", "ethereum"),
        ("nameless", "nameless"),
        ("cafe\u0301", "coffee"),
        ("caf\u00e9", "coffee"),
        ("Bitcoin", None),
        ("BITCOIN", None),
        (" btc", None),
        ("", None),
        ("\ud800", None),
        ("\uff22\uff34\uff23", None),
    ],
)
def test_a_coin_is_meant_by_its_id_or_its_symbol_in_any_case(name: str, coin_id: str | None) -> None:
    """Ids as they are, symbols regardless of case and of how accents are encoded; nothing else."""
    assert Coins(COINS).resolve(name) == coin_id


def test_an_id_counts_before_a_symbol() -> None:
    """A coin whose id is another's symbol can be named; the other one has an id of its own."""
    coins = Coins(COINS)
    assert coins.resolve("eth") == "eth"
    assert coins.resolve("ETH") == coins.resolve("ethereum") == "ethereum"


def test_a_symbol_of_several_coins_means_none() -> None:
    """The error has their ids, the largest market value first; each of them is marked."""
    coins = Coins(COINS)
    with pytest.raises(AmbiguousCoinError, match="Same is the symbol") as raised:
        coins.resolve("Same")
    assert raised.value.ids == ["one", "two"]
    assert [coin_id for coin_id in coins.by_id if coins.is_ambiguous(coin_id)] == ["one", "two"]
    assert not coins.is_ambiguous("nobody")


def test_coins_that_swap_symbols_are_meant_by_the_new_ones() -> None:
    """Another list is another object: nothing of the old one is left."""
    swapped = Coins([KnownCoin(id="bitcoin", symbol="ETH"), KnownCoin(id="ethereum", symbol="BTC")])
    assert (swapped.resolve("BTC"), swapped.resolve("ETH")) == ("ethereum", "bitcoin")


def test_a_list_is_read_as_it_was_written() -> None:
    """It is JSON with one object per coin; what is unknown is absent, and a field of a later version is ignored."""
    assert unpack_coins(pack_coins(COINS)).by_id == {coin.id: coin for coin in COINS}
    assert json.loads(pack_coins(COINS[:1])) == [{"id": "bitcoin", "symbol": "BTC", "name": "Bitcoin", "rank": 1}]
    assert unpack_coins(b'[{"id": "a", "logo": "x"}, {"id": "a", "rank": 3}]').by_id == {"a": KnownCoin(id="a")}


def test_a_long_list_is_bounded_and_resolved_at_once() -> None:
    """Ten thousand coins are taken, and no more are written."""
    many = [KnownCoin(id=f"coin-{n}", symbol=f"S{n // 2}", rank=n + 1) for n in range(MOST_COINS)]
    coins = unpack_coins(pack_coins([*many, KnownCoin(id="one-more")]))
    assert len(coins.by_id) == MOST_COINS
    assert coins.resolve("coin-9999") == "coin-9999"
    with pytest.raises(AmbiguousCoinError):
        coins.resolve("s4999")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"foreign",
        b"\xff\xfe",
        b"{}",
        b"[1]",
        b'[{"symbol": "BTC"}]',
        b'[{"id": ""}]',
        b'[{"id": 1}]',
        b'[{"id": "a", "rank": 0}]',
        b'[{"id": "a", "rank": 1e400}]',
        b'[{"id": "a", "symbol": ["x"]}]',
        b'[{"id": "%b"}]' % (b"a" * 101),
        b"[%b]" % b",".join([b'{"id": "a"}'] * (MOST_COINS + 1)),
        b" " * ((4 << 20) + 1),
        b"[" * 100_000,
        b'[{"id": "a", "logo": %b%b}]' % (b"[" * 5000, b"]" * 5000),
        b'[{"id": "\xff"}]',
    ],
    ids=lambda raw: repr(raw[:20]),
)
def test_a_foreign_list_is_refused(raw: bytes) -> None:
    """Whatever others write there raises CoinListError and nothing else."""
    with pytest.raises(CoinListError):
        unpack_coins(raw)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_anything_is_a_list_or_refused(raw: bytes) -> None:
    """No bytes raise anything else."""
    with contextlib.suppress(CoinListError):
        unpack_coins(raw)


def test_what_upstreams_call_a_coin_is_bounded() -> None:
    """A symbol or name that is empty or too long is unknown; a coin without an id that can be one is left out."""
    assert known_coin("a", "", "n" * 101, 1) == KnownCoin(id="a", rank=1)
    assert known_coin("a", "S", "N") == KnownCoin(id="a", symbol="S", name="N")
    assert known_coin("") is known_coin("a" * 101) is None
