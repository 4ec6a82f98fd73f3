"""What remains of `data`: a table over all services, and data of other shapes than the payload types."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgpack
import msgspec
import pytest

from gateway.filters.filter import Filter
from gateway.filters.reading import known_fields, read_filter
from shared.catalog import SERVICES
from shared.coins import Coins

TIME = "2025-11-11T10:30:00.000Z"
BTC = "bitcoin"


def transfer(number: int, chain: str, symbol: str, usd: float, **parties: str | None) -> dict[str, Any]:
    """A large transaction."""
    return {
        "hash": f"0x{number}",
        "value": usd,
        "from": parties.get("sender"),
        "to": parties.get("to"),
        "timestamp": TIME,
        "chain": chain,
        "symbol": symbol,
        "amount": 1.0,
        "value_usd": usd,
        "from_label": None,
        "to_label": None,
    }


def node(name: str, chain: str, status: str, milliseconds: float | None) -> dict[str, Any]:
    """A row of rpc_nodes."""
    return {"name": name, "chain": chain, "status": status, "block_number": 1, "response_time_ms": milliseconds}


WALLETS = [
    {"address": "a", "label": "Binance 14", "chain": "ethereum"},
    {"address": "b", "label": "Kraken 4", "chain": "ethereum"},
    {"address": "a", "label": "another", "chain": "bitcoin"},
]
DATA: dict[str, dict[str, Any]] = {
    "market_data": {
        "prices": {BTC: 45000.0, "ethereum": 3200.0, "solana": None},
        "volumes": {BTC: 1.0, "ethereum": 2.0, "solana": 3.0},
        "market_caps": {BTC: 1.0, "ethereum": 2.0, "solana": 3.0},
        "price_changes": {BTC: 1.0, "ethereum": 2.0, "solana": 3.0},
        "price_spread_bps": {BTC: 1.0, "ethereum": 2.0, "solana": None},
        "disputed": {"ethereum": {"binance": 1.0, "kraken": 2.0}},
        "source": "coingecko",
        "timestamp": TIME,
        "as_of": {"coingecko": TIME},
    },
    "whale_tracking": {
        "large_transactions": [
            transfer(1, "ethereum", "ETH", 2_000_000.11, sender="a", to="c"),
            transfer(2, "ethereum", "USDT", 5_000_000.22, sender="c", to="b"),
            transfer(3, "bitcoin", "BTC", 9_000_000.33, to="a"),
        ],
        "whale_wallets": WALLETS,
        "total_volume": 16_000_000.66,
        "alert_threshold": 1_000_000.0,
        "sources": ["esplora"],
        "timestamp": TIME,
        "as_of": {},
    },
    "news": {
        "articles": [
            {"title": "1", "source": "CoinDesk", "url": "https://x/1", "published_at": TIME, "categories": ["DeFi"]},
            {"title": "2", "source": "The Block", "url": "https://x/2", "published_at": TIME, "categories": []},
            {
                "title": "3",
                "source": "CoinDesk",
                "url": "https://x/3",
                "published_at": TIME,
                "categories": ["Law", "BTC"],
            },
        ],
        "sources": ["CoinDesk", "The Block", "Decrypt (simulated)"],
        "categories": ["BTC", "DeFi", "Law"],
        "timestamp": TIME,
        "as_of": {"CoinDesk": TIME, "The Block": TIME, "Decrypt (simulated)": TIME},
    },
    "rpc_nodes": {
        "nodes": [
            node("one", "ethereum", "active", 100.0),
            node("two", "ethereum", "lagging", 201.0),
            node("three", "solana", "active", 50.0),
            node("four", "base", "down", None),
        ],
        "active_nodes": 2,
        "total_nodes": 4,
        "average_latency": 117.0,
        "events": [{"chain": "ethereum", "type": "new_block"}, {"chain": "bitcoin", "type": "reorg"}],
        "timestamp": TIME,
        "as_of": {"one": TIME, "three": TIME},
    },
    "onchain": {
        "active_addresses": 5,
        "chains": {"ethereum": {"gas_price": 1.0}, "solana": {"priority_fee": 2.0}},
        "contract_events": [{"chain": "ethereum", "event": "Transfer"}, {"chain": "base", "event": "Transfer"}],
        "sources": ["etherscan"],
        "timestamp": TIME,
        "as_of": {},
    },
    "explorers": {
        "chains": {"bitcoin": {"latest_block": 5}, "ethereum": None},
        "latest_block": 5,
        "sources": ["mempool"],
        "timestamp": TIME,
        "as_of": {},
    },
}
for _name in set(SERVICES) - set(DATA):
    DATA[_name] = {field: [field] for field in known_fields(_name)}


def made(service: str, **raw: Any) -> Filter:
    """The filter of a command."""
    return read_filter((service,), raw, Coins())[service]


def left(service: str, **raw: Any) -> dict[str, Any]:
    """What a filter leaves of the example. The example itself stays as it is."""
    before = copy.deepcopy(DATA[service])
    found = made(service, **raw).apply(DATA[service])
    assert DATA[service] == before
    return found


def changed(service: str, **raw: Any) -> dict[str, Any]:
    """The fields of `data` that a filter changes or adds. All others are there as before."""
    found, before = left(service, **raw), DATA[service]
    assert set(before) <= set(found)
    return {name: value for name, value in found.items() if name not in before or before[name] != value}


def titles(found: dict[str, Any]) -> list[str]:
    """Of the articles that are left."""
    return [article["title"] for article in found["articles"]]


def test_coins_are_the_keys_of_every_map() -> None:
    """All maps have exactly the coins that were asked for, `null` included; the rest is there as before."""
    assert changed("market_data", coins=["solana", BTC]) == {
        "prices": {BTC: 45000.0, "solana": None},
        "volumes": {BTC: 1.0, "solana": 3.0},
        "market_caps": {BTC: 1.0, "solana": 3.0},
        "price_changes": {BTC: 1.0, "solana": 3.0},
        "price_spread_bps": {BTC: 1.0, "solana": None},
        "disputed": {},
    }


def test_coins_that_are_not_there_are_named() -> None:
    """`unknown` has them, and only then is there; a coin's id is exact."""
    found = changed("market_data", coins=["nobody", "Bitcoin"])
    assert found.pop("unknown") == ["Bitcoin", "nobody"]
    assert set(found) == {"prices", "volumes", "market_caps", "price_changes", "price_spread_bps", "disputed"}
    assert all(entries == {} for entries in found.values())
    assert left("market_data", coins=["ethereum", "nobody"], fields=["source"]) == {
        "source": "coingecko",
        "unknown": ["nobody"],
    }


