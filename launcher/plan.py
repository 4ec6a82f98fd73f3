"""Which processes a cluster on this machine has, and which environment each gets."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from launcher.cluster import Part
from launcher.ports import LOOPBACK, PortError, fault_of, free_ports, reachable
from launcher.redis import PASSWORD
from launcher.redis_server import OLDEST, RedisServer, RedisServerError, find_redis_server
from launcher.state import State
from launcher.users import CONSUMER, GATEWAY, LOGINS, OLDEST_WITH_USERS, OPERATOR, READER, WORKER, Users
from shared.bus import open_redis
from shared.catalog import CATEGORIES
from shared.database import open_database
from shared.settings import Settings

DEMO, RUN = "demo", "run"

_GATEWAYS = 2  # the fewest that show a cluster: both send the same updates, and each counts the clients of both


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts to start, in this order, and the addresses of Redis and database."""

    parts: tuple[Part, ...]
    redis_url: str
    """For tools: they may read the services."""
    database_url: str
    other_redis_urls: Mapping[str, str]
    """By user, for tools that need more: those of a Redis of our own."""


def make_plan(settings: Settings, mode: str, state: State, *, colour: bool) -> Plan:
    """The plan of `make demo` or `make run`. Starts nothing.

    Raises PortError where a gateway's port is taken, RedisServerError where Redis is needed and there is none,
    SettingsError where REDIS_URL or DATABASE_URL is malformed.
    """
    ports = gateway_ports(settings.host, settings.port)
    redis_port, simulator_port = free_ports(2)
    parts: list[Part] = []
    common = {"PYTHONUNBUFFERED": "1", **({"FORCE_COLOR": "1"} if colour else {})}

    redis = _redis(settings, state.redis_folder(mode), redis_port)
    if redis.part is not None:
        parts.append(redis.part)

    if "database_url" not in settings.model_fields_set:
        own = SecretStr(f"sqlite:///{state.database_file(mode)}")
        settings = settings.model_copy(update={"database_url": own})
    database = open_database(settings)  # as above
    common["DATABASE_URL"] = settings.database_url.get_secret_value()

    simulated = mode == DEMO or settings.simulator_url is not None
    if mode == DEMO:
        parts.append(_part("simulator", "simulator", "--port", simulator_port, env=common))
        common["SIMULATOR_URL"] = f"http://{LOOPBACK}:{simulator_port}"

    worker = {**common, "REDIS_URL": redis.urls[WORKER]}
    parts += [_part(category, "workers", category, env=worker) for category in CATEGORIES]
    if "drain_seconds" not in settings.model_fields_set:
        common["DRAIN_SECONDS"] = "0"  # draining gives a load balancer time to notice, and there is none here
    parts += [
        _part(f"gateway-{number}", "gateway", env={**common, "REDIS_URL": redis.urls[GATEWAY], "PORT": str(port)})
        for number, port in enumerate(ports, start=1)
    ]
    addresses = [f"http://{reachable(settings.host)}:{port}" for port in ports]
    options = ["--database", database.location, *(["--simulated"] if simulated else [])]
    if redis.part is not None:
        options += ["--state", str(state.folder)]
    if redis.note:
        options += ["--note", redis.note]
    parts.append(_part("coinwire", "launcher.watch", *addresses, *options, env=common))
    others = {user: url for user, url in redis.urls.items() if user in (CONSUMER, OPERATOR)}
    return Plan(tuple(parts), redis.urls[READER], common["DATABASE_URL"], others)


class _Redis(NamedTuple):
    """The Redis of a plan: the part that runs it, if it is our own, and REDIS_URL by user."""

    part: Part | None
    urls: Mapping[str, str]
    note: str = ""
    """What a person should know of it."""


def _redis(settings: Settings, folder: Path, port: int) -> _Redis:
    """REDIS_URL where it is set; else a server with the deployment's users, or with one for all if it is too old.

    Raises RedisServerError where a server is needed and there is none, SettingsError for a malformed REDIS_URL.
    """
    if settings.redis_url is not None:
        open_redis(settings)  # connects to nothing; reports a malformed address once, before any part would
        return _Redis(None, dict.fromkeys((WORKER, GATEWAY, READER), settings.redis_url.get_secret_value()))
    arguments: tuple[str | int | Path, ...] = ("--port", port, "--folder", folder)
    try:
        find_redis_server(OLDEST_WITH_USERS)
    except RedisServerError:
        find_redis_server(OLDEST)
        server = RedisServer(folder, port)
        part = _part("redis", "launcher.redis", *arguments, env={PASSWORD: server.password}, stops_last=True)
        note = f"Redis is older than {'.'.join(map(str, OLDEST_WITH_USERS))}, so it has one user for all"
    else:
        users = Users.made(settings.redis_prefix)
        server = RedisServer(folder, port, oldest=OLDEST_WITH_USERS, users=users)
        arguments += ("--prefix", users.prefix)
        part = _part("redis", "launcher.redis", *arguments, env=users.environment, stops_last=True)
        note = ""
    return _Redis(part, {user: server.url_of(user) for user in LOGINS}, note)


def gateway_ports(host: str, port: int) -> list[int]:
    """`port` and those after it, one per gateway; free ones for 0. Raises PortError, which names a taken port."""
    if port == 0:
        return free_ports(_GATEWAYS)
    ports = list(range(port, port + _GATEWAYS))
    for wanted in ports:
        fault = fault_of(host, wanted) if wanted <= 65535 else "there is no such port"
        if fault:
            raise PortError(f"can't listen on {host}:{wanted}: {fault}. PORT={port + 10} moves both gateways")
    return ports


def _part(
    name: str, module: str, *arguments: str | int | Path, env: dict[str, str] | None = None, stops_last: bool = False
) -> Part:
    command = (sys.executable, "-m", module, *(str(argument) for argument in arguments))
    return Part(name, command, dict(env or {}), stops_last=stops_last)
