"""What clients that recover lose when something is stopped or killed: nothing."""

from __future__ import annotations

import asyncio
import json

import pytest
import websockets

from shared.catalog import CATEGORIES, SERVICES, of_category
from tests.compose.follower import Follower, Newcomers
from tests.compose.stack import VERSION, Container, Stack
from tests.waiting import until

FREQUENT = ("market_data", "explorers", "whale_tracking", "scheduler")  # an update every 15 s at least, of two workers
WORKERS = tuple(f"worker-{category.replace('_', '-')}" for category in CATEGORIES)


def address(stack: Stack) -> str:
    """Where followers connect."""
    return stack.ws("/ws?meta=1")


async def back(stack: Stack, before: Container) -> None:
    """Wait until a container that was killed has been started again by the engine, and is healthy."""

    async def started() -> bool:
        found = json.loads(await stack.run("docker", "inspect", before.id))[0]["State"]
        return found["Pid"] not in (0, before.pid) and found.get("Health", {}).get("Status") == "healthy"

    await until(started, 90)


async def test_a_rolling_restart_cuts_nobody_off_and_loses_nothing(stack: Stack) -> None:
    """`deploy/roll.sh restart`: one gateway after another. Every connection ends with 1012 and never without a code;
    who comes meanwhile is let in at once."""
    async with (
        Follower(address(stack)) as one,
        Follower(address(stack)) as other,
        Newcomers(stack.ws("/ws")) as newcomers,
    ):
        before = {container.id: container.started_at for container in await stack.containers("gateway")}
        await one.more(FREQUENT)
        await stack.run("sh", "deploy/roll.sh", "restart")
        await one.more(FREQUENT)
        await other.more(FREQUENT)
        after = {container.id: container.started_at for container in await stack.containers("gateway")}
        assert after.keys() == before.keys()
        assert all(after[name] != before[name] for name in before)
        assert one.codes
        assert set(one.codes + other.codes) == {1012}
        assert one.lost() == other.lost() == []
        assert newcomers.refused == []


async def test_an_upgrade_replaces_workers_and_gateways_and_loses_nothing(stack: Stack) -> None:
    """`deploy/upgrade.sh` to another image: new gateways come first, old ones drain, as many stay as there were. Who
    did not change is left alone, and the next `up` finds nothing to do."""
    async with (
        Follower(address(stack)) as one,
        Follower(address(stack)) as other,
        Newcomers(stack.ws("/ws")) as newcomers,
    ):
        before = {container.id for container in await stack.containers("gateway")}
        kept = {container.id for container in await stack.containers("redis", "postgres", "balancer")}
        workers = {container.id for container in await stack.containers(*WORKERS)}
        await one.more(FREQUENT)
        stack.env["COINWIRE_VERSION"] = f"{VERSION}-next"
        await stack.run("sh", "deploy/upgrade.sh")
        await one.more(FREQUENT)
        await other.more(FREQUENT)
        after = {container.id for container in await stack.containers("gateway")}
        assert len(after) == len(before)
        assert not after & before
        assert kept == {container.id for container in await stack.containers("redis", "postgres", "balancer")}
        assert not workers & {container.id for container in await stack.containers(*WORKERS)}
        everybody = {container.id for container in await stack.containers()}
        await stack.compose("up", "--detach")
        assert everybody == {container.id for container in await stack.containers()}
        assert set(one.codes + other.codes) == {1012}
        assert one.lost() == other.lost() == []
        assert newcomers.refused == []


async def test_a_gateway_that_was_stopped_is_replaced_like_the_others(stack: Stack) -> None:
    """Gateways that are down before `deploy/roll.sh replace` are replaced too: the count is the same, all are new."""
    before = await stack.containers("gateway")
    await stack.run("docker", "kill", before[-1].id)
    await stack.run("sh", "deploy/roll.sh", "replace")
    await stack.healthy("gateway")
    after = await stack.containers("gateway")
    assert len(after) == len(before)
    assert not {container.id for container in after} & {container.id for container in before}


async def test_all_gateways_restarted_at_once(stack: Stack) -> None:
    """`docker compose restart gateway` stops all of them together: clients wait, recover, and lose nothing."""
    async with Follower(address(stack)) as follower:
        await follower.more(FREQUENT)
        await asyncio.gather(stack.compose("restart", "gateway"), follower.reconnected())
        await follower.more(FREQUENT)
        assert set(follower.codes) == {1012}
        assert follower.lost() == []
    await stack.healthy("gateway")


