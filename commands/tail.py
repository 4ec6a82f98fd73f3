"""`coinwire tail market_data`: prints the Redis channel of a service, as a tool beside the cluster reads it.

docs/how-to/read-a-channel.md has the same in ten lines.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
import typer
from pydantic import SecretStr
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from commands.options import ServiceName, StateFolder, check_service
from commands.terminal import WIDTH, as_json, printable, short, summary, until_interrupted
from launcher.state import DEFAULT_FOLDER, State
from shared.bus import REDIS_FAULTS, open_redis
from shared.bus.cluster import Cluster
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import EnvelopeError, SettingsError
from shared.settings import Settings, load_settings

_PAUSE = 1.0  # s between attempts while Redis is away: one person's tool, so there is no herd to spread
_QUIET = 5.0  # s without a message after which to ask Redis whether it is still there


def tail(
    service: ServiceName = "market_data",
    raw: Annotated[bool, typer.Option("--json", help="Print whole messages as JSON, one per line.")] = False,
    state: StateFolder = DEFAULT_FOLDER,
) -> None:
    """Print what a service publishes to Redis, until Ctrl-C.

    Starts with the newest message. Reads from REDIS_URL, else from the cluster that runs on this machine.
    """
    check_service(service)
    asyncio.run(until_interrupted(_print_all(service, load_settings(), State(state), raw=raw)))


async def _print_all(service: str, settings: Settings, state: State, *, raw: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    before: Envelope | None = None
    async for update in updates(service, settings, state):
        if before is not None and before.epoch != update.epoch:
            print(f"(a new epoch, {update.epoch}: numbers start again)", file=sys.stderr, flush=True)
        elif before is not None and update.seq > before.seq + 1:
            print(f"({update.seq - before.seq - 1} missed)", file=sys.stderr, flush=True)
        before = update
        if raw:
            print(as_json(msgspec.to_builtins(update)), flush=True)
        else:
            console.print(line_of(update, console.width if console.is_terminal else WIDTH))


async def updates(service: str, settings: Settings, state: State) -> AsyncIterator[Envelope]:
    """The newest update, then every new one, each once. While Redis is away, says so once and retries for ever."""
    shown: tuple[str, int] = ("", 0)
    away = False
    url = _address(settings, state)
    if url is None:
        raise SettingsError("no Redis to read: start `make demo` or `make run`, or set REDIS_URL")
    while True:
        url = _address(settings, state) or url  # a demo that is started again has another port
        try:
            async for raw in _messages(url, service, settings):
                if away:
                    print("redis is back", file=sys.stderr, flush=True)
                    away = False
                update = _unpack(raw)
                if update is not None and not (update.epoch == shown[0] and update.seq <= shown[1]):
                    shown = (update.epoch, update.seq)
                    yield update
        except REDIS_FAULTS as error:
            if not away:
                print(f"redis is away ({error or type(error).__name__}): retrying until it is back", file=sys.stderr)
                away = True
        await asyncio.sleep(_PAUSE)


async def _messages(url: str, service: str, settings: Settings) -> AsyncIterator[bytes]:
    """The newest message, then those of the channel. Raises one of REDIS_FAULTS when Redis is away."""
    names = Channels(settings.redis_prefix)
    client = open_redis(settings.model_copy(update={"redis_url": SecretStr(url)}))
    async with client:
        server, sharded = client, isinstance(client, Cluster)
        if isinstance(client, Cluster):
            server = await client.server_of(names.channel(service))
        async with server.pubsub() as channel:
            # Before reading `last`, so that nothing is missed in between.
            await (channel.ssubscribe if sharded else channel.subscribe)(names.channel(service))
            last = await client.get(names.last(service))
            if isinstance(last, bytes):
                yield last
            while True:
                message = await channel.get_message(timeout=_QUIET)
                if message is None:
                    await server.ping()
                elif message["type"] in ("message", "smessage"):
                    yield message["data"]
                elif message["type"] == "sunsubscribe":
                    raise ConnectionError("the service has moved to another node")


def _address(settings: Settings, state: State) -> str | None:
    return settings.redis_url.get_secret_value() if settings.redis_url else state.redis_url()


def _unpack(raw: bytes) -> Envelope | None:
    try:
        return Envelope.unpack(raw)
    except EnvelopeError as error:
        print(f"not a coinwire message: {error}", file=sys.stderr, flush=True)
        return None


def line_of(update: Envelope, width: int = WIDTH) -> Text:
    """One line of at most `width` columns: time of publication, `seq`, and as many figures as fit.

    Of market_data these are coins, each with its price and its change in 24 h. Control characters, which an upstream
    may have sent, are replaced.
    """
    text = Text.assemble((printable(update.timestamp[11:23]), "dim"), " ", (f"#{update.seq}", "bold"))
    coins = _coins(update.data)
    if not coins:
        text.append("  " + summary(update.data))
    for number, coin in enumerate(coins, start=1):
        mark = 0 if number == len(coins) else len(" …")
        if text.cell_len + cell_len("  " + coin) + mark > width:
            text.append(" …")
            break
        text.append("  " + coin)
    text.truncate(width, overflow="ellipsis")
    return text


def _coins(data: dict[str, Any]) -> list[str]:
    """Price and change of each coin in a payload of market_data; nothing for another payload."""
    prices, changes = data.get("prices"), data.get("price_changes")
    if not isinstance(prices, dict):
        return []
    known = changes if isinstance(changes, dict) else {}
    return [printable(f"{coin} {short(price)}{_change(known.get(coin))}") for coin, price in prices.items()]


def _change(percent: Any) -> str:
    return f" ({percent:+.1f} %)" if isinstance(percent, int | float) else ""
