"""`python -m commands.export market_data`: a service's recorded updates as a file of CSV, JSON lines or Parquet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from commands.files import HashedFile, progress, writing
from commands.formats import FORMATS
from commands.records import PAGE_BYTES, PAGE_ROWS, opened, told
from commands.tail import UnknownServiceError
from launcher.state import DEFAULT_FOLDER, State
from shared.catalog import CHANNEL_NAMES
from shared.errors import CoinwireError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


class ArgumentError(CoinwireError):
    """What was asked for makes no sense; the message says what would."""


@app.command()
def export(
    service: Annotated[str, typer.Argument(help="a service of the catalogue, or `system`")],
    form: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet")] = "csv",
    first: Annotated[str, typer.Option("--from", help="time or day (UTC), included")] = "",
    last: Annotated[str, typer.Option("--to", help="time or day (UTC), included")] = "",
    out: Annotated[str, typer.Option(help="file to write; else named after the service")] = "",
    force: Annotated[bool, typer.Option(help="replace a file that is there already")] = False,
    state: Annotated[Path, typer.Option(help="folder of the cluster to export from")] = DEFAULT_FOLDER,
) -> None:
    """Write a service's records of a span into a file."""

    async def run() -> str:
        if service not in CHANNEL_NAMES:
            raise UnknownServiceError(f"no service {service!r}; there are {', '.join(CHANNEL_NAMES)}")
        if form not in FORMATS:
            raise ArgumentError(f"no format {form!r}; there are {', '.join(FORMATS)}")
        span, path = span_of(first, last), Path(out or f"{service}.{form}")
        rows, file = await _export(State(state), service, form, span, path, force)
        return f"{path}: {rows} rows, {file.size} bytes, sha256 {file.digest.hex()}"

    told(run)


def span_of(first: str, last: str) -> tuple[int | None, int | None]:
    """Both ends in unix milliseconds, included; None where there is none. Raises ArgumentError.

    A day is all of it; a time without a zone is UTC.
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
    async with opened(state) as database:
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
                place = page[-1].place
    return rows, file


if __name__ == "__main__":
    app()
