"""Several redis-servers that tests start: a primary with replicas and Sentinels, or a Redis Cluster."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS as SLOTS
from redis.exceptions import RedisError

from launcher.redis_server import RedisServer, find_redis_server, version_of
from shared.bus import Bus
from shared.errors import BusError
from shared.settings import Settings
from tests.waiting import until

SERVICE = "prices"
"""The name that our Sentinels know the servers by."""

LIVE_SECONDS = 5.0
"""Within which all is live again once there is a new primary."""

needs_cluster = pytest.mark.skipif(
    (version_of(find_redis_server()) or (0, 0)) < (7, 0), reason="coinwire needs Redis 7.0 for a Redis Cluster"
)
# Without an answer for so long, a server counts as down. With half a second, one that a busy machine let wait was
# failed over, too, and everything that the tests had arranged with it.
_DOWN_MS = "2000"
_OF_A_CLUSTER = ("--cluster-enabled", "yes", "--cluster-node-timeout", _DOWN_MS)


def settings_of(url: str) -> Settings:
    """The settings of a process."""
    return Settings(_env_file=None, redis_url=url, redis_prefix="test")


async def published(bus: Bus, service: str = "news") -> bool:
    """Whether a publish is confirmed now."""
    try:
        await bus.publish(service, {})
    except BusError:
        return False
    return True


class Member(RedisServer):
    """A redis-server that can become a replica of another one: all have the same password."""

    def __init__(self, folder: Path, password: str, *options: str, port: int | None = None) -> None:
        super().__init__(folder, port, password)
        self._options = options

    @property
    def command(self) -> list[str]:
        """The command line, with more options."""
        return [*super().command, "--repl-diskless-sync-delay", "0", *self._options]

    def _configure(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.write(f"masterauth {self.password}\n".encode())
        super()._configure(process)

    def client(self) -> Redis:
        """A client of redis-py's own: it knows nothing of replicas."""
        return Redis.from_url(self.url, protocol=2)


