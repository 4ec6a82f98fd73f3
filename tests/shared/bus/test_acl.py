"""Users of Redis: each part of a cluster works as its user, and may do nothing else. Needs a Redis 7.2.

COINWIRE_TEST_ACL_REDIS is the address of one, for a user with all rights; else the server on PATH is started, or the
embedded one where that is older.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis as sync_redis
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from launcher.redis_server import RedisServer
from shared.budget import Budget
from shared.bus import Bus, open_redis
from shared.bus.acl import users
from shared.bus.budgets import Budgets
from shared.bus.coin_list import CoinList
from shared.bus.lease import Lease
from shared.bus.presence import ClientRecord, Presence
from shared.bus.reports import CallReport, JobsReport, PoolsReport, Reports
from shared.bus.stats_reader import StatsReader
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.errors import CoinListError
from shared.settings import Settings
from tests.places import ROOT
from tests.shared.listening import SERVICE, Listener
from tests.waiting import until

RESTRICTED = ("health", "worker", "gateway", "reader", "consumer")
BUDGET = Budget(units=10, seconds=60)


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Redis that knows selectors, as a user who may do everything."""
    given = os.environ.get("COINWIRE_TEST_ACL_REDIS")
    if given:
        yield given
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"), oldest=(7, 2)).start()
    yield server.url
    server.stop()


@dataclass
class Cluster:
    """One prefix with its users, on a Redis that others may use too."""

    url: str
    operator: sync_redis.Redis
    prefix: str = field(default_factory=lambda: f"test-{uuid.uuid4().hex[:12]}")

    def __post_init__(self) -> None:
        self.channels = Channels(self.prefix)
        self.rules = users(self.prefix)
        self._password = secrets.token_urlsafe()
        for name, rule in self.rules.items():
            own = [] if "nopass" in rule else [f">{self._password}"]
            self.operator.execute_command("ACL", "SETUSER", self.name(name), *rule.split(), *own)
        # So that each has to load the scripts that it runs.
        self.operator.script_flush()

    def remove(self) -> None:
        """Take the users out again."""
        self.operator.execute_command("ACL", "DELUSER", *map(self.name, self.rules))

    def name(self, user: str) -> str:
        """What a user of this cluster is called."""
        return f"{self.prefix}-{user}"

    def url_of(self, user: str) -> str:
        """What REDIS_URL would be."""
        place = urlsplit(self.url)
        return f"redis://{self.name(user)}:{self._password}@{place.hostname}:{place.port}/0"

    def settings(self, user: str) -> Settings:
        """Those of a process."""
        return Settings(_env_file=None, redis_url=self.url_of(user), redis_prefix=self.prefix)

    @contextlib.asynccontextmanager
    async def client(self, user: str) -> AsyncIterator[Redis]:
        """A client as every coinwire process opens it."""
        client = open_redis(self.settings(user))
        yield client
        await client.aclose()

    @contextlib.contextmanager
    def plain(self, user: str) -> Iterator[sync_redis.Redis]:
        """A client as anybody opens it."""
        with sync_redis.Redis.from_url(self.url_of(user)) as client:
            yield client

    def refused(self) -> list[Any]:
        """What Redis refused to users of this cluster."""
        return [entry for entry in self.operator.acl_log() if entry["username"].startswith(f"{self.prefix}-")]

    def verdict(self, user: str, *command: str) -> bool:
        """Whether Redis would let a user do this."""
        answer = self.operator.execute_command("ACL", "DRYRUN", self.name(user), *command)
        return bool(answer == b"OK")


@pytest.fixture
def cluster(server_url: str) -> Iterator[Cluster]:
    """A prefix of the test's own, with users of its own."""
    with sync_redis.Redis.from_url(server_url) as operator:
        made = Cluster(server_url, operator)
        yield made
        made.remove()


# What they need.


