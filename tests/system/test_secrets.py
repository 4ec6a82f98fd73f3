"""Workers with every key set, asked upstreams that fail in many ways: no key is ever seen again."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from shared.bus import open_redis
from shared.settings import Settings
from simulator.hosts import HOSTS
from tests.system.processes import Cluster
from tests.waiting import until
from workers.providers import PROVIDERS, provider_class

pytestmark = pytest.mark.slow

KEYS = {
    setting.upper(): f"{setting.replace('_', '-')}-kept-to-itself"
    for name in PROVIDERS
    for setting in provider_class(name).key_settings
    # A plan or a model has a default and is no secret.
    if Settings.model_fields[setting].default is None and setting != "reddit_client_id"
} | {"REDDIT_CLIENT_ID": "reddit-app-id"}
PATH_KEY, QUERY_KEY = "v3/node-key-kept-to-itself", "other-node-key-kept-to-itself"
NODES = (
    f"ethereum/one=https://ethereum-rpc.publicnode.com/{PATH_KEY}, ethereum/two=https://eth.drpc.org/?dkey={QUERY_KEY}"
)
BASIC = base64.b64encode(f"{KEYS['REDDIT_CLIENT_ID']}:{KEYS['REDDIT_CLIENT_SECRET']}".encode()).decode()
SECRETS = [*(key for name, key in KEYS.items() if name != "REDDIT_CLIENT_ID"), PATH_KEY, QUERY_KEY, BASIC]
KEYED = ("api.etherscan.io", "api.whale-alert.io", "cryptopanic.com", "www.reddit.com", "pro-api.coinmarketcap.com")


async def everything(redis: Redis) -> str:
    """All values that Redis holds, as far as bytes can be text."""
    found: list[Any] = []
    async for key in redis.scan_iter("*"):
        kind = await redis.type(key)
        if kind == b"string":
            found.append(await redis.get(key))
        elif kind == b"hash":
            found.append(await redis.hgetall(key))
        elif kind == b"stream":
            found.append(await redis.xrange(key))
        elif kind == b"zset":
            found.append(await redis.zrange(key, 0, -1))
        found.append(key)
    return repr(found)


async def test_no_key_is_ever_printed_or_published(tmp_path: Path) -> None:
    """Whatever the upstreams do, and at the most talkative level, no key is in a log line or in Redis."""
    cluster = Cluster(tmp_path, "secrets", ("data_collection", "integration"))
    worker, integration = cluster.workers
    for process in cluster.workers:
        process.env |= {**KEYS, "RPC_NODES": NODES, "LOG_LEVEL": "debug"}
    control = f"http://127.0.0.1:{cluster.simulator_port}/_simulator"
    try:
        cluster.redis.start()
        await cluster.simulator.start()
        await cluster.simulator.prints("listening")
        async with httpx.AsyncClient() as http:
            await worker.start()

            async def tally() -> dict[str, dict[str, int]]:
                requests: dict[str, dict[str, int]] = (await http.get(f"{control}/requests")).json()["requests"]
                return requests

            async def asked() -> bool:
                found = await tally()
                return all(host in found for host in HOSTS if host in KEYED)

            async def total() -> int:
                return sum(sum(paths.values()) for paths in (await tally()).values())

            # Etherscan and CoinMarketCap stand in: they are asked when those before them fail.
            for host in ("ethereum-rpc.publicnode.com", "eth.drpc.org", "api.coingecko.com", "api.alternative.me"):
                await cluster.fault(host, "500")
            await until(asked, 60)
            for fault in ("429", "refuse", "html", "error_in_200"):
                for host in HOSTS:
                    await cluster.fault(host, fault, **({"retry_after": 1} if fault == "429" else {}))
                before = await total()

                async def met(before: int = before) -> bool:
                    return await total() > before + 10

                await until(met, 60)
            # There are headlines by now, so that the first cycle has them read.
            await cluster.mend()
            await cluster.fault("router.huggingface.co", "500")
            await integration.start()
            await integration.prints("huggingface_inference down", 60)
        redis = open_redis(Settings(_env_file=None, redis_url=cluster.redis.url))
        kept = await everything(redis)
        await redis.aclose()
        assert "market_data" in kept
        assert worker.output.count(" down: ") > 10
        for secret in SECRETS:
            assert secret not in worker.output + integration.output
            assert secret not in kept
    finally:
        await cluster.stop()
