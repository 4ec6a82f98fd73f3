"""The one way in which tests wait: for a condition, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

_LOOK_AGAIN = 0.01  # s: often enough that a test waits no longer than it must


async def until(
    condition: Callable[[], bool | Awaitable[bool]], deadline: float = 10.0, state: Callable[[], str] = str
) -> None:
    """Return as soon as `condition` holds; it may be a coroutine function. AssertionError after `deadline` seconds.

    `state` is asked only then, for what the message adds.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        assert loop.time() < end, f"not within {deadline:g} s: {condition} {state()}"
        pause = loop.create_future()
        loop.call_later(_LOOK_AGAIN, pause.set_result, None)
        await pause
