"""Failures of Redis (paused, restarted, emptied), and a clock that tests move."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal

from launcher.redis_server import RedisServer


def pause(server: RedisServer) -> None:
    """SIGSTOP: the sockets stay open, without answers."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)


def resume(server: RedisServer) -> None:
    """SIGCONT, if it runs."""
    if server.process is not None:
        os.kill(server.process.pid, signal.SIGCONT)


async def restart(server: RedisServer) -> None:
    """SIGKILL and start again. The loop runs on meanwhile, so that clients see their connections close."""
    server.kill()
    await asyncio.to_thread(server.start)


def lose_everything(server: RedisServer) -> None:
    """Delete what a stopped server has kept, in whichever files its version keeps it. Its next start is empty."""
    assert server.process is None
    shutil.rmtree(server.folder)


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
