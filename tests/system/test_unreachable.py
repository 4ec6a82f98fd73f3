"""A worker without the internet: every way out leads to a proxy on this machine that lets nothing through."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from launcher.redis_server import RedisServer
from shared.bus import open_redis
from shared.catalog import SERVICES, of_category
from shared.channels import Channels
from shared.settings import Settings
from tests.system.processes import Process
from tests.waiting import until
from workers.services import load_service
from workers.services.service import ServiceContext

pytestmark = pytest.mark.slow


class ClosedProxy:
    """Takes connections, notes where they want to go, and hangs up."""

    def __init__(self) -> None:
        self.wanted: Counter[str] = Counter()
        self.address = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        if line:
            self.wanted[line.split()[1].decode()] += 1
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[ClosedProxy]:
    """One on a free port."""
    proxy = ClosedProxy()
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        proxy.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield proxy


def sources() -> dict[str, set[str]]:
    """The names of every service's sources, without keys."""
    context = ServiceContext(
        settings=Settings(_env_file=None),
        bus=None,  # type: ignore[arg-type]  # nothing is asked
        reports=None,  # type: ignore[arg-type]
        fetcher=None,  # type: ignore[arg-type]  # nothing is asked
        on_failover=lambda *told: None,
        latest=lambda name, seconds: None,
    )
    return {
        name: {source.provider.name for pool in load_service(name, context).pools for source in pool.sources}
        for name in of_category("data_collection")
    }


async def test_each_source_is_said_to_be_unreachable_once_and_nothing_is_published(
    tmp_path: Path, proxy: ClosedProxy
) -> None:
    """One line a source, no update, no invention; it keeps trying, with pauses, and ends when told to."""
    redis_server = RedisServer(tmp_path / "redis").start()
    prefix = f"test-{uuid.uuid4().hex[:8]}"
    outward = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"), proxy.address)
    env = {"REDIS_URL": redis_server.url, "REDIS_PREFIX": prefix, **outward, "NO_PROXY": "", "LEASE_SECONDS": "3"}
    worker = Process("worker", [sys.executable, "-m", "workers", "data_collection"], env)
    expected = set().union(*sources().values())
    try:
        await worker.start()

        def down() -> Counter[str]:
            # Once a source, however many pools it is in.
            return Counter(re.findall(r"(\S+) down: connection: \w+,", worker.output))

        # Every first cycle has run within 5 s; the slowest fallback is asked when the sources before it have failed.
        await until(lambda: set(down()) >= expected, 60)
        await until(lambda: worker.output.count("service stale") >= 3, 90)
        assert set(down().values()) == {1}
        redis = open_redis(Settings(_env_file=None, redis_url=redis_server.url))
        for name in SERVICES:
            assert await redis.xlen(Channels(prefix).stream(name)) == 0
        await redis.aclose()
        # Pauses double from 5 s, so a pool tries a source at most five times in 90 s; nodes are asked every 20 s.
        assert max(proxy.wanted.values()) <= 30
        assert await worker.end(signal.SIGTERM) == 0
    finally:
        if worker.child.returncode is None:
            await worker.end(signal.SIGKILL)
        redis_server.stop()
