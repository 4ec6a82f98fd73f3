"""`make export`: records as a file that other programs read, whole or not at all."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from commands.app import app
from commands.export import span_of
from commands.options import ArgumentError
from commands.stored.table import columns_of, rows_of
from shared.catalog import CHANNEL_NAMES
from shared.database import Database, Record
from shared.settings import Settings
from tests.places import ROOT

NOON = 1_795_435_200_000

Export = Callable[..., Awaitable[Result]]


@pytest.fixture
def export(database_settings: Settings, tmp_path: Path) -> Export:
    """The command `coinwire export`, its file in a folder of its own."""
    env = {"DATABASE_URL": database_settings.database_url.get_secret_value()}

    async def run(service: str, *arguments: str, out: str = "out") -> Result:
        command = ["export", service, *arguments, "--out", str(tmp_path / out), "--state", str(tmp_path / "state")]
        # In a thread: the command brings an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, command, env=env)

    return run


def market(seq: int) -> Record:
    """One update of two coins; what the second has is not all known."""
    data = {
        "prices": {"bitcoin": 45000.5 + seq, "ethereum": 3200},
        "volumes": {"bitcoin": 1e10, "ethereum": None},
        "market_caps": {"bitcoin": 9e11},
        "price_changes": {"bitcoin": -1.5, "ethereum": 0.25},
        "source": "=coingecko",
        "timestamp": "2026-11-23T12:00:00.000Z",
    }
    return Record("market_data", "e", seq, NOON + seq * 1000, json.dumps(data))


def news(seq: int) -> Record:
    """One update with a list."""
    data = {"articles": [{"title": 'He said "no", ☃'}], "sources": ["a"], "categories": [], "timestamp": "x"}
    return Record("news", "e", seq, NOON + seq, json.dumps(data, ensure_ascii=False))


def cells(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


async def test_json_lines_hold_the_records_as_they_are(database: Database, export: Export, tmp_path: Path) -> None:
    """One object a line: service, position, time, and the data unchanged."""
    records = [news(seq) for seq in range(1, 1201)]
    await database.insert(records)
    done = await export("news", "--format", "jsonl")
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [(line["epoch"], line["seq"]) for line in lines] == [("e", seq) for seq in range(1, 1201)]
    assert lines[0]["data"] == json.loads(records[0].data)
    assert (lines[0]["service"], lines[0]["published_at"]) == ("news", "2026-11-23T12:00:00.001Z")
    written = (tmp_path / "out").read_bytes()
    digest = hashlib.sha256(written).hexdigest()
    assert done.stdout == f"{tmp_path / 'out'}: 1200 rows, {len(written)} bytes, sha256 {digest}\n"


async def test_csv_of_market_data_has_a_row_a_coin(database: Database, export: Export, tmp_path: Path) -> None:
    """Names first; figures as they are, nothing for null; text that a spreadsheet would run is quoted."""
    await database.insert([market(1), market(2)])
    assert (await export("market_data")).exit_code == 0
    rows = cells(tmp_path / "out")
    assert [(row["seq"], row["coin"]) for row in rows] == [
        *(("1", "bitcoin"), ("1", "ethereum"), ("2", "bitcoin"), ("2", "ethereum"))
    ]
    assert rows[0] == {
        "published_at": "2026-11-23T12:00:01.000Z",
        "epoch": "e",
        "seq": "1",
        "coin": "bitcoin",
        "price": "45001.5",
        "volume": "10000000000.0",
        "market_cap": "900000000000.0",
        "price_spread_bps": "",
        "disputed": "",
        "price_change_24h": "-1.5",
        "timestamp": "2026-11-23T12:00:00.000Z",
        "as_of": "",
        "source": "'=coingecko",
    }
    assert (rows[1]["volume"], rows[1]["market_cap"]) == ("", "")


async def test_csv_of_others_has_a_row_an_update(database: Database, export: Export, tmp_path: Path) -> None:
    """Lists are JSON in a cell, commas, quotes and snow included."""
    await database.insert([news(1)])
    assert (await export("news")).exit_code == 0
    (row,) = cells(tmp_path / "out")
    assert json.loads(row["articles"]) == [{"title": 'He said "no", ☃'}]


async def test_parquet_is_typed(database: Database, export: Export, tmp_path: Path) -> None:
    """Times are times, figures numbers, null is null; the same rows as in CSV."""
    await database.insert([market(seq) for seq in range(1, 700)])
    assert (await export("market_data", "--format", "parquet")).exit_code == 0
    table = pq.read_table(tmp_path / "out")
    types: dict[str, str] = {field.name: str(field.type) for field in table.schema}
    assert types["published_at"] == "timestamp[ms, tz=UTC]"
    assert (types["price"], types["seq"], types["source"]) == ("double", "int64", "string")
    rows: list[dict[str, Any]] = table.to_pylist()
    assert len(rows) == 2 * 699
    assert (rows[0]["price"], rows[1]["volume"], rows[0]["published_at"].timestamp()) == (
        45001.5,
        None,
        NOON / 1000 + 1,
    )


async def test_a_span_is_exported_and_an_empty_one_is_a_valid_file(
    database: Database, export: Export, tmp_path: Path
) -> None:
    """Both ends belong to it; of nothing there are the names alone."""
    await database.insert([market(seq) for seq in range(1, 10)])
    span = ("--from", "2026-11-23T12:00:03Z", "--to", "2026-11-23T12:00:04Z")
    assert "4 rows" in (await export("market_data", *span)).stdout
    for form in ("csv", "jsonl", "parquet"):
        done = await export("market_data", "--from", "2030-01-01", "--format", form, out=f"none.{form}")
        assert "0 rows" in done.stdout
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
    assert (tmp_path / "none.csv").read_text().startswith("published_at,epoch,seq,coin,")
    assert (tmp_path / "none.jsonl").read_text() == ""


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("prices",), "no service 'prices'; there are market_data"),
        (("news", "--format", "xml"), "no format 'xml'; there are csv, jsonl, parquet"),
        (("news", "--from", "yesterday"), "FROM: 'yesterday' is no time"),
        (("news", "--from", "2026-11-24", "--to", "2026-11-23"), "FROM is after TO"),
    ],
)
async def test_what_makes_no_sense_is_one_line_and_status_2(
    database: Database, export: Export, arguments: tuple[str, ...], said: str
) -> None:
    """Nothing is written then."""
    done = await export(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


@pytest.mark.slow  # it starts several processes
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_pyarrow_all_but_parquet_is_written(
    database: Database, database_settings: Settings, tmp_path: Path
) -> None:
    """Without this extra, one line explains how to install it, the status is 2, and no file is left."""
    await database.insert([market(1)])
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": database_settings.database_url.get_secret_value()}

    async def run(form: str) -> tuple[int | None, str]:
        code = "import sys; sys.modules['pyarrow'] = None; from commands.app import app; app()"
        command = (sys.executable, "-c", code, "export", "market_data", "--format", form)
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, said = await process.communicate()
        return process.returncode, said.decode()

    (csv_status, _), (status, said) = await asyncio.gather(run("csv"), run("parquet"))
    assert (csv_status, status) == (0, 2)
    assert said.count("\n") == 1
    assert "pip install '.[parquet]'" in said
    assert os.listdir(tmp_path / "exports") == ["market_data.csv"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_folder_that_is_not_there_is_named(database: Database, export: Export) -> None:
    """None is made for a slip of the keyboard."""
    done = await export("news", out="no/such/folder/x.csv")
    assert (done.exit_code, "no/such/folder/x.csv: No such file or directory" in done.stderr) == (2, True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_file_that_is_there_stays_unless_forced(database: Database, export: Export, tmp_path: Path) -> None:
    """An export replaces nothing by accident."""
    (tmp_path / "out").write_text("mine")
    assert (await export("news")).exit_code == 2
    assert (tmp_path / "out").read_text() == "mine"
    assert (await export("news", "--force")).exit_code == 0
    assert (tmp_path / "out").read_text() != "mine"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_without_a_database_nothing_is_made(export: Export, tmp_path: Path) -> None:
    """Before anything was recorded, one line reports that; neither an export nor a database is created."""
    done = await export("news")
    assert (done.exit_code, os.listdir(tmp_path)) == (2, [])
    assert "nothing has been stored there yet" in done.stderr


def killed_while_writing(settings: Settings, folder: Path) -> None:
    """An export that gets SIGKILL as soon as its first bytes are there."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": settings.database_url.get_secret_value()}
    command = [sys.executable, "-m", "commands", "export", "news", "--format", "jsonl"]
    with subprocess.Popen(command, cwd=folder, env=env) as process:
        while not list(folder.glob("exports/.news.jsonl.*.part")):
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait(20) == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_killed_in_the_middle_it_leaves_no_file_of_that_name(
    database: Database, database_settings: Settings, tmp_path: Path
) -> None:
    """A file with the final name is always complete."""
    filler = json.dumps({"text": "x" * 20_000})
    for start in range(0, 4000, 500):
        await database.insert([Record("news", "e", seq, NOON + seq, filler) for seq in range(start, start + 500)])
    killed_while_writing(database_settings, tmp_path)
    assert not (tmp_path / "exports" / "news.jsonl").exists()


