"""Answers that were refused once for one odd row of theirs: the cases beside the repository, where they are at hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.places import UPSTREAM
from workers.answers import Repo, Ticker
from workers.providers.coingecko import parse_markets
from workers.providers.coinlore import parse_tickers as parse_coinlore
from workers.providers.coinpaprika import parse_tickers as parse_coinpaprika
from workers.providers.huggingface import parse_page
from workers.providers.kraken import parse_ticker
from workers.providers.whale_alert import parse_transactions

CASES = UPSTREAM.parent / "cases" / "answers"


def case(name: str) -> Any:
    """The input of a case; skips where they are not at hand."""
    path = CASES / f"{name}.input.json"
    if not path.exists():
        pytest.skip("no cases here")
    return json.loads(path.read_bytes())


def sent(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_one_odd_row_costs_no_other() -> None:
    """In five lists: the others stand, and of the odd one at most the odd figure is lost."""
    bodies = case("one_odd_row_in_a_list")
    coins = parse_markets(sent(bodies["coingecko markets"]))
    assert [(coin.symbol, coin.price, coin.volume) for coin in coins] == [("BTC", 90000, None), ("X", 1, None)]
    paprika = parse_coinpaprika(sent(bodies["coinpaprika tickers"]))
    assert [(coin.symbol, coin.price) for coin in paprika] == [("BTC", 90000), ("X", None)]
    assert [(coin.symbol, coin.price) for coin in parse_coinlore(sent(bodies["coinlore"]))] == [("BTC", 90000)]
    assert [(pair.base, pair.price) for pair in parse_ticker(sent(bodies["kraken"]))] == [("BTC", 90010)]
    page = parse_transactions(sent(bodies["whale_alert"]))
    assert [(transfer.hash, transfer.usd) for transfer in page.transfers] == [("h1", 2e6)]


def test_an_owner_may_begin_with_an_underscore() -> None:
    """A row without downloads is left out, and the page stands."""
    page = parse_page(sent(case("hub_owner_with_underscore")))
    assert page.repos == (Repo("acme/crypto-bert", 50), Repo("_zed/bitcoin-gpt", 3))


def test_a_warning_of_kraken_stands_beside_a_result() -> None:
    """Only what begins with another severity is an error."""
    expected = (Ticker(base="BTC", quote="USD", price=90010, change=None, as_of=None),)
    assert parse_ticker(sent(case("kraken_warning"))) == expected