async def test_a_gateway_killed(stack: Stack) -> None:
    """kill -9 of one gateway: its clients go to the other at once, the engine starts it again."""
    async with Follower(address(stack)) as one, Follower(address(stack)) as other:
        await one.more(FREQUENT)
        victim = (await stack.containers("gateway"))[0]
        await stack.kill(victim)
        await until(lambda: one.connects + other.connects > 2, 30)
        await one.more(FREQUENT)
        await other.more(FREQUENT)
        await back(stack, victim)
        assert one.lost() == other.lost() == []


@pytest.mark.parametrize("category", CATEGORIES)
async def test_a_worker_killed(stack: Stack, category: str) -> None:
    """kill -9 of a worker: clients stay connected, and its services go on with the next seq."""
    services = of_category(category)
    async with Follower(address(stack)) as follower:
        await until(lambda: all(follower.count(service) for service in services), 100)
        victim = await stack.container(f"worker-{category.replace('_', '-')}")
        await stack.kill(victim)
        await back(stack, victim)
        await follower.more(services, seconds=150)
        assert follower.connects == 1
        assert follower.lost() == []


async def test_the_balancer_killed(stack: Stack) -> None:
    """kill -9 of the balancer: every client is cut off, and recovers once it is back."""
    async with Follower(address(stack)) as follower:
        await follower.more(FREQUENT)
        victim = await stack.container("balancer")
        await stack.kill(victim)
        await follower.reconnected()
        await follower.more(FREQUENT)
        await back(stack, victim)
        assert follower.codes == [None]
        assert follower.lost() == []


async def test_the_database_killed(stack: Stack) -> None:
    """kill -9 of PostgreSQL: clients notice nothing, and the recorder writes what came meanwhile."""
    async with Follower(address(stack)) as follower:
        await follower.more(FREQUENT)
        victim = await stack.container("postgres")
        await stack.kill(victim)
        await back(stack, victim)
        await follower.more(FREQUENT)
        assert follower.connects == 1
        assert follower.lost() == []
        epoch, seq = follower.seen["market_data"][-1]
        first = follower.seen["market_data"][0][1]
        program = (
            "import sys, psycopg\n"
            "database = psycopg.connect(open('/run/coinwire/database_url').read())\n"
            'wanted = "SELECT count(*) FROM updates WHERE service = %s AND epoch = %s AND seq BETWEEN %s AND %s"\n'
            "print(database.execute(wanted, sys.argv[1:]).fetchone()[0])"
        )
        wanted = ("market_data", epoch, str(first), str(seq))

        async def all_written() -> bool:
            return int(await stack.tools("python", "-c", program, *wanted)) == seq - first + 1

        await until(all_written, 60)


async def test_redis_killed(stack: Stack) -> None:
    """kill -9 of Redis: clients stay connected, updates go on with the next seq in the same epoch."""
    async with Follower(address(stack)) as follower:
        await until(lambda: all(follower.count(service) for service in SERVICES), 100)
        victim = await stack.container("redis")
        await stack.kill(victim)
        await back(stack, victim)
        await follower.more(SERVICES, seconds=150)
        assert follower.connects == 1
        assert follower.lost() == []
    await stack.healthy("gateway", "balancer")


async def test_the_whole_stack_stopped_and_started_again(stack: Stack) -> None:
    """`docker compose stop` and `start` keep credentials and data; unproven continuity is reported."""
    async with Follower(address(stack)) as follower:
        await follower.more(FREQUENT)
        await asyncio.gather(stack.compose("stop"), stack_up(stack, follower))
        await follower.more(FREQUENT)
        assert 1012 in follower.codes or None in follower.codes
        positions = [position for service in FREQUENT for position in follower.seen[service]]
        assert len(positions) == len(set(positions))
    async with websockets.connect(stack.ws("/ws/market_data")) as client:
        assert json.loads(await client.recv())["type"] == "connection_established"


async def stack_up(stack: Stack, follower: Follower) -> None:
    """Once its connection is gone and everything is stopped, start it again."""

    async def stopped() -> bool:
        return all(container.status == "exited" for container in await stack.containers())

    await until(stopped, 90)
    await stack.compose("up", "--detach")
    await until(lambda: follower.connects > 1, 90)
