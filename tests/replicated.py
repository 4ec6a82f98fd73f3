"""Several redis-servers that tests start: a primary with replicas and Sentinels, or a Redis Cluster."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from launcher.redis_server import RedisServer, find_redis_server, free_port
from tests.waiting import until

SERVICE = "prices"
"""The name that our Sentinels know the servers by."""

_DOWN_MS = "500"  # without an answer for so long, a server counts as down: the shortest that a busy machine allows


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


class Sentinel:
    """One Sentinel, which wants a password of its own."""

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, primary: Member, quorum: int) -> None:
        """Start it. It finds replicas and other Sentinels by itself."""
        self.folder.mkdir()
        config = self.folder / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\nrequirepass {self.password}\n"
            f"sentinel sentinel-pass {self.password}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} {quorum}\n"
            f"sentinel auth-pass {SERVICE} {primary.password}\n"
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_MS}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )
        with (self.folder / "sentinel.log").open("ab") as log:
            self.process = subprocess.Popen([find_redis_server(), config, "--sentinel"], stdout=log, stderr=log)

    def client(self) -> Redis:
        """A client of it."""
        return Redis(host="127.0.0.1", port=self.port, password=self.password, protocol=2)

    def stop(self) -> None:
        """SIGKILL: it stores nothing that a test needs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Watched:
    """A primary, two replicas, and three Sentinels that watch them."""

    def __init__(self, folder: Path) -> None:
        password, theirs = secrets.token_urlsafe(), secrets.token_urlsafe()
        self.servers = [Member(folder / f"server-{n}", password) for n in range(3)]
        self.sentinels = [Sentinel(folder / f"sentinel-{n}", theirs) for n in range(3)]
        self.primary = self.servers[0]

    @property
    def url(self) -> str:
        """REDIS_URL."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        login, theirs = self.primary.password, self.sentinels[0].password
        return f"redis+sentinel://:{login}@{hosts}/{SERVICE}/0?sentinel_password={theirs}"

    async def start(self) -> None:
        """Start all, and return once a failover would succeed."""
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self.servers))
        for replica in self.servers[1:]:
            async with replica.client() as client:
                await client.replicaof("127.0.0.1", self.primary.port)
        async with self.primary.client() as client:

            async def followed() -> bool:
                return len((await client.role())[2]) == 2

            await until(followed, 20)
        for sentinel in self.sentinels:
            sentinel.start(self.primary, quorum=2)
        for sentinel in self.sentinels:
            async with sentinel.client() as client:

                async def whole(client: Redis = client) -> bool:
                    with contextlib.suppress(RedisError):
                        state = await client.sentinel_master(SERVICE)
                        return bool(state["num-slaves"] == 2 and state["num-other-sentinels"] == 2)
                    return False

                await until(whole, 20)

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
            sentinel.stop()
        for server in self.servers:
            server.kill()
