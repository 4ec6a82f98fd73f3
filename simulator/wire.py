"""The effect of each fault on the wire.

Each function in `SPOIL` answers one request. Functions that break the connection need its transport, which
`simulator.server` puts into the ASGI scope: ASGI has no message to close a connection at once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from simulator.faults import Fault, FaultName
from simulator.host import Host, answer
from simulator.world.clock import HostClock

TRANSPORT = "simulator.transport"
"""Extension of the ASGI scope that holds the connection's asyncio transport."""

_FAR = 40_000_000
"""Blocks by which `far_ahead` raises heights."""
_HEIGHT_METHODS = frozenset({"eth_blockNumber", "getBlockHeight", "getSlot"})
"""Methods of JSON-RPC whose whole result is a height."""
_CONDITIONS = frozenset({b"if-none-match", b"if-modified-since"})

_PORTAL = """<!DOCTYPE html>
<html lang="en-US">
<head><title>{title}</title><meta charset="UTF-8" /></head>
<body><h1>{title}</h1><p>{text}</p></body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with a fault, and everything needed to answer it."""

    fault: Fault
    host: Host
    app: ASGIApp
    clock: HostClock
    scope: Scope
    receive: Receive
    send: Send
    stopping: asyncio.Event

    async def reply(self, response: Response) -> None:
        """Answer with `response`."""
        await response(self.scope, self.receive, self.send)

    async def genuine(self) -> tuple[Message, bytes]:
        """The start message and the body that the host sends to a client without a cached answer."""
        messages: list[Message] = []
        # "Not modified" has no body to change.
        headers = [pair for pair in self.scope["headers"] if pair[0] not in _CONDITIONS]

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app({**self.scope, "headers": headers}, self.receive, keep)
        return messages[0], b"".join(message.get("body", b"") for message in messages[1:])

    async def request(self) -> list[Message]:
        """The messages that hold the whole request body."""
        messages = [await self.receive()]
        while messages[-1].get("more_body", False):
            messages.append(await self.receive())
        return messages

    async def gone(self, timeout: float | None = None) -> bool:
        """Wait until the client disconnects or the simulator stops; False after `timeout` seconds."""
        waits = [asyncio.ensure_future(self._left()), asyncio.ensure_future(self.stopping.wait())]
        try:
            done, _ = await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        return bool(done)

    async def cut(self) -> None:
        """Close the connection now, and discard what is not sent yet."""
        self.transport.abort()
        await self._left()  # until uvicorn has noticed: otherwise it would answer 500

    async def _left(self) -> bool:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        return True

    @property
    def transport(self) -> asyncio.Transport:
        """The connection. Only `simulator.server` provides it."""
        transport = self.scope.get("extensions", {}).get(TRANSPORT)
        if transport is None:
            raise RuntimeError(f"the fault {self.fault.fault!r} needs the simulator's own server (simulator.server)")
        assert isinstance(transport, asyncio.Transport)
        return transport


async def _too_many(exchange: Exchange) -> None:
    headers = {**exchange.host.headers, "retry-after": str(exchange.fault.retry_after)}
    await exchange.reply(answer(exchange.host.too_many, 429, headers))


async def _too_many_without_pause(exchange: Exchange) -> None:
    await exchange.reply(answer(exchange.host.too_many, 429, exchange.host.headers))


async def _too_many_html(exchange: Exchange) -> None:
    name = exchange.fault.host
    title = f"Access denied | {name} used Cloudflare to restrict access"
    page = _PORTAL.format(title=title, text="Error 1015: you are being rate limited.")
    await exchange.reply(HTMLResponse(page, 429, {"retry-after": str(exchange.fault.retry_after)}))


async def _too_many_in_200(exchange: Exchange) -> None:
    await exchange.reply(answer(exchange.host.too_many, headers=exchange.host.headers))


async def _banned(exchange: Exchange) -> None:
    headers = {**exchange.host.headers, "retry-after": str(exchange.fault.retry_after)}
    await exchange.reply(answer(exchange.host.banned or exchange.host.too_many, 418, headers))


