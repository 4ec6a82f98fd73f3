"""`coinwire export market_data`: stored updates of a service as a file of CSV, JSON lines or Parquet."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from commands.options import ArgumentError, ServiceName, StateFolder, check_service
from commands.stored.files import EXPORTS, HashedFile, progress, writing
from commands.stored.formats import FORMATS
from commands.stored.history import PAGE_BYTES, PAGE_ROWS, open_history
from launcher.state import DEFAULT_FOLDER, State


def export(
    service: ServiceName,
    form: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")] = "csv",
    first: Annotated[str, typer.Option("--from", help="Time or day (UTC) of the first update.")] = "",
    last: Annotated[str, typer.Option("--to", help="Time or day (UTC) of the last update.")] = "",
    out: Annotated[str, typer.Option(help=f"File to write; by default {EXPORTS}/SERVICE.FORMAT.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Write the stored updates of a service into a file."""
    check_service(service)
    if form not in FORMATS:
        raise ArgumentError(f"no format {form!r}; there are {', '.join(FORMATS)}")
    span, path = span_of(first, last), Path(out or EXPORTS / f"{service}.{form}")
    rows, file = asyncio.run(_export(State(state), service, form, span, path, force))
    typer.echo(f"{path}: {rows} rows, {file.size} bytes, sha256 {file.digest.hex()}")


def span_of(first: str, last: str) -> tuple[int | None, int | None]:
    """Both ends of a span in unix milliseconds, both included; None for an end that is not given.

    A day as `last` means its end. A time without a zone is UTC. Raises ArgumentError for what is no time, and where
    `first` is after `last`.
    """
    begin, end = _moment("FROM", first), _moment("TO", last)
    if end is not None and _is_day(last):
        end += timedelta(days=1, milliseconds=-1)
    if begin is not None and end is not None and begin > end:
        raise ArgumentError("FROM is after TO")
    return _milliseconds(begin), _milliseconds(end)


def _moment(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentError(f"{name}: {text!r} is no time; 2026-11-23 or 2026-11-23T12:00:00Z is") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _is_day(text: str) -> bool:
    return "T" not in text and " " not in text


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)


async def _export(
    state: State, service: str, form: str, span: tuple[int | None, int | None], path: Path, force: bool
) -> tuple[int, HashedFile]:
    first, last = span
    rows, place = 0, None
    async with open_history(state) as database:
        total = await database.count(service, first=first, last=last)
        with (
            writing(path, replace=force) as file,
            progress(f"exporting {service}", total) as steps,
            FORMATS[form](service, file) as writer,
        ):
            while page := await database.page(
                service, first=first, last=last, after=place, limit=PAGE_ROWS, most_bytes=PAGE_BYTES
            ):
                rows += writer.write(page)
                steps.advance(len(page))
                place = page[-1].sort_key
    return rows, file
