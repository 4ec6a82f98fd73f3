"""A running cluster, shared by the tests of a module: it takes seconds to start."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.catalog import CATEGORIES
from tests.system.processes import Cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Redis, simulator, one worker per category, two gateways."""
    running = Cluster(tmp_path_factory.mktemp("cluster"), f"test-{uuid.uuid4().hex[:8]}", CATEGORIES)
    try:
        yield await running.start()
    finally:
        await running.stop()
