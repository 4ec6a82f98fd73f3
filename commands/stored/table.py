"""A service's records as rows and columns, which follow from its payload type.

`market_data` has one row per coin and update, because its maps share their keys. Every other service has one row per
update and one column per figure; lists and maps are JSON text. As columns follow the payload type, not the data, two
exports of a service have the same columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from msgspec import inspect

from shared.catalog import SERVICES, SYSTEM
from shared.database import Record
from shared.payloads import SystemNotice
from shared.timestamps import iso_of

Kind = Literal["integer", "number", "truth", "text", "json"]

_BY_COIN = {"prices": "price", "volumes": "volume", "market_caps": "market_cap", "price_changes": "price_change_24h"}
"""Maps of market_data by coin, and the names of their columns."""
_LARGEST_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, the kind of its values, and their path in the payload."""

    name: str
    kind: Kind
    path: tuple[str, ...] = ()


POSITION = (Column("published_at", "text"), Column("epoch", "text"), Column("seq", "integer"))
"""The first columns of every row. In Parquet, `published_at` is a time."""


def columns_of(service: str) -> tuple[Column, ...]:
    """The columns of a service, without those of POSITION."""
    payload = SystemNotice if service == SYSTEM else SERVICES[service].payload
    found = tuple(_columns(inspect.type_info(payload), ()))
    if service != "market_data":
        return found
    others = tuple(column for column in found if column.path[0] not in _BY_COIN)
    by_coin = tuple(Column(name, "number", (path,)) for path, name in _BY_COIN.items())
    return (Column("coin", "text"), *by_coin, *others)


def rows_of(record: Record, columns: tuple[Column, ...]) -> Iterator[list[Any]]:
    """The rows of one record: values in the order of POSITION and `columns`; None where the record has none."""
    data = msgspec.json.decode(record.data)
    position = [record.published_at, record.epoch, record.seq]
    if columns and columns[0].name != "coin":
        yield [*position, *(_value(column, data) for column in columns)]
        return
    maps = {path: found if isinstance(found := data.get(path), dict) else {} for path in _BY_COIN}
    for coin in dict.fromkeys(coin for by_coin in maps.values() for coin in by_coin):
        values = [_typed("number", maps[column.path[0]].get(coin)) for column in columns[1 : 1 + len(_BY_COIN)]]
        others = [_value(column, data) for column in columns[1 + len(_BY_COIN) :]]
        yield [*position, coin, *values, *others]


def time_text(milliseconds: int) -> str:
    """`published_at` (unix milliseconds) as CSV and JSON lines write it."""
    return iso_of(milliseconds)


def _columns(kind: inspect.Type, path: tuple[str, ...]) -> Iterator[Column]:
    kind = _bare(kind)
    if isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from _columns(field.type, (*path, field.encode_name))
    else:
        yield Column(".".join(path), _kind_of(kind), path)


def _bare(kind: inspect.Type) -> inspect.Type:
    """The type without its annotations and without null."""
    while True:
        if isinstance(kind, inspect.Metadata):
            kind = kind.type
        elif isinstance(kind, inspect.UnionType):
            kinds = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
            if len(kinds) != 1:
                return kind
            kind = kinds[0]
        else:
            return kind


def _kind_of(kind: inspect.Type) -> Kind:
    if isinstance(kind, inspect.IntType):
        return "integer"
    if isinstance(kind, inspect.FloatType):
        return "number"
    if isinstance(kind, inspect.BoolType):
        return "truth"
    return "text" if isinstance(kind, inspect.StrType | inspect.LiteralType | inspect.EnumType) else "json"


def _value(column: Column, data: Any) -> Any:
    found = data
    for name in column.path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return _typed(column.kind, found)


def _typed(kind: Kind, value: Any) -> Any:
    """`value` as its column holds it; None if it is of another kind, as in a record of another version."""
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "json":
        return msgspec.json.encode(value).decode()
    if kind == "number":
        return float(value) if number else None
    if kind == "integer":
        return value if number and isinstance(value, int) and abs(value) < _LARGEST_INTEGER else None
    return value if isinstance(value, bool if kind == "truth" else str) else None