@pytest.mark.parametrize("service", SERVICES)
def test_fields_are_exactly_what_is_sent(service: str) -> None:
    """Each by itself, in the data's own form; what the update does not have is absent."""
    for name in known_fields(service):
        expected = {name: DATA[service][name]} if name in DATA[service] else {}
        assert left(service, fields=[name]) == expected


def test_whales_of_a_chain() -> None:
    """Transactions, the wallets that took part in them, and their volume. A chain without any is not unknown."""
    found = changed("whale_tracking", chains=["ETHEREUM", "tron"])
    assert [each["hash"] for each in found["large_transactions"]] == ["0x1", "0x2"]
    assert (found["whale_wallets"], found["total_volume"]) == (WALLETS[:2], 7_000_000.33)
    assert set(found) == {"large_transactions", "whale_wallets", "total_volume"}


@pytest.mark.parametrize(
    ("raw", "hashes", "wallets", "volume"),
    [
        ({"symbols": ["usdt"]}, ["0x2"], WALLETS[1:2], 5_000_000.22),
        ({"symbols": ["USDT", "BTC"], "chains": ["ethereum"]}, ["0x2"], WALLETS[1:2], 5_000_000.22),
        ({"min_value_usd": 9_000_000.33}, ["0x3"], WALLETS[2:], 9_000_000.33),
        ({"min_value_usd": 3_000_000, "symbols": ["ETH"]}, [], [], 0.0),
        ({"chains": ["tron"]}, [], [], 0.0),
    ],
)
def test_whales_of_all_that_is_asked(raw: Any, hashes: list[str], wallets: list[Any], volume: float) -> None:
    """A transaction is sent if every filter lets it; nothing is left as empty lists and a volume of 0."""
    found = left("whale_tracking", **raw)
    assert [each["hash"] for each in found["large_transactions"]] == hashes
    assert (found["whale_wallets"], found["total_volume"]) == (wallets, volume)
    assert "unknown" not in found


