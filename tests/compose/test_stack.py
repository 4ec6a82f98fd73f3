"""What `docker compose up` gives: all services through the balancer, and nothing open that need not be."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
import websockets

from shared.catalog import SERVICES
from tests.compose.stack import CommandError, Stack
from tests.system.clients import until_closed, until_message
from tests.waiting import until


async def config(stack: Stack, *files: str) -> dict[str, Any]:
    """The compose files as the engine gets them."""
    options = [part for file in files for part in ("--file", file)]
    found: dict[str, Any] = json.loads(
        await stack.compose(*options, "--profile", "tools", "config", "--format", "json")
    )
    return found


async def test_a_client_receives_all_twelve_services_through_the_balancer(stack: Stack) -> None:
    """/ws/all: an update of every service, with figures that say they are simulated where a source is named."""
    async with websockets.connect(stack.ws("/ws/all"), max_size=None) as client:
        missing = set(SERVICES)
        while missing:
            message = await until_message(client, lambda m: m["type"] == "update" and m["service"] in missing, 100)
            missing.discard(message["service"])
            if message["service"] == "market_data":
                assert "(simulated)" in message["data"]["source"]


async def test_the_past_is_served_from_postgresql_to_a_role_that_only_reads(stack: Stack) -> None:
    """/api/v1/history pages through what the recorder wrote; gateways read it as coinwire_reader."""

    async def recorded() -> bool:
        async with httpx.AsyncClient() as http:
            answer = await http.get(stack.http("/api/v1/history/market_data?limit=5"))
        return answer.status_code == 200 and len(answer.json()["data"]["records"]) > 0

    await until(recorded, 60)
    gateway = (await stack.containers("gateway"))[0]
    url = await stack.exec(gateway, "cat", "/run/coinwire/database_url")
    assert url.startswith("postgresql://coinwire_reader:")
    write = (
        "import os, psycopg; psycopg.connect(open('/run/coinwire/database_url').read()).execute('DELETE FROM updates')"
    )
    refused = await stack.exec(gateway, "python", "-c", write, check=False)
    assert "ReadOnlySqlTransaction" in refused or "InsufficientPrivilege" in refused


async def test_a_database_without_its_roles_is_not_healthy(stack: Stack) -> None:
    """As after a first start that was cut off, which the image does not take up again."""
    postgres = await stack.container("postgres")
    (found,) = json.loads(await stack.run("docker", "inspect", postgres.id))
    _, command = found["Config"]["Healthcheck"]["Test"]
    psql = ("psql", "--username=postgres", "--dbname=coinwire", "--command")
    assert await stack.exec(postgres, "sh", "-c", command, check=False) == ""
    await stack.exec(postgres, *psql, "ALTER ROLE coinwire_reader RENAME TO away")
    try:
        with pytest.raises(CommandError, match="without its roles"):
            await stack.exec(postgres, "sh", "-c", command)
    finally:
        await stack.exec(postgres, *psql, "ALTER ROLE away RENAME TO coinwire_reader")
    assert await stack.exec(postgres, "sh", "-c", command) == ""


async def test_only_the_balancer_is_reachable_from_outside(stack: Stack) -> None:
    """One published port in all files, and Redis and PostgreSQL in networks without a way out."""
    for files in (("docker-compose.yml",), ("docker-compose.yml", "docker-compose.demo.yml")):
        found = await config(stack, *files)
        assert [name for name, service in found["services"].items() if service.get("ports")] == ["balancer"]
        assert found["networks"]["bus"]["internal"]
        assert found["networks"]["storage"]["internal"]


async def test_every_container_is_bounded_and_comes_back(stack: Stack) -> None:
    """Memory limit, rotated logs and, for all that serve, a restart policy and a health check."""
    found = await config(stack, "docker-compose.yml", "docker-compose.demo.yml")
    for name, service in found["services"].items():
        assert int(service["mem_limit"]) > 0, name
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        once = name in ("credentials", "tools")
        assert service["restart"] == ("no" if once else "unless-stopped"), name
        its_image_has_one = name == "gateway"
        assert once or its_image_has_one or service["healthcheck"]["test"], name


async def test_a_stopping_gateway_has_more_time_than_its_drain(stack: Stack) -> None:
    """stop_grace_period exceeds DRAIN_SECONDS and the seven seconds that goodbyes may take."""
    gateway = (await config(stack, "docker-compose.yml"))["services"]["gateway"]
    assert gateway["stop_grace_period"] == "30s"
    assert float(gateway["environment"]["DRAIN_SECONDS"]) + 7 < 30


async def test_nothing_of_ours_runs_as_root_or_can_write_to_its_image(stack: Stack) -> None:
    """Gateways and workers: uid 10001, no capability, a read-only root filesystem."""
    for container in await stack.containers("gateway", "worker-integration", "simulator"):
        assert (await stack.exec(container, "id", "-u")).strip() == "10001"
        status = await stack.exec(container, "cat", "/proc/1/status")
        assert "CapEff:\t0000000000000000" in status
        assert "Read-only file system" in await stack.exec(container, "touch", "/app/x", check=False)


async def test_metrics_are_not_for_clients(stack: Stack) -> None:
    """/metrics is 404 at the balancer, and available inside the network."""
    for target in ("/metrics", "/metrics/", "//metrics", "/%6detrics", "/%6Detric%73", "/metrics?x=1", "/metrics%00"):
        answer = await _raw(stack, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.startswith(("HTTP/1.1 404 ", "HTTP/1.1 400 ")), target
    answer = await _raw(stack, "GET http://gateway:7860/metrics HTTP/1.0\r\n\r\n")
    assert answer.startswith("HTTP/1.1 404 ")
    async with httpx.AsyncClient() as http:
        assert (await http.get(stack.http("/health/ready"))).status_code == 200
    gateway = (await stack.containers("gateway"))[0]
    inside = await stack.exec(gateway, "coinwire", "probe", "http://127.0.0.1:7860/metrics")
    assert "coinwire_gateway_connections" in inside
    worker = await stack.container("worker-data-collection")
    inside = await stack.exec(worker, "coinwire", "probe", "http://127.0.0.1:9100/metrics")
    assert "coinwire_worker_leading 1.0" in inside


async def test_a_client_cannot_say_who_it_is(stack: Stack) -> None:
    """X-Forwarded-For of a client is replaced by the balancer, and gateways log the address that the balancer saw."""
    spoofed = "203.0.113.9"
    headers = {"X-Forwarded-For": spoofed, "X-Forwarded-Proto": "https"}
    async with websockets.connect(stack.ws("/ws"), additional_headers=headers) as client:
        flood = asyncio.create_task(_flood(client))
        _, code = await until_closed(client)
        await flood
    assert code == 1008

    async def logged() -> bool:
        return '"address"' in await stack.logs("gateway")

    await until(logged, 30)
    lines = await stack.logs("gateway")
    told = [line[line.index("{") :] for line in lines.splitlines() if '"address"' in line]
    addresses = {json.loads(line)["address"] for line in told}
    balancer = json.loads(await stack.run("docker", "inspect", (await stack.container("balancer")).id))
    own = {network["IPAddress"] for network in balancer[0]["NetworkSettings"]["Networks"].values()}
    assert addresses
    assert spoofed not in lines
    assert not addresses & own, "the balancer's own address: the header was not believed"


async def _raw(stack: Stack, request: str) -> str:
    """What the balancer answers to these very bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.decode(errors="replace")


