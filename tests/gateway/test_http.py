"""The HTTP side, where the contract's tests do not look; and a gateway on its way out."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import pytest
import websockets
from prometheus_client.parser import text_string_to_metric_families

from gateway.node import Node
from shared.bus import open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.contract.conftest import Cluster
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")


async def test_a_limit_of_zero_lists_nobody(cluster: Cluster) -> None:
    """The answer has only the counts, and no cursor."""
    await cluster.connect("/ws/data")
    answer = await cluster.http.get(cluster.url("/ws/stats?limit=0"))
    data = answer.json()["data"]
    assert (answer.status_code, data["clients"], data["total_connections"]) == (200, [], 1)
    assert "next_cursor" not in data


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_405_says_what_is_allowed(cluster: Cluster, method: str) -> None:
    """This API is read-only: GET, and HEAD with it."""
    answer = await cluster.http.request(method, cluster.url("/ws/stats"))
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}
    assert answer.json()["status"] == "error"


async def test_metrics_are_prometheus_own_format(cluster: Cluster) -> None:
    """Its parser reads them; connections, closes and errors are where they should be."""
    client = await cluster.connect("/ws/data")
    await client.say(action="nope")
    text = (await cluster.http.get(cluster.url("/metrics"))).text
    found = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert found["coinwire_gateway_connections"].value == 1
    assert found["coinwire_gateway_errors_total"].labels == {"code": "unknown_action"}
    assert found["coinwire_gateway_accepted_total"].labels == {"endpoint": "/ws/data"}


async def test_who_is_ready_takes_clients(settings: Settings) -> None:
    """Once a gateway reports that it is ready, no handshake is refused for want of a number."""
    node = Node(settings)
    assert node.unready
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    assert node.next_number() is not None
    async with websockets.connect(f"ws://127.0.0.1:{node.port}/ws/data") as socket:
        assert json.loads(await socket.recv())["type"] == "connection_established"
    node.stop("the test is over")
    assert await running == 0


@pytest.mark.slow  # it waits for a drain
async def test_a_draining_gateway_serves_its_clients_and_takes_no_more(settings: Settings) -> None:
    """Not ready at once, so that a balancer looks elsewhere; old clients go on until DRAIN_SECONDS are over; then
    nothing of it is left in Redis, and its port is free."""
    node = Node(settings.model_copy(update={"drain_seconds": 5.0}))
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    url = f"127.0.0.1:{node.port}"
    async with httpx.AsyncClient() as http, websockets.connect(f"ws://{url}/ws/data") as socket:
        await socket.recv()
        node.stop("the test")
        await until(lambda: node.refusal == "draining")
        answer = await http.get(f"http://{url}/health/ready")
        assert (answer.status_code, answer.json()["reasons"]) == (503, ["draining"])
        assert (await http.get(f"http://{url}/health/live")).status_code == 200
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://{url}/ws/data")
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "1"
        await socket.send('{"action":"ping"}')
        assert json.loads(await socket.recv())["type"] == "pong"
        refusals = (await http.get(f"http://{url}/metrics")).text
        assert 'coinwire_gateway_refused_total{reason="draining"} 1.0' in refusals
        await socket.wait_closed()
        assert socket.close_code == 1012
    assert await running == 0
    redis = open_redis(settings)
    prefix = Channels(settings.redis_prefix).presence(node.name).removesuffix(":clients")
    assert await redis.keys(prefix.replace("{", "*").replace("}", "*") + "*") == []
    await redis.aclose()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", node.port)


@pytest.mark.slow  # it waits for a drain
async def test_a_draining_gateway_closes_its_clients_one_after_another(settings: Settings) -> None:
    """Closes are spread over DRAIN_SECONDS, first come first closed, so that they do not return as one herd."""
    node, seconds, count = Node(settings.model_copy(update={"drain_seconds": 2.0})), 2.0, 40
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    clock = asyncio.get_running_loop().time
    async with contextlib.AsyncExitStack() as stack:
        url = f"ws://127.0.0.1:{node.port}/ws/data"
        sockets = [await stack.enter_async_context(websockets.connect(url)) for _ in range(count)]
        began = clock()
        node.stop("the test")

        async def closed(socket: websockets.ClientConnection) -> float:
            await socket.wait_closed()
            assert socket.close_code == 1012
            return clock() - began

        times = await asyncio.gather(*(closed(socket) for socket in sockets))
    assert times == sorted(times)
    assert times[-1] >= seconds
    early = sum(moment < seconds / 2 for moment in times)
    assert count / 4 <= early <= count * 3 / 4, times
    assert await running == 0


async def test_a_draining_gateway_tells_its_clients_before_it_closes_the_first(settings: Settings) -> None:
    """Subscribers of `system` get a notice, and a balancer has a tenth of DRAIN_SECONDS to see that it is not ready."""
    node, seconds = Node(settings.model_copy(update={"drain_seconds": 2.0})), 2.0
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    clock = asyncio.get_running_loop().time
    url = f"ws://127.0.0.1:{node.port}/ws/data"
    async with websockets.connect(url) as first, contextlib.AsyncExitStack() as stack:
        await first.recv()
        await first.send('{"action":"subscribe","service":"system"}')
        assert json.loads(await first.recv())["type"] == "subscription_confirmed"
        for _ in range(20):
            await stack.enter_async_context(websockets.connect(url))
        began = clock()
        node.stop("the test")
        told = json.loads(await first.recv())
        while told["data"].get("event") == "heartbeat":
            told = json.loads(await first.recv())
        assert (told["service"], told["type"], told["data"]["event"]) == ("system", "update", "gateway_stopping")
        assert clock() - began < 0.1 * seconds
        await first.wait_closed()
        assert clock() - began >= 0.1 * seconds
    assert await running == 0


async def test_a_second_signal_ends_the_drain_at_once(settings: Settings) -> None:
    """A second signal ends DRAIN_SECONDS; clients still get the close code."""
    node = Node(settings.model_copy(update={"drain_seconds": 3600.0}))
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    async with websockets.connect(f"ws://127.0.0.1:{node.port}/ws/data") as socket:
        node.stop("the first signal")
        await until(lambda: node.refusal == "draining")
        assert not running.done()
        node.stop("the second")
        await asyncio.wait_for(socket.wait_closed(), 5)
        assert socket.close_code == 1012
    assert await asyncio.wait_for(running, 10) == 0


@pytest.mark.parametrize("task", ["hub", "presence", "server"])
async def test_whatever_dies_takes_the_gateway_down(settings: Settings, task: str) -> None:
    """Exit status 1: never a process that lives on without one of its parts."""
    node = Node(settings)
    running = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    name = {"hub": "Hub.run", "presence": "Presence.run", "server": "Server.serve"}[task]
    dying = [each for each in asyncio.all_tasks() if getattr(each.get_coro(), "__qualname__", "") == name]
    assert len(dying) == 1
    dying[0].cancel()
    assert await asyncio.wait_for(running, 10) == 1
