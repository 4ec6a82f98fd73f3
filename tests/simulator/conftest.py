"""A simulator on a real socket in the test's loop, with a stopped clock, and a client that sets the Host header."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import httpx
import pytest
import pytest_asyncio

from simulator.app import Simulator
from simulator.server import Server, running
from simulator.world.clock import Clock

NOW = 1_795_390_930.0
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loads no certificates, which takes httpx longer than most of these tests."""
Ask = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
def clock() -> Clock:
    """A clock that moves only when it is advanced."""
    return Clock(lambda: NOW)


@pytest.fixture(scope="module")
def simulator(clock: Clock) -> Simulator:
    """The simulator under test."""
    return Simulator(seed=7, clock=clock)


@pytest.fixture(autouse=True)
def healthy(simulator: Simulator) -> Iterator[None]:
    """Each test begins and ends without faults: simulator and server are shared within a module, for speed."""
    simulator.faults.clear()
    yield
    simulator.faults.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(simulator: Simulator) -> AsyncIterator[Server]:
    """The simulator, listening."""
    async with running(simulator) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the simulator."""
    async with httpx.AsyncClient(base_url=server.url, timeout=5, verify=NO_TLS) as client:
        yield client


@pytest.fixture(scope="module")
def ask(client: httpx.AsyncClient) -> Ask:
    """GET a path of a host."""

    async def ask(host: str, path: str, **params: str | int) -> httpx.Response:
        return await client.get(path, params=params or None, headers={"Host": host})

    return ask
