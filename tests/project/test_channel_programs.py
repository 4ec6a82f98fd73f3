"""The programs of read-a-channel.md, on a Redis with the users of the demo and of a deployment."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from launcher.redis_server import RedisServer
from launcher.users import CONSUMER, GATEWAY, READER, WORKER, Users
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.commands.live.serving import Served
from tests.places import ROOT
from tests.started import Start
from tests.waiting import until

PAGE = ROOT / "docs" / "how-to" / "read-a-channel.md"
NODE, GO = ROOT / "tests" / "node" / "node_modules", ROOT / "tests" / "go"
DEADLINE = 20.0
SERVICE = "market_data"
LINE = r"{seq} 20\d\d-\d\d-\d\dT[\d:]+\.\d{{3}}Z {price}"

needs_node = pytest.mark.skipif(
    "CI" not in os.environ and (shutil.which("node") is None or not (NODE / "redis").is_dir()), reason="needs npm"
)
needs_redis_cli = pytest.mark.skipif(shutil.which("redis-cli") is None, reason="needs redis-cli")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis as the demo has it, with a prefix of its own."""
    users = Users.made(f"test-{uuid.uuid4().hex[:12]}")
    server = RedisServer(tmp_path_factory.mktemp("redis"), oldest=(7, 2), users=users).start()
    yield server
    server.stop()


@pytest.fixture
def names(server: RedisServer) -> Channels:
    """Of its keys."""
    assert server.users is not None
    return Channels(server.users.prefix)


@pytest.fixture
async def operator(server: RedisServer) -> AsyncIterator[Redis]:
    """Who may do everything, on an empty Redis; at the end, nobody has been refused anything."""
    async with Redis.from_url(server.url) as client:
        await client.flushall()
        await client.acl_log_reset()
        yield client
        assert await client.acl_log() == []


@pytest.fixture
async def bus(operator: Redis, server: RedisServer, names: Channels) -> AsyncIterator[Bus]:
    """What publishes, as a worker does."""
    settings = Settings(_env_file=None, redis_url=server.url_of(WORKER), redis_prefix=names.prefix)
    async with open_redis(settings) as client:
        yield Bus(client, names, 10)


