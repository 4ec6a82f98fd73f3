"""`coinwire check`: what is wrong, in plain lines without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from commands.app import app
from commands.check import unknown_names
from launcher.redis_server import RedisServer
from shared.database import Database
from shared.settings import Settings
from simulator.app import Simulator
from simulator.server import running
from tests.places import ROOT

Check = Callable[..., Awaitable[Result]]


@pytest.fixture
def check(redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Runs the command in an empty folder, with a Redis that answers."""
    monkeypatch.chdir(tmp_path)

    async def run(**env: str) -> Result:
        own = {"REDIS_URL": redis_server.url, "DATABASE_URL": f"sqlite:///{tmp_path}/history.db"}
        # In a thread: the command brings an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, app, ["check"], env={**own, **env})

    return run


def wrong(done: Result) -> list[str]:
    """The findings that say what is wrong."""
    return [line for line in done.stdout.splitlines() if line.startswith("wrong ")]


async def test_with_nothing_wrong_its_status_is_0(check: Check) -> None:
    """Settings, Redis, database and upstreams each have a line, and none reports a fault."""
    done = await check()
    assert done.exit_code == 0, done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["ok", part] for part in ("settings", "redis", "database", "upstreams")
    ]


async def test_each_wrong_setting_has_a_line(check: Check) -> None:
    """Two settings that can't be used are two lines with status 1; their values are not printed."""
    done = await check(PORT="secret-one", HISTORY_LENGTH="secret-two")
    assert done.exit_code == 1
    first, second = wrong(done)
    assert "HISTORY_LENGTH: " in first
    assert "PORT: " in second
    assert "secret" not in done.output
    skipped = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("skipped ")]
    assert skipped == ["redis", "database", "upstreams"]
    assert "ok " not in done.stdout


async def test_a_setting_that_only_a_worker_reads_is_checked(check: Check) -> None:
    """RPC_NODES that would stop a worker at its start are one line without their text."""
    (line,) = wrong(await check(RPC_NODES="sesame"))
    assert line.endswith("RPC_NODES: entry 1 should begin with chain/name= in lower case")


async def test_a_wrong_setting_is_explained_in_words(check: Check) -> None:
    """The reason stands behind the name at once, without the validator's own prefix."""
    (line,) = wrong(await check(COINS="0"))
    assert "COINS: a count of coins is 1 to 250" in line


async def test_a_redis_that_does_not_answer_is_named(check: Check) -> None:
    """Without a server at the address, one line reports it, and the password is not printed."""
    done = await check(REDIS_URL="redis://:sesame@127.0.0.1:1/0")
    (line,) = wrong(done)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, "1 thing is wrong")
    assert "REDIS_URL: ConnectionError" in line
    assert "sesame" not in done.output


async def test_a_password_that_redis_refuses_is_named(check: Check, redis_server: RedisServer) -> None:
    """If Redis refuses the password, the line reports that without printing the password."""
    address = redis_server.url.rpartition("@")[2].removeprefix("redis://")
    done = await check(REDIS_URL=f"redis://somebody:sesame@{address}")
    (line,) = wrong(done)
    assert "REDIS_URL: " in line
    assert "sesame" not in done.output


async def test_a_database_that_does_not_answer_is_named(check: Check) -> None:
    """A PostgreSQL that is not there is one line with its address, without the password."""
    done = await check(DATABASE_URL="postgresql://writer:sesame@127.0.0.1:1/history")
    (line,) = wrong(done)
    assert "127.0.0.1:1/history" in line
    assert "sesame" not in done.output


async def test_a_database_says_how_much_it_holds(check: Check, database: Database, database_settings: Settings) -> None:
    """Where something was recorded, the line has the number of records."""
    done = await check(DATABASE_URL=database_settings.database_url.get_secret_value())
    assert done.exit_code == 0, done.stdout
    assert "0 records" in done.stdout


async def test_upstreams_are_asked_with_their_keys(check: Check) -> None:
    """Each provider that has a key is asked once; one that refuses is a line with its reason, without the key."""
    simulator = Simulator(seed=1)
    async with running(simulator, "127.0.0.1", 0) as server:
        keys = {"COINGECKO_DEMO_KEY": "sesame-one", "BLOCKCHAIR_KEY": "sesame-two"}
        done = await check(SIMULATOR_URL=server.url, **keys)
        assert done.exit_code == 0, done.stdout
        assert "coingecko (simulated) answers with its key" in done.stdout
        assert "blockchair (simulated) answers with its key" in done.stdout
    done = await check(SIMULATOR_URL=server.url, **keys)
    assert [line.split()[2] for line in wrong(done)] == ["coingecko", "blockchair"]
    assert "sesame" not in done.output


async def test_a_half_of_a_pair_is_named(check: Check) -> None:
    """Reddit needs both its id and its secret."""
    (line,) = wrong(await check(REDDIT_CLIENT_ID="id"))
    assert "REDDIT_CLIENT_SECRET" in line


async def test_a_name_in_env_that_no_setting_has_is_named(check: Check, tmp_path: Path) -> None:
    """A misspelled name in .env is one line with the name that was probably meant, and without its value."""
    (tmp_path / ".env").write_text("RETENTION_DAY=sesame\n# COMMENT=1\nREDIS_PREFIX=mine\n")
    done = await check()
    (line,) = wrong(done)
    assert "no setting is called RETENTION_DAY; did you mean RETENTION_DAYS?" in line
    assert "sesame" not in done.output


def test_names_that_compose_reads_are_known(tmp_path: Path) -> None:
    """.env also configures Docker Compose: what the compose files use is no mistake."""
    for file in ROOT.glob("docker-compose*.yml"):
        (tmp_path / file.name).write_text(file.read_text())
    env = tmp_path / ".env"
    env.write_text(
        "GATEWAYS=5\nPOSTGRES_PASSWORD=x\nCOMPOSE_FILE=x\nexport BACKUP_FOLDER=x\nlog_level=info\nGATEWAY=5\n"
    )
    assert unknown_names(env) == {"GATEWAY": "GATEWAYS"}
    assert unknown_names(tmp_path / "absent") == {}
