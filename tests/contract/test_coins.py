"""`/api/v1/coins`: the published coins over HTTP, from a list in Redis and the newest update."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from shared.bus import open_redis
from shared.bus.coin_list import CoinList
from shared.channels import Channels
from shared.coins import KnownCoin, pack_coins
from shared.settings import Settings
from tests.contract.conftest import Cluster, running

PATH = "/api/v1/coins"
LIST = pack_coins([KnownCoin(id="bitcoin", symbol="BTC", name="Bitcoin", rank=1), KnownCoin(id="copy", symbol="btc")])


@pytest.fixture
async def cluster(settings: Settings) -> AsyncIterator[Cluster]:
    """Two gateways of a cluster whose worker has stored a list."""
    redis = open_redis(settings)
    await CoinList(redis, Channels(settings.redis_prefix)).store(LIST, 0)
    await redis.aclose()
    async with running(settings) as found:
        yield found


async def test_coins_are_listed_with_what_workers_have_stored(cluster: Cluster) -> None:
    """As soon as a gateway is ready and has heard an update; on either gateway the same, as /openapi.json has it."""
    missing = await cluster.http.get(cluster.url(PATH))
    assert (missing.status_code, missing.json()["data"]["code"]) == (404, "no_update")
    await cluster.publish("market_data", prices={"copy": None, "bitcoin": 45000.5})
    answers = [await cluster.http.get(cluster.url(PATH, node)) for node in (0, 1)]
    assert answers[0].headers["etag"] == answers[1].headers["etag"]
    assert answers[0].content == answers[1].content
    assert answers[0].headers["cache-control"] == "public, no-cache"
    rows = answers[0].json()["data"]["coins"]
    assert [tuple(row[name] for name in ("symbol", "name", "rank", "ambiguous", "price")) for row in rows] == [
        ("BTC", "Bitcoin", 1, True, 45000.5),
        ("btc", None, None, True, None),
    ]
    document = (await cluster.http.get(cluster.url("/openapi.json"))).json()
    content = document["paths"][PATH]["get"]["responses"]["200"]["content"]["application/json"]
    for body in (answers[0].json(), content["example"]):
        Draft202012Validator({**content["schema"], "components": document["components"]}).validate(body)


async def test_who_has_the_newest_is_told_so(cluster: Cluster) -> None:
    """304 with the ETag and no body until the next update; the path takes no parameters."""
    await cluster.publish("market_data", prices={"bitcoin": 1})
    known = {"If-None-Match": (await cluster.http.get(cluster.url(PATH))).headers["etag"]}
    answer = await cluster.http.get(cluster.url(PATH), headers=known)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", known["If-None-Match"])
    await cluster.publish("market_data", prices={"bitcoin": 1})
    assert (await cluster.http.get(cluster.url(PATH), headers=known)).status_code == 200
    wrong = await cluster.http.get(cluster.url(f"{PATH}?limit=3"))
    assert (wrong.status_code, wrong.json()["data"]["known_parameters"]) == (400, [])
