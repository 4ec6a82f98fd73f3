"""Redis servers that scenarios start, stop, empty and put back."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
from pathlib import Path

import redis

from tests.replicated import Member
from tests.shared.outage import lose_everything
from tests.waiting import until


class Server(Member):
    """A redis-server whose data is on disk within a second, as delivered. Its client does not use the loop."""

    def __init__(self, folder: Path, password: str | None = None) -> None:
        super().__init__(folder, password or secrets.token_urlsafe())

    async def up(self) -> Server:
        """Start, while the loop runs on."""
        await asyncio.to_thread(self.start)
        return self

    def sync(self) -> redis.Redis:
        """A client for the commands of the test itself."""
        return redis.Redis(port=self.port, password=self.password, socket_timeout=5)

    def tell(self, *command: str | int) -> object:
        """Send one command, and return its answer."""
        with self.sync() as client:
            return client.execute_command(*command)

    def cut_subscribers(self) -> None:
        """End the connections of all subscribers."""
        self.tell("CLIENT", "KILL", "TYPE", "pubsub")

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP, SIGCONT."""
        if self.process is not None:
            os.kill(self.process.pid, number)

    def end(self) -> None:
        """SIGKILL, also where it is stopped."""
        self.signal(signal.SIGCONT)
        self.kill()

    def empty(self) -> None:
        """Delete the data of a server that is killed."""
        lose_everything(self)

    def keep_copy(self) -> None:
        """Remember the data as it is on disk now."""
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self.folder, self._copy)

    def back_to_copy(self) -> None:
        """Put it back, in a server that is killed: whatever was written since is lost."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._copy, self.folder)

    @property
    def _copy(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}-copy")

    def calls(self, command: str) -> int:
        """How often a command was called."""
        with self.sync() as client:
            stats = client.info("commandstats")
        return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))

    def position(self, prefix: str, service: str) -> tuple[str, int] | None:
        """The newest position of a service."""
        with self.sync() as client:
            epoch, seq = client.hmget(f"{prefix}:{{{service}}}:meta", "epoch", "seq")
        return None if epoch is None else (epoch.decode(), int(seq))

    async def follows(self, port: int) -> None:
        """Become the replica of the server on `port`, which has the same password, and wait until the link is up."""
        with self.sync() as client:
            client.replicaof("127.0.0.1", port)
            await until(lambda: client.info("replication").get("master_link_status") == "up", 20)
