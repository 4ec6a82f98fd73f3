"""picows, a WebSocket library in C for asyncio, on uvloop with one redis.asyncio subscription. No ASGI."""

from __future__ import annotations

import asyncio
import os

import redis.asyncio as redis
import uvloop
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

clients: set[WSTransport] = set()


class Client(WSListener):
    """One client."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Send it everything from now on."""
        clients.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget it."""
        clients.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Answer pings and closes."""
        if frame.msg_type == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()


async def main() -> None:
    """Serve, and send every message to every client."""
    server = await ws_create_server(lambda request: Client(), "127.0.0.1", int(os.environ["PORT"]), backlog=4096)
    serving = asyncio.create_task(server.serve_forever())
    async with redis.from_url(os.environ["REDIS_URL"]).pubsub() as pubsub:
        await pubsub.subscribe(os.environ["CHANNEL"])
        async for message in pubsub.listen():
            if message["type"] == "message":
                for transport in clients:
                    transport.send(WSMsgType.TEXT, message["data"])
    await serving


uvloop.run(main())
