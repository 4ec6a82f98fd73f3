"""The balancer where its surroundings are unusual: DNS that fails or speaks of IPv6, more clients than it takes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import websockets

from launcher.ports import free_port
from tests.compose.stack import ROOT, Stack
from tests.waiting import until

RELAY = """
import socket
ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ours.bind(("0.0.0.0", 53))
while True:
    asked, client = ours.recvfrom(65535)
    end = asked.index(0, 12) + 5
    if asked[end - 4:end - 2] == bytes([0, 28]):
        answer = bytes([192, 12, 0, 28, 0, 1, 0, 0, 0, 5, 0, 16]) + socket.inet_pton(socket.AF_INET6, "fd00::1")
        ours.sendto(asked[:2] + bytes([129, 128, 0, 1, 0, 1, 0, 0, 0, 0]) + asked[12:end] + answer, client)
        continue
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
        asks.settimeout(1)
        asks.sendto(asked, ("127.0.0.11", 53))
        try:
            ours.sendto(asks.recv(65535), client)
        except TimeoutError:
            pass
"""
"""A DNS server that asks the engine's, and has an IPv6 address for every name, as where networks have both protocols.
Unlike the engine's it can be paused."""

QUESTIONS = 45  # without an answer; the balancer asks once a second


@asynccontextmanager
async def container(stack: Stack, *arguments: str) -> AsyncIterator[tuple[str, str]]:
    """A container among the gateways: its id and its address."""
    run = ("docker", "run", "--detach", "--rm", "--network", f"{stack.project}_edge")
    name = (await stack.run(*run, *arguments)).strip()
    try:
        found = await stack.run(
            "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name
        )
        yield name, found.strip()
    finally:
        await stack.run("docker", "rm", "--force", name)


class Balancer:
    """One of the test's own beside the stack's, with its configuration but for the DNS server's address."""

    def __init__(self, stack: Stack, address: str) -> None:
        self._stack = stack
        self.address = address

    async def ask(self, address: str) -> str:
        """What a gateway's container is answered at `PORT/PATH`; empty where nothing answers."""
        url = f"http://{self.address}:{address}"
        asker = (await self._stack.containers("gateway"))[0]
        return await self._stack.exec(asker, "coinwire", "probe", url, check=False)

    async def serves(self) -> bool:
        """Whether a gateway answers through it."""
        return '"ready"' in await self.ask("7860/health/ready")

    async def metric(self, scope: str, name: str) -> int:
        """One of its figures."""
        page = await self.ask(f"8404/metrics?scope={scope}")
        found = re.search(rf"^{re.escape(name)} (\d+)", page, re.MULTILINE)
        assert found, page
        return int(found[1])


@asynccontextmanager
async def balancer(stack: Stack, folder: Path, *options: str, dns: str = "127.0.0.11") -> AsyncIterator[Balancer]:
    """Start one, and wait until it serves."""
    text, changed = re.subn(r"127\.0\.0\.11", dns, (ROOT / "deploy/balancer/haproxy.cfg").read_text())
    assert changed == 1
    file = folder / "haproxy.cfg"
    file.write_text(text)
    for path in (file, *file.parents[:-1]):
        path.chmod(path.stat().st_mode | 0o555)  # the balancer's user is none of this machine's
    mounted = ("--volume", f"{file}:/usr/local/etc/haproxy/haproxy.cfg:ro")
    settings = ("--env", "GATEWAY_SLOTS=4", "--env", "MAXCONN=10")
    async with container(stack, *mounted, *settings, *options, "haproxy:3.0-alpine") as (_, address):
        started = Balancer(stack, address)
        await until(started.serves, 30)
        yield started


async def test_while_dns_is_silent_the_balancer_keeps_the_gateways_it_knew(stack: Stack, tmp_path: Path) -> None:
    """They are checked every second: who is there can be told without DNS, however long it is away. Where a name has
    IPv6 addresses too, the balancer takes those that gateways listen on."""
    async with AsyncExitStack() as started:
        relay = container(stack, "python:3.13-slim", "python", "-c", RELAY)
        dns, address = await started.enter_async_context(relay)
        ours = await started.enter_async_context(balancer(stack, tmp_path, dns=address))
        sent = 'haproxy_resolver_sent{resolver="docker",nameserver="docker"}'
        await stack.run("docker", "pause", dns)
        try:
            before = await ours.metric("resolver", sent)

            async def long_silent() -> bool:
                assert await ours.serves()
                return await ours.metric("resolver", sent) - before >= QUESTIONS

            await until(long_silent, 120)
        finally:
            await stack.run("docker", "unpause", dns)


async def test_beyond_maxconn_clients_wait_and_the_balancer_stays_healthy(stack: Stack, tmp_path: Path) -> None:
    """Its health check and its figures have connections of their own. Who waits is let in when another leaves."""
    port = free_port()
    published = ("--publish", f"127.0.0.1:{port}:7860")
    url = f"ws://127.0.0.1:{port}/ws"
    async with balancer(stack, tmp_path, *published) as ours, AsyncExitStack() as clients:

        async def alone() -> bool:
            return await ours.metric("frontend", 'haproxy_frontend_current_sessions{proxy="public"}') == 0

        await until(alone, 30)
        first, *_ = [await clients.enter_async_context(websockets.connect(url)) for _ in range(10)]
        another = asyncio.create_task(clients.enter_async_context(websockets.connect(url, open_timeout=60)))
        for name in ("current_sessions", "limit_sessions"):
            assert await ours.metric("frontend", f'haproxy_frontend_{name}{{proxy="public"}}') == 10
        assert await ours.ask("8404/health")
        assert not another.done()
        await first.close()
        await another
