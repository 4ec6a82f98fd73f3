"""Who may do what in Redis: the server's own verdict on each user and command."""

from __future__ import annotations

import sys

import pytest

from launcher.ports import free_port
from shared.catalog import CHANNEL_NAMES
from tests.compose.stack import Stack
from tests.waiting import until

CHANNEL, LAST, STREAM, META = (f"coinwire:{{market_data}}{part}" for part in ("", ":last", ":stream", ":meta"))
PROBE, PRESENCE = "coinwire:probe:n", "coinwire:presence:{n}:clients"
PUBLISH_SCRIPT = ("EVALSHA", "0" * 40, "3", META, STREAM, LAST)
EVERYBODY = frozenset(("health", "operator", "worker", "gateway", "reader", "consumer"))

ALLOWED = [
    (("PING",), EVERYBODY),
    (("GET", LAST), {"worker", "reader", "consumer"}),
    (("XRANGE", STREAM, "-", "+"), {"worker", "gateway", "reader", "consumer"}),
    (("XREAD", "STREAMS", STREAM, "0"), {"reader", "consumer"}),
    (("XREADGROUP", "GROUP", "mine", "me", "STREAMS", STREAM, ">"), {"worker", "consumer"}),
    (("XGROUP", "CREATE", STREAM, "mine", "0"), {"worker", "consumer"}),
    (("XGROUP", "DESTROY", STREAM, "recorder"), set[str]()),
    (("HGET", META, "epoch"), {"worker", "gateway", "reader", "consumer"}),
    (("SUBSCRIBE", CHANNEL), {"gateway", "reader", "consumer"}),
    (("PSUBSCRIBE", "coinwire:{*}"), {"reader", "consumer"}),
    (("SUBSCRIBE", "other:{market_data}"), set[str]()),
    (("PUBLISH", CHANNEL, "x"), {"worker"}),
    (("PUBLISH", PROBE, ""), {"gateway"}),
    (PUBLISH_SCRIPT, {"worker"}),
    (("EVALSHA", "0" * 40, "1", "coinwire:client_numbers"), {"gateway"}),
    (("EVALSHA", "0" * 40, "1", "coinwire:lease:{monitoring}"), {"worker"}),
    (("SET", LAST, "x"), {"worker"}),
    (("XADD", STREAM, "*", "m", "x"), {"worker"}),
    (("HSET", META, "epoch", "x"), {"worker"}),
    (("DEL", LAST), {"worker"}),
    (("HSET", PRESENCE, "c", "x"), {"gateway"}),
    (("HGETALL", "coinwire:{reports}:calls"), {"worker"}),
    (("GET", "coinwire:lease:{monitoring}"), {"worker"}),
    (("ZADD", "coinwire:budget:{coingecko}", "1", "x"), {"worker"}),
    (("SET", "other", "x"), set[str]()),
    *(
        (command, set[str]())
        for command in (
            ("FLUSHALL",),
            ("KEYS", "*"),
            ("SCAN", "0"),
            ("CONFIG", "GET", "*"),
            ("SHUTDOWN",),
            ("DEBUG", "SLEEP", "1"),
            ("MONITOR",),
            ("ACL", "LIST"),
            ("SCRIPT", "FLUSH"),
            ("CLIENT", "LIST"),
            ("CLIENT", "KILL", "TYPE", "normal"),
            ("REPLICAOF", "203.0.113.1", "6379"),
        )
    ),
]


@pytest.mark.parametrize(("command", "users"), ALLOWED, ids=lambda case: case[0] if isinstance(case, tuple) else "")
async def test_a_user_may_do_what_it_needs_and_no_more(
    stack: Stack, command: tuple[str, ...], users: frozenset[str]
) -> None:
    """`operator` may do everything; the rights of all other users are listed."""
    allowed = {user for user in sorted(EVERYBODY) if await stack.redis("ACL", "DRYRUN", user, *command) == "OK\n"}
    assert allowed == users | {"operator"}


@pytest.mark.parametrize("service", CHANNEL_NAMES)
async def test_every_service_can_be_read(stack: Stack, service: str) -> None:
    """The read-only user has the history of each service, `system` included."""
    assert await stack.redis("ACL", "DRYRUN", "reader", "XRANGE", f"coinwire:{{{service}}}:stream", "-", "+") == "OK\n"


async def test_who_has_no_password_gets_nothing(stack: Stack) -> None:
    """An unauthenticated connection must log in, and `default` can't."""
    redis = await stack.container("redis")
    for command in (("PING",), ("GET", LAST), ("INFO",), ("SUBSCRIBE", CHANNEL)):
        assert "NOAUTH" in await stack.exec(redis, "redis-cli", *command, check=False)
    assert "WRONGPASS" in await stack.exec(redis, "redis-cli", "AUTH", "default", "", check=False)


async def test_every_part_works_as_its_user_on_the_deployments_redis(stack: Stack) -> None:
    """tests/shared/bus/test_acl.py, which the machine's own redis-server may be too old for, with nothing left out."""
    port = free_port()
    address = ("--publish", f"127.0.0.1:{port}:6379")
    server = ("redis:8-alpine", "redis-server", "--protected-mode", "no", "--save", "")
    container = (await stack.run("docker", "run", "--detach", "--rm", *address, *server)).strip()

    async def answers() -> bool:
        return "PONG" in await stack.run("docker", "exec", container, "redis-cli", "ping", check=False)

    try:
        await until(answers, 30)
        tests = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/shared/bus/test_acl.py")
        printed = await stack.run(*tests, COINWIRE_TEST_ACL_REDIS=f"redis://127.0.0.1:{port}/0")
    finally:
        await stack.run("docker", "kill", container)
    assert "passed" in printed
    assert "skipped" not in printed


async def test_a_password_is_replaced_while_everything_runs(stack: Stack) -> None:
    """`deploy/credentials.sh` with another password for tools and for gateways' role: the new one is taken, the old one
    is refused, and gateways are ready all the time."""
    reader = (await stack.tools("cat", "/run/coinwire/redis_url")).strip()
    gateway = (await stack.containers("gateway"))[0]
    database = (await stack.exec(gateway, "cat", "/run/coinwire/database_url")).strip()
    new = {"REDIS_READER_PASSWORD": "another for tools, 2", "POSTGRES_READER_PASSWORD": "another for the history, 2"}
    printed = await stack.run("sh", "deploy/credentials.sh", **new)
    assert not any(password in printed for password in new.values())

    read = "import sys, redis; redis.Redis.from_url(sys.argv[1]).get('coinwire:{market_data}:last'); print('read')"
    assert "invalid username-password" in await stack.tools("python", "-c", read, reader, check=False)
    assert "read" in await stack.tools(
        "python", "-c", read, (await stack.tools("cat", "/run/coinwire/redis_url")).strip()
    )

    ask = "import sys, psycopg; print(psycopg.connect(sys.argv[1]).execute('SELECT 1').fetchone())"
    assert "password authentication failed" in await stack.exec(gateway, "python", "-c", ask, database, check=False)
    database = (await stack.exec(gateway, "cat", "/run/coinwire/database_url")).strip()
    assert "(1,)" in await stack.exec(gateway, "python", "-c", ask, database)
    assert {container.health for container in await stack.containers("gateway")} == {"healthy"}

    await stack.run("sh", "deploy/roll.sh", "restart")  # who was started before has the old one
