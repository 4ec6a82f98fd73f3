"""`make backup` and `make restore`: everything recorded in one file, and back, or not at all."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import Result
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from commands.app import app
from commands.backup import DIGEST, MAGIC, verify, write_backup
from commands.stored.files import FileError
from shared.database import Database, Record, open_database
from shared.settings import Settings

NOON = 1_795_435_200_000

Command = Callable[..., Awaitable[Result]]


@pytest.fixture
def command(database_settings: Settings, tmp_path: Path) -> Command:
    """The commands, on the test's database unless `url` is another's."""

    async def run(*arguments: object, url: str = "") -> Result:
        env = {"DATABASE_URL": url or database_settings.database_url.get_secret_value()}
        words = [*map(str, arguments), "--state", str(tmp_path / "state")]
        # In a thread: the command brings an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, words, env=env)

    return run


def records(count: int) -> list[Record]:
    """Updates of two services, some at the same time, with text that needs care."""
    text = json.dumps({"t": "☃ \u0000 \n \"'"})
    return [
        Record(service, f"e{seq % 2}", seq, NOON + seq // 3, text)
        for service in ("market_data", "news")
        for seq in range(count)
    ]


async def everything(database: Database) -> list[Record]:
    """All rows of the database, in order."""
    return [record for service in await database.services() for record in await database.page(service, limit=10**6)]


@pytest.mark.parametrize("target", ["the same", "sqlite"])
async def test_a_restore_equals_the_original_row_by_row(
    database: Database, command: Command, tmp_path: Path, target: str
) -> None:
    """Every column of every row, and the totals; into the same kind of database or into another."""
    await database.insert(records(1200))
    original = await everything(database)
    done = await command("backup", tmp_path / "b")
    assert (done.exit_code, "2400 records of 2 services" in done.stdout) == (0, True), done.stderr
    if target == "the same":
        await database.clear()
        done = await command("restore", tmp_path / "b")
        assert done.exit_code == 0, done.stderr
        assert await everything(database) == original
        assert await database.totals() == {"market_data": 1200, "news": 1200}
        return
    url = f"sqlite:///{tmp_path}/other/history.db"
    done = await command("restore", tmp_path / "b", url=url)
    assert "2400 records restored" in done.stdout
    other = open_database(Settings(_env_file=None, database_url=url))
    assert await everything(other) == original
    assert await other.totals() == {"market_data": 1200, "news": 1200}
    await other.aclose()


async def test_a_database_with_records_is_not_overwritten_by_accident(
    database: Database, command: Command, tmp_path: Path
) -> None:
    """Without a word nothing happens; merged, what is there stays; replaced, it goes."""
    await database.insert(records(20))
    await command("backup", tmp_path / "b")
    mine = Record("news", "e1", 1, NOON + 9, '"mine"')
    await database.clear()
    await database.insert([mine])
    done = await command("restore", tmp_path / "b")
    assert (done.exit_code, await database.count()) == (2, 1)
    assert "MERGE=1" in done.stderr
    done = await command("restore", tmp_path / "b", "--merge")
    assert "39 records restored" in done.stdout
    assert mine in await everything(database)
    done = await command("restore", tmp_path / "b", "--replace")
    assert "40 records restored" in done.stdout
    assert mine not in await everything(database)
    assert await database.totals() == {"market_data": 20, "news": 20}


async def test_a_backup_ends_while_a_recorder_goes_on(
    database: Database, tmp_path: Path, database_settings: Settings
) -> None:
    """What comes after it began need not be in it: it ends, and holds all that was there."""
    await database.insert(records(1500))
    recording = open_database(database_settings)

    async def record() -> None:
        seq = 0
        while True:
            seq += 1
            await recording.insert([Record("news", "later", seq, NOON + 10_000 + seq, "{}")])

    recorder = asyncio.create_task(record())
    await write_backup(database, tmp_path / "b")
    recorder.cancel()
    await asyncio.gather(recorder, return_exceptions=True)
    await recording.aclose()
    kept = verify(tmp_path / "b").by_service
    assert kept["market_data"] == 1500
    assert kept["news"] >= 1500


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_an_empty_database_makes_a_backup_too(database: Database, command: Command, tmp_path: Path) -> None:
    """Of nothing; it restores to nothing."""
    assert (await command("backup", tmp_path / "b")).exit_code == 0
    assert "0 records restored" in (await command("restore", tmp_path / "b")).stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a small backup."""
    folder = tmp_path_factory.mktemp("backup")

    async def make() -> None:
        database = open_database(Settings(_env_file=None, database_url=f"sqlite:///{folder}/history.db"))
        await database.migrate()
        await database.insert(records(30))
        await write_backup(database, folder / "b")
        await database.aclose()

    asyncio.run(make())
    return (folder / "b").read_bytes()


@hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_whatever_byte_is_wrong_it_is_refused(whole: bytes, tmp_path: Path, data: st.DataObject) -> None:
    """Changed, lost or added: header, content, checksum."""
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = bytearray(whole)
    kind = data.draw(st.sampled_from(["changed", "lost", "added", "cut off"]))
    if kind == "changed":
        damaged[at] ^= data.draw(st.integers(1, 255))
    elif kind == "lost":
        del damaged[at]
    elif kind == "added":
        damaged.insert(at, data.draw(st.integers(0, 255)))
    else:
        del damaged[at:]
    if bytes(damaged) == whole:
        return
    (tmp_path / "b").write_bytes(damaged)
    with pytest.raises(FileError):
        verify(tmp_path / "b")


def sealed(*lines: object) -> bytes:
    """A file with these lines and a checksum that is right."""
    # Without a time: parameters are made by each test process, and name the test.
    body = MAGIC + gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines), mtime=0)
    return body + hashlib.sha256(body).digest()


HEADER = {"format": 1, "created": "x", "source": "x", "services": ["news"]}
ROW = {"service": "news", "epoch": "e", "seq": 1, "published_at": 1, "data": "{}"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not a backup"),
        (b"PK\x03\x04 something else entirely", "not a backup"),
        (MAGIC, "damaged or cut off"),
        (MAGIC + b"x" * DIGEST, "damaged or cut off"),
        (sealed(), "header"),
        (sealed(HEADER), "trailer"),
        (sealed(HEADER | {"format": 2}, ROW, {"records": 1, "by_service": {"news": 1}}), "of format 2"),
        (sealed(HEADER, ROW), "trailer"),
        (sealed(HEADER, ROW, {"records": 2, "by_service": {"news": 2}}), "not those that it counts"),
        (sealed(HEADER, ROW, {"records": 1, "by_service": {"onchain": 1}}), "not those that it counts"),
        (sealed(HEADER, {**ROW, "seq": "one"}, {"records": 1, "by_service": {"news": 1}}), "record"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_no_whole_backup_changes_nothing(
    database: Database, command: Command, tmp_path: Path, content: bytes, said: str
) -> None:
    """One line, status 2, and the database as it was, even where it was to be replaced."""
    await database.insert(records(3))
    (tmp_path / "b").write_bytes(content)
    done = await command("restore", tmp_path / "b", "--replace")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert await database.count() == 6


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_file_that_is_not_there_is_named_and_no_database_made(
    command: Command, tmp_path: Path, database_settings: Settings
) -> None:
    """Restoring from a slip of the keyboard touches nothing."""
    done = await command("restore", tmp_path / "nothing")
    assert (done.exit_code, os.listdir(tmp_path)) == (2, [])
    assert f"{tmp_path}/nothing: No such file or directory" in done.stderr


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_same_records_give_the_same_content(database: Database, tmp_path: Path) -> None:
    """Unpacked by hand as the docs say, only the line that dates it differs."""
    await database.insert(records(5))
    lines = []
    for name in ("a", "b"):
        await write_backup(database, tmp_path / name)
        lines.append(gzip.decompress((tmp_path / name).read_bytes()[len(MAGIC) : -DIGEST]).splitlines())
    assert lines[0][1:] == lines[1][1:]
    assert len(lines[0]) == 1 + 10 + 1
