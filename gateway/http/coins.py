"""`/api/v1/coins`: the published coins with their symbols, names, ranks and last prices.

A body is made once per update and shared by all requests. Its `timestamp` is the moment for which the ages in it are
right, so that equal ETags mean equal bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.broadcast.recent import Missed, Recent
from gateway.directory import Directory
from gateway.http.api import ApiRoute
from gateway.http.moments import LATEST
from gateway.http.parameters import Asked
from gateway.http.snapshot import CACHING, SnapshotPort, newest_of
from gateway.messages.http import CoinEntry, CoinListing, Success
from gateway.updates import Update
from shared.timestamps import iso_of

SERVICE = "market_data"
"""The service whose updates have the prices."""

STEP_SECONDS = 10.0
"""How far the ages of a body may be behind where no update comes: two intervals of the service, so that with updates
there is one body for each."""
_AT_ONCE = 20  # updates read in one turn of the loop: at 10 kB each, a millisecond


class _Prices(Struct):
    prices: dict[str, Any] = {}


class _Message(Struct):
    data: _Prices


_read_message = msgspec.msgpack.Decoder(_Message).decode
_to_json = msgspec.json.Encoder().encode


class _Price(NamedTuple):
    usd: float
    at: int
    """When the update that had it was published: unix ms."""


class CoinBody(NamedTuple):
    """An answer."""

    body: bytes
    etag: str


class CoinTable:
    """The coins and their last prices. `run` is its only task."""

    def __init__(
        self, recent: Recent, directory: Directory, clock: Callable[[], float] = time.time, step: float = STEP_SECONDS
    ) -> None:
        """`recent` has the updates; `clock` is that of their times. Ages are right to `step` seconds."""
        self._recent = recent
        self._directory = directory
        self._clock = clock
        self._step = step
        self._unread = Missed(recent, recent.first)
        self._ids: tuple[str, ...] = ()
        """The coins of the newest update, in its order."""
        self._prices: dict[str, _Price] = {}
        """The last known price of each of them."""
        self._at = 0
        """When the newest update was published: unix ms."""
        self._count = 0
        """Updates that were read."""
        self._made: tuple[tuple[int, str | None, int], CoinBody] | None = None
        """The newest answer, after the updates, the list of coins and the steps that it is of."""

    async def run(self) -> None:
        """Read updates until cancelled, so that no price is missed of which nobody asks."""
        while True:
            await self.catch_up()
            await asyncio.sleep(self._step)

    async def catch_up(self) -> None:
        """Read the updates that came since the last call. Those after a start, or a burst, take several turns."""
        while self._unread.lost or len(self._unread):
            for _ in range(_AT_ONCE):
                if self._unread.lost:
                    self._unread = Missed(self._recent, self._recent.first)
                if not len(self._unread):
                    return
                self._read(self._unread[0])
                self._unread.skip(1)
            await asyncio.sleep(0)

    def _read(self, update: Update) -> None:
        self._count += 1
        self._at = _milliseconds(update.published_at, self._clock())
        try:
            prices = _read_message(update.raw).data.prices
        except (msgspec.DecodeError, RecursionError):  # others may write to Redis, too
            prices = {}
        self._ids = tuple(prices)
        found = {coin: _Price(value, self._at) for coin, value in prices.items() if _is_price(value)}
        self._prices = {coin: price for coin, price in self._prices.items() if coin in prices} | found

    def body(self) -> CoinBody:
        """The answer for the newest update that was read: a new one per update, list of coins, and step without any."""
        steps = max(0, int((self._clock() - self._at / 1000) // self._step))
        made_of = self._count, self._directory.version, steps
        if self._made is None or self._made[0] != made_of:
            moment = self._at + int(steps * self._step * 1000)
            body = _to_json(Success(status="success", data=self._listing(moment), timestamp=iso_of(moment)))
            self._made = made_of, CoinBody(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')
        return self._made[1]

    def _listing(self, moment: int) -> CoinListing:
        entries = [self._entry(coin_id, moment) for coin_id in self._ids]
        return CoinListing(coins=sorted(entries, key=lambda coin: math.inf if coin.rank is None else coin.rank))

    def _entry(self, coin_id: str, moment: int) -> CoinEntry:
        coins = self._directory.coins
        known, price = coins.by_id.get(coin_id), self._prices.get(coin_id)
        return CoinEntry(
            id=coin_id,
            symbol=known.symbol if known else None,
            name=known.name if known else None,
            rank=known.rank if known else None,
            ambiguous=coins.is_ambiguous(coin_id),
            price=price.usd if price else None,
            price_at=iso_of(price.at) if price else None,
            age_seconds=max(0, moment - price.at) / 1000 if price else None,
        )


def _milliseconds(published_at: str, now: float) -> int:
    """A time of an update as unix ms; now for one that can't be read, or is not from 1970 on."""
    try:
        found = round(datetime.fromisoformat(published_at).timestamp() * 1000)
    except (ValueError, OverflowError):
        found = -1
    return found if 0 <= found <= LATEST else int(now * 1000)


def _is_price(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


class CoinsPort(SnapshotPort, Protocol):
    """What this route needs from the node."""

    coins: CoinTable


async def coins(request: Request, _asked: Asked) -> Response:
    """The published coins: symbols, names, ranks and last prices."""
    node: CoinsPort = request.state.node
    newest = newest_of(node, SERVICE)
    if isinstance(newest, Response):
        return newest
    await node.coins.catch_up()
    body, etag = node.coins.body()
    return Response(body, headers={"ETag": etag, "Cache-Control": CACHING}, media_type="application/json")


ROUTES = [ApiRoute("/api/v1/coins", coins)]
