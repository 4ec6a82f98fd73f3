"""The Python programs of docs/reference/protocol.md print what a gateway sends them."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator

import pytest

from gateway.node import Node
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.places import ROOT
from tests.waiting import until

PAGE = (ROOT / "docs" / "reference" / "protocol.md").read_text()
DEADLINE = 30.0


def programs() -> list[str]:
    """The programs of the page, in its order."""
    return re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Node]:
    """A gateway that has heard an update of market_data and one of news."""
    node = Node(settings)
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    async with open_redis(settings) as redis:
        bus = Bus(redis, Channels(settings.redis_prefix), 10)
        for service, data in {"market_data": {"prices": {"bitcoin": 101234.5}}, "news": {"articles": []}}.items():
            await bus.publish(service, data)
        await until(lambda: all(node.hub.recent[service].latest for service in ("market_data", "news")))
        yield node
    node.stop("the test is over")
    assert await running == 0


@pytest.mark.parametrize(
    ("number", "printed"), [(0, r"20\d\d-\S+Z 101234\.5"), (1, r"update \{'epoch': .*'seq': 1\b.*")]
)
async def test_a_program_prints_the_latest_update(gateway: Node, number: int, printed: str) -> None:
    """With the gateway's own address in it, and nothing else changed."""
    program = programs()[number].replace("localhost:7860", f"127.0.0.1:{gateway.port}")
    process = await asyncio.create_subprocess_exec(sys.executable, "-u", "-c", program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE):
            lines = [line.decode().strip() async for line in _until(process.stdout, printed)]
    finally:
        process.kill()
        await process.communicate()
    assert re.fullmatch(printed, lines[-1])


async def _until(output: asyncio.StreamReader, printed: str) -> AsyncIterator[bytes]:
    while line := await output.readline():
        yield line
        if re.fullmatch(printed, line.decode().strip()):
            return
