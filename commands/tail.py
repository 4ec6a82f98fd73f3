"""`python -m commands.tail market_data`: prints a service's Redis channel, as an internal tool reads it.

The newest message comes at once, then each new one. docs/how-to/read-a-channel.md has the same in ten lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from launcher.state import DEFAULT_FOLDER, State
from shared.bus import REDIS_FAULTS, open_redis
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import CoinwireError, EnvelopeError, SettingsError
from shared.settings import Settings, load_settings

_PAUSE = 1.0  # s between attempts while Redis is away: one person's tool, no herd to spread
_QUIET = 5.0  # s without a message after which to ask Redis whether it is still there
_EXACT = 2.0**53  # beyond it a float has no digits after the point, and some before it are none of its own
_SHOWN = 3  # entries of a map or list in a summary: what fits one line of a terminal


class UnknownServiceError(CoinwireError):
    """There is no such channel."""


def tail(
    service: Annotated[str, typer.Argument(help="a service of the catalogue, or `system`")],
    raw: Annotated[bool, typer.Option("--json", help="the whole message as JSON, one a line")] = False,
    state: Annotated[Path, typer.Option(help="folder of the cluster to read from")] = DEFAULT_FOLDER,
) -> None:
    """Print what is published on a service's channel, until Ctrl-C."""
    try:
        if service not in CHANNEL_NAMES:
            raise UnknownServiceError(f"no service {service!r}; there are {', '.join(CHANNEL_NAMES)}")
        asyncio.run(_until_interrupted(_print_all(service, load_settings(), State(state), raw=raw)))
    except CoinwireError as error:
        typer.echo(f"coinwire: {error}", err=True)
        raise typer.Exit(2) from None
    except BrokenPipeError:  # `| head` has seen enough; what is still buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None


async def _until_interrupted(work: Coroutine[Any, Any, None]) -> None:
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


async def _print_all(service: str, settings: Settings, state: State, *, raw: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    known: Envelope | None = None
    async for update in updates(service, settings, state):
        if known is not None and known.epoch == update.epoch and update.seq > known.seq + 1:
            print(f"({update.seq - known.seq - 1} missed)", file=sys.stderr, flush=True)
        known = update
        if raw:
            sys.stdout.write(msgspec.json.encode(update).decode() + "\n")
            sys.stdout.flush()
        else:
            console.print(line_of(update))


async def updates(service: str, settings: Settings, state: State) -> AsyncIterator[Envelope]:
    """The newest update, then every new one, once each. Says when Redis goes and returns, and waits for it for ever."""
    shown: tuple[str, int] = ("", 0)
    told = False
    url = _address(settings, state)
    if url is None:
        raise SettingsError("no Redis to read: start `make demo` or `make run`, or set REDIS_URL")
    while True:
        url = _address(settings, state) or url  # a demo that was started again has another port
        try:
            async for raw in _messages(url, service, settings):
                if told:
                    print("redis is back", file=sys.stderr, flush=True)
                    told = False
                update = _unpack(raw)
                if update is not None and not (update.epoch == shown[0] and update.seq <= shown[1]):
                    shown = (update.epoch, update.seq)
                    yield update
        except REDIS_FAULTS as error:
            if not told:
                print(f"redis is away ({error or type(error).__name__}): trying until it is back", file=sys.stderr)
                told = True
        await asyncio.sleep(_PAUSE)


async def _messages(url: str, service: str, settings: Settings) -> AsyncIterator[bytes]:
    """`last`, then the channel. Raises one of REDIS_FAULTS once Redis is away."""
    names = Channels(settings.redis_prefix)
    client = open_redis(settings.model_copy(update={"redis_url": SecretStr(url)}))
    async with client, client.pubsub(ignore_subscribe_messages=True) as channel:
        await channel.subscribe(names.channel(service))  # first: what comes after `last` is then not missed
        last = await client.get(names.last(service))
        if isinstance(last, bytes):
            yield last
        while True:
            message = await channel.get_message(timeout=_QUIET)
            if message is not None:
                yield message["data"]
            else:
                await client.ping()


def _address(settings: Settings, state: State) -> str | None:
    return settings.redis_url.get_secret_value() if settings.redis_url else state.redis_url()


def _unpack(raw: bytes) -> Envelope | None:
    try:
        return Envelope.unpack(raw)
    except EnvelopeError as error:
        print(f"not a coinwire message: {error}", file=sys.stderr, flush=True)
        return None


def line_of(update: Envelope) -> Text:
    """One readable line: when, which position, and the first figures."""
    moment = update.timestamp[11:23]
    position = f"#{update.seq}"
    text = Text.from_markup(f"[dim]{escape(moment)}[/] [bold]{position}[/] [dim]{escape(update.epoch)}[/] ")
    return text.append(summary(update.data))


def summary(data: dict[str, Any]) -> str:
    """The fields of `data`, each shortened to its first figures."""
    return "  ".join(f"{name}: {_short(value)}" for name, value in data.items() if name != "timestamp")


def _short(value: Any) -> str:
    if isinstance(value, dict):
        shown = [f"{key} {_short(item)}" for key, item in list(value.items())[:_SHOWN]]
    elif isinstance(value, list):
        shown = [_short(item) for item in value[:_SHOWN]]
    elif isinstance(value, float):
        return f"{value:,.2f}" if 1 <= abs(value) < _EXACT else f"{value:.6g}"
    else:
        return "–" if value is None else str(value)
    more = f" … {len(value)} in all" if len(value) > _SHOWN else ""
    return f"[{', '.join(shown)}{more}]"


if __name__ == "__main__":
    typer.run(tail)