@pytest.mark.parametrize("service", CHANNEL_NAMES)
def test_every_service_has_columns(service: str) -> None:
    """Named after its payload's fields, each once."""
    names = [column.name for column in columns_of(service)]
    assert "timestamp" in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("first", "last", "span"),
    [
        ("", "", (None, None)),
        ("2026-11-23", "2026-11-23", (NOON - 43_200_000, NOON + 43_200_000 - 1)),
        ("2026-11-23T12:00:00Z", "2026-11-23T14:00:00+02:00", (NOON, NOON)),
        ("2026-11-23 12:00", "", (NOON, None)),
    ],
)
def test_a_day_is_all_of_it_and_times_are_utc(first: str, last: str, span: tuple[int | None, int | None]) -> None:
    """Unless they say another zone."""
    assert span_of(first, last) == span


def test_a_span_the_wrong_way_round_is_refused() -> None:
    """With a word for it."""
    with pytest.raises(ArgumentError):
        span_of("2026-11-24", "2026-11-23T00:00:00Z")


def test_records_of_another_version_have_null_where_they_differ() -> None:
    """A figure that is missing, or of another type, is no figure."""
    columns = columns_of("explorers")
    old = Record("explorers", "e", 1, NOON, msgspec.json.encode({"latest_block": "many", "chains": 5}).decode())
    (row,) = rows_of(old, columns)
    by_name = dict(zip([column.name for column in columns], row[3:], strict=True))
    assert by_name["latest_block"] is None
    assert by_name["chains.bitcoin.fees.fast"] is None
