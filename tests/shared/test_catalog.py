"""The catalogue and the payload types. Where the original API document is at hand, its tables and samples hold too."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from shared import payloads
from shared.catalog import CATEGORIES, CHANNEL_NAMES, SERVICES, STATES, SYSTEM, of_category
from shared.payloads import MarketData, News, Payload, Sentiment, WhaleTracking
from shared.payloads.whale_tracking import WhaleTransaction
from tests.places import OUTSIDE

DOCUMENT = OUTSIDE / "seed" / "WEBSOCKET_API_DOCUMENTATION.md"

NAMES = (
    *("market_data", "explorers", "news", "sentiment", "whale_tracking", "rpc_nodes", "onchain"),
    *("health_checker", "pool_manager", "scheduler"),
    *("huggingface", "persistence"),
)


@pytest.fixture(scope="module")
def document() -> str:
    """The original API document, if it is beside this checkout."""
    if not DOCUMENT.exists():
        pytest.skip("the original API document is not here")
    return DOCUMENT.read_text()


def test_the_twelve_services_have_their_order() -> None:
    """Seven of data collection, three of monitoring, two of integration; `system` has a channel besides."""
    assert tuple(SERVICES) == NAMES, "NAMES in tests/shared/test_catalog.py is not the catalogue; clients rely on it"
    assert (*NAMES, SYSTEM) == CHANNEL_NAMES
    assert [len(of_category(category)) for category in CATEGORIES] == [7, 3, 2]
    assert tuple(name for category in CATEGORIES for name in of_category(category)) == NAMES


def test_services_carry_a_state_or_events() -> None:
    """Transfers, blocks and contract events are published once; every other update replaces the one before it."""
    carried = {name: spec.carries for name, spec in SERVICES.items()}
    events = ("whale_tracking", "rpc_nodes", "onchain")
    assert carried == dict.fromkeys(NAMES, "state") | dict.fromkeys(events, "events")
    assert set(NAMES) - set(events) == STATES
    assert SYSTEM not in STATES


def test_the_documents_tables_are_the_catalogue(document: str) -> None:
    """Name, description, interval and endpoint of each service are those of the original document, in its order."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (\d+) seconds \| `(/ws/\w+)` \|$", document, re.MULTILINE)
    assert [name for name, *_ in rows] == list(SERVICES)
    for name, description, interval, endpoint in rows:
        spec = SERVICES[name]
        assert (spec.description, spec.interval) == (description, int(interval))
        assert endpoint in spec.endpoints


def test_the_documents_sections_are_the_endpoints(document: str) -> None:
    """Each dedicated endpoint's section names its interval and its service; aliases are endpoints too."""
    found = set()
    for section in re.split(r"^### ", document, flags=re.MULTILINE):
        path = re.match(r"`(/ws/\w+)`", section)
        interval = re.search(r"\*\*Update Interval\*\*: (\d+) seconds", section)
        service = re.search(r'"service": "(\w+)"', section)
        if path and interval and service:
            spec = SERVICES[service[1]]
            aliases = re.findall(r"\*\*Aliases\*\*: `(/ws/\w+)`", section)
            assert spec.interval == int(interval[1])
            assert {path[1], *aliases} <= set(spec.endpoints)
            found.add(service[1])
    assert found == set(SERVICES) - {"explorers", "rpc_nodes", "onchain"}  # these have no endpoint of their own


def samples(document: str) -> dict[str, dict[str, Any]]:
    """The sample `data` of each service in the original document, without elided fields."""
    found = {}
    for block in re.findall(r"```json\n(.*?)```", document, re.DOTALL):
        whole = re.sub(r"\n[^\n]*: (?:\[\.\.\.\]|\{\.\.\.\}),?(?=\n)", "", block)
        try:
            message = json.loads(re.sub(r",(\s*[}\]])", r"\1", whole))
        except ValueError:
            continue
        if message.get("type") == "update":
            found[message["service"]] = message["data"]
    return found


def test_the_documents_samples_are_payloads(document: str) -> None:
    """Every complete sample of the original document decodes into its payload type, and back into itself."""
    found = samples(document)
    assert set(found) == set(SERVICES) - {"explorers", "rpc_nodes", "onchain"}
    articles = [each | {"categories": []} for each in found["news"]["articles"]]
    expected = found["news"] | NO_AS_OF | {"articles": articles}
    assert msgspec.to_builtins(msgspec.convert(found["news"], News)) == expected


