"""The model's Redis answers as a real one does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.bus import open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.model.loop import Process, VirtualLoop
from tests.model.network import Network
from tests.model.scripts import Scripts
from tests.model.server import Server
from tests.model.truth import Truth
from tests.model.world import Shared

_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("SET", "{k}", "v", "PX", "60000"),
    ("GET", "{k}"),
    ("SET", "{k}", "w", "NX"),
    ("PTTL", "{k}none"),
    ("DEL", "{k}", "{k}none"),
    ("GET", "{k}"),
    ("HSET", "{k}h", "a", "1", "b", "2"),
    ("HSET", "{k}h", "a", "3", "c", "4"),
    ("HMGET", "{k}h", "a", "c", "none"),
    ("HGET", "{k}none", "a"),
    ("HINCRBY", "{k}h", "a", "5"),
    ("HDEL", "{k}h", "a", "none"),
    ("HGETALL", "{k}h"),
    ("XADD", "{k}s", "1-0", "m", "one"),
    ("XADD", "{k}s", "2-0", "m", "two"),
    ("XADD", "{k}s", "2-0", "m", "again"),
    ("XADD", "{k}s", "MAXLEN", "2", "3-0", "m", "three"),
    ("XLEN", "{k}s"),
    ("XRANGE", "{k}s", "-", "+"),
    ("XRANGE", "{k}s", "(2-0", "+", "COUNT", "5"),
    ("XREVRANGE", "{k}s", "+", "-", "COUNT", "1"),
    ("XTRIM", "{k}s", "MINID", "3"),
    ("XRANGE", "{k}s", "-", "+"),
    ("XRANGE", "{k}none", "-", "+"),
    ("EVAL", "return {KEYS[1], 1, 2.7, 'x', false, 'after'}", "1", "{k}"),
    ("EVAL", "return redis.call('HMGET', KEYS[1], 'b', 'none')", "1", "{k}h"),
    ("EVAL", "return redis.call('HMGET', KEYS[1], 'none')[1] == false", "1", "{k}h"),
    ("EVAL", "return redis.pcall('XADD', KEYS[1], '1-0', 'm', 'x').err", "1", "{k}s"),
    ("EVAL", "return redis.error_reply('FENCED no')", "0"),
    ("EVAL", "return redis.call('SET', KEYS[1], 12345678901234567)", "1", "{k}n"),
    ("GET", "{k}n"),
    ("EVAL", "return cmsgpack.pack('epoch') .. cmsgpack.pack('e') .. cmsgpack.pack(70000)", "0"),
    ("EVALSHA", "0" * 40, "0"),
    ("NONSENSE",),
)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = open_redis(settings)
    yield client
    await client.aclose()


async def _answers(redis: Redis, key: str) -> list[object]:
    answers: list[object] = []
    for command in _COMMANDS:
        try:
            answers.append(await redis.execute_command(*(part.replace("{k}", key) for part in command)))
        except ResponseError as error:
            answers.append(str(error).split(" ")[0])
    return answers


def _in_the_model(answers: list[object], key: str) -> None:
    """Collect the answers of the model's Redis."""
    dice = random.Random(0)
    loop = VirtualLoop(dice)
    truth = Truth(loop, Channels())
    server = Server(loop, Scripts(), "ab" * 20, truth)
    Network(loop, dice, lambda _host: server)

    async def ask() -> None:
        redis = open_redis(Shared().settings(10, 16))
        answers.extend(await _answers(redis, key))
        await redis.aclose()

    task: asyncio.Task[None] = Process(loop, "asker").call(loop.create_task, ask())
    loop.run_until_complete(task)
    loop.close()


async def test_it_answers_as_a_real_server(redis: Redis, settings: Settings) -> None:
    """Commands and scripts are answered alike, errors by their first word."""
    key = f"{settings.redis_prefix}:{{x}}"
    answers: list[object] = []
    await asyncio.to_thread(_in_the_model, answers, key)
    real = await _answers(redis, key)
    assert dict(zip(_COMMANDS, answers, strict=True)) == dict(zip(_COMMANDS, real, strict=True))