async def _server_error(exchange: Exchange) -> None:
    await exchange.reply(answer(exchange.host.server_error, 500))


async def _hang(exchange: Exchange) -> None:
    await exchange.gone()
    await exchange.cut()


async def _slow(exchange: Exchange) -> None:
    received = await exchange.request()  # before the wait, which continues to read
    if await exchange.gone(exchange.fault.seconds):
        await exchange.cut()
        return

    async def receive() -> Message:
        return received.pop(0) if received else await exchange.receive()

    await exchange.app(exchange.scope, receive, exchange.send)


async def _html(exchange: Exchange) -> None:
    await exchange.reply(HTMLResponse(_PORTAL.format(title="Just a moment...", text="Checking your browser.")))


async def _truncated(exchange: Exchange) -> None:
    start, body = await exchange.genuine()
    await exchange.send(start)  # with the whole body's content-length
    await exchange.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    exchange.transport.close()  # after the written data is sent
    await exchange.gone()
    await exchange.cut()  # if the client has not read everything by the stop


async def _truncated_json(exchange: Exchange) -> None:
    start, body = await exchange.genuine()
    await _resend(exchange, start, body[: len(body) // 2])


async def _wrong_types(exchange: Exchange) -> None:
    start, body = await exchange.genuine()
    if body.startswith(b"<"):
        body = _spoilt_markup(body, exchange.host.figures)
    elif body:  # a redirect has no body
        body = json.dumps(_spoilt(json.loads(body), exchange.host.figures)).encode()
    await _resend(exchange, start, body)


async def _odd_row(exchange: Exchange) -> None:
    start, body = await exchange.genuine()
    if body.startswith(b"<"):
        head, item, rest = body.partition(b"<item>")
        first, end, others = rest.partition(b"</item>")
        body = head + item + _spoilt_markup(first, exchange.host.figures) + end + others
    elif body:
        body = json.dumps(_spoilt(json.loads(body), exchange.host.figures, only_first=True)).encode()
    await _resend(exchange, start, body)


async def _zeros(exchange: Exchange) -> None:
    start, body = await exchange.genuine()
    await _resend(exchange, start, json.dumps(_zeroed(json.loads(body), exchange.host.figures)).encode())


async def _empty(exchange: Exchange) -> None:
    await exchange.reply(Response(b"", media_type="application/json"))


async def _error_in_200(exchange: Exchange) -> None:
    await exchange.reply(answer(exchange.host.error_in_200))


async def _no_rows(exchange: Exchange) -> None:
    """What a backend answers that lacks the rows, as if there were none."""
    start, body = await exchange.genuine()
    if body.startswith(b"<"):
        body = re.sub(rb"<(item|entry)\b.*?</\1>", b"", body, flags=re.DOTALL)
    elif body:
        body = json.dumps(_emptied(json.loads(body))).encode()
    await _resend(exchange, start, body)


async def _no_logs(exchange: Exchange) -> None:
    """What a node answers that lacks a block's logs and receipts, and has its header."""
    start, body = await exchange.genuine()
    parsed = json.loads(body)
    if isinstance(parsed, dict) and isinstance(parsed.get("result"), list):
        body = json.dumps(parsed | {"result": []}).encode()
    await _resend(exchange, start, body)


async def _refuse(exchange: Exchange) -> None:
    await (
        exchange.cut()
    )  # the closest to a refused connection: all hosts share one listening port, so close before the first byte


async def _stuck(exchange: Exchange) -> None:
    exchange.clock.stop()
    await exchange.app(exchange.scope, exchange.receive, exchange.send)


async def _far_ahead(exchange: Exchange) -> None:
    received = await exchange.request()

    async def receive() -> Message:
        return received.pop(0) if received else await exchange.receive()

    body = b"".join(message.get("body", b"") for message in received)
    method = json.loads(body).get("method") if body else None
    keys = ("result",) if method in _HEIGHT_METHODS else exchange.host.heights
    start, body = await replace(exchange, receive=receive).genuine()
    if body.startswith((b"{", b"[")):  # else a page, or the text of an error
        body = json.dumps(_raised(json.loads(body), keys)).encode()
    await _resend(exchange, start, body)


async def _mislabelled(exchange: Exchange) -> None:
    """The real answer, which the server calls a page."""
    start, body = await exchange.genuine()
    headers = [(name, value) for name, value in start["headers"] if name != b"content-type"]
    await _resend(exchange, {**start, "headers": [*headers, (b"content-type", b"text/html; charset=utf-8")]}, body)


SPOIL: dict[FaultName, Callable[[Exchange], Awaitable[None]]] = {
    "429": _too_many,
    "429_no_retry_after": _too_many_without_pause,
    "429_html": _too_many_html,
    "429_in_200": _too_many_in_200,
    "418": _banned,
    "500": _server_error,
    "hang": _hang,
    "slow": _slow,
    "html": _html,
    "truncated": _truncated,
    "truncated_json": _truncated_json,
    "wrong_types": _wrong_types,
    "odd_row": _odd_row,
    "zeros": _zeros,
    "empty": _empty,
    "error_in_200": _error_in_200,
    "no_rows": _no_rows,
    "no_logs": _no_logs,
    "refuse": _refuse,
    "stuck": _stuck,
    "far_ahead": _far_ahead,
    "mislabelled": _mislabelled,
}


async def _resend(exchange: Exchange, start: Message, body: bytes) -> None:
    """Send `body` under the headers of `start`, with the length that it has."""
    headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    headers.append((b"content-length", str(len(body)).encode()))
    await exchange.send({**start, "headers": headers})
    await exchange.send({"type": "http.response.body", "body": body})


def _spoilt_markup(body: bytes, figures: Collection[str]) -> bytes:
    """`body` with the text replaced in every element that is a figure.

    Markup has no types, and a feed with one wrong item can still be read, so all of them are replaced.
    """
    for figure in figures:
        body = re.sub(b"<%b>[^<]*" % figure.encode(), b"<%b>{}" % figure.encode(), body)
    return body


def _spoilt(body: Any, figures: Collection[str], only_first: bool = False) -> Any:
    """`body` with figures replaced by objects: all, as one odd row or figure costs itself, or only the first.

    Without a figure the whole body becomes a string.
    """
    if only_first:
        return body if any(_replace(body, figure, only_first) for figure in figures) else json.dumps(body)
    replaced = [_replace(body, figure) for figure in figures]
    return body if any(replaced) else json.dumps(body)


def _replace(node: Any, key: str, only_first: bool = False) -> bool:
    if isinstance(node, dict) and key in node:
        node[key] = {"value": node[key]}
        return True
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    if only_first:
        return any(_replace(child, key, only_first) for child in children)
    replaced = [_replace(child, key) for child in children]
    return any(replaced)


def _emptied(node: Any) -> Any:
    """`node` with every list empty."""
    if isinstance(node, dict):
        return {key: _emptied(value) for key, value in node.items()}
    return [] if isinstance(node, list) else node


def _zeroed(node: Any, figures: Collection[str]) -> Any:
    """`node` with every number of these keys set to zero, which many upstreams send for unknown figures."""
    if isinstance(node, dict):
        return {key: _zero(value) if key in figures else _zeroed(value, figures) for key, value in node.items()}
    return [_zeroed(child, figures) for child in node] if isinstance(node, list) else node


def _raised(node: Any, heights: Collection[str]) -> Any:
    """`node` with every number of these keys raised by 40 million."""
    if isinstance(node, dict):
        return {key: _higher(value) if key in heights else _raised(value, heights) for key, value in node.items()}
    return [_raised(child, heights) for child in node] if isinstance(node, list) else node


def _higher(value: Any) -> Any:
    """`value` raised by 40 million, if it is a number or a hexadecimal quantity."""
    if isinstance(value, str) and value.startswith("0x"):
        return hex(int(value, 16) + _FAR)
    return value + _FAR if isinstance(value, int) else value


def _zero(value: Any) -> Any:
    """Zero if `value` is a number, as text if it is text; else `value`."""
    if isinstance(value, str):
        return "0" if value.isdecimal() else value
    return 0 if isinstance(value, int | float) else value
