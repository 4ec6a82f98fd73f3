"""Envelope: an update as it crosses a process boundary, in MessagePack.

In Redis (channel, `last` key, stream field `m`) it is one map `{service, type, data, timestamp, epoch, seq}`.
The publisher packs the first four; `publish.lua` counts `seq` inside Redis and appends the last two, so that the
order of `seq` is the order of delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from shared.errors import EnvelopeError

UPDATE = "update"

_SIX_PAIRS = b"\x86"  # MessagePack fixmap of 6; `publish.lua` appends the last two pairs
_PACKED_KEYS = tuple(msgpack.packb(key) for key in ("service", "type", "data", "timestamp"))
_FIELD_TYPES = {"service": str, "type": str, "data": dict, "timestamp": str, "epoch": str, "seq": int}


@dataclass(frozen=True, slots=True)
class Envelope:
    """One update of one service at position (`epoch`, `seq`); `timestamp` is when it was published."""

    service: str
    type: str
    data: dict[str, Any]
    timestamp: str
    epoch: str
    seq: int

    @classmethod
    def unpack(cls, raw: bytes) -> Envelope:
        """Decode a message as it is in Redis. Raises EnvelopeError for anything else."""
        try:
            fields = msgpack.unpackb(raw, ext_hook=_refuse, timestamp=1)
        except (ValueError, msgpack.UnpackException) as error:  # the format errors of msgpack are ValueErrors
            raise EnvelopeError(f"not MessagePack: {error}") from error
        if not isinstance(fields, dict):
            raise EnvelopeError(f"not a map but {type(fields).__name__}")
        for name, kind in _FIELD_TYPES.items():
            if type(fields.get(name)) is not kind:  # not isinstance: True is not a seq
                raise EnvelopeError(f"{name} is {type(fields.get(name)).__name__}, not {kind.__name__}")
        if fields["seq"] < 1:
            raise EnvelopeError(f"seq is {fields['seq']}")
        return cls(**{name: fields[name] for name in _FIELD_TYPES})


def _refuse(code: int, _data: bytes) -> Any:
    raise ValueError(f"extension type {code}, which JSON has no form for")


def pack_draft(service: str, data: dict[str, Any], timestamp: str) -> bytes:
    """The message without its position: the map without `epoch` and `seq`, which `publish.lua` appends.

    Raises EnvelopeError if `data` has a value that MessagePack can't represent.
    """
    parts = [_SIX_PAIRS]
    try:
        for key, value in zip(_PACKED_KEYS, (service, UPDATE, data, timestamp), strict=True):
            parts += (key, msgpack.packb(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise EnvelopeError(f"{service}: data can't be packed: {error}") from error
    return b"".join(parts)
