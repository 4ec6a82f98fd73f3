"""Users of a Redis Cluster, and of servers with Sentinels: each may do what it needs, and no more."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
import pytest_asyncio
import redis as sync_redis

from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.bus.acl import replication_users, sentinel_users, users
from shared.bus.lease import Lease
from shared.bus.presence import ClientRecord, Presence
from shared.bus.reports import Reports
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.settings import Settings
from tests.replicated import Nodes, needs_cluster
from tests.shared.listening import Listener
from tests.waiting import until

NAMES = Channels("test")


@pytest_asyncio.fixture
async def nodes(nodes: Nodes) -> Nodes:
    """A cluster whose nodes know our users."""
    for member in nodes.members:
        async with member.client() as client:
            for name, rule in users("test").items():
                if name != "default":
                    await client.execute_command("ACL", "SETUSER", name, *rule.split(), f">{member.password}")
    return nodes


def settings_of(nodes: Nodes, user: str) -> Settings:
    """The settings of a process that logs in as a user."""
    return Settings(_env_file=None, redis_url=nodes.url.replace("//:", f"//{user}:"), redis_prefix="test")


async def refused(nodes: Nodes) -> list[Any]:
    """What any node has refused."""
    found: list[Any] = []
    for member in nodes.members:
        async with member.client() as client:
            found += await client.acl_log()
    return found


@pytest.mark.slow
@needs_cluster
async def test_workers_and_gateways_do_all_their_work_on_a_cluster(nodes: Nodes) -> None:
    """A lease, updates, reports, the recorder, listening and presence, also while a slot moves; nothing is refused."""
    worker, gateway = open_redis(settings_of(nodes, "worker")), open_redis(settings_of(nodes, "gateway"))
    try:
        async with Listener(gateway, NAMES, ("news", "system")) as listener:
            await listener.proven()
            bus, lease = Bus(worker, NAMES, 10), Lease(worker, NAMES, "data_collection", 10)
            fence = await lease.refresh()
            await bus.publish("news", {"n": 1}, fence=fence, cursor=b"here")
            key = NAMES.meta("news")
            owner = await nodes.primary_of(key)
            await nodes.move_slot(key, next(member for member in nodes.members[:3] if member is not owner))
            await bus.publish("news", {"n": 2}, fence=fence)
            await bus.publish("system", {"n": 3})
            await until(lambda: sorted(listener.numbers) == [1, 2, 3])
            await listener.proven()
        assert await bus.cursor_of("news") == b"here"
        await Reports(worker, NAMES).write(calls={}, failed={"kraken": 2}, pools={}, failovers={"news": 1}, jobs={})
        assert await Reports(worker, NAMES).leaders(["data_collection"]) == {"data_collection": lease.owner}
        reader = bus.stream_reader(CHANNEL_NAMES, "recorder", "recorder")
        found: list[Any] = []
        while len(found) < 3:
            found += await reader.read(10)
        await reader.acknowledge(found)
        presence = Presence(gateway, NAMES, "node")
        presence.put(ClientRecord(1, "client_1_1", "now", "now", ("news",)))
        await presence.sync()
        other = Presence(gateway, NAMES, "other")
        await other.sync()
        assert other.total_clients == 1
        await presence.leave()
    finally:
        await worker.aclose()
        await gateway.aclose()
    assert await refused(nodes) == []


@pytest.mark.slow
@needs_cluster
async def test_tools_work_on_a_cluster(nodes: Nodes) -> None:
    """A plain redis-py reads channel, keys and stream as `reader` and `consumer`, who also has a group of its own."""
    worker = open_redis(settings_of(nodes, "worker"))
    key, stream, channel = NAMES.last("news"), NAMES.stream("news"), NAMES.channel("news")
    try:
        await Bus(worker, NAMES, 10).publish("news", {"n": 1})
    finally:
        await worker.aclose()

    def read() -> None:
        for user in ("reader", "consumer"):
            place = nodes.members[0]
            url = f"redis://{user}:{place.password}@127.0.0.1:{place.port}"
            with sync_redis.RedisCluster.from_url(url) as client, client.pubsub() as subscribed:
                assert client.get(key)
                assert client.xlen(stream) == 1
                subscribed.ssubscribe(channel)
                assert subscribed.get_sharded_message(timeout=5)["type"] == "ssubscribe"
                if user == "consumer":
                    client.xgroup_create(stream, "mine", "0")
                    assert client.xreadgroup("mine", "me", {stream: ">"})
                    assert client.xack(stream, "mine", "1-0") == 1

    await asyncio.to_thread(read)
    assert await refused(nodes) == []


def verdicts(server: RedisServer, rules: dict[str, str], commands: dict[tuple[str, ...], set[str]]) -> None:
    """Redis's own decision on every command for every user."""
    made = {user: f"{user}-{secrets.token_hex(4)}" for user in rules}
    with sync_redis.Redis.from_url(server.url) as operator:
        for user, rule in rules.items():
            operator.execute_command("ACL", "SETUSER", made[user], *rule.split())
        try:
            for command, allowed in commands.items():
                said = {user: operator.execute_command("ACL", "DRYRUN", made[user], *command) for user in rules}
                assert {user for user, answer in said.items() if answer == b"OK"} == allowed, command
        finally:
            operator.execute_command("ACL", "DELUSER", *made.values())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server that knows ACL DRYRUN."""
    started = RedisServer(tmp_path_factory.mktemp("redis"), oldest=(7, 2)).start()
    yield started
    started.stop()


def test_sentinels_and_replicas_have_what_replication_needs(server: RedisServer) -> None:
    """A Sentinel may promote and demote; a replica may copy everything. Neither reads or writes a key itself."""
    verdicts(
        server,
        replication_users(),
        {
            ("SLAVEOF", "NO", "ONE"): {"sentinel"},
            ("CONFIG", "REWRITE"): {"sentinel"},
            ("CLIENT", "KILL", "TYPE", "normal"): {"sentinel"},
            ("PUBLISH", "__sentinel__:hello", "x"): {"sentinel"},
            ("INFO",): {"sentinel"},
            ("PSYNC", "?", "-1"): {"replica"},
            ("REPLCONF", "ack", "1"): {"replica"},
            ("GET", "key"): set(),
            ("SET", "key", "x"): set(),
            ("CONFIG", "SET", "dir", "/"): set(),
            ("FLUSHALL",): set(),
            ("ACL", "LIST"): set(),
        },
    )


def test_who_watches_the_sentinels_may_change_nothing() -> None:
    """Every process knows that password. A Sentinel's own commands can't be tried on a server."""
    rule = sentinel_users()["watcher"]
    assert rule.split()[-2:] == ["+ping", "+sentinel|master"]
    assert "-@all" in rule.split()