def test_news_of_some_sources() -> None:
    """Their articles; `sources` and `as_of` have those of them that answered, also if the simulator did."""
    found = changed("news", sources=["coindesk", "DECRYPT", "nobody"])
    assert (titles(found), found["sources"]) == (["1", "3"], ["CoinDesk", "Decrypt (simulated)"])
    assert list(found["as_of"]) == found["sources"]
    assert set(found) == {"articles", "sources", "as_of"}
    assert left("news", sources=["Decrypt (simulated)"])["sources"] == ["Decrypt (simulated)"]


def test_news_of_some_categories() -> None:
    """Articles with any of them; `categories` has those of them that there are."""
    found = changed("news", categories=["law", "defi"])
    assert (titles(found), found["categories"]) == (["1", "3"], ["DeFi", "Law"])
    assert titles(left("news", categories=["law"], sources=["The Block"])) == []


def test_nodes_of_some_chains() -> None:
    """Nodes and events; the figures over all nodes are those over the nodes that remain."""
    found = changed("rpc_nodes", chains=["Ethereum"])
    assert [each["name"] for each in found["nodes"]] == ["one", "two"]
    assert [each["type"] for each in found["events"]] == ["new_block"]
    assert (found["active_nodes"], found["total_nodes"], found["average_latency"]) == (1, 2, 150.5)
    assert list(found["as_of"]) == ["one"]
    assert "unknown" not in found


def test_chains_without_nodes_are_named() -> None:
    """Unless an event is of them. An average over no node that answered is `null`."""
    found = left("rpc_nodes", chains=["base", "bitcoin", "tron"])
    assert (found["unknown"], found["active_nodes"], found["total_nodes"], found["average_latency"]) == (
        ["tron"],
        0,
        1,
        None,
    )
    assert len(found["events"]) == 1


def test_onchain_of_some_chains() -> None:
    """The map and the contract events; figures over all chains stay."""
    assert changed("onchain", chains=["SOLANA", "base", "tron"]) == {
        "chains": {"solana": {"priority_fee": 2.0}},
        "contract_events": [{"chain": "base", "event": "Transfer"}],
        "unknown": ["tron"],
    }


def test_explorers_of_some_chains() -> None:
    """An entry that is left out is absent; one that no source gave is `null`, and known."""
    assert changed("explorers", chains=["Ethereum"]) == {"chains": {"ethereum": None}}
    assert changed("explorers", chains=["solana"]) == {"chains": {}, "unknown": ["solana"]}


FOREIGN: list[Any] = [
    None,
    5,
    2**64 - 1,
    1e308,
    "text",
    [],
    {},
    [None, 5, "text", [], {}],
    [{"chain": [], "symbol": {}, "source": None, "categories": {"x": 1}, "value_usd": "much", "status": []}],
    [{"chain": "ethereum", "symbol": "ETH", "value_usd": 1e308, "response_time_ms": 1e308, "from": [], "to": {}}] * 3,
    [{"chain": ["ethereum", 5], "source": ["x"], "categories": "x", "value_usd": True, "response_time_ms": True}],
    {5: 1, None: 2, "Ethereum": [], "bitcoin": {"x": [1]}},
]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("value", FOREIGN, ids=range(len(FOREIGN)))
def test_data_of_another_shape_is_no_error(service: str, value: Any) -> None:
    """Others may write to Redis, too. What remains can be encoded wherever the data could."""
    lists = {"coins": [BTC, "x"], "chains": ["ethereum"], "symbols": ["eth"], "sources": ["x"], "categories": ["x"]}
    every = lists | {"min_value_usd": 0, "fields": known_fields(service)}
    wanted = made(service, **{name: every[name] for name in SERVICES[service].filters})
    data = dict.fromkeys([*known_fields(service), "another"], value)
    before = copy.deepcopy(data)
    for given in (data, {}, {"another": value}):
        found = wanted.apply(given)
        msgpack.packb(found)
        msgspec.json.encode(found) if not isinstance(value, dict) else json.dumps(found, skipkeys=True)
    assert data == before
    assert made(service, fields=["timestamp"]).apply(data) == {"timestamp": value}