async def test_a_worker_publishes_leads_spends_and_reports(cluster: Cluster) -> None:
    """All that workers do in Redis is done as `worker`, and nothing of it refused."""
    async with cluster.client("worker") as redis:
        bus, lease = Bus(redis, cluster.channels, 10), Lease(redis, cluster.channels, "monitoring", 10)
        fence = await lease.refresh()
        await bus.publish(SERVICE, {"n": 1}, fence=fence, cursor=b"here")
        await bus.publish("system", {"n": 1})
        newest = await bus.newest(SERVICE)
        assert newest is not None
        assert newest.seq == 1
        assert await bus.cursor_of(SERVICE) == b"here"

        budgets = Budgets(redis, cluster.channels)
        assert await budgets.spend("coingecko", BUDGET, 10) == 0
        assert await budgets.spend("coingecko", BUDGET) > 0
        await budgets.block("kraken", 5)
        assert await budgets.spend("kraken", BUDGET) > 0

        reports = Reports(redis, cluster.channels)
        await reports.write(
            calls={"kraken": CallReport(at=1, milliseconds=None, error="503")},
            failed={"kraken": 2, "other": -1},
            pools={"news": PoolsReport(worker="w", category="data_collection", at=1, pools=())},
            failovers={"news": 1},
            jobs={"monitoring": JobsReport(worker="w", at=1, jobs=())},
        )
        assert (await reports.calls())["kraken"].failures == 2
        assert set(await reports.pools()) == {"news"}
        assert await reports.failovers() == {"news": 1}
        assert set(await reports.jobs()) == {"monitoring"}
        assert await reports.leaders(["monitoring"]) == {"monitoring": lease.owner}

        other = Lease(redis, cluster.channels, "integration", 10)
        holding = asyncio.create_task(other.hold())
        await until(lambda: other.fence > 0)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
        assert await reports.leaders(["integration"]) == {}
    assert cluster.refused() == []


async def test_coins_are_stored_by_workers_and_read_by_all(cluster: Cluster) -> None:
    """A worker replaces what others have written there; gateways and tools read it."""
    names = cluster.channels
    cluster.operator.set(names.coins(SERVICE), "foreign")
    async with cluster.client("worker") as redis:
        await CoinList(redis, names).store(b"[]", 0)
    async with cluster.client("gateway") as redis:
        assert (await CoinList(redis, names).read()) == (await CoinList(redis, names).version(), b"[]")
    with cluster.plain("reader") as client:
        assert client.hget(names.coins(SERVICE), "list") == b"[]"
    assert cluster.refused() == []
    async with cluster.client("health") as redis:
        with pytest.raises(CoinListError, match="NoPermission"):
            await CoinList(redis, names).version()


async def test_a_stream_that_is_ahead_of_its_count_is_begun_anew_by_a_worker(cluster: Cluster) -> None:
    """Every way through the publishing script is open to `worker`."""
    async with cluster.client("worker") as redis:
        bus = Bus(redis, cluster.channels, 10)
        before = await bus.publish(SERVICE, {"n": 1})
        cluster.operator.xadd(cluster.channels.stream(SERVICE), {"m": b"?"}, id="99-0")
        after = await bus.publish(SERVICE, {"n": 2})
    assert after.seq == 1
    assert after.epoch != before.epoch
    assert cluster.refused() == []


async def test_the_recorder_reads_as_a_worker(cluster: Cluster) -> None:
    """Its group, what it acknowledges, and the oldest that there is."""
    async with cluster.client("worker") as redis:
        bus = Bus(redis, cluster.channels, 10)
        await bus.publish("news", {"n": 1})
        reader = bus.stream_reader(CHANNEL_NAMES, "recorder", "recorder")
        found = []
        while not found:
            found = await reader.read(10)
        await reader.acknowledge(found)
        assert await reader.oldest("news") == 1
        cluster.operator.delete(cluster.channels.stream("news"))
        assert await reader.read(10) == []  # the group is gone with its stream, and made anew
        assert await reader.read(10) == []
    assert cluster.refused() == []


@pytest.mark.slow  # it waits for quiet
async def test_a_gateway_hears_every_service_and_proves_it(cluster: Cluster) -> None:
    """It subscribes to all of them, fills what it missed, and hears its own probe when it is quiet."""
    async with cluster.client("worker") as publishing, cluster.client("gateway") as reading:
        bus = Bus(publishing, cluster.channels, 10)
        await bus.publish(SERVICE, {"n": 1})
        async with Listener(reading, cluster.channels, CHANNEL_NAMES, deadline=1.5) as listener:
            await listener.proven()
            await bus.publish(SERVICE, {"n": 2})
            await listener.hears(1, 2)
            loop = asyncio.get_running_loop()
            end = loop.time() + 3.0  # twice the deadline: without probes it would have reconnected
            await until(lambda: loop.time() > end)
            assert listener.subscription.proven
            assert listener.count("reconnects", None) == 0
    assert cluster.refused() == []


