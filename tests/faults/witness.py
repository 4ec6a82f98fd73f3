"""`python -m tests.faults.witness PORT SERVICES`: five clients that print how late updates come, until SIGTERM.

In a process of its own: one that drives two thousand clients is late itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time

from tests.faults.crowd import Crowd

_CLIENTS = 5
_EVERY = 0.05  # s


async def main(port: str, services: str) -> None:
    """A row per look: when, and how late the latest update since the last look was."""
    if os.geteuid() == 0:
        os.nice(-5)
    crowd = Crowd(services.split(","))
    followers = crowd.add(_CLIENTS, lambda _: int(port))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while not stop.is_set():
        await asyncio.sleep(_EVERY)
        for follower in followers:
            if follower.late_max:
                sys.stdout.write(json.dumps([time.time(), follower.late_max]) + "\n")
                follower.late_max = 0.0
        sys.stdout.flush()
    await crowd.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
