"""A gateway that serves its documents and has heard an update of every service, and what matters of its pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from html.parser import HTMLParser
from typing import Any

import httpx
import msgpack
import pytest
import websockets

from gateway.node import Node
from shared.bus import Bus, open_redis
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.settings import Settings

DEADLINE = 10.0


class Gateway:
    """One running gateway, and a bus to publish on."""

    def __init__(self, node: Node, bus: Bus) -> None:
        self.node = node
        self.bus = bus
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}", timeout=DEADLINE)

    async def document(self, name: str) -> dict[str, Any]:
        """`openapi` or `asyncapi`, as served."""
        answer = await self.http.get(f"/{name}.json")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        found: dict[str, Any] = answer.json()
        return found

    async def exchange(self, path: str, *commands: Any, subprotocol: str | None = None) -> list[dict[str, Any]]:
        """Everything that a client of `path` hears until its last command, a ping of ours, is answered."""
        heard: list[dict[str, Any]] = []
        protocols = [websockets.Subprotocol(subprotocol)] if subprotocol else None
        async with websockets.connect(f"ws://127.0.0.1:{self.node.port}{path}", subprotocols=protocols) as socket:
            for command in (*commands, {"action": "ping", "data": {"last": True}}):
                await socket.send(msgpack.packb(command) if subprotocol else json.dumps(command))
            async with asyncio.timeout(DEADLINE):
                while not heard or heard[-1]["data"] != {"last": True}:
                    message = await socket.recv()
                    heard.append(msgpack.unpackb(message) if isinstance(message, bytes) else json.loads(message))
        return heard


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway that is ready, and has heard one update of every service."""
    node = Node(settings)
    listener = node.bind()
    running = asyncio.create_task(node.run(listener))
    redis = open_redis(settings)
    found = Gateway(node, Bus(redis, Channels(settings.redis_prefix), 100))
    try:
        await _until_ready(found, running)
        messages = (await found.document("asyncapi"))["components"]["messages"]
        for service in CHANNEL_NAMES:
            await found.bus.publish(service, messages[f"update_{service}"]["examples"][0]["payload"]["data"])
        await _until_heard(found)
        yield found
    finally:
        await found.http.aclose()
        node.stop("test")
        assert await running == 0
        await redis.aclose()


async def _until_ready(gateway: Gateway, running: asyncio.Task[int]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not running.done() and (await gateway.http.get("/health/ready")).status_code != 200:
            pass


async def _until_heard(gateway: Gateway) -> None:
    async with asyncio.timeout(DEADLINE), aclosing(_listen(gateway)) as services:
        missing = set(CHANNEL_NAMES)
        while missing:
            missing.discard(await anext(services))


async def _listen(gateway: Gateway) -> AsyncGenerator[str]:
    async with websockets.connect(f"ws://127.0.0.1:{gateway.node.port}/ws") as socket:
        await socket.send(json.dumps({"action": "subscribe", "service": ["all", "system"]}))
        async for message in socket:
            heard = json.loads(message)
            if heard["type"] == "update":
                yield heard["service"]


class Page(HTMLParser):
    """What matters of a page: what it loads and links, its ids, headings, labels, and anything inline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.elements: list[dict[str, str]] = []
        self.tags: list[str] = []
        self.unlabelled: list[str] = []
        self.inline: list[str] = []
        self.text = ""
        self._labels = 0
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append({name: value or "" for name, value in attrs})
        self.tags.append(tag)
        self._labels += tag == "label"
        self._script = tag in {"script", "style"}
        self.inline += [name for name in values if name.startswith("on") or name == "style"]
        for name in ("src", "href", "action", "srcset", "poster", "data"):
            if values.get(name) is not None:
                (self.links if tag == "a" else self.loads).append(values[name] or "")
        if values.get("id"):
            self.ids.append(values["id"] or "")
        if tag in {"input", "select", "textarea"} and not self._labels:
            self.unlabelled.append(values.get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        self._labels -= tag == "label"
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)
        self.text += data

    @property
    def found(self) -> list[dict[str, str]]:
        """The elements that the page's search knows."""
        return [element for element in self.elements if "data-find" in element]

    @property
    def kinds(self) -> set[str]:
        """What they are."""
        return {element["data-find"] for element in self.found}
