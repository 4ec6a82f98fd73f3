"""Filters from commands and addresses: what is accepted, what is refused, and what the refusal names."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from gateway.filters.filter import Filter
from gateway.filters.reading import filter_of_query, filters_of_query, known_fields, known_filters, read_filter
from gateway.messages.faults import Fault
from gateway.messages.filtering import FILTERS
from gateway.messages.http import FailureData
from gateway.messages.notices import ErrorData
from shared.catalog import SERVICES, SYSTEM
from shared.coins import Coins
from shared.errors import AmbiguousCoinError

HAVE = {
    "market_data": ("coins", "fields"),
    "whale_tracking": ("chains", "min_value_usd", "symbols", "fields"),
    "news": ("sources", "categories", "fields"),
    "rpc_nodes": ("chains", "fields"),
    "onchain": ("chains", "fields"),
    "explorers": ("chains", "fields"),
}


class Listed:
    """Three coins, two of which have the same symbol."""

    def resolve(self, name: str) -> str | None:
        if name in ("bitcoin", "ethereum", "batcat", "basic-attention-token"):
            return name
        if name.lower() == "bat":
            raise AmbiguousCoinError(name, ["basic-attention-token", "batcat"])
        return {"btc": "bitcoin", "eth": "ethereum"}.get(name.lower())


def only(service: str, raw: Any) -> Filter:
    """The filter of one service."""
    found = read_filter((service,), raw, Listed())
    assert set(found) == {service}
    return found[service]


def refused(service: str, raw: Any) -> Fault:
    """What refuses a filter."""
    with pytest.raises(Fault) as caught:
        read_filter((service,), raw, Listed())
    assert caught.value.code == "invalid_filter"
    assert caught.value.helps["service"] == service
    assert caught.value.helps["known"] == known_filters(service)
    ErrorData(**caught.value.data)
    FailureData(**caught.value.data)
    return caught.value


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_the_filters_of_its_payload_type_and_fields(service: str) -> None:
    """The catalogue names them, an error explains them, and nobody else's are known."""
    expected = HAVE.get(service, ("fields",))
    assert SERVICES[service].filters == tuple(known_filters(service)) == expected
    assert set(FILTERS) >= set(expected)
    for name in set(FILTERS) - set(expected):
        assert name in str(refused(service, {name: ["x"]}))


@pytest.mark.parametrize("service", SERVICES)
def test_fields_are_those_of_the_payload(service: str) -> None:
    """Every name of the top level of `data` is accepted; an unknown one is refused with all of them."""
    fields = known_fields(service)
    assert {"timestamp", "as_of"} < set(fields)
    assert only(service, {"fields": fields}).as_dict() == {"fields": fields}
    fault = refused(service, {"fields": ["timestamp", "nonsense"]})
    assert fault.helps["fields"] == fields
    assert str(fault) == f"fields: {service} has no field nonsense"


def test_system_has_no_filter() -> None:
    """Every notice about the cluster is sent."""
    assert refused(SYSTEM, {"fields": ["timestamp"]}).helps["known"] == {}


@pytest.mark.parametrize("raw", [None, {}])
def test_nothing_is_no_filter(raw: Any) -> None:
    """null and the empty object stand for everything, also for `system`."""
    assert read_filter((*SERVICES, SYSTEM), raw, Coins()) == {}


WRONG: dict[str, Any] = {
    "a string": "coins=bitcoin",
    "an array": [{"coins": ["bitcoin"]}],
    "a number": 5,
    "false": False,
    "an unknown name": {"coin": ["bitcoin"]},
    "a name that is no string": {1: ["bitcoin"]},
    "another service's": {"chains": ["ethereum"]},
    "one value": {"coins": "bitcoin"},
    "null": {"coins": None},
    "an object": {"coins": {"bitcoin": True}},
    "no value": {"coins": []},
    "a number among the values": {"coins": ["bitcoin", 1]},
    "a list among the values": {"coins": [["bitcoin"]]},
    "an empty value": {"coins": ["bitcoin", ""]},
    "251 values": {"coins": ["bitcoin"] * 251},
    "a value of 101 characters": {"coins": ["x" * 101]},
    "NUL": {"coins": ["bit\0coin"]},
    "a line end": {"coins": ["bitcoin\n"]},
    "a character that turns text around": {"coins": ["\u202ebitcoin"]},
    "half a pair of surrogates": {"coins": ["\ud800"]},
    "what was no UTF-8": {"coins": ["bit\ufffdcoin"]},
    "a right and a wrong one": {"coins": ["bitcoin"], "fields": []},
}


