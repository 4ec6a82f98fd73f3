"""What is often written first: a set of clients, one Redis subscription, one loop of `await send_text`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

clients: set[WebSocket] = set()


async def relay() -> None:
    """Send every message to every client, one after another."""
    async with redis.from_url(os.environ["REDIS_URL"], decode_responses=True).pubsub() as pubsub:
        await pubsub.subscribe(os.environ["CHANNEL"])
        async for message in pubsub.listen():
            if message["type"] == "message":
                for websocket in list(clients):
                    await websocket.send_text(message["data"])


async def feed(websocket: WebSocket) -> None:
    """One client, until it leaves."""
    await websocket.accept()
    clients.add(websocket)
    try:
        async for _ in websocket.iter_text():
            pass
    finally:
        clients.discard(websocket)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    """Relay while the server runs."""
    task = asyncio.create_task(relay())
    yield
    task.cancel()


app = Starlette(routes=[WebSocketRoute("/ws", feed)], lifespan=lifespan)
