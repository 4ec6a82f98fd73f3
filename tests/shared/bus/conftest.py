"""Redis servers that replicate: for tests of what the bus does on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.replicated import Nodes, Watched


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[Nodes]:
    """Three primaries with a replica each."""
    cluster = Nodes(tmp_path)
    try:
        await cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest_asyncio.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    """A primary, two replicas and three Sentinels."""
    servers = Watched(tmp_path)
    try:
        await servers.start()
        yield servers
    finally:
        servers.stop()
