"""The stack with `docker-compose.sentinel.yml`: the death of the primary Redis is survived."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.compose.follower import Follower
from tests.compose.stack import Stack
from tests.waiting import until

NETWORK = "10.213.78"  # not the one of a stack that runs here
SERVERS = {f"{NETWORK}.1{n}": name for n, name in enumerate(("redis", "redis-2", "redis-3"), start=1)}
SERVICES = ("market_data", "whale_tracking")  # an update every 15 s at least
FAILOVER_SECONDS = 15.0  # three until the primary counts as down, a few for the election, five until all is live


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicated(stack: Stack) -> AsyncIterator[Stack]:
    """A stack of its own, with the image of the other one: a gateway, a worker, and what they need."""
    running = Stack("docker-compose.sentinel.yml")
    running.env |= {"GATEWAYS": "1", "REDIS_NETWORK": NETWORK}
    try:
        await running.compose("up", "--detach", "balancer", "worker-data-collection")
        await running.healthy(*SERVERS.values(), "gateway", "balancer", "worker-data-collection")
        yield running
    finally:
        await running.down()


async def primary_of(stack: Stack) -> str:
    """The address of the server that the Sentinels name."""
    sentinel = await stack.container("sentinel-1")
    ask = (
        "REDISCLI_AUTH=$(cat /run/coinwire/watcher_password) redis-cli -p 26379 --user watcher SENTINEL MASTER coinwire"
    )
    fields = (await stack.exec(sentinel, "sh", "-c", ask)).splitlines()
    return fields[fields.index("ip") + 1]


def holes(follower: Follower) -> list[str]:
    """Updates that are missing, doubled or out of order. A failover that outlives a lease begins new epochs, with 1."""
    return [
        f"{service}: {after} after {before}"
        for service, positions in follower.seen.items()
        for before, after in itertools.pairwise(positions)
        if after[1] != (before[1] + 1 if after[0] == before[0] else 1)
    ]


async def test_a_killed_primary_is_survived(replicated: Stack) -> None:
    """`docker kill` of the primary: a replica takes over, updates go on, and none is missing silently."""
    async with Follower(replicated.ws("/ws?meta=1")) as follower:
        await follower.more(SERVICES)
        was = await primary_of(replicated)
        killed = time.monotonic()
        await replicated.run("docker", "kill", (await replicated.container(SERVERS[was])).id)

        async def promoted() -> bool:
            return await primary_of(replicated) != was

        await until(promoted, FAILOVER_SECONDS)
        await follower.more(SERVICES, seconds=40)
        assert follower.unrecovered == []
        assert holes(follower) == []
        await replicated.healthy("gateway", "worker-data-collection", seconds=FAILOVER_SECONDS)
        assert time.monotonic() - killed < 60


async def test_the_old_primary_comes_back_as_a_replica(replicated: Stack) -> None:
    """Started again, it follows the new primary, and has its data."""
    first = await primary_of(replicated)
    await replicated.compose("start", "redis")
    cli = "REDISCLI_AUTH=$(cat /run/coinwire/operator_password) redis-cli --user operator INFO replication"

    async def follows() -> bool:
        said = await replicated.exec(await replicated.container("redis"), "sh", "-c", cli, check=False)
        return f"master_host:{first}" in said and "master_link_status:up" in said

    await until(follows, 40)
    assert await primary_of(replicated) == first
