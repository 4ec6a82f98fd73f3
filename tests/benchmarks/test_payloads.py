"""What the benchmark publishes."""

from __future__ import annotations

import json
from itertools import islice

import msgspec

from benchmarks.payloads import Envelopes, as_json, market_data, padded, stamped
from shared.envelope import Envelope
from shared.payloads import MarketData


def test_a_padded_payload_has_the_size_asked_for() -> None:
    """Mark included, whatever its number."""
    payloads = padded(512)
    assert {len(as_json(stamped(next(payloads), number), "")) for number in range(120)} == {512}


def test_a_payload_begins_with_its_mark() -> None:
    """The load client looks for the time, and for the number right behind it."""
    data = json.loads(as_json(stamped({"pad": "x"}, 7), ""))
    assert list(data) == ["sent_ns", "n", "pad"]
    assert data["n"] == 7


def test_updates_of_market_data_are_real_ones() -> None:
    """They have the type of the service's payload, a hundred coins, and figures that move."""
    first, second = islice(market_data(), 2)
    update = msgspec.convert(first, MarketData)
    assert len(update.prices) == len(update.market_caps) == 100
    assert first["prices"] != second["prices"]
    assert 9_000 < len(as_json(first, "")) < 10_500


def test_an_envelope_is_what_a_gateway_reads() -> None:
    """The fields of an update, and a position of its own per service."""
    encode = Envelopes(["news", "onchain"])
    seen = [Envelope.unpack(encode({"a": 1}, service)) for service in ("news", "onchain", "news")]
    assert [(each.service, each.seq, each.data) for each in seen] == [
        *(("news", 1, {"a": 1}), ("onchain", 1, {"a": 1}), ("news", 2, {"a": 1}))
    ]
    assert len({each.epoch for each in seen}) == 1
