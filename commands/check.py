"""`coinwire check`: what is wrong with the settings and with what they lead to, without a secret in any line."""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import typer
from pydantic import SecretStr

from commands.options import StateFolder
from launcher.redis_server import find_redis_server
from launcher.state import DEFAULT_FOLDER, State, settings_here
from shared.budget import Budget
from shared.bus import open_redis
from shared.bus.budgets import Budgets
from shared.bus.client import redis_call
from shared.database import open_database
from shared.errors import CoinwireError, NothingStoredError, ProviderError, SettingsError
from shared.settings import Settings, load_settings
from workers.asking.client import open_client, source_label
from workers.asking.fetch import Fetcher
from workers.asking.keys import key_of
from workers.providers import PROVIDERS, load_provider, provider_class
from workers.services.rpc_nodes.nodes import nodes_of

_PROVIDER_SECONDS = 10.0  # s a provider has to answer: an answer of so few bytes that takes longer is no answer
_COMPOSE_OWN = ("COMPOSE_", "DOCKER_", "BUILDKIT_", "BUILDX_")
"""How the names begin that Docker itself reads from .env."""


class Finding(NamedTuple):
    """One line of the report."""

    what: str
    text: str
    wrong: bool = False
    skipped: bool = False


def check(state: StateFolder = DEFAULT_FOLDER) -> None:
    """Check the settings, Redis, the database and provider keys.

    Prints one line per finding and no secret. Exit status 1 if something is wrong. Asks each provider that has a key
    once, with that key.
    """
    wrong = asyncio.run(_report(State(state)))
    if wrong:
        typer.echo(f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong")
        raise typer.Exit(1)


async def _report(state: State) -> int:
    """Print every finding as soon as it is known; returns how many of them are wrong."""
    wrong = 0
    async for finding in findings(state):
        wrong += finding.wrong
        verdict = "wrong" if finding.wrong else "skipped" if finding.skipped else "ok"
        typer.echo(f"{verdict:<7}  {finding.what:<10} {finding.text}")
    return wrong


async def findings(state: State, env_file: Path = Path(".env")) -> AsyncIterator[Finding]:
    """Everything that can be checked. What depends on settings is left out where these can't be read."""
    for name, similar in unknown_names(env_file).items():
        hint = f"; did you mean {similar}?" if similar else ""
        yield Finding("settings", f"{env_file}: no setting is called {name}{hint}", wrong=True)
    try:
        settings = load_settings()
    except SettingsError as error:
        for fault in re.split(r"; (?=[A-Z_]+: )", str(error)):
            yield Finding("settings", fault, wrong=True)
        for what in ("redis", "database", "upstreams"):
            yield Finding(what, "not checked: correct the settings first", skipped=True)
        return
    try:
        nodes_of(settings)  # parsed only in a worker, which would not start
    except SettingsError as error:
        yield Finding("settings", str(error), wrong=True)
    else:
        yield Finding("settings", f"{len(settings.model_fields_set)} set, all valid")
    if (settings.reddit_client_id is None) != (settings.reddit_client_secret is None):
        yield Finding("settings", "REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET work only together", wrong=True)
    yield await _redis(settings, state)
    yield await _database(settings, state)
    async for finding in _providers(settings):
        yield finding


def unknown_names(env_file: Path) -> dict[str, str | None]:
    """Names that a .env file sets and nobody reads, each with the most similar known name, if one is.

    Known are settings, what the compose files beside it use, and what Docker reads itself. Without the file, nothing.
    """
    try:
        text = env_file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    known = {name.upper() for name in Settings.model_fields}
    for compose_file in env_file.parent.glob("docker-compose*.yml"):
        compose = compose_file.read_text()
        known |= set(re.findall(r"\$\{([A-Z_]+)", compose))
        known |= set(re.findall(r"^\s+([A-Z_]+):\s*$", compose, re.MULTILINE))  # passed on under its own name
    names = re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", text, re.MULTILINE)
    return {
        name: next(iter(difflib.get_close_matches(name.upper(), known, n=1)), None)
        for name in dict.fromkeys(names)
        if name.upper() not in known and not name.startswith(_COMPOSE_OWN)
    }


async def _redis(settings: Settings, state: State) -> Finding:
    own = state.redis_url()
    if settings.redis_url is None and own is None:
        try:
            found = find_redis_server()
        except CoinwireError as error:
            return Finding("redis", str(error), wrong=True)
        return Finding("redis", f"REDIS_URL is not set; `coinwire demo` and `coinwire run` start {found}")
    address = "REDIS_URL" if settings.redis_url else "the Redis of the cluster that runs here"
    if settings.redis_url is None:
        settings = settings.model_copy(update={"redis_url": SecretStr(str(own))})
    try:
        async with open_redis(settings) as client, redis_call(address):
            await client.ping()
    except CoinwireError as error:
        cause = error.__cause__  # of redis-py: an address or a refusal, never a password
        return Finding("redis", f"{error} ({cause})" if cause and str(cause) else str(error), wrong=True)
    return Finding("redis", f"{address} answers")


async def _database(settings: Settings, state: State) -> Finding:
    try:
        database = open_database(settings_here(settings, state))
        try:
            await database.check()
            count = sum((await database.totals()).values())
        finally:
            await database.aclose()
    except NothingStoredError:
        return Finding("database", f"{database.location}: nothing has been stored there yet")
    except CoinwireError as error:
        return Finding("database", str(error), wrong=True)
    return Finding("database", f"{database.location}: {count} records")


async def _providers(settings: Settings) -> AsyncIterator[Finding]:
    keys = {name: key for name in PROVIDERS if (key := key_of(provider_class(name), settings)) is not None}
    if not keys:
        yield Finding("upstreams", "no keys are set, and none is needed")
        return
    async with open_client(settings) as client:
        fetcher = Fetcher(client, _Unlimited())

        async def ask(name: str) -> Finding:
            label = source_label(name, settings)
            provider = load_provider(name, keys[name])
            try:
                await provider.probe(fetcher.asker(provider, _PROVIDER_SECONDS))
            except ProviderError as error:
                return Finding("upstreams", f"{label}, asked with its key: {error.reason}", wrong=True)
            return Finding("upstreams", f"{label} answers with its key")

        for finding in await asyncio.gather(*map(ask, keys)):
            yield finding


class _Unlimited(Budgets):
    """Allows every call: one per provider, made at a person's request, also while Redis is away."""

    def __init__(self) -> None:
        """Needs no Redis."""

    async def spend(self, provider: str, budget: Budget, cost: int = 1, *, reserve: int = 0) -> float:
        """Allow the call."""
        return 0.0

    async def block(self, provider: str, seconds: float) -> None:
        """Remember nothing: each provider is asked once."""
