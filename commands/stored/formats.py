"""Formats of an export: how records become JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol

import msgspec

from commands.stored.files import HashedFile
from commands.stored.table import POSITION, Column, columns_of, rows_of
from shared.database import Record
from shared.errors import CoinwireError
from shared.timestamps import iso_of

_ROW_GROUP = 20_000  # rows collected per group of a Parquet file: some MB of market_data; readers skip whole groups
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula and runs it; CSV puts a quote before it."""

_TYPES = {"integer": "int64", "number": "float64", "truth": "bool_", "text": "string", "json": "string"}
"""Kind of a column to the name of its type in pyarrow."""


class MissingPackageError(CoinwireError):
    """A format needs a package that is not installed. The message says how to install it."""


class Line(msgspec.Struct, frozen=True):
    """One record as a line of JSON."""

    service: str
    epoch: str
    seq: int
    published_at: str
    data: msgspec.Raw


class Writer(Protocol):
    """Writes records into a file, in order. What it still holds is written at the end of its `with`."""

    def __enter__(self) -> Writer: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, records: Sequence[Record]) -> int:
        """Write some more records; returns how many rows they became."""
        ...


class _Open:
    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to write."""


class JsonLines(_Open):
    """One object per line: service, epoch, seq, published_at, data."""

    def __init__(self, service: str, file: HashedFile) -> None:
        self._file = file
        self._encode = msgspec.json.Encoder().encode

    def write(self, records: Sequence[Record]) -> int:
        """See Writer."""
        for each in records:
            raw = msgspec.Raw(each.data.encode())
            line = Line(each.service, each.epoch, each.seq, iso_of(each.published_at), raw)
            self._file.write(self._encode(line) + b"\n")
        return len(records)


class Csv(_Open):
    """RFC 4180 in UTF-8, with a header line. An empty cell stands for null."""

    def __init__(self, service: str, file: HashedFile) -> None:
        self._file = file
        self._columns = columns_of(service)
        self._lines([[column.name for column in (*POSITION, *self._columns)]])

    def write(self, records: Sequence[Record]) -> int:
        """See Writer."""
        rows = [row for record in records for row in rows_of(record, self._columns)]
        kinds = [column.kind for column in (*POSITION, *self._columns)]
        for row in rows:
            row[0] = iso_of(row[0])
        self._lines([[_cell(kind, value) for kind, value in zip(kinds, row, strict=True)] for row in rows])
        return len(rows)

    def _lines(self, rows: Sequence[Sequence[Any]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._file.write(text.getvalue().encode())


def _cell(kind: str, value: Any) -> Any:
    if value is None:
        return ""
    if kind == "truth":
        return "true" if value else "false"
    return f"'{value}" if kind == "text" and value.startswith(_FORMULA) else value


class Parquet:
    """Typed columns, compressed with zstd. `published_at` is a time in UTC, to the millisecond.

    Raises MissingPackageError if pyarrow is not installed; it is an extra because of its size.
    """

    def __init__(self, service: str, file: HashedFile) -> None:
        try:
            pa: Any = import_module("pyarrow")
            pq: Any = import_module("pyarrow.parquet")
        except ImportError:
            raise MissingPackageError(
                "Parquet needs the package pyarrow: install coinwire with its extra `parquet`"
                " (pip install '.[parquet]', or EXTRAS=parquet when the image is built)"
            ) from None
        self._pa = pa
        self._columns = columns_of(service)
        self._schema = pa.schema(
            [pa.field(column.name, _type_of(column, pa)) for column in (*POSITION, *self._columns)]
        )
        self._rows: list[list[Any]] = []
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def __enter__(self) -> Parquet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left. After an error nothing is written, because the file is thrown away."""
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, records: Sequence[Record]) -> int:
        """See Writer."""
        before = len(self._rows)
        for record in records:
            self._rows += rows_of(record, self._columns)
        count = len(self._rows) - before
        if len(self._rows) >= _ROW_GROUP:
            self._flush()
        return count

    def _flush(self) -> None:
        if self._rows:
            arrays = [
                self._pa.array(values, field.type)
                for values, field in zip(zip(*self._rows, strict=True), self._schema, strict=True)
            ]
            self._writer.write_table(self._pa.table(arrays, schema=self._schema))
            self._rows = []


def _type_of(column: Column, pa: Any) -> Any:
    return pa.timestamp("ms", tz="UTC") if column.name == "published_at" else getattr(pa, _TYPES[column.kind])()


FORMATS: dict[str, Callable[[str, HashedFile], Writer]] = {"csv": Csv, "jsonl": JsonLines, "parquet": Parquet}
"""By the name that people give, which is also the ending of the file's name."""
