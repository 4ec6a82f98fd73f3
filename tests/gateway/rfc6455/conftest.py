"""One gateway per module: a test here is hundreds of short connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.node import Node
from gateway.transport import outgoing
from launcher.redis_server import RedisServer
from tests.conftest import settings_on
from tests.waiting import until


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(redis_server: RedisServer) -> AsyncIterator[int]:
    """The port of a gateway that compresses, and never cuts a connection: it has to end each as RFC 6455 says."""
    node = Node(settings_on(redis_server.url).model_copy(update={"ws_compression": True}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outgoing, "_LINGER", 600)
        running = asyncio.create_task(node.run(node.bind()))
        try:
            await until(lambda: not node.unready)
            yield node.port
            await until(lambda: not node._sessions)
        finally:
            node.stop("the tests are over")
            assert await running == 0