@pytest.mark.parametrize("raw", WRONG.values(), ids=WRONG)
def test_what_is_no_filter_is_refused(raw: Any) -> None:
    """Wrong types, empty and oversized lists, and names that the service does not know: `invalid_filter`."""
    assert len(str(refused("market_data", raw))) < 300


@pytest.mark.parametrize(
    "value",
    ["1000", None, True, [1000], {}, -1, -0.001, float("nan"), float("inf"), -float("inf"), 10**400, -(10**400)],
)
def test_what_is_no_finite_number_from_0_is_refused(value: Any) -> None:
    """`min_value_usd` is a JSON number that a float can hold, and not negative."""
    refused("whale_tracking", {"min_value_usd": value})


@pytest.mark.parametrize("value", [0, 0.0, 1_000_000, 2.5e6, 2**63])
def test_numbers_from_0_are_accepted(value: float) -> None:
    """And repeated as they are."""
    assert only("whale_tracking", {"min_value_usd": value}).as_dict() == {"min_value_usd": value}


def test_limits_are_inclusive() -> None:
    """250 values of 100 characters are a filter."""
    names = [f"{number:0100}" for number in range(250)]
    assert only("market_data", {"coins": names}).as_dict() == {"coins": names}


def test_symbols_become_ids() -> None:
    """An id stands for itself; a symbol in any case for its coin, which is then there once; others stay as they are."""
    found = only("market_data", {"coins": ["ETH", "bitcoin", "btc", "Bitcoin", "nobody", "NOBODY"]})
    assert found.as_dict() == {"coins": ["ethereum", "bitcoin", "nobody", "NOBODY"]}


def test_an_ambiguous_symbol_is_refused_with_the_ids() -> None:
    """An id of one of them is not."""
    fault = refused("market_data", {"coins": ["BAT"]})
    assert fault.helps["ids"] == ["basic-attention-token", "batcat"]
    assert only("market_data", {"coins": ["batcat"]}).as_dict() == {"coins": ["batcat"]}


def test_values_that_differ_only_in_case_are_one() -> None:
    """Except coins, of which ids are exact."""
    found = only("whale_tracking", {"chains": ["Ethereum", "bitcoin", "ETHEREUM"], "symbols": ["usdt", "USDT"]})
    assert found.as_dict() == {"chains": ["Ethereum", "bitcoin"], "symbols": ["usdt"]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"coins": ["bitcoin", "ethereum"]}, {"coins": ["ETH", "btc", "bitcoin"]}),
        ({"coins": ["x"], "fields": ["prices", "source"]}, {"fields": ["source", "prices", "prices"], "coins": ["x"]}),
    ],
)
def test_filters_of_the_same_effect_are_equal(one: Any, other: Any) -> None:
    """So that clients which want the same share it; and so are their digests, for caches and cursors."""
    first, second = only("market_data", one), only("market_data", other)
    assert (first, hash(first), first.digest) == (second, hash(second), second.digest)


def test_filters_of_another_effect_are_not_equal() -> None:
    """Values, names and services count."""
    filters = {
        only("market_data", {"coins": ["bitcoin"]}),
        only("market_data", {"coins": ["ethereum"]}),
        only("market_data", {"fields": ["timestamp"]}),
        only("news", {"fields": ["timestamp"]}),
        only("rpc_nodes", {"chains": ["bitcoin"]}),
        only("onchain", {"chains": ["bitcoin"]}),
        only("whale_tracking", {"min_value_usd": 1}),
        only("whale_tracking", {"min_value_usd": 2}),
    }
    assert len(filters) == len({each.digest for each in filters}) == 8
    assert only("whale_tracking", {"min_value_usd": 1}) == only("whale_tracking", {"min_value_usd": 1.0})


def test_the_digest_is_stable() -> None:
    """Another process, and a later version, has the same: cursors and ETags outlive a gateway."""
    assert only("market_data", {"coins": ["bitcoin"], "fields": ["prices"]}).digest == "2f50a903bb0c1167"