async def test_gateways_count_their_clients(cluster: Cluster) -> None:
    """Presence and client numbers are written, read and taken out as `gateway`."""
    async with cluster.client("gateway") as redis:
        first, other = Presence(redis, cluster.channels, "a"), Presence(redis, cluster.channels, "b")
        for node in (first, other):
            await node.sync()
            number = node.next_number()
            assert number is not None
            node.put(ClientRecord(number, f"client_{number}", "then", "now", ("news",)))
        cluster.operator.delete(cluster.channels.client_numbers)  # as if lost: numbers go on from the server's clock
        for node in (first, other, first):
            await node.sync()
        assert first.total_clients == 2
        stats = StatsReader(redis, cluster.channels, first)
        assert len((await stats.read(0, 10)).clients) == 2
        cluster.operator.delete(cluster.channels.presence_counts("b"))
        await first.sync()  # which takes the dead one out
        assert first.total_clients == 1
        first.drop((await stats.read(0, 10)).clients[0].client_id)
        await first.sync()
        await first.leave()
    assert cluster.refused() == []


async def test_an_internal_tool_tails_a_channel(cluster: Cluster, tmp_path: Path) -> None:
    """`coinwire tail` works as `reader`: the newest, then each new one."""
    env = {"REDIS_URL": cluster.url_of("reader"), "REDIS_PREFIX": cluster.prefix, "PYTHONPATH": str(ROOT)}
    async with cluster.client("worker") as redis:
        bus = Bus(redis, cluster.channels, 10)
        await bus.publish(SERVICE, {"n": 1})
        command = (sys.executable, "-m", "commands", "tail", SERVICE, "--json")
        tail = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, env=env, stdout=asyncio.subprocess.PIPE)
        assert tail.stdout is not None
        async with asyncio.timeout(20):
            assert json.loads(await tail.stdout.readline())["data"] == {"n": 1}
            await bus.publish(SERVICE, {"n": 2})
            assert json.loads(await tail.stdout.readline())["data"] == {"n": 2}
            tail.send_signal(signal.SIGINT)
            assert await tail.wait() == 0
    assert cluster.refused() == []


async def test_a_tool_of_ones_own_reads_all_that_is_kept_of_a_service(cluster: Cluster) -> None:
    """A plain redis-py, as README has it, with its own way to connect: channel, pattern, last, stream and meta."""
    names = cluster.channels
    async with cluster.client("worker") as redis:
        await Bus(redis, names, 10).publish(SERVICE, {"n": 1})
    with cluster.plain("reader") as client:
        assert client.ping()
        assert client.get(names.last(SERVICE)) is not None
        assert len(client.xrange(names.stream(SERVICE))) == 1
        assert len(client.xrevrange(names.stream(SERVICE), count=1)) == 1
        assert len(client.xread({names.stream(SERVICE): 0})) == 1
        assert client.xlen(names.stream(SERVICE)) == 1
        assert client.xinfo_stream(names.stream(SERVICE))["length"] == 1
        assert client.hmget(names.meta(SERVICE), "epoch", "seq")[1] == b"1"
        assert client.hget(names.meta(SERVICE), "seq") == client.hgetall(names.meta(SERVICE))[b"seq"]
        with client.pubsub() as channel:
            channel.subscribe(names.channel(SERVICE), names.channel("system"))
            channel.psubscribe(names.channel("*"))
            heard = [channel.get_message(timeout=5) for _ in range(3)]
            assert [message["type"] for message in heard if message] == ["subscribe", "subscribe", "psubscribe"]
            channel.unsubscribe()
            channel.punsubscribe()
        assert all(client.xlen(names.stream(service)) == 0 for service in CHANNEL_NAMES if service != SERVICE)
    with sync_redis.Redis.from_url(cluster.url_of("reader"), client_name="my-tool") as client:
        assert client.ping()
    assert cluster.refused() == []


# What they are refused.


