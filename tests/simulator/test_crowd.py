"""What the simulated crowd feels and says, and the hosts that tell of it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.faults import Fault, FaultName
from simulator.world.clock import Clock
from simulator.world.coins import load_coins
from simulator.world.crowd import Crowd
from simulator.world.market import DAY, Market
from tests.simulator.conftest import Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

FNG, CMC, GECKO, WWW, OAUTH = (
    *("api.alternative.me", "pro-api.coinmarketcap.com", "api.coingecko.com", "www.reddit.com", "oauth.reddit.com"),
)
BASIC = f"Basic {b64encode(b'an-app:its-secret').decode()}"
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def crowd(simulator: Simulator) -> Crowd:
    return Crowd(simulator.market)


async def token(client: httpx.AsyncClient, authorization: str = BASIC, **form: str) -> httpx.Response:
    headers = {"Host": WWW, "Authorization": authorization}
    return await client.post("/api/v1/access_token", headers=headers, data=form or GRANT)


async def posts(client: httpx.AsyncClient, token: str, **params: str | int) -> httpx.Response:
    headers = {"Host": OAUTH, "Authorization": f"Bearer {token}"}
    return await client.get("/r/CryptoCurrency/new", headers=headers, params=params)


async def test_the_same_seed_has_the_same_crowd(clock: Clock) -> None:
    """Two crowds of one seed agree on everything; those of another seed on nothing much."""

    def of(seed: int) -> Any:
        crowd, now = Crowd(Market(load_coins(), seed)), clock.now()
        posts = [crowd.post(crowd.newest(now) - back).title for back in range(20)]
        return crowd.greed(now), [coin.id for coin in crowd.trending(now, 5)], posts

    assert of(3) == of(3)
    assert of(3)[2] != of(4)[2]


async def test_greed_follows_the_market(crowd: Crowd, simulator: Simulator, clock: Clock) -> None:
    """The index is from 1 to 99, and higher on days after a rise than on days after a fall."""
    market, bitcoin = simulator.market, simulator.market.by_id["bitcoin"]
    days = [clock.now() - number * DAY for number in range(60)]
    rated = sorted((crowd.greed(day), market.change(bitcoin, day)) for day in days)
    assert 1 <= rated[0][0] < 45 < 55 < rated[-1][0] <= 99
    assert sum(change for _, change in rated[:20]) < sum(change for _, change in rated[-20:])


async def test_votes_follow_the_coin(crowd: Crowd, simulator: Simulator, clock: Clock) -> None:
    """Up-votes are a percentage, mostly above half."""
    votes = [crowd.votes_up(coin, clock.now()) for coin in simulator.market.coins]
    assert all(0 < up < 100 for up in votes)
    assert sum(votes) / len(votes) > 50


async def test_the_index_as_alternative_me_has_it(ask: Ask, clock: Clock, crowd: Crowd) -> None:
    """Tab-indented, all strings, newest first, a day apart; only the first knows when the next one comes."""
    answer = await ask(FNG, "/fng/", limit=3)
    assert '\n\t\t\t"value": "' in answer.text
    first, *others = answer.json()["data"]
    midnight = int(clock.now() // DAY * DAY)
    assert first["value"] == str(crowd.greed(midnight))
    assert [day["timestamp"] for day in (first, *others)] == [str(midnight - number * int(DAY)) for number in range(3)]
    assert int(first["time_until_update"]) == midnight + DAY - int(clock.now())
    assert not any("time_until_update" in day for day in others)
    assert len((await ask(FNG, "/fng/")).json()["data"]) == 1
    assert len((await ask(FNG, "/fng/", limit=0)).json()["data"]) > 300


async def test_the_index_changes_at_midnight(ask: Ask, clock: Clock) -> None:
    """Within a day it stands still, as the real one."""
    before = (await ask(FNG, "/fng/")).json()["data"][0]
    clock.advance(float(before["time_until_update"]) - 1)
    assert (await ask(FNG, "/fng/")).json()["data"][0]["timestamp"] == before["timestamp"]
    clock.advance(2)
    after = (await ask(FNG, "/fng/", limit=2)).json()["data"]
    assert after[1]["value"] == before["value"]


async def test_coinmarketcap_with_and_without_a_key(ask: Ask, client: httpx.AsyncClient) -> None:
    """The public path needs no key; the other one says 401 with code 1002 without one."""
    public = (await ask(CMC, "/public-api/v3/fear-and-greed/latest")).json()
    assert public["status"]["error_code"] == 0
    refused = await ask(CMC, "/v3/fear-and-greed/latest")
    assert (refused.status_code, refused.json()["status"]["error_code"]) == (401, 1002)
    headers = {"Host": CMC, "X-CMC_PRO_API_KEY": "a-key"}
    keyed = await client.get("/v3/fear-and-greed/latest", headers=headers)
    assert keyed.json()["data"] == public["data"]


async def test_trending_has_the_shape_of_2024(ask: Ask) -> None:
    """15 coins that moved most, in order of their score, with caps and volumes as text."""
    answer = await ask(GECKO, "/api/v3/search/trending")
    items = [row["item"] for row in answer.json()["coins"]]
    assert [item["score"] for item in items] == list(range(15))
    moves = [abs(item["data"]["price_change_percentage_24h"]["usd"]) for item in items]
    assert moves == sorted(moves, reverse=True)
    assert all(item["data"]["market_cap"].startswith("$") for item in items)
    assert answer.headers["cache-control"].startswith("max-age=30")


async def test_trending_agrees_with_the_markets(ask: Ask) -> None:
    """Its prices are those that /simple/price has at the same time."""
    item = (await ask(GECKO, "/api/v3/search/trending")).json()["coins"][0]["item"]
    prices = (await ask(GECKO, "/api/v3/simple/price", ids=item["id"], vs_currencies="usd")).json()
    assert prices[item["id"]]["usd"] == pytest.approx(item["data"]["price"], rel=1e-5)


async def test_one_coin(ask: Ask, clock: Clock) -> None:
    """Votes add up to a hundred, stay while the cache lasts, and move afterwards; prices only where wanted."""

    async def bitcoin(**params: str) -> Any:
        return (await ask(GECKO, "/api/v3/coins/bitcoin", **params)).json()

    first = await bitcoin(market_data="false")
    assert first["sentiment_votes_up_percentage"] + first["sentiment_votes_down_percentage"] == pytest.approx(100)
    assert "market_data" not in first
    assert (await bitcoin())["market_data"]["current_price"]["usd"] > 0
    clock.advance(600)
    assert (await bitcoin())["sentiment_votes_up_percentage"] != first["sentiment_votes_up_percentage"]


async def test_an_unknown_coin(ask: Ask) -> None:
    """404 with the `error` that was recorded; /coins/markets is still no coin."""
    answer = await ask(GECKO, "/api/v3/coins/btc")
    assert (answer.status_code, answer.json()) == (404, {"error": "Could not find coin with the given id"})
    assert (await ask(GECKO, "/api/v3/coins/markets", vs_currency="usd")).status_code == 200


async def test_reddit_is_closed_to_the_public(ask: Ask, client: httpx.AsyncClient) -> None:
    """A .json address answers 403 in HTML, and the API 401 without a token."""
    answer = await ask(WWW, "/r/CryptoCurrency/new.json", limit=1)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert (await ask(OAUTH, "/r/CryptoCurrency/new")).status_code == 401
    for wrong in ("-", "x", "123-abc", f"{10**15}-abc", "²-abc"):
        headers = {"Host": OAUTH, "Authorization": f"Bearer {wrong}".encode()}
        assert (await client.get("/r/CryptoCurrency/new", headers=headers)).status_code == 401


@pytest.mark.parametrize("authorization", ["", "Basic", "Basic !!!", "Basic YQ==", "Bearer x", "Basic //79"])
async def test_a_token_needs_credentials(client: httpx.AsyncClient, authorization: str) -> None:
    """Without an id and a secret there is no token; another kind of grant is refused with status 200."""
    assert (await token(client, authorization)).status_code == 401
    assert (await token(client, grant_type="password")).json() == {"error": "unsupported_grant_type"}


async def test_a_token_ends(client: httpx.AsyncClient, clock: Clock) -> None:
    """A token is valid for its stated lifetime, and not longer."""
    granted = (await token(client)).json()
    assert (await posts(client, granted["access_token"])).status_code == 200
    clock.advance(granted["expires_in"] - 1)
    assert (await posts(client, granted["access_token"])).status_code == 200
    clock.advance(1)
    assert (await posts(client, granted["access_token"])).status_code == 401


async def test_posts_come_in_pages(client: httpx.AsyncClient, clock: Clock) -> None:
    """Newest first, 25 or up to 100 a page, to the thousandth; `after` goes on where a page ended."""
    grant = (await token(client)).json()["access_token"]
    assert len((await posts(client, grant)).json()["data"]["children"]) == 25
    seen: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = (await posts(client, grant, limit=100, after=after)).json()["data"]
        seen += [child["data"] for child in page["children"]]
        after = page["after"]
    assert len(seen) == len({post["name"] for post in seen}) == 1000
    times = [post["created_utc"] for post in seen]
    assert times == sorted(times, reverse=True)
    assert clock.now() - 900 < times[0] <= clock.now()


async def test_titles_are_escaped_unless_raw(client: httpx.AsyncClient) -> None:
    """`raw_json=1` leaves `&` alone."""
    grant = (await token(client)).json()["access_token"]
    escaped = json.dumps((await posts(client, grant, limit=100)).json())
    raw = json.dumps((await posts(client, grant, limit=100, raw_json=1)).json())
    assert "&amp;" in escaped
    assert "&amp;" not in raw
    assert "&" in raw


@pytest.mark.parametrize("host", [WWW, OAUTH])
async def test_faults_of_reddit(simulator: Simulator, client: httpx.AsyncClient, host: str) -> None:
    """A refusal with a pause, half a body, and an answer with one wrong figure: as of any other host."""
    grant = (await token(client)).json()["access_token"]

    async def spoilt(fault: FaultName) -> httpx.Response:
        simulator.faults.set(Fault(host=host, fault=fault, retry_after=17))
        return await (token(client) if host == WWW else posts(client, grant))

    refused = await spoilt("429")
    assert (refused.status_code, refused.headers["retry-after"], refused.json()["error"]) == (429, "17", 429)
    with pytest.raises(httpx.RemoteProtocolError):
        await spoilt("truncated")
    wrong = (await spoilt("wrong_types")).json()
    figure = wrong["expires_in"] if host == WWW else wrong["data"]["children"][0]["data"]["created_utc"]
    assert figure.keys() == {"value"}
