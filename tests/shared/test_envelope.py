"""Envelope: the message as it stands in Redis (docs/how-to/read-a-channel.md)."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from redis.asyncio import Redis

from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.envelope import Envelope, pack_draft
from shared.errors import EnvelopeError
from shared.settings import Settings
from shared.timestamps import now_iso
from tests.shared.listening import SERVICE

PAIRS = {"service": SERVICE, "type": "update", "data": {}, "timestamp": now_iso(), "epoch": "e", "seq": 1}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
documents = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner), max_leaves=20),
    max_size=5,
)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down: 1 is not 1.0, and 0.0 is not -0.0."""
    return repr(left) == repr(right)


async def carried(redis: Redis, bus: Bus, channels: Channels, data: dict[str, Any]) -> Envelope:
    """What a reader of the channel gets of a publish of `data`."""
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channels.channel(SERVICE))
        await pubsub.get_message(timeout=5)
        await bus.publish(SERVICE, data)
        message = await pubsub.get_message(timeout=5)
    assert message is not None
    return Envelope.unpack(message["data"])


async def test_numbers_arrive_as_they_were_sent(redis: Redis, bus: Bus, channels: Channels) -> None:
    """25000000000 stays an integer and 45000.0 a float, null stays null, at any depth."""
    data = {
        "prices": {"bitcoin": 45000.0, "ethereum": 3200.5, "gone": None},
        "volumes": {"bitcoin": 25_000_000_000, "zero": 0, "below": -1},
        "rows": [{"deep": [[1, 1.0, None, True, False, "x", []]]}, {}],
        "extremes": [2**64 - 1, -(2**63), 1e308, 5e-324, -0.0, math.inf],
        "text": "Ðogecoin ₿ 🐕 \x00",
    }
    assert same((await carried(redis, bus, channels, data)).data, data)


async def test_the_wire_map_has_exactly_six_keys(redis: Redis, bus: Bus, channels: Channels) -> None:
    """On the channel, in the stream and under `last` stands the same map of six keys, in this order."""
    await bus.publish(SERVICE, {"n": 1})
    raw = await redis.get(channels.last(SERVICE))
    fields = msgpack.unpackb(raw)
    assert list(fields) == ["service", "type", "data", "timestamp", "epoch", "seq"]
    assert (fields["service"], fields["type"], fields["data"], fields["seq"]) == (SERVICE, "update", {"n": 1}, 1)
    assert await redis.xrange(channels.stream(SERVICE)) == [(b"1-0", {b"m": raw})]


def test_whatever_is_json_survives_publish_and_channel(settings: Settings, channels: Channels) -> None:
    """Arbitrary JSON-like data comes out of the channel as it went into publish."""
    with asyncio.Runner() as runner:
        redis = open_redis(settings)
        bus = Bus(redis, channels, settings.history_length)

        @effort(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
        @given(documents)
        @example({"": {}})
        @example({"n": 2**53 + 1, "f": 1e15})
        def survives(data: dict[str, Any]) -> None:
            assert same(runner.run(carried(redis, bus, channels, data)).data, data)

        try:
            survives()
        finally:
            runner.run(redis.aclose())


@effort(deadline=None, max_examples=300)
@given(st.binary())
@example(b"")
@example(b"\xc1")
@example(b"\x91" * 2000)
@example(b"\x81\x91\x01\x01")
@example(b"\xdd\xff\xff\xff\xff")
@example(b"\xa1\xff")
@example(msgpack.packb(PAIRS) + b"x")
def test_foreign_bytes_raise_envelope_error_and_nothing_else(raw: bytes) -> None:
    """Any bytes that coinwire did not write are recognised."""
    with pytest.raises(EnvelopeError):
        Envelope.unpack(raw)


@effort(deadline=None, max_examples=200)
@given(st.binary().map(lambda tail: msgpack.packb(PAIRS)[:-8] + tail) | documents.map(msgpack.packb))
@example(msgpack.packb(PAIRS | {"data": {"at": msgpack.Timestamp(1)}}))
@example(msgpack.packb(PAIRS | {"data": {b"key": b"value"}}))
def test_nearly_right_bytes_raise_envelope_error_or_are_right(raw: bytes) -> None:
    """A damaged message is told apart, or is whole after all, and has a JSON form."""
    try:
        envelope = Envelope.unpack(raw)
    except EnvelopeError:
        return
    assert msgspec.json.encode(envelope.data)


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: None} for name in PAIRS),
        {"service": b"market_data"},
        {"data": []},
        {"data": {"at": msgpack.ExtType(5, b"")}},
        {"seq": 1.0},
        {"seq": True},
        {"seq": 0},
        {"seq": -1},
        {"epoch": 1},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    """Every field has its type, and `data` holds what JSON can hold: else the gateway could not pass it on."""
    assert Envelope.unpack(msgpack.packb(PAIRS)).seq == 1
    with pytest.raises(EnvelopeError):
        Envelope.unpack(msgpack.packb(PAIRS | wrong))


@pytest.mark.parametrize("missing", PAIRS)
def test_a_missing_field_is_refused_by_name(missing: str) -> None:
    """The error names the field."""
    with pytest.raises(EnvelopeError, match=missing):
        Envelope.unpack(msgpack.packb({name: value for name, value in PAIRS.items() if name != missing}))


@pytest.mark.parametrize("value", [object, {1, 2}, 2**64, 1j, "\ud800"], ids=str)
def test_data_that_messagepack_has_no_form_for_is_refused(value: object) -> None:
    """What can't be packed is an EnvelopeError that names the service."""
    with pytest.raises(EnvelopeError, match=SERVICE):
        pack_draft(SERVICE, {"n": value}, now_iso())


def test_data_that_contains_itself_is_refused() -> None:
    """So is what has no end."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(EnvelopeError, match=SERVICE):
        pack_draft(SERVICE, endless, now_iso())
