"""What a demo has recorded is still there when it is started again, and can be found when nothing runs."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from launcher.state import State, settings_here
from shared.database import open_database
from shared.settings import Settings
from tests.started import Command, Start
from tests.waiting import until

pytestmark = pytest.mark.slow

RANGE = {"from": "2025-01-01", "limit": 1000}


def gateways(demo: Command) -> list[str]:
    """Base URLs of both gateways, as the demo prints them."""
    return [
        line.split()[-1].replace("ws://", "http://").removesuffix("/ws/market_data")
        for line in demo.lines
        if "  prices  " in line
    ]


async def recorded(http: httpx.AsyncClient, gateway: str) -> list[Any]:
    """What the history of market_data holds, or nothing while there is none."""
    answer = await http.get(f"{gateway}/api/v1/history/market_data", params=RANGE)
    return answer.json()["data"]["records"] if answer.status_code == 200 else []


async def test_two_demos_one_after_the_other_share_a_history(start: Start, tmp_path: Path) -> None:
    """The second demo's gateways serve records of the first; the file stays between the two."""
    env = {"PORT": "0", "REDIS_URL": "", "SIMULATOR_URL": "", "DATABASE_URL": ""}
    state = State(tmp_path / "state")
    async with httpx.AsyncClient() as http:
        demo = start("commands", "demo", "--state", state.folder, **env)
        demo.line("Ctrl-C stops all of it")
        demo.line(f"database +sqlite:///{state.database_file('demo')}")
        left, right = gateways(demo)

        async def several() -> bool:
            return len(await recorded(http, left)) >= 2

        await until(several, 40)
        before = (await recorded(http, right))[:2]
        demo.signal(signal.SIGINT)
        assert demo.wait() == 0, demo.output
        database = open_database(settings_here(Settings(_env_file=None), state))  # type: ignore[call-arg]
        assert (await database.totals())["market_data"] >= 2
        await database.aclose()
        demo = start("commands", "demo", "--state", state.folder, **env)
        demo.line("Ctrl-C stops all of it")
        assert (await recorded(http, gateways(demo)[0]))[:2] == before