async def _flood(client: websockets.ClientConnection) -> None:
    """Commands without pause until the server has had enough."""
    try:
        for _ in range(20_000):
            await client.send('{"action": "ping"}')
    except websockets.ConnectionClosed:
        pass


README_TOOL = """
import os, msgpack, redis
os.environ["REDIS_URL"] = open("/run/coinwire/redis_url").read().strip()
channel = redis.Redis.from_url(os.environ["REDIS_URL"]).pubsub(ignore_subscribe_messages=True)
channel.subscribe("coinwire:{market_data}")
for message in channel.listen():
    update = msgpack.unpackb(message["data"])
    print(update["seq"], update["timestamp"], update["data"]["prices"]["bitcoin"], flush=True)
    break
"""


async def test_an_internal_tool_reads_a_channel(stack: Stack) -> None:
    """README's ten lines, in a container with the read-only user's credentials; `coinwire tail` as well."""
    seq, timestamp, price = (await stack.tools("python", "-c", README_TOOL)).split()
    assert int(seq) > 0
    assert timestamp.endswith("Z")
    assert float(price) > 0
    tailed = await stack.tools("timeout", "-s", "INT", "20", "coinwire", "tail", "market_data", check=False)
    assert "bitcoin" in tailed


@pytest.mark.parametrize(
    "command",
    [
        ("PUBLISH", "coinwire:{market_data}", "forged"),
        ("SET", "coinwire:{market_data}:last", "forged"),
        ("XADD", "coinwire:{market_data}:stream", "*", "m", "forged"),
        ("HSET", "coinwire:{market_data}:meta", "epoch", "forged"),
        ("DEL", "coinwire:{market_data}:last"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
    ],
    ids=lambda command: command[0],
)
async def test_an_internal_tool_is_refused_a_write(stack: Stack, command: tuple[str, ...]) -> None:
    """The read-only user can't change data or read the server's configuration."""
    program = (
        "import redis\n"
        "client = redis.Redis.from_url(open('/run/coinwire/redis_url').read().strip())\n"
        f"try: print('done', client.execute_command(*{command!r}))\n"
        "except redis.exceptions.NoPermissionError as error: print('refused', error)"
    )
    assert (await stack.tools("python", "-c", program)).startswith("refused")


async def test_a_backup_is_made_and_restored_by_the_tools(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`docker compose run --rm tools coinwire backup` leaves one file in the operator's folder, and it can be
    merged back."""
    folder = tmp_path_factory.mktemp("backups")
    await stack.tools("coinwire", "backup", "backups/all.backup", folder=folder)
    assert (folder / "all.backup").stat().st_size > 1000
    restored = await stack.tools("coinwire", "restore", "backups/all.backup", "--merge", folder=folder)
    assert "0 new" in restored or "restored" in restored
