"""`coinwire candles`: a coin's price from a gateway, as a plot, a table, CSV or JSON."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Iterator

import pytest
from click.testing import Result
from rich.cells import cell_len
from typer.testing import CliRunner

from commands.app import app
from launcher.ports import free_port
from shared.bus import open_redis
from shared.bus.coin_list import CoinList
from shared.channels import Channels
from shared.coins import KnownCoin, pack_coins
from shared.database import Record, open_database
from shared.settings import Settings
from tests.commands.live.serving import Served
from tests.conftest import settings_on

pytestmark = pytest.mark.slow  # a gateway and a database; what is drawn is tested in live/test_charts.py

BEGIN, MINUTE = 1_762_857_000_000, 60_000  # 2025-11-11T10:30:00Z; ms
COUNT = 1100  # minutes: more than one request asks for
RANGE = ("--interval", "1m", "--from", "2025-11-11")


@pytest.fixture(scope="module")
def served(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway over a database with a price of bitcoin per minute, but for one; it knows three symbols."""
    url = f"sqlite:///{tmp_path_factory.mktemp('history')}/candles.db"
    settings = settings_on(redis_url)
    asyncio.run(_record(Settings(_env_file=None, redis_url=redis_url, database_url=url)))
    asyncio.run(_name_coins(settings))
    gateway = Served(settings, DATABASE_URL=url)
    try:
        yield gateway.start()
    finally:
        gateway.stop()


async def _record(settings: Settings) -> None:
    database = open_database(settings)
    await database.migrate()
    await database.insert(
        [
            Record("market_data", "e", n, BEGIN + n * MINUTE, json.dumps({"prices": {"bitcoin": 60_000.0 + n % 7}}))
            for n in range(COUNT)
            if n != 5
        ]
    )
    await database.aclose()


async def _name_coins(settings: Settings) -> None:
    async with open_redis(settings) as redis:
        known = [("bitcoin", "btc"), ("ethereum", "eth"), ("osmosis-eth", "eth")]
        coins = pack_coins([KnownCoin(id=coin, symbol=symbol) for coin, symbol in known])
        await CoinList(redis, Channels(settings.redis_prefix)).store(coins, 0)


def candles(served: Served, *arguments: str, **env: str) -> Result:
    """`coinwire candles …`."""
    return CliRunner(env=env).invoke(app, ["candles", *arguments, "--url", served.url], prog_name="coinwire")


def rows(done: Result) -> list[dict[str, str]]:
    """Of CSV."""
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.stdout, newline="")))


def test_into_a_pipe_goes_csv_with_every_candle_of_the_range(served: Served) -> None:
    """Over as many pages as there are, each candle once and in order; what was not recorded is not there."""
    found = rows(candles(served, "bitcoin", *RANGE))
    assert len(found) == COUNT - 1
    assert [row["open_time"] for row in found] == sorted({row["open_time"] for row in found})
    assert list(found[0].values()) == ["2025-11-11T10:30:00.000Z", *["60000.0"] * 4, "1", "true"]
    assert "2025-11-11T10:35:00.000Z" not in {row["open_time"] for row in found}
    assert found[-1]["complete"] == "false"


def test_a_limit_and_both_ends_of_the_range_are_passed_on(served: Served) -> None:
    """`--limit` counts candles, not pages; `--to` is included."""
    assert len(rows(candles(served, "bitcoin", *RANGE, "--limit", "3"))) == 3
    found = rows(candles(served, "bitcoin", *RANGE, "--to", "2025-11-11T10:32:00Z"))
    assert [row["open_time"][11:16] for row in found] == ["10:30", "10:31", "10:32"]


def test_a_symbol_will_do(served: Served) -> None:
    """A symbol that one coin has is that coin."""
    assert rows(candles(served, "BTC", *RANGE, "--limit", "3")) == rows(
        candles(served, "bitcoin", *RANGE, "--limit", "3")
    )


def test_json_is_one_object(served: Served) -> None:
    """`--format json`: coin, interval, how often prices are sampled, and the candles of all pages."""
    done = candles(served, "bitcoin", *RANGE, "--format", "json")
    found = json.loads(done.stdout)
    assert (found["coin"], found["interval"], found["sampled_every_seconds"]) == ("bitcoin", "1m", 5.0)
    assert len(found["candles"]) == COUNT - 1
    assert found["candles"][0]["open"] == 60_000.0


@pytest.mark.parametrize("columns", [60, 120])
def test_a_plot_fits_the_terminal(served: Served, columns: int) -> None:
    """As wide as the terminal, and a caption that says what is drawn; no colours into a pipe."""
    done = candles(served, "bitcoin", *RANGE, "--format", "plot", COLUMNS=str(columns), LINES="25")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    drawn, said = lines[:21], " ".join(lines[21:])
    assert max(map(cell_len, lines)) == max(map(cell_len, drawn)) == columns
    assert said.startswith("bitcoin 1m  60,00")
    assert "sampled every 5 s" in said
    assert "\x1b" not in done.stdout


def test_a_table_has_every_figure(served: Served) -> None:
    """`--format table`: a row per candle; on a narrow terminal no figure is cut."""
    done = candles(served, "bitcoin", *RANGE, "--limit", "2", "--format", "table", COLUMNS="30")
    assert done.exit_code == 0, done.output
    words = [line.split() for line in done.stdout.splitlines()]
    assert ["2025-11-11T10:31:00.000Z", *["60,001.00"] * 4, "1", "yes"] in words


def test_times_without_any_candle_are_said(served: Served) -> None:
    """Nothing to draw is one line on stderr; as CSV it is the line of names."""
    times = ("--from", "2025-11-10", "--to", "2025-11-10T12:00Z")
    done = candles(served, "bitcoin", *times, "--format", "plot")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "coinwire: no candles of bitcoin at these times\n"
    assert rows(candles(served, "bitcoin", *times)) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nocoin",), "nocoin"),
        (("ETH",), "ids: ethereum, osmosis-eth"),
        (("bitcoin", "--from", "yesterday"), "from"),
        (("bitcoin", "--from", "2025-11-12", "--to", "2025-11-11"), "from must not be after to"),
        (("a/b",), "not a coin: 'a/b'"),
        (("",), "not a coin: ''"),
        (("../stats",), "not a coin"),
    ],
)
def test_what_is_wrong_is_one_line(served: Served, arguments: tuple[str, ...], said: str) -> None:
    """Unknown and ambiguous coins and wrong times: one line with what helps, and status 2."""
    done = candles(served, *arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    assert said in done.stderr


def test_an_unknown_interval_is_told_with_those_there_are(served: Served) -> None:
    """As with any option that has a choice."""
    done = candles(served, "bitcoin", "--interval", "2m")
    assert done.exit_code == 2
    assert "15m" in done.stderr


def test_without_a_gateway_it_is_one_line() -> None:
    """One line, and status 2."""
    url = f"http://127.0.0.1:{free_port()}"
    done = CliRunner().invoke(app, ["candles", "bitcoin", "--url", url], prog_name="coinwire")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"no gateway at {url}" in done.stderr