NO_AS_OF: dict[str, Any] = {"as_of": {}}
"""What a payload without `as_of` decodes into: samples and updates of older versions lack it."""
POOL = {"active_source": "coingecko", "available_sources": ["coingecko"], "unavailable_sources": []}
BEYOND: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "health_checker": (("providers", "coingecko"), {"consecutive_failures": 0, "error": None}),
    "pool_manager": (("pools", "market_data"), {"failover_count": 2, "pools": {"market_data prices": POOL}}),
    "scheduler": (
        ("jobs", "0"),
        {"service": "market_data", "category": "data_collection", "interval_seconds": 5.0, "last_run": None}
        | {"last_duration_seconds": None, "consecutive_failures": 0},
    ),
    "huggingface": ((), {"sentiment": None, "sources": [], "failed_terms": []}),
    "persistence": ((), {"records_by_service": {}, "storage_bytes": 0, "unrecorded": 0}),
}
"""Fields of our payloads that the samples lack, and where."""


@pytest.mark.parametrize("name", BEYOND)
def test_samples_are_payloads_but_for_what_we_add(document: str, name: str) -> None:
    """With these fields added, a sample decodes into its type and back: all fields of the sample are unchanged."""
    sample = samples(document)[name] | ({"degraded_count": 0} if name == "health_checker" else {})
    path, added = BEYOND[name]
    target: Any = sample
    for key in path:
        target = target[int(key) if isinstance(target, list) else key]
    target |= added
    payload = msgspec.convert(sample, SERVICES[name].payload)
    assert msgspec.to_builtins(payload) == sample | NO_AS_OF


def test_the_documents_partial_samples_are_parts_of_payloads(document: str) -> None:
    """Each field that an incomplete sample has fits its type."""
    found = samples(document)
    empty: dict[str, Any] = {"market_caps": {}, "price_changes": {}}
    assert msgspec.convert(found["market_data"] | empty, MarketData).prices == {"bitcoin": 45000.0, "ethereum": 3200.0}
    added = {"chain": "ethereum", "symbol": "ETH", "amount": 1.0, "value_usd": 1e9}
    added |= {"from_label": None, "to_label": "Binance 14"}
    whales = found["whale_tracking"] | {"whale_wallets": [], "sources": []}
    whales["large_transactions"] = [sample | added for sample in whales["large_transactions"]]
    transaction = msgspec.convert(whales, WhaleTracking).large_transactions[0]
    assert (transaction.from_, transaction.value) == ("0x...", 1e9)
    assert msgspec.to_builtins(transaction).keys() == whales["large_transactions"][0].keys()
    mood = found["sentiment"] | {"sources": []}
    assert msgspec.to_builtins(msgspec.convert(mood, Sentiment)) == mood | NO_AS_OF


@pytest.mark.parametrize("name", NAMES)
def test_every_payload_has_a_json_schema_in_words(name: str) -> None:
    """Each payload type has a description and a schema whose required fields include `timestamp`."""
    payload = SERVICES[name].payload
    assert payload.__doc__
    assert issubclass(payload, Payload)
    schema = msgspec.json.schema(payload)
    definition = schema["$defs"][payload.__name__]
    assert "timestamp" in definition["required"]
    assert json.loads(json.dumps(schema)) == schema


def test_payload_types_are_listed_once_and_frozen() -> None:
    """What the package exports is what the catalogue uses, and the two of `system`."""
    used = {spec.payload.__name__ for spec in SERVICES.values()}
    assert len(used) == len(SERVICES)
    differing = set(payloads.__all__) ^ (used | {"Heartbeat", "Payload", "SystemNotice"})
    assert not differing, (
        f"{', '.join(sorted(differing))}: exported by shared.payloads, or in the catalogue, but not in both"
    )
    for name in payloads.__all__:
        assert getattr(payloads, name).__struct_config__.frozen


@pytest.mark.parametrize(
    "wrong", ["2025-11-11T10:30:00Z", "2025-11-11 10:30:00.000Z", "2025-11-11T10:30:00.000+00:00", 1]
)
def test_times_of_another_form_are_refused(wrong: object) -> None:
    """A payload's times are UTC with milliseconds and `Z`, as everywhere."""
    data = {"prices": {}, "volumes": {}, "market_caps": {}, "price_changes": {}, "source": "x", "timestamp": wrong}
    with pytest.raises(msgspec.ValidationError, match="timestamp"):
        msgspec.convert(data, MarketData)


def test_a_transaction_without_an_addressee_is_null_not_absent() -> None:
    """Figures that no source gave are `null`: the field itself is always there."""
    fields = {field.encode_name for field in msgspec.structs.fields(WhaleTransaction)}
    assert {"from", "to", "chain", "symbol", "amount", "value_usd", "from_label", "to_label"} <= fields
    assert all(field.required for field in msgspec.structs.fields(WhaleTransaction))