def program(language: str, names: Channels, number: int = 0) -> str:
    """A program of the page, by its number among those of its language, with the prefix of this server."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return str(found[number]).replace("coinwire:{", f"{names.prefix}:{{")


@asynccontextmanager
async def running(command: Sequence[str | Path], url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program as a process of its own, with this REDIS_URL."""
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, "REDIS_URL": url}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line that a program prints."""
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        return (await process.stdout.readline()).decode().strip()


async def prints_what_is_published(
    command: Sequence[str | Path], bus: Bus, operator: Redis, names: Channels, url: str
) -> None:
    """It subscribes, prints two updates, and prints on after its connection was cut."""
    await bus.publish(SERVICE, {"prices": {"bitcoin": 1.5}})

    async def subscribed() -> bool:
        return bool((await operator.pubsub_numsub(names.channel(SERVICE)))[0][1])

    async with running(command, url) as process:
        for seq, price in ((2, 101234.5), (3, 64000)):
            await until(subscribed, DEADLINE)
            await bus.publish(SERVICE, {"prices": {"bitcoin": price}})
            assert re.fullmatch(LINE.format(seq=seq, price=re.escape(str(price))), await line(process))
        await operator.execute_command("CLIENT", "KILL", "USER", READER)
        await until(subscribed, DEADLINE)
        await bus.publish(SERVICE, {"prices": {"bitcoin": 2.5}})
        assert re.fullmatch(LINE.format(seq=4, price="2.5"), await line(process))


@needs_node
async def test_the_node_program_prints_what_is_published(
    bus: Bus, operator: Redis, names: Channels, server: RedisServer, tmp_path: Path
) -> None:
    """Position, time and price of each update, and again after a lost connection."""
    (tmp_path / "node_modules").symlink_to(NODE)
    file = tmp_path / "my_tool.mjs"
    file.write_text(program("javascript", names))
    await prints_what_is_published(("node", file), bus, operator, names, server.url_of(READER))


@pytest.mark.slow  # it is compiled, with its two modules
@pytest.mark.skipif(shutil.which("go") is None, reason="needs Go")
async def test_the_go_program_prints_what_is_published(
    bus: Bus, operator: Redis, names: Channels, server: RedisServer, tmp_path: Path
) -> None:
    """The same from a compiled program, built with the modules that tests/go pins."""
    for file in ("go.mod", "go.sum"):
        shutil.copy(GO / file, tmp_path)
    (tmp_path / "main.go").write_text(program("go", names))
    downloading = await asyncio.create_subprocess_exec("go", "mod", "download", cwd=tmp_path)
    if await downloading.wait() != 0:
        pytest.skip("needs Go's modules, which can't be downloaded here")
    building = await asyncio.create_subprocess_exec("go", "build", "-o", "my_tool", ".", cwd=tmp_path)
    assert await building.wait() == 0
    await prints_what_is_published((tmp_path / "my_tool",), bus, operator, names, server.url_of(READER))


@needs_redis_cli
async def test_redis_cli_shows_where_a_service_stands(bus: Bus, names: Channels, server: RedisServer) -> None:
    """Each command of the page prints what it says: position, length of the stream, the newest message as JSON."""
    position = await bus.publish(SERVICE, {"prices": {"bitcoin": 1.5}})
    commands = program("sh", names).replace("python3", sys.executable)
    async with running(("sh", "-ec", commands), server.url_of(READER)) as process:
        assert [await line(process), await line(process), await line(process)] == [position.epoch, "1", "1"]
        assert '"data": {"prices": {"bitcoin": 1.5}}' in await line(process)
        assert await process.wait() == 0


@pytest.mark.slow  # it starts a gateway
@pytest.mark.skipif("CI" not in os.environ and shutil.which("curl") is None, reason="needs curl")
def test_both_commands_for_json_print_whole_messages(server: RedisServer, names: Channels, start: Start) -> None:
    """The stream of a gateway and `coinwire tail --json`: every update is one object on one line."""
    worker = Settings(_env_file=None, redis_url=server.url_of(WORKER), redis_prefix=names.prefix)
    served = Served(worker, REDIS_URL=server.url_of(GATEWAY))
    position = served.publish("market_data", {"prices": {"bitcoin": 1.5}})
    try:
        env = {"GATEWAY_URL": served.start().url, "REDIS_URL": server.url_of(READER), "REDIS_PREFIX": names.prefix}
        stream, tail = program("sh", names, 1).replace("coinwire ", f"{sys.executable} -m commands ").splitlines()
        for command, begins in ((stream, "data: "), (tail, "")):
            reader = start("tests.project.shell", command, **env)
            found = reader.line(rf'^{begins}(\{{.*"type":"update".*\}})$')
            message = json.loads(found[1])
            assert message["data"] == {"prices": {"bitcoin": 1.5}}
            assert message.get("meta", message)["epoch"] == position.epoch
    finally:
        served.stop()


async def test_a_consumer_group_continues_where_it_stopped(
    bus: Bus, operator: Redis, names: Channels, server: RedisServer
) -> None:
    """What is published while the tool is away is read at its next start, each update once, also over a new epoch."""
    command = (sys.executable, "-c", program("python", names, 2))
    url, stream = server.url_of(CONSUMER), names.stream(SERVICE)

    async def pending() -> int:
        return int((await operator.xpending(stream, "my-tool"))["pending"])

    async def acknowledged() -> bool:
        return await pending() == 0

    first = await bus.publish(SERVICE, {"prices": {"bitcoin": 1.5}})
    async with running(command, url) as process:
        assert await line(process) == f"{first.epoch} 1 1.5"
        await until(acknowledged)
    await bus.publish(SERVICE, {"prices": {"bitcoin": 2.5}})
    await operator.xreadgroup("my-tool", "first", {stream: ">"})  # as if it had died before it acknowledged this one
    assert await pending() == 1
    await bus.publish(SERVICE, {"prices": {"bitcoin": 3.5}})
    async with running(command, url) as process:
        assert [await line(process), await line(process)] == [f"{first.epoch} 2 2.5", f"{first.epoch} 3 3.5"]
        await operator.delete(names.meta(SERVICE))  # as if Redis had lost its data
        second = await bus.publish(SERVICE, {"prices": {"bitcoin": 4.5}})
        assert second.epoch != first.epoch
        assert await line(process) == f"{second.epoch} 1 4.5"


async def test_a_tool_that_starts_before_the_first_update_gets_it(
    bus: Bus, operator: Redis, names: Channels, server: RedisServer
) -> None:
    """Its group is made on an empty stream, and the first update is read."""
    async with running((sys.executable, "-c", program("python", names, 2)), server.url_of(CONSUMER)) as process:

        async def grouped() -> bool:
            return bool(await operator.exists(names.stream(SERVICE)))

        await until(grouped, DEADLINE)
        position = await bus.publish(SERVICE, {"prices": {"bitcoin": 1.5}})
        assert await line(process) == f"{position.epoch} 1 1.5"
