"""Pollers of what is public: they take none of the connections to Redis that keep a gateway ready."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx
import pytest
from redis.asyncio import Redis
from starlette.routing import Route

from gateway.app import ROUTES
from gateway.http.answers import MAKING
from gateway.node import Node
from launcher.redis_server import RedisServer
from shared.settings import Settings
from tests.contract.conftest import Cluster
from tests.gateway.raw import dial
from tests.gateway.transport.test_heads import answer
from tests.shared.outage import pause, resume
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")

POLLERS = 300
VALUES = {"service": "news", "coin": "bitcoin", "name": "README.md", "folder": "how-to"}
"""A value for each parameter of a path."""


def connections(redis: Redis) -> int:
    """How many this client has opened to Redis."""
    return sum(count for count, _ in redis.connection_pool.get_connection_count())


@pytest.mark.parametrize("path", ["/ws/stats", "/ws/stats?cursor={n}", "/ws/stats?limit={n}"])
async def test_hundreds_of_pollers_get_their_answers_over_three_connections(cluster: Cluster, path: str) -> None:
    """None is refused, whether all want the same or each something else; the gateway's own connections stay free."""
    node, statuses = cluster.nodes[0], Counter[str]()
    own = connections(node._redis)

    async def poll(n: int) -> None:
        async with dial(node.port) as raw:
            for _ in range(2):
                await raw.send(f"GET {path.format(n=n)} HTTP/1.1\r\nHost: coinwire\r\n\r\n".encode())
                statuses[await answer(raw)] += 1

    await asyncio.gather(*map(poll, range(POLLERS)))
    assert statuses == {"200": 2 * POLLERS}
    assert 0 < connections(node._public) <= MAKING
    assert connections(node._redis) <= own + 1  # a probe or a heartbeat while the other was under way
    assert not node.unready


async def test_an_answer_says_when_it_was_made(cluster: Cluster) -> None:
    """Who polls faster than once a second gets the same bytes again; metrics count both."""
    node = cluster.nodes[0]
    first, second = [await cluster.http.get(cluster.url("/ws/stats")) for _ in range(2)]
    assert first.json()["timestamp"] == second.json()["timestamp"]
    counted = {outcome: node.metrics.stats.labels(outcome)._value.get() for outcome in ("made", "shared", "busy")}
    assert counted == {"made": 1, "shared": 1, "busy": 0}


async def test_who_has_just_connected_is_listed(cluster: Cluster) -> None:
    """On its own gateway, also where others have asked a moment before."""
    for count in range(1, 4):
        await cluster.connect("/ws/news")
        found = (await cluster.http.get(cluster.url("/ws/stats"))).json()["data"]
        assert (found["total_connections"], len(found["clients"])) == (count, count)
        assert found["subscription_counts"] == {"news": count}


async def test_while_redis_hangs_nothing_but_statistics_waits(settings: Settings, own_server: RedisServer) -> None:
    """Every other path answers at once: a stranger can't make the gateway ask Redis for anything else."""
    own_server.start()
    node = Node(settings.model_copy(update={"redis_url": Settings(_env_file=None, redis_url=own_server.url).redis_url}))
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    paths = [route.path.format(**VALUES) for route in ROUTES if isinstance(route, Route)]
    pause(own_server)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{node.port}") as http:
        methods = {path: "HEAD" if "/stream/" in path else "GET" for path in paths}  # a stream goes on
        asked = [asyncio.create_task(http.request(methods[path], path, timeout=30)) for path in sorted(paths)]
        await until(lambda: sum(not each.done() for each in asked) == 1)
        (waits,) = (path for path, each in zip(sorted(paths), asked, strict=True) if not each.done())
        resume(own_server)
        await asyncio.gather(*asked)
    assert waits == "/ws/stats"
    node.stop("the test is over")
    assert await running == 0
