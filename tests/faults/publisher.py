"""`python -m tests.faults.publisher SERVICES RATE SIZE FIRST`: numbered updates at a steady rate, until SIGTERM.

Prints a row of JSON per attempt: which number, and the position that it got, or why none. What Redis did not confirm is
not published again: as with the workers, the next update is a newer one.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from typing import Any

from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.errors import BusError
from shared.settings import load_settings


async def publish(bus: Bus, service: str, rate: float, size: int, first: int) -> None:
    """Updates of one service, for ever. Ticks that pass while Redis does not answer are not made up for."""
    loop = asyncio.get_running_loop()
    began, number, pad = loop.time(), first, "x" * size
    while True:
        number += 1
        at = time.time()
        row: dict[str, Any] = {"service": service, "n": number, "at": at, "epoch": None, "seq": 0, "error": None}
        try:
            position = await bus.publish(service, {"n": number, "at": at, "pad": pad})
            row |= {"epoch": position.epoch, "seq": position.seq}
        except BusError as error:
            row["error"] = str(error)
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        ticks = int((loop.time() - began) * rate) + 1
        await asyncio.sleep(max(0.0, began + ticks / rate - loop.time()))


async def main(services: str, rate: str, size: str, first: str) -> None:
    """Publish all services side by side."""
    settings = load_settings(())
    bus = Bus(
        open_redis(settings),
        Channels(settings.redis_prefix),
        settings.history_length,
        history_bytes=settings.history_bytes,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tasks = [
        asyncio.create_task(publish(bus, service, float(rate), int(size), int(first)))
        for service in services.split(",")
    ]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