def commands(prefix: str) -> dict[str, dict[tuple[str, ...], set[str]]]:
    """By what it would do, a command and who may do it."""
    names = Channels(prefix)
    last, stream, meta, channel = (
        names.last(SERVICE),
        names.stream(SERVICE),
        names.meta(SERVICE),
        names.channel(SERVICE),
    )
    script = "0" * 40
    return {
        "forge an update": {
            ("PUBLISH", channel, "x"): {"worker"},
            ("SET", last, "x"): {"worker"},
            ("XADD", stream, "*", "m", "x"): {"worker"},
            ("HSET", meta, "epoch", "x"): {"worker"},
            ("DEL", last): {"worker"},
            ("EVALSHA", script, "3", meta, stream, last): {"worker"},
            ("SPUBLISH", channel, "x"): {"worker"},
            ("XTRIM", stream, "MAXLEN", "0"): {"worker"},
            ("XDEL", stream, "1-0"): set(),
            ("EXPIRE", last, "1"): set(),
            ("RENAME", last, meta): set(),
            ("RESTORE", last, "0", "x"): set(),
        },
        "read what is not for all": {
            ("HGETALL", names.calls): {"worker"},
            ("GET", names.lease("monitoring")): {"worker"},
            ("GET", names.client_numbers): {"gateway"},
            ("HGETALL", names.presence("n")): {"gateway"},
            ("SUBSCRIBE", names.probe("n")): {"gateway"},
            ("SSUBSCRIBE", names.probe("{news}:n")): {"gateway"},
            ("PSUBSCRIBE", "*"): set(),
            ("PSUBSCRIBE", f"{prefix}:*"): set(),
            ("INFO",): {"worker"},
            ("KEYS", "*"): set(),
            ("SCAN", "0"): set(),
            ("RANDOMKEY",): set(),
            ("PUBSUB", "CHANNELS"): set(),
            ("MONITOR",): set(),
            ("SLOWLOG", "GET"): set(),
        },
        "touch what is another part's": {
            ("EVALSHA", script, "1", names.client_numbers): {"gateway"},
            ("SET", names.client_numbers, "1"): {"gateway"},
            ("HSET", names.presence("n"), "c", "x"): {"gateway"},
            ("DEL", names.nodes): {"gateway"},
            ("PUBLISH", names.probe("n"), ""): {"gateway"},
            ("SPUBLISH", names.probe("{news}:n"), ""): {"gateway"},
            ("EVALSHA", script, "2", names.lease("x"), names.fence("x")): {"worker"},
            ("SET", names.lease("monitoring"), "me"): {"worker"},
            ("DEL", names.lease("monitoring")): {"worker"},
            ("ZADD", names.budget("coingecko"), "1", "x"): {"worker"},
            ("SET", names.budget_block("coingecko"), "1"): {"worker"},
            ("HSET", names.jobs, "monitoring", "x"): {"worker"},
            ("HINCRBY", names.failovers, "news", "1"): {"worker"},
        },
        "read with a consumer group": {
            ("XGROUP", "CREATE", stream, "mine", "0"): {"worker", "consumer"},
            ("XGROUP", "CREATECONSUMER", stream, "mine", "me"): {"consumer"},
            ("XREADGROUP", "GROUP", "mine", "me", "STREAMS", stream, ">"): {"worker", "consumer"},
            ("XACK", stream, "mine", "1-0"): {"worker", "consumer"},
            ("XPENDING", stream, "mine"): {"consumer"},
            ("XCLAIM", stream, "mine", "me", "0", "1-0"): {"consumer"},
            ("XAUTOCLAIM", stream, "mine", "me", "0", "0"): {"consumer"},
            ("XINFO", "GROUPS", stream): {"consumer"},
            ("XINFO", "CONSUMERS", stream, "mine"): {"consumer"},
            ("GET", last): {"worker", "reader", "consumer"},
            ("XRANGE", stream, "-", "+"): {"worker", "gateway", "reader", "consumer"},
            ("SUBSCRIBE", channel): {"gateway", "reader", "consumer"},
            ("SSUBSCRIBE", channel): {"gateway", "reader", "consumer"},
            ("COMMAND",): {"reader", "consumer"},
        },
        "harm another's consumer group": {
            ("XGROUP", "DESTROY", stream, "recorder"): set(),
            ("XGROUP", "DELCONSUMER", stream, "recorder", "recorder"): set(),
            ("XGROUP", "SETID", stream, "recorder", "$"): set(),
            ("XSETID", stream, "9-0"): set(),
            ("XGROUP", "CREATE", names.calls, "mine", "0", "MKSTREAM"): {"worker"},
            ("XGROUP", "CREATE", "anything", "mine", "0", "MKSTREAM"): set(),
            ("XREADGROUP", "GROUP", "mine", "me", "STREAMS", stream, "anything", ">", ">"): set(),
        },
        "reach another cluster": {
            ("GET", Channels(f"{prefix}2").last(SERVICE)): set(),
            ("SUBSCRIBE", Channels(f"{prefix}2").channel(SERVICE)): set(),
            ("PUBLISH", Channels("coinwire").channel(SERVICE), "x"): set(),
            ("SET", "anything", "x"): set(),
            ("GET", "anything"): set(),
            ("SELECT", "1"): set(),
            ("SWAPDB", "0", "1"): set(),
        },
        "harm the server": {
            ("FLUSHALL",): set(),
            ("FLUSHDB",): set(),
            ("CONFIG", "GET", "*"): set(),
            ("CONFIG", "SET", "dir", "/tmp"): set(),  # noqa: S108  # what an intruder would set
            ("DEBUG", "SLEEP", "1"): set(),
            ("SHUTDOWN",): set(),
            ("ACL", "LIST"): set(),
            ("ACL", "SETUSER", "default", "on", "nopass"): set(),
            ("ACL", "LOG", "RESET"): set(),
            ("SCRIPT", "FLUSH"): set(),
            ("SCRIPT", "KILL"): set(),
            ("CLIENT", "KILL", "TYPE", "normal"): set(),
            ("CLIENT", "LIST"): set(),
            ("CLIENT", "PAUSE", "1"): set(),
            ("EVAL", "return 1", "0"): set(),
            ("FUNCTION", "LIST"): set(),
            ("REPLICAOF", "203.0.113.1", "6379"): set(),
            ("CLUSTER", "FAILOVER"): set(),
            ("CLUSTER", "NODES"): set(),
            ("MODULE", "LIST"): set(),
            ("BGREWRITEAOF",): set(),
            ("SAVE",): set(),
        },
    }


