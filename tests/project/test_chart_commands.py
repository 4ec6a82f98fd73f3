"""The commands of docs/how-to/draw-a-chart.md do what the page says of them."""

from __future__ import annotations

import asyncio
import csv
import re
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.node import Node
from shared.database import Database, Record
from shared.settings import Settings
from tests.places import ROOT
from tests.waiting import until

HOW_TO = ROOT / "docs" / "how-to" / "draw-a-chart.md"
DEMO = "http://127.0.0.1:7860"
COMMANDS = re.findall(r"^```sh\n(.*?)^```", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)
MINUTES = 1_500

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def gateway(database_settings: Settings, database: Database) -> AsyncIterator[str]:
    """The address of a gateway whose database has more than a day of prices."""
    now = int(time.time() * 1000)
    prices = (
        (now - 60_000 * (MINUTES - n), f'{{"prices":{{"bitcoin":{60_000 + n}.5}}}}') for n in range(1, MINUTES + 1)
    )
    await database.insert([Record("market_data", "e", seq, at, data) for seq, (at, data) in enumerate(prices)])
    node = Node(database_settings)
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    yield f"http://127.0.0.1:{node.port}"
    node.stop("the test is over")
    assert await running == 0


async def run(command: str, folder: Path) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_shell(command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


@on_sqlite
async def test_one_curl_has_the_last_day_of_bitcoin(gateway: str, tmp_path: Path) -> None:
    """A line per minute, and gnuplot draws them where it is installed. README has the same address."""
    save, draw = (command.replace(DEMO, gateway) for command in COMMANDS)
    await run(save, tmp_path)
    with (tmp_path / "bitcoin.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1440
    assert float(rows[-1]["close"]) == 60_000.5 + MINUTES
    assert f"curl '{DEMO}/api/v1/candles/bitcoin?format=csv'" in (ROOT / "README.md").read_text()
    if shutil.which("gnuplot"):
        assert (await run(draw, tmp_path)).count("*") > 50
