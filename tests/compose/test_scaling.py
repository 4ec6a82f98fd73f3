"""Gateways side by side."""

from __future__ import annotations

import asyncio
import re
from contextlib import AsyncExitStack

import httpx
import websockets

from tests.compose.stack import Container, Stack
from tests.waiting import until

CLIENTS = 200


async def connections(stack: Stack, gateway: Container) -> int:
    """Open WebSocket connections of one replica."""
    text = await stack.exec(gateway, "coinwire", "probe", "http://127.0.0.1:7860/metrics")
    found = re.search(r"^coinwire_gateway_connections (\d+)", text, re.MULTILINE)
    assert found, text
    return int(found[1])


async def known_to_balancer(stack: Stack) -> int:
    """Gateways that the balancer sends clients to."""
    program = (
        "import urllib.request as r;"
        "print(r.urlopen('http://balancer:8404/metrics?scope=backend', timeout=5).read().decode())"
    )
    text = await stack.exec((await stack.containers("gateway"))[0], "python", "-c", program)
    found = re.search(r'^haproxy_backend_active_servers\{proxy="gateways"\} (\d+)', text, re.MULTILINE)
    assert found, text
    return int(found[1])


async def test_two_hundred_clients_are_spread_over_four_replicas(stack: Stack) -> None:
    """`--scale gateway=4`, with no file edited: the balancer finds the new ones, every replica has its share, and
    /ws/stats counts all clients, whichever replica answers."""
    await stack.compose("up", "--detach", "--no-recreate", "--scale", "gateway=4", "gateway")
    await stack.healthy("gateway")
    gateways = await stack.containers("gateway")
    assert len(gateways) == 4

    async def all_known() -> bool:
        return await known_to_balancer(stack) == 4

    await until(all_known, 30)
    async with AsyncExitStack() as clients:
        for _ in range(CLIENTS // 20):
            batch = [websockets.connect(stack.ws("/ws/market_data")) for _ in range(20)]
            await asyncio.gather(*(clients.enter_async_context(one) for one in batch))
        counts = [await connections(stack, gateway) for gateway in gateways]
        assert sum(counts) == CLIENTS
        assert min(counts) >= CLIENTS / 4 * 0.8, counts

        async def all_counted() -> bool:
            async with httpx.AsyncClient() as http:
                answers = [(await http.get(stack.http("/ws/stats?limit=1000"))).json()["data"] for _ in range(4)]
            return all(
                answer["total_connections"] == CLIENTS
                and len(answer["clients"]) == CLIENTS
                and answer["subscription_counts"] == {"market_data": CLIENTS}
                for answer in answers
            )

        await until(all_counted, 30)


async def test_scaled_down_again_the_others_take_over(stack: Stack) -> None:
    """`--scale gateway=2` closes the clients of two replicas with 1012; they are taken in by those that stay."""
    async with AsyncExitStack() as stay:
        clients = [await stay.enter_async_context(websockets.connect(stack.ws("/ws"))) for _ in range(40)]
        await stack.compose("up", "--detach", "--no-recreate", "--scale", "gateway=2", "gateway")
        gateways = await stack.containers("gateway")
        assert len(gateways) == 2
        kept = sum([await connections(stack, gateway) for gateway in gateways])
        await until(lambda: sum(client.close_code is not None for client in clients) == 40 - kept, 10)
        assert {client.close_code for client in clients} <= {None, 1012}
        assert 0 < kept < 40
        await stay.enter_async_context(websockets.connect(stack.ws("/ws")))
