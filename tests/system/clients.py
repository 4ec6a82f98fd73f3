"""WebSocket helpers of system tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed


async def until_message(
    client: ClientConnection, wanted: Callable[[dict[str, Any]], bool], seconds: float = 30.0
) -> dict[str, Any]:
    """The first message that `wanted` accepts."""
    seen: list[str] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                message: dict[str, Any] = json.loads(await client.recv())
                if wanted(message):
                    return message
                seen.append(f"{message['service']}/{message['type']}")
    except TimeoutError:
        raise AssertionError(f"not among {len(seen)} messages: {seen[-20:]}") from None


async def update(client: ClientConnection, service: str = "market_data", seconds: float = 30.0) -> dict[str, Any]:
    """The next update of a service."""
    return await until_message(client, lambda m: m["type"] == "update" and m["service"] == service, seconds)


async def send(client: ClientConnection, **command: Any) -> None:
    """Send one command."""
    await client.send(json.dumps(command))


async def until_closed(client: ClientConnection, seconds: float = 30.0) -> tuple[list[dict[str, Any]], int | None]:
    """All remaining messages, and the close code (None if the connection ended without one)."""
    messages: list[dict[str, Any]] = []
    async with asyncio.timeout(seconds):
        try:
            while True:
                messages.append(json.loads(await client.recv()))
        except ConnectionClosed as closed:
            return messages, closed.rcvd.code if closed.rcvd else None
