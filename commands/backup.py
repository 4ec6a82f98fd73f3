"""`coinwire backup`: everything that is stored, in one file, which `coinwire restore` reads.

The file: a line of magic, then gzip of lines of JSON (a header, one record per line, a trailer), then the 32 bytes of
the SHA-256 of everything before. A wrong byte anywhere is therefore found before anything is restored.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from msgspec import Struct

from commands.options import StateFolder
from commands.stored.files import BACKUPS, FileError, HashedFile, progress, writing
from commands.stored.history import PAGE_BYTES, PAGE_ROWS, open_history
from launcher.state import DEFAULT_FOLDER, State
from shared.database import Database, Record, SortKey
from shared.timestamps import now_iso

MAGIC = b"coinwire backup 1\n"
DIGEST = hashlib.sha256().digest_size

_CHUNK = 1 << 20  # bytes read and unpacked at once
_LONGEST_LINE = 64 << 20  # bytes of one record: 400 times the largest known, so a longer line is not one of ours
_BATCH = 500  # records inserted in one transaction


class Header(Struct, frozen=True):
    """The first line."""

    format: int
    created: str
    source: str
    """Where the records came from, without credentials."""
    services: list[str]


class Trailer(Struct, frozen=True):
    """The last line: how many records precede it."""

    records: int
    by_service: dict[str, int]


def backup(
    out: Annotated[
        str, typer.Argument(metavar="FILE", help=f"File to write; by default in {BACKUPS}/, named after the time.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Write everything that is stored so far into one file. The recorder may run meanwhile."""
    path = Path(out or BACKUPS / f"coinwire-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.backup")
    typer.echo(asyncio.run(_backup(State(state), path, replace=force)))


async def _backup(state: State, path: Path, *, replace: bool) -> str:
    async with open_history(state) as database:
        return await write_backup(database, path, replace=replace)


async def write_backup(database: Database, path: Path, *, replace: bool = False) -> str:
    """Write all records into `path`; returns a line that sums it up. Raises FileError and DatabaseError.

    It holds what was there when it began, so that it ends while a recorder goes on.
    """
    services = await database.services()
    newest = {service: last for service in services if (last := await database.newest(service))}
    total = sum((await database.totals()).values())
    written: Counter[str] = Counter()
    encode = msgspec.json.Encoder().encode
    with writing(path, replace=replace) as file, progress("backing up", total) as steps:
        file.write(MAGIC)
        # A fixed level and no time in gzip's header: the same records give the same bytes after the first line.
        with gzip.GzipFile("", "wb", 6, _Stream(file), mtime=0) as packed:
            packed.write(encode(Header(1, now_iso(), database.location, services)) + b"\n")
            for service, last in newest.items():
                place: SortKey | None = None
                while page := await database.page(
                    service, last=last.published_at, after=place, limit=PAGE_ROWS, most_bytes=PAGE_BYTES
                ):
                    packed.write(b"".join(encode(record) + b"\n" for record in page))
                    written[service] += len(page)
                    steps.advance(len(page))
                    place = page[-1].sort_key
            packed.write(encode(Trailer(written.total(), dict(written))) + b"\n")
        digest = file.digest
        file.write(digest)
    return f"{path}: {written.total()} records of {len(written)} services, {file.size} bytes"


class _Stream:
    """What gzip writes to. It has no `close`, so that gzip leaves the file open."""

    def __init__(self, file: HashedFile) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


async def restore_backup(
    database: Database, path: Path, trailer: Trailer, *, replace: bool = False, merge: bool = False
) -> str:
    """Insert the records of `path`, which `verify` has accepted; returns a line that sums it up.

    `replace` first deletes what the database has; `merge` keeps it, and adds only what it lacks. Raises FileError,
    before anything is changed, where the database has records and neither is given. DatabaseError may occur in the
    middle; restoring again with `merge` then completes it.
    """
    kept = await database.count()
    if kept and not (replace or merge):
        raise FileError(
            f"{database.location} has {kept} records: MERGE=1 (--merge) adds what it does not have, "
            "REPLACE=1 (--replace) deletes them first"
        )
    if replace:
        await database.clear()
    new = 0
    with progress("restoring", trailer.records) as steps:
        batch: list[Record] = []
        for record in _records(path):
            batch.append(record)
            if len(batch) == _BATCH:
                new += await database.insert(batch)
                steps.advance(len(batch))
                batch = []
        new += await database.insert(batch)
        steps.advance(len(batch))
    return f"{path}: {new} records restored into {database.location}, {trailer.records - new} were there already"


def verify(path: Path) -> Trailer:
    """Read all of a backup; return its last line. Raises FileError unless digest and counts are right."""
    try:
        size = path.stat().st_size
        digest = hashlib.sha256()
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise FileError(f"{path}: not a backup of coinwire")
            digest.update(MAGIC)
            left = size - len(MAGIC) - DIGEST
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                digest.update(chunk)
                left -= len(chunk)
            if left != 0 or file.read() != digest.digest():
                raise FileError(f"{path}: damaged or cut off: its checksum is not that of its content")
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or type(error).__name__}") from None
    counts = Counter(record.service for record in _records(path))
    trailer = _trailer_of(path)
    if counts.total() != trailer.records or dict(counts) != trailer.by_service:
        raise FileError(f"{path}: its records are not those that it counts")
    return trailer


def _records(path: Path) -> Iterator[Record]:
    """The records of a backup whose checksum is right. Raises FileError."""
    lines = _lines(path)
    header = _decoded(path, next(lines, b""), Header)
    if header.format != 1:
        raise FileError(f"{path}: of format {header.format}, which this version does not know")
    line = next(lines, None)
    for following in lines:
        if line is not None:
            yield _decoded(path, line, Record)
        line = following


def _trailer_of(path: Path) -> Trailer:
    last = deque(_lines(path), maxlen=1)
    trailer: Trailer = _decoded(path, last[0] if last else b"", Trailer)
    return trailer


def _decoded(path: Path, line: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: {kind.__name__.lower()}: {error}") from None


def _lines(path: Path) -> Iterator[bytes]:
    unpacker, rest = zlib.decompressobj(wbits=31), b""
    left = path.stat().st_size - len(MAGIC) - DIGEST
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        while left > 0 and not unpacker.eof:
            packed = file.read(min(_CHUNK, left))
            left -= len(packed)
            while packed:
                try:
                    rest += unpacker.decompress(packed, _CHUNK)
                except zlib.error:
                    raise FileError(f"{path}: can't be unpacked") from None
                packed = unpacker.unconsumed_tail
                *lines, rest = rest.split(b"\n")
                yield from lines
                if len(rest) > _LONGEST_LINE:
                    raise FileError(f"{path}: a line without an end")
    if rest or not unpacker.eof:
        raise FileError(f"{path}: cut off")
