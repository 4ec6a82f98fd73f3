"""The compose files on a real engine: a project of the test's own, with a port, an image tag and volumes of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from launcher.ports import free_port
from tests.places import ROOT
from tests.waiting import until

FILES = ("docker-compose.yml", "docker-compose.demo.yml")
VERSION = "test"

UP_SECONDS = 90.0  # from `up` to healthy: what the deployment promises
_COMMAND_SECONDS = 300.0  # the longest is an image built on a busy machine


class Container(NamedTuple):
    """One container, as `docker inspect` has it now."""

    id: str
    name: str
    pid: int
    status: str
    health: str
    restarts: int
    started_at: str


class CommandError(AssertionError):
    """A docker command failed; says what it printed."""


class Stack:
    """The demo's stack, with more compose files if given. Commands go through `docker`, as an operator's do."""

    def __init__(self, *more: str) -> None:
        self.project = f"coinwire-test-{uuid.uuid4().hex[:8]}"
        self.port = free_port()
        self.env = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "DOCKER_HOST", "LANG")},
            "COINWIRE_VERSION": VERSION,
            "PUBLISH_HOST": "127.0.0.1",
            "PORT": str(self.port),
            # These name the project for every `docker compose`, also in scripts.
            "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": ":".join((*FILES, *more)),
            # Not the .env of the person who runs the tests.
            "COMPOSE_DISABLE_ENV_FILE": "1",
        }

    async def run(self, *command: str, check: bool = True, **env: str) -> str:
        """The output of a command. Raises CommandError if it fails."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        async with asyncio.timeout(_COMMAND_SECONDS):
            out, err = await process.communicate()
        if check and process.returncode:
            raise CommandError(f"{' '.join(command)}: status {process.returncode}\n{err.decode()}\n{out.decode()}")
        return out.decode() if check else out.decode() + err.decode()

    async def compose(self, *arguments: str, check: bool = True, **env: str) -> str:
        """What `docker compose …` prints."""
        return await self.run("docker", "compose", *arguments, check=check, **env)

    async def exec(self, container: Container, *command: str, check: bool = True) -> str:
        """What a command inside a container prints."""
        return await self.run("docker", "exec", container.id, *command, check=check)

    async def tools(self, *command: str, check: bool = True, folder: Path | None = None) -> str:
        """What a command prints as an internal tool: in a container with the tools' rights."""
        env = {} if folder is None else {"BACKUP_FOLDER": str(folder)}
        return await self.compose("run", "--rm", "-T", "tools", *command, check=check, **env)

    async def containers(self, *services: str) -> list[Container]:
        """The containers of `services` (all, where none is named), also those that ended."""
        ids = (await self.compose("ps", "--all", "--quiet", *services)).split()
        if not ids:
            return []
        found: Sequence[dict[str, Any]] = json.loads(await self.run("docker", "inspect", *ids))
        return [
            Container(
                one["Id"],
                one["Name"].strip("/"),
                one["State"]["Pid"],
                one["State"]["Status"],
                one["State"].get("Health", {}).get("Status", "none"),
                one["RestartCount"],
                one["State"]["StartedAt"],
            )
            for one in found
        ]

    async def container(self, service: str) -> Container:
        """The one container of a service."""
        (found,) = await self.containers(service)
        return found

    async def healthy(self, *services: str, seconds: float = UP_SECONDS) -> None:
        """Wait until all containers of `services` run and are healthy."""

        async def all_healthy() -> bool:
            found = await self.containers(*services)
            return bool(found) and all(one.health == "healthy" and one.status == "running" for one in found)

        try:
            await until(all_healthy, seconds)
        except AssertionError:
            raise AssertionError(f"not healthy: {await self.compose('ps', '--all')}") from None

    async def kill(self, container: Container) -> None:
        """kill -9 its process from outside, so that the engine treats it as a crash."""
        kill = f"import os; os.kill({container.pid}, 9)"
        await self.run("docker", "run", "--rm", "--pid=host", "python:3.13-slim", "python", "-c", kill)

    async def logs(self, *services: str) -> str:
        """What they printed so far."""
        return await self.compose("logs", "--no-color", "--no-log-prefix", *services)

    async def redis(self, *command: str) -> str:
        """What redis-cli prints for the operator's user."""
        cli = 'REDISCLI_AUTH=$(cat /run/coinwire/operator_password) exec redis-cli --user operator "$@"'
        return await self.exec(await self.container("redis"), "sh", "-c", cli, "sh", *command)

    async def down(self) -> None:
        """Remove everything that was made, data included."""
        await self.compose("--profile", "tools", "down", "--volumes", "--remove-orphans", "--timeout", "5")

    def ws(self, path: str) -> str:
        """A WebSocket address at the balancer."""
        return f"ws://127.0.0.1:{self.port}{path}"

    def http(self, path: str) -> str:
        """An HTTP address at the balancer."""
        return f"http://127.0.0.1:{self.port}{path}"
