"""One stack for all tests here: building and starting it takes a minute. Tests that break it come last."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.compose.stack import UP_SECONDS, Stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack() -> AsyncIterator[Stack]:
    """The demo's stack, built, up and healthy. Without an engine that is an error, not a skip."""
    running = Stack()
    await running.compose("build")
    try:
        began = time.monotonic()
        await running.compose("up", "--detach")
        await running.healthy(
            "redis",
            "postgres",
            "simulator",
            "worker-data-collection",
            "worker-monitoring",
            "worker-integration",
            "gateway",
            "balancer",
            seconds=UP_SECONDS - (time.monotonic() - began),
        )
        sys.stderr.write(f"healthy {time.monotonic() - began:.0f} s after up\n")
        yield running
    except BaseException:
        sys.stderr.write(await running.compose("logs", "--tail", "50", check=False))
        raise
    finally:
        await running.down()


ORDER = (
    "test_stack",
    "test_users",
    "test_scaling",
    "test_balancer",
    "test_failures",
    "test_sentinel",
    "test_tls",
    "test_image",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests share the stack, and so its event loop."""
    ours = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in ours:
        item.add_marker(pytest.mark.asyncio(loop_scope="session"))
        item.add_marker(pytest.mark.compose)
    ours.sort(key=lambda item: ORDER.index(item.path.stem))
    items[:] = [item for item in items if item not in ours] + ours
