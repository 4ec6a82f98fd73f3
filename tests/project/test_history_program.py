"""The program of docs/how-to/read-history.md does what the page says of it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time

from gateway.node import Node
from shared.database import Database, Record
from shared.settings import Settings
from tests.places import ROOT
from tests.waiting import until

HOW_TO = ROOT / "docs" / "how-to" / "read-history.md"
RECORDS = 1_100  # records: three pages of the 500 that the program asks for


def program() -> str:
    """The Python program of the page."""
    (found,) = re.findall(r"^```python\n(.*?)^```", HOW_TO.read_text(), re.DOTALL | re.MULTILINE)
    return found


def test_the_program_has_ten_lines() -> None:
    """The history is read in ten lines, the blank ones not counted."""
    assert len([text for text in program().splitlines() if text]) <= 10


async def test_the_program_prints_the_whole_history(database_settings: Settings, database: Database) -> None:
    """Every record of several pages, once and in order."""
    now = int(time.time() * 1000)
    await database.insert(
        [
            Record(
                service="market_data",
                epoch="e",
                seq=seq,
                published_at=now - 5000 * (RECORDS - seq),
                data=f'{{"prices":{{"bitcoin":{seq}.5}}}}',
            )
            for seq in range(1, RECORDS + 1)
        ]
    )
    node = Node(database_settings)
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program(),
        env={**os.environ, "GATEWAY_URL": f"http://127.0.0.1:{node.port}"},
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    node.stop("the test is over")
    assert await running == 0
    assert process.returncode == 0
    printed = [line.split() for line in output.decode().splitlines()]
    assert [(seq, price) for seq, _, price in printed] == [(str(n), f"{n}.5") for n in range(1, RECORDS + 1)]
