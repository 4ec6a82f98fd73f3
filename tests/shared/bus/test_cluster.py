"""Redis Cluster: every command reaches the node that serves its slot, also while slots move and nodes die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import RedisClusterException

from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.bus.connections import Pool, WrongServerError
from shared.bus.lease import Lease
from shared.bus.slots import slot_of
from shared.channels import Channels
from shared.errors import BusError
from tests.replicated import LIVE_SECONDS, Nodes, needs_cluster, published, settings_of
from tests.waiting import until

NAMES = Channels("test")
slow = pytest.mark.slow


@pytest_asyncio.fixture
async def redis(nodes: Nodes) -> AsyncIterator[Redis]:
    """A client as every coinwire process opens it."""
    client = open_redis(settings_of(nodes.url))
    yield client
    await client.aclose()


@pytest.fixture
def bus(redis: Redis) -> Bus:
    """A publisher."""
    return Bus(redis, NAMES, 1000)


@slow
@needs_cluster
async def test_commands_pipelines_transactions_and_scripts_reach_their_slots(redis: Redis, bus: Bus) -> None:
    """Answers come in the order of the commands. A transaction that touches two slots is refused before it is sent."""
    keys = [f"key-{n}" for n in range(20)]
    for key in keys:
        assert await redis.set(key, key)
    async with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.get(key)
        assert await pipeline.execute() == [key.encode() for key in keys]
    assert await redis.pipeline(transaction=True).set("{one}a", 1).set("{one}b", 2).execute() == [True, True]
    with pytest.raises(RedisClusterException, match="one slot"):
        await redis.pipeline(transaction=True).set("a", 1).set("b", 2).execute()
    assert await redis.get("a") is None
    for service in ("news", "market_data", "system"):
        assert (await bus.publish(service, {})).seq == 1
    assert await redis.ping()


@slow
@needs_cluster
async def test_a_lease_shuts_earlier_holders_out_of_services_on_every_node(redis: Redis, bus: Bus) -> None:
    """Taking it raises the fence of each service, one slot after another, before it is used."""
    fence = await Lease(redis, NAMES, "data_collection", 5).refresh()
    assert fence
    for service in ("market_data", "news", "whale_tracking"):
        assert not await published(bus, service)
        assert (await bus.publish(service, {}, fence=fence)).seq == 1


@slow
@needs_cluster
async def test_a_slot_that_moves_while_updates_flow_loses_and_repeats_nothing(nodes: Nodes, bus: Bus) -> None:
    """Every publish is confirmed, with the next number."""
    key = NAMES.meta("news")
    seqs = [(await bus.publish("news", {"text": "x" * 10_000})).seq for _ in range(50)]
    owner = await nodes.primary_of(key)
    for target in [member for member in nodes.members[:3] if member is not owner] + [owner]:
        moving = asyncio.create_task(nodes.move_slot(key, target))
        while not moving.done():
            seqs.append((await bus.publish("news", {})).seq)
        await moving
        seqs.append((await bus.publish("news", {})).seq)
        assert await nodes.primary_of(key) is target
    assert seqs == list(range(1, len(seqs) + 1))


@slow
@needs_cluster
async def test_publishing_goes_on_when_the_primary_of_a_slot_is_killed(nodes: Nodes, bus: Bus) -> None:
    """A service on another node is not even interrupted by more than the cluster's own pause."""
    for service in ("news", "market_data"):
        assert await published(bus, service)
    was = await nodes.primary_of(NAMES.meta("news"))
    was.kill()
    await nodes.failed_over(NAMES.meta("news"), was)
    for service in ("news", "market_data"):
        await until(lambda service=service: published(bus, service), LIVE_SECONDS)


@slow
@needs_cluster
async def test_a_plain_address_of_a_node_is_named_as_the_fault(nodes: Nodes) -> None:
    """No command is tried on a node that serves a third of the slots."""
    client = open_redis(settings_of(nodes.members[0].url))
    with pytest.raises(BusError, match=r"REDIS_URL points at a node of a Redis Cluster: write redis\+cluster://"):
        await Bus(client, NAMES, 100).newest("news")
    await client.aclose()


async def test_an_address_of_a_cluster_that_leads_to_a_server_is_named_as_the_fault(redis_server: RedisServer) -> None:
    """A server without the Cluster can't tell who serves a slot."""
    client = open_redis(settings_of(redis_server.url.replace("redis://", "redis+cluster://")))
    with pytest.raises(BusError, match="REDIS_URL names a Cluster, but points at a server without it"):
        await Bus(client, NAMES, 100).newest("news")
    await client.aclose()


async def test_a_cluster_that_nobody_answers_for_is_away(tmp_path: Path) -> None:
    """It is an outage, like that of one server."""
    client = open_redis(settings_of("redis+cluster://127.0.0.1:1,127.0.0.1:2"))
    with pytest.raises(BusError, match="newest of news: no node of the cluster answers"):
        await Bus(client, NAMES, 100).newest("news")
    await client.aclose()


@pytest.mark.parametrize(("version", "fits"), [("6.2.14", False), ("7.0.0", True), ("255.255.255", True), ("", True)])
def test_a_cluster_without_sharded_channels_is_refused(version: str, fits: bool) -> None:
    """Its channels would be sent to every node, and its publishing script could not use them."""
    pool = Pool(mode="cluster")
    pool.server = {"mode": "cluster", "version": version}
    if fits:
        pool.check(pool.make_connection())
    else:
        with pytest.raises(WrongServerError, match=r"must be of version 7\.0 or newer, .*; this is 6\.2\.14"):
            pool.check(pool.make_connection())


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (("GET", "a"), "a"),
        (("EVALSHA", "sha", 2, "{b}1", "{b}2", "argument"), "b"),
        (("EVALSHA", "sha", 0, "argument"), None),
        (("XREADGROUP", "GROUP", "g", "c", b"COUNT", 10, b"STREAMS", "c", ">"), "c"),
        (("XGROUP CREATE", "d", "g", "0"), "d"),
        (("SPUBLISH", "test:{e}", b""), "e"),
        (("PING",), None),
        (("SCRIPT LOAD", "return 1"), None),
    ],
)
def test_the_slot_of_a_command_is_that_of_its_first_key(command: tuple[object, ...], key: str | None) -> None:
    """A command without a key may go to any node."""
    assert slot_of(command) == (None if key is None else slot_of(("GET", key)))


@slow
@needs_cluster
async def test_a_publish_waits_for_the_replica_of_its_slot(nodes: Nodes, redis: Redis) -> None:
    """PUBLISH_REPLICAS: the wait goes to the node that has the service, and counts that node's replicas."""
    missed: list[str] = []
    bus = Bus(redis, NAMES, 10, replicas=1, on_unreplicated=missed.append)
    for service in ("market_data", "news", "explorers"):
        await bus.publish(service, {})
    assert missed == []
    primary = await nodes.primary_of(NAMES.meta("news"))
    async with primary.client() as client:
        (_, replica_port, _), *_ = (await client.role())[2]
    next(member for member in nodes.members if member.port == int(replica_port)).kill()
    for service in ("market_data", "news", "explorers"):
        await bus.publish(service, {})
    assert "news" in missed
