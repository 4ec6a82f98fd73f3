"""What commands share that print to a terminal: text from upstreams made harmless, short figures, and Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Coroutine, Mapping
from typing import Any

WIDTH = 100
"""Columns of a line where the output is no terminal."""

_EXACT = 2.0**53  # a larger float has no digits after the point, and not all digits before it are exact
_SHOWN = 3  # entries of a map or list in a summary: what fits one line of a terminal


async def until_interrupted(work: Coroutine[Any, Any, None]) -> None:
    """Await `work`; Ctrl-C ends it quietly."""
    task, interrupted = asyncio.ensure_future(work), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    waiting = asyncio.ensure_future(interrupted.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    while not task.done():  # Python 3.11's wait_for, which redis-py sends with, loses a cancel that meets a result
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    with contextlib.suppress(asyncio.CancelledError):
        task.result()


def printable(text: str) -> str:
    """`text` without control characters and escape sequences, which an upstream may have sent: U+FFFD for each."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def as_json(value: Any) -> str:
    """`value` as JSON on one line; what a terminal might obey is escaped, which is the same to a program."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def short(value: Any) -> str:
    """A value in a few characters: of a map or list the first entries, and how many there are. May need `printable`."""
    if isinstance(value, dict):
        shown = [f"{key} {short(item)}" for key, item in list(value.items())[:_SHOWN]]
    elif isinstance(value, list):
        shown = [short(item) for item in value[:_SHOWN]]
    elif isinstance(value, float):
        return f"{value:,.2f}" if 1 <= abs(value) < _EXACT else f"{value:.6g}"
    else:
        return "–" if value is None else str(value)
    more = f" … {len(value)} in all" if len(value) > _SHOWN else ""
    return f"[{', '.join(shown)}{more}]"


def summary(data: Mapping[str, Any]) -> str:
    """The fields of `data` on one line, each shortened to its first figures."""
    return printable("  ".join(f"{name}: {short(value)}" for name, value in data.items() if name != "timestamp"))