def test_every_service_must_know_all_of_it() -> None:
    """Of several services, the first that does not know the filter is named."""
    assert set(read_filter(("rpc_nodes", "onchain"), {"chains": ["bitcoin"]}, Coins())) == {"rpc_nodes", "onchain"}
    everything = read_filter(tuple(SERVICES), {"fields": ["timestamp"]}, Coins())
    assert [each.service for each in everything.values()] == list(SERVICES)
    with pytest.raises(Fault) as caught:
        read_filter(("onchain", "news", "sentiment"), {"chains": ["bitcoin"]}, Coins())
    assert caught.value.helps["service"] == "news"


def of_address(service: str, query: str) -> dict[str, Any] | None:
    """The filter in the parameters of an address."""
    found = filter_of_query(service, parse_qsl(query, keep_blank_values=True), Listed())
    return None if found is None else found.as_dict()


@pytest.mark.parametrize(
    ("service", "query", "expected"),
    [
        ("market_data", "", None),
        ("market_data", "meta=1&since=5&limit=3", None),
        ("market_data", "coins=bitcoin,ETH&fields=prices", {"coins": ["bitcoin", "ethereum"], "fields": ["prices"]}),
        ("market_data", "coins=bitcoin&coins=ethereum", {"coins": ["bitcoin", "ethereum"]}),
        ("market_data", "meta=1&coins=bitcoin,+ethereum", {"coins": ["bitcoin", "ethereum"]}),
        ("whale_tracking", "min_value_usd=1e6", {"min_value_usd": 1e6}),
        ("whale_tracking", "min_value_usd=0.25", {"min_value_usd": 0.25}),
        ("news", "sources=The%20Block&categories=DeFi", {"sources": ["The Block"], "categories": ["DeFi"]}),
    ],
)
def test_a_filter_in_an_address(service: str, query: str, expected: Any) -> None:
    """Values are separated by commas, or the parameter is repeated; parameters that are no filters are ignored."""
    assert of_address(service, query) == expected


@pytest.mark.parametrize(
    ("service", "query"),
    [
        ("market_data", "coins="),
        ("market_data", "coins=bitcoin,"),
        ("market_data", "coins=,"),
        ("market_data", "coins=" + ",".join(["x"] * 251)),
        ("market_data", "coins=" + "x" * 1_000_000),
        ("market_data", "coins=BAT"),
        ("market_data", "chains=ethereum"),
        ("market_data", "fields=prices;DROP%20TABLE%20updates"),
        ("sentiment", "min_value_usd=5"),
        ("whale_tracking", "min_value_usd="),
        ("whale_tracking", "min_value_usd=much"),
        ("whale_tracking", "min_value_usd=-1"),
        ("whale_tracking", "min_value_usd=nan"),
        ("whale_tracking", "min_value_usd=inf"),
        ("whale_tracking", "min_value_usd=1e999"),
        ("whale_tracking", "min_value_usd=1_000"),
        ("whale_tracking", "min_value_usd=+5"),
        ("whale_tracking", "min_value_usd=5%0A"),
        ("whale_tracking", "min_value_usd=%D9%A3"),
        ("whale_tracking", "min_value_usd=0x10"),
        ("whale_tracking", "min_value_usd=" + "9" * 401),
        ("market_data", "coins=%00"),
        ("market_data", "coins=bitcoin,%ED%A0%80"),
        ("market_data", "coins=%FF"),
        ("whale_tracking", "min_value_usd=1&min_value_usd=2"),
    ],
)
def test_what_is_no_filter_in_an_address_is_refused(service: str, query: str) -> None:
    """As in a command."""
    with pytest.raises(Fault) as caught:
        of_address(service, query)
    assert (caught.value.code, caught.value.helps["service"]) == ("invalid_filter", service)
    assert len(str(caught.value)) < 300


def test_an_address_of_several_services_needs_filters_that_all_know() -> None:
    """`/ws/all?fields=timestamp` is one."""
    assert len(filters_of_query(tuple(SERVICES), [("fields", "timestamp")], Coins())) == 12
    with pytest.raises(Fault):
        filters_of_query(tuple(SERVICES), [("coins", "bitcoin")], Coins())
