"""A gateway that has something to say on every route: updates, a history, candles and coins."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.docs.asyncapi import document
from shared.bus import open_redis
from shared.bus.coin_list import CoinList
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.coins import KnownCoin, pack_coins
from shared.database import Record, open_database
from shared.settings import Settings

EVERY = 30  # seconds between records, so that an hour has candles of several samples
COINS = (
    KnownCoin(id="bitcoin", symbol="BTC", name="Bitcoin", rank=1),
    KnownCoin(id="ethereum", symbol="ETH", name="Ethereum", rank=2),
    KnownCoin(id="first-twin", symbol="TWIN", name="A coin with another's symbol"),
    KnownCoin(id="second-twin", symbol="TWIN", name="The other coin"),
)
"""What the worker of market_data would have stored."""


def examples() -> dict[str, str]:
    """`data` of an update of each service, as its document shows it, as JSON."""
    messages = document("0")["components"]["messages"]
    payloads = {service: messages[f"update_{service}"]["examples"][0]["payload"] for service in CHANNEL_NAMES}
    return {service: json.dumps(payload["data"]) for service, payload in payloads.items()}


@pytest.fixture
async def stocked(settings: Settings, tmp_path: Path) -> Settings:
    """Settings of a cluster whose database and Redis have the last half hour."""
    found = settings.model_copy(update={"database_url": SecretStr(f"sqlite:///{tmp_path}/history.db")})
    database = open_database(found)
    await database.migrate()
    now = int(time.time() * 1000)
    for service, data in examples().items():
        await database.insert(
            [Record(service, "epoch", seq, now - EVERY * 1000 * (60 - seq), data) for seq in range(1, 60)]
        )
    await database.aclose()
    redis = open_redis(found)
    await CoinList(redis, Channels(found.redis_prefix)).store(pack_coins(COINS), 0)
    await redis.aclose()
    return found
