"""What is published: a payload, in the form in which each gateway expects it on its Redis channel."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgpack

from shared.envelope import pack_draft
from shared.timestamps import now_iso
from simulator.world.coins import load_coins
from simulator.world.market import Market

_VARIANTS = 20  # different updates, sent in turn: together they are more than a compressor's window

Data = dict[str, Any]
Encode = Callable[[Data, str], bytes]
"""Makes the Redis message of a payload for a service."""


def padded(size: int) -> Iterator[Data]:
    """Payloads whose JSON has `size` bytes with the mark that `stamped` puts in front. Endless."""
    for number in itertools.count():
        empty = len(_json(stamped({"pad": ""}, number)))
        yield {"pad": "x" * max(0, size - empty)}


def market_data(coins: int = 100) -> Iterator[Data]:
    """Updates of the service `market_data`, 5 s apart, from the simulated market. Endless.

    As in the service, exchanges move seven of ten coins with every update. The others, and all volumes, have the
    figures of a list that changes once a minute.
    """
    market, start = Market(load_coins()), 1_764_000_000.0
    ranked = market.ranked(start)[:coins]

    def update(moment: float) -> Data:
        listed = moment - moment % 60
        moments = [(coin, moment if rank % 10 < 7 else listed) for rank, coin in enumerate(ranked)]
        return {
            "prices": {coin.id: _ten_digits(market.price(coin, at)) for coin, at in moments},
            "volumes": {coin.id: float(round(market.volume(coin, listed))) for coin in ranked},
            "market_caps": {coin.id: _ten_digits(market.market_cap(coin, at)) for coin, at in moments},
            "price_changes": {coin.id: round(market.change(coin, at), 5) for coin, at in moments},
            "source": "coingecko (simulated), binance (simulated)",
            "timestamp": now_iso(),
        }

    return itertools.cycle([update(start + 5.0 * step) for step in range(_VARIANTS)])


def stamped(data: Data, number: int) -> Data:
    """`data` behind the mark that the load client looks for: the time, in ns of CLOCK_MONOTONIC, and a number."""
    return {"sent_ns": time.monotonic_ns(), "n": number, **data}


def as_json(data: Data, service: str) -> bytes:
    """The payload as it is."""
    return _json(data).encode()


def as_socketio(data: Data, service: str) -> bytes:
    """What @socket.io/redis-emitter publishes for `io.emit('update', data)`."""
    packet = {"type": 2, "data": ["update", data], "nsp": "/"}
    return _packed(["emitter", packet, {"rooms": [], "flags": {}, "except": []}])


def as_channels(data: Data, service: str) -> bytes:
    """What `channel_layer.group_send` of channels_redis publishes."""
    return _packed({"type": "feed.message", "text": _json(data)})


def as_centrifugo(data: Data, service: str) -> bytes:
    """What Centrifugo publishes without history: a Protobuf `Publication` with only `data`, which is field 4."""
    payload = _json(data).encode()
    size, varint = len(payload), b""
    while size > 127:
        size, varint = size >> 7, varint + bytes([size & 127 | 128])
    return b"\x22" + varint + bytes([size]) + payload


class Envelopes:
    """What `Bus.publish` publishes, without the stream and the counters in Redis that it also keeps."""

    def __init__(self, services: Sequence[str]) -> None:
        self._epoch = _packed("epoch") + _packed(secrets.token_hex(8))
        self._seq = {service: itertools.count(1) for service in services}

    def __call__(self, data: Data, service: str) -> bytes:
        """The next update of `service`."""
        seq = _packed("seq") + _packed(next(self._seq[service]))
        return pack_draft(service, data, now_iso()) + self._epoch + seq


def _ten_digits(value: float) -> float:
    return float(f"{value:.10g}")


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _packed(value: object) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed
