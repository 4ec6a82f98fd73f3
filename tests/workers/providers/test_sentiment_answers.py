"""What the sentiment providers make of answers: real ones, where there are recordings, and errors inside a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import ProviderError
from tests.places import UPSTREAM
from workers.answers import Post, PostPage
from workers.asking.provider import Request
from workers.providers.alternative_me import parse_fng
from workers.providers.coingecko import parse_coin, parse_trending
from workers.providers.coinmarketcap import parse_fear_and_greed
from workers.providers.reddit import Reddit, Token, parse_listing, parse_token


def real(path: str) -> bytes:
    """What an upstream really sent."""
    if not (UPSTREAM / path).exists():
        pytest.skip("no recordings of real answers here")
    return (UPSTREAM / path).read_bytes()


def test_a_real_index() -> None:
    """Of a year of days, the newest."""
    index = parse_fng(real("alternative.me/fng_limit_many_2025-04-22.json"))
    assert (index.value, index.as_of) == (47, 1_745_280_000)


def test_a_real_answer_that_is_neither_json_nor_csv() -> None:
    """`format=csv` is an error, should it ever come."""
    with pytest.raises(ProviderError):
        parse_fng(real("alternative.me/fng_format_csv_date_world_limit0_2024-05-01.txt"))


def test_real_trending_searches() -> None:
    """15 names, the most searched first; NFTs and categories are no coins."""
    names = parse_trending(real("coingecko/search_trending_2024-11.json"))
    assert (len(names), names[:3], names[-1]) == (15, ("Qubic", "Notcoin", "Fartcoin"), "SPX6900")


def test_real_votes() -> None:
    """Votes out of the whole answer for a coin, 107 kB of it."""
    assert parse_coin(real("coingecko/coins_aave_full_2022.json")) == 0.7966


@pytest.mark.parametrize("parse", [parse_trending, parse_coin])
def test_a_real_error_of_coingecko(parse: Any) -> None:
    """That of an unknown coin."""
    with pytest.raises(ProviderError):
        parse(real("coingecko/error_404_unknown_coin.json"))


def test_real_posts() -> None:
    """A page asked for with limit=100 has 102, pinned ones first, and says where it ends."""
    page = parse_listing(real("reddit/oauth_r_subreddit_hot.json"))
    assert (len(page.posts), page.after) == (102, "t3_48dlnt")
    assert page.posts[0].created == 1_455_755_445
    assert all(post.title and 1e9 < post.created < 2e9 for post in page.posts)
    assert len(parse_listing(real("reddit/api_info_listing_2014.json")).posts) > 0


def test_a_real_refusal_of_reddit() -> None:
    """Its page for blocked clients, which comes where JSON was asked for."""
    with pytest.raises(ProviderError):
        parse_listing(real("reddit/error_403_blocked.html"))


async def test_posts_that_share_an_id_are_all_read() -> None:
    """A post that comes again on the next page is one; an id that one answer gives to several posts tells nothing."""
    first = PostPage(posts=tuple(Post(post_id="x", title=f"Post {n}", created=9.0 - n) for n in range(5)), after="t3_x")
    second = PostPage(posts=(first.posts[4], Post(post_id="y", title="Post 5", created=4.0)))
    answers: list[Any] = [Token("token", 86_400.0), first, second]

    async def ask(request: Request[Any]) -> Any:
        return answers.pop(0)

    posts = await Reddit("an-app:its-secret").posts(ask, 0.0)
    assert [post.title for post in posts] == [f"Post {n}" for n in range(6)]


@pytest.mark.parametrize("code", [1008, "1008", 10002, "500", -1, "unknown"])
@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": []}, {"data": {"value": 40}}])
def test_an_error_code_of_coinmarketcap_counts(code: int | str, data: dict[str, Any]) -> None:
    """Number or string, whatever `data` holds, the answer is the error that it says."""
    body = data | {"status": {"error_code": code, "error_message": "Some limit"}}
    with pytest.raises(ProviderError, match=f"error {code} in the answer: Some limit"):
        parse_fear_and_greed(json.dumps(body).encode())


@pytest.mark.parametrize("code", [0, "0", ""])
def test_no_error_code_of_coinmarketcap(code: int | str) -> None:
    """Zero in either form is none; without a value it is still an error."""
    status = {"status": {"error_code": code, "error_message": None}}
    assert parse_fear_and_greed(json.dumps(status | {"data": {"value": 40.5}}).encode()).value == 40.5
    with pytest.raises(ProviderError, match="no value"):
        parse_fear_and_greed(json.dumps(status | {"data": None}).encode())


@pytest.mark.parametrize("value", ["101", "-1", "4.5", "nan", "", None, 1e300])
def test_an_index_out_of_its_range(value: Any) -> None:
    """Only whole numbers from 0 to 100 are an index of alternative.me."""
    body = {"data": [{"value": value, "timestamp": "1745280000"}], "metadata": {"error": None}}
    with pytest.raises(ProviderError) as caught:
        parse_fng(json.dumps(body).encode())
    assert caught.value.field == "$.data[0].value"


def test_an_error_of_alternative_me_counts() -> None:
    """`metadata.error` makes the answer an error, data or not."""
    body = {"data": [{"value": "50", "timestamp": "1745280000"}], "metadata": {"error": "Invalid limit"}}
    with pytest.raises(ProviderError, match="Invalid limit"):
        parse_fng(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("up", "down", "share"), [(84.07, 15.93, 0.8407), (0, 100, 0), (100, 0, 1), (0, 0, None), (None, None, None)]
)
def test_votes(up: float | None, down: float | None, share: float | None) -> None:
    """All against is 0; a coin without votes, which some say as two zeros, is unknown."""
    body = {"id": "bitcoin", "sentiment_votes_up_percentage": up, "sentiment_votes_down_percentage": down}
    assert parse_coin(json.dumps(body).encode()) == share


@pytest.mark.parametrize(
    "body",
    [{"error": "invalid_grant"}, {"message": "Unauthorized", "error": 401}, {"access_token": "x", "expires_in": 0}],
)
def test_a_refused_grant(body: dict[str, Any]) -> None:
    """What is no token is an error, and a token that comes with one is not repeated in it."""
    with pytest.raises(ProviderError, match="no token") as caught:
        parse_token(json.dumps(body | {"refresh_token": "a-secret"}).encode())
    assert "secret" not in str(caught.value)


def test_an_index_in_milliseconds_is_refused() -> None:
    """Documented are seconds; read as such, milliseconds are tens of thousands of years ahead."""
    for timestamp in ("1795435200000", 1795435200000, "1795435200000000"):
        with pytest.raises(ProviderError) as caught:
            parse_fng(json.dumps({"data": [{"value": "69", "timestamp": timestamp}]}).encode())
        assert caught.value.field == "$.data[0].timestamp"