class Sentinel(RedisServer):
    """One Sentinel, which wants a password of its own. It finds replicas and other Sentinels by itself."""

    def __init__(self, folder: Path, password: str, primary: Member, quorum: int) -> None:
        super().__init__(folder, password=password)
        folder.mkdir()
        self._config = folder / "sentinel.conf"  # it writes there what it learns
        self._config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\nrequirepass {self.password}\n"
            f"sentinel sentinel-pass {self.password}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} {quorum}\n"
            f"sentinel auth-pass {SERVICE} {primary.password}\n"
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_MS}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [str(find_redis_server()), str(self._config), "--sentinel"]

    def _configure(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        process.stdin.close()

    def client(self) -> Redis:
        """A client of it."""
        return Redis(host="127.0.0.1", port=self.port, password=self.password, protocol=2)

    async def knows(self, replicas: int, others: int) -> None:
        """Wait until it has found that many replicas and other Sentinels."""
        state: dict[str, object] = {}

        async def all_found() -> bool:
            async with self.client() as client:
                state.update(await client.sentinel_master(SERVICE))
            return state["num-slaves"] == replicas and state["num-other-sentinels"] == others

        await until(all_found, 20, lambda: f"{state}\n{(self.folder / 'redis.log').read_text()}")


async def started(servers: Iterable[RedisServer]) -> None:
    """Start all at once. Raises RedisServerError, with what it said, where one does not start."""
    done = await asyncio.gather(*(asyncio.to_thread(server.start) for server in servers), return_exceptions=True)
    for error in done:
        if isinstance(error, BaseException):
            raise error


class Watched:
    """A primary, two replicas, and three Sentinels that watch them."""

    def __init__(self, folder: Path) -> None:
        password, theirs = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.servers = [Member(folder / f"server-{n}", password) for n in range(3)]
        self.primary = self.servers[0]
        self.sentinels = [Sentinel(folder / f"sentinel-{n}", theirs, self.primary, quorum=2) for n in range(3)]

    @property
    def url(self) -> str:
        """REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        login, theirs = self.primary.password, self.sentinels[0].password
        return f"redis+sentinel://:{login}@{hosts}/{SERVICE}/0?sentinel_password={theirs}"

    async def start(self) -> None:
        """Start all, and return once a failover would succeed."""
        await started(self.servers)
        for replica in self.servers[1:]:
            async with replica.client() as client:
                await client.replicaof("127.0.0.1", self.primary.port)
        async with self.primary.client() as client:

            async def followed() -> bool:
                return len((await client.role())[2]) == 2

            await until(followed, 20)
        await started(self.sentinels)
        for sentinel in self.sentinels:
            await sentinel.knows(replicas=2, others=2)

    async def failed_over(self) -> Member:
        """The new primary, once all Sentinels agree on it; `primary` from then on."""
        for sentinel in self.sentinels:
            if sentinel.process is None:
                continue
            async with sentinel.client() as client:

                async def other(client: Redis = client) -> bool:
                    _, port = await client.sentinel_get_master_addr_by_name(SERVICE)
                    return int(port) != self.primary.port

                await until(other, 20)
                _, port = await client.sentinel_get_master_addr_by_name(SERVICE)
        self.primary = next(server for server in self.servers if server.port == int(port))
        return self.primary

    def stop(self) -> None:
        """End all."""
        for sentinel in self.sentinels:
            sentinel.kill()
        for server in self.servers:
            server.kill()


class Nodes:
    """A Redis Cluster: three primaries, each with a replica."""

    def __init__(self, folder: Path) -> None:
        password = secrets.token_urlsafe()
        self.members = [Member(folder / f"node-{n}", password, *_OF_A_CLUSTER) for n in range(6)]

    @property
    def url(self) -> str:
        """REDIS_URL. Two nodes lead to the others."""
        hosts = ",".join(f"127.0.0.1:{member.port}" for member in self.members[:2])
        return f"redis+cluster://:{self.members[0].password}@{hosts}"

    async def start(self) -> None:
        """Start all, and return once every slot is served and every primary has its replica."""
        await started(self.members)
        first, *others = self.members
        async with first.client() as client:
            for member in others:
                await client.execute_command("CLUSTER MEET", "127.0.0.1", member.port)
        for n, primary in enumerate(self.members[:3]):
            slots = range(SLOTS * n // 3, SLOTS * (n + 1) // 3)
            async with primary.client() as client:
                await client.execute_command("CLUSTER ADDSLOTS", *slots)
        for primary, replica in zip(self.members[:3], self.members[3:], strict=True):
            name = await self.name_of(primary)
            async with replica.client() as client:

                async def follows(client: Redis = client, name: str = name) -> bool:
                    with contextlib.suppress(RedisError):
                        return bool(await client.execute_command("CLUSTER REPLICATE", name))
                    return False  # it has not heard of its primary yet

                await until(follows, 20)
        await until(self.whole, 20)

    async def name_of(self, member: Member) -> str:
        """What the cluster calls a node."""
        async with member.client() as client:
            return str((await client.execute_command("CLUSTER", "MYID")).decode())

    async def whole(self) -> bool:
        """Whether every node that runs sees all slots served, by primaries that have replicas that follow."""
        for member in self.members:
            async with member.client() as client:
                if b"cluster_state:ok" not in await client.execute_command("CLUSTER", "INFO"):
                    return False
                role = await client.role()
                if (role[0] == b"master" and not role[2]) or (role[0] == b"slave" and role[3] != b"connected"):
                    return False
        return True

    async def primary_of(self, key: str) -> Member:
        """The node that serves a key's slot, as those that run see it."""
        for member in self.members:
            if member.process is None:
                continue
            async with member.client() as client:
                slot = await client.execute_command("CLUSTER", "KEYSLOT", key)
                for first, last, (_, port, *_), *_ in await client.execute_command("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(member for member in self.members if member.port == port)
        raise AssertionError(f"nobody serves {key}")

    async def failed_over(self, key: str, was: Member) -> Member:
        """The new primary of a key's slot, once every node that runs knows it."""
        for member in self.members:
            if member is was or member.process is None:
                continue

            async def sees_another(member: Member = member) -> bool:
                async with member.client() as client:
                    slot = await client.execute_command("CLUSTER", "KEYSLOT", key)
                    if b"cluster_state:ok" not in await client.execute_command("CLUSTER", "INFO"):
                        return False
                    for first, last, (_, port, *_), *_ in await client.execute_command("CLUSTER", "SLOTS"):
                        if first <= slot <= last:
                            return bool(port != was.port)
                return False

            await until(sees_another, 30)
        return await self.primary_of(key)

    async def move_slot(self, key: str, target: Member) -> None:
        """Move a slot with its keys to another primary, as redis-cli does it."""
        source = await self.primary_of(key)
        names = [await self.name_of(source), await self.name_of(target)]
        async with source.client() as old, target.client() as new:
            slot = await old.execute_command("CLUSTER", "KEYSLOT", key)
            await new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
            await old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
            while keys := await old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 10):
                for each in keys:
                    await old.execute_command(
                        "MIGRATE", "127.0.0.1", target.port, each, 0, 5000, "AUTH", source.password
                    )
            for client in (new, old):
                await client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", names[1])

    def stop(self) -> None:
        """End all."""
        for member in self.members:
            member.kill()
