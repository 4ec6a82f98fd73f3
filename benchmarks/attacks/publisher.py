"""`python -m benchmarks.attacks.publisher`: fills the history, then publishes at a steady rate until it is ended.

Ten times per second an update of market_data of 10 kB, as with a hundred coins; between them one of 500 bytes, of the
other services in turn. Real services publish less often; what they share with these is the size.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import typer

from shared.bus import Bus, open_redis
from shared.catalog import CHANNEL_NAMES, SYSTEM
from shared.channels import Channels
from shared.settings import load_settings

LARGE = "market_data"
_KEPT = 1000
_PAUSE = 0.05
_OTHERS = [name for name in CHANNEL_NAMES if name not in (LARGE, SYSTEM)]
_COINS = {f"some-coin-{number}": 1234.5678 + number for number in range(100)}


def payload(service: str, number: int) -> dict[str, Any]:
    """The data of an update: which one it is, when it was sent, and something that fills it."""
    marks: dict[str, Any] = {"n": number, "sent_ns": time.time_ns()}
    if service == LARGE:
        return marks | dict.fromkeys(("prices", "volumes", "market_caps", "price_changes"), _COINS)
    return marks | {"text": "x" * 450}


async def publish() -> None:
    """Fill, print `filled`, go on."""
    settings = load_settings(())
    redis = open_redis(settings)
    bus = Bus(redis, Channels(settings.redis_prefix), _KEPT)
    numbers = dict.fromkeys(CHANNEL_NAMES, 0)

    async def one(service: str) -> None:
        numbers[service] += 1
        await bus.publish(service, payload(service, numbers[service]))

    for _ in range(_KEPT):
        await one(LARGE)
        await one("news")
    for service in _OTHERS:
        await one(service)
    typer.echo("filled")
    turn, at = 0, time.monotonic()
    while True:
        turn += 1
        await one(LARGE if turn % 2 else _OTHERS[turn // 2 % len(_OTHERS)])
        at += _PAUSE
        await asyncio.sleep(max(0.0, at - time.monotonic()))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(publish())