@pytest.mark.parametrize("intent", commands(""))
def test_nobody_may_do_more_than_they_need(cluster: Cluster, intent: str) -> None:
    """Redis's own decision on every command for every user; `operator` may use all of them."""
    for command, allowed in commands(cluster.prefix)[intent].items():
        assert {user for user in RESTRICTED if cluster.verdict(user, *command)} == allowed, command
        assert cluster.verdict("operator", *command), command


@pytest.mark.parametrize("user", ["worker", "gateway", "reader", "consumer"])
def test_what_is_refused_is_not_done(cluster: Cluster, user: str) -> None:
    """The refusal is an error of the command, at once and in a transaction, and nothing has changed."""
    key = Channels("other").last(SERVICE)
    with cluster.plain(user) as client:
        with pytest.raises(NoPermissionError):
            client.set(key, "x")
        with pytest.raises(NoPermissionError):
            client.execute_command("FLUSHALL")
        with client.pipeline(transaction=True) as transaction:
            transaction.set(key, "x")
            with pytest.raises(NoPermissionError):
                transaction.execute()
    assert cluster.operator.get(key) is None
    assert {entry["username"] for entry in cluster.refused()} == {cluster.name(user)}


@pytest.mark.parametrize("user", ["worker", "gateway"])
def test_a_script_may_do_what_its_caller_may(cluster: Cluster, user: str) -> None:
    """Neither keys that a script names itself nor commands in it get around the rules."""
    names = cluster.channels
    own, foreign = {
        "worker": (names.lease("x"), names.client_numbers),
        "gateway": (names.client_numbers, names.last(SERVICE)),
    }[user]
    with cluster.plain(user) as client:
        for call in (f"'SET', '{foreign}', 'x'", "'FLUSHALL'", "'PUBLISH', 'other', 'x'"):
            script = client.register_script(f"return redis.call({call})")
            with pytest.raises(ResponseError, match=r"ACL failure|permissions"):
                script(keys=[own])
    assert cluster.operator.get(foreign) is None


def test_who_has_no_password_may_only_ping(cluster: Cluster) -> None:
    """`health` takes any password and may PING; `default`, the user of unauthenticated clients, is off."""
    place = urlsplit(cluster.url)
    url = f"redis://{cluster.name('health')}:any@{place.hostname}:{place.port}/0"
    with sync_redis.Redis.from_url(url) as client:
        assert client.ping()
        for command in (("GET", cluster.channels.last(SERVICE)), ("INFO",), ("CLIENT", "ID")):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)
    with cluster.plain("default") as client, pytest.raises(sync_redis.AuthenticationError):
        client.ping()


def test_of_what_redis_calls_dangerous_nobody_has_more_than_info_and_role(cluster: Cluster) -> None:
    """Only `operator`, and `default`, which can't log in, have more commands of @dangerous and @admin."""
    dangerous = {
        command.decode() if isinstance(command, bytes) else command
        for category in ("dangerous", "admin")
        for command in cluster.operator.execute_command("ACL", "CAT", category)
    }
    assert "flushall" in dangerous
    granted = {user: set(re.findall(r"\+([\w|@]+)", cluster.rules[user])) for user in RESTRICTED}
    assert {user for user in RESTRICTED if "@all" in granted[user]} == set()
    assert {user: found & dangerous for user, found in granted.items() if found & dangerous} == {
        "worker": {"info"},
        "gateway": {"role"},
    }
