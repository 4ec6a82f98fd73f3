"""Reddit's API for apps: https://www.reddit.com/dev/api#GET_new"""

from __future__ import annotations

import html
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, whole
from simulator.hosts.reddit import UNAUTHORIZED, is_valid
from simulator.world.crowd import Crowd, SimulatedPost

_MOST = 1000
"""Posts after which every list ends."""
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def host(world: World) -> Host:
    """oauth.reddit.com."""
    crowd, clock = Crowd(world.market), world.clock

    async def new(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not is_valid(world, token):
            return answer(UNAUTHORIZED, 401, {"www-authenticate": 'Bearer realm="reddit", error="invalid_token"'})
        query, newest = request.query_params, crowd.newest(clock.now())
        size = whole(query.get("limit"), 25, 1, 100)
        first = newest
        if (after := _number(query.get("after", ""))) is not None:
            first = min(newest, after - 1)
        last = max(first - size, newest - _MOST)
        raw = query.get("raw_json") == "1"
        numbers = range(first, last, -1)
        children = [_child(crowd.post(number), request.path_params["subreddit"], raw) for number in numbers]
        data = {
            "after": _name(numbers[-1]) if numbers and numbers[-1] > newest - _MOST + 1 else None,
            "dist": len(children),
            "modhash": None,
            "geo_filter": None,
            "children": children,
            "before": None,
        }
        return answer({"kind": "Listing", "data": data}, headers={"x-ratelimit-remaining": "995.0"})

    return Host(
        routes=[Route("/r/{subreddit}/new", new)],
        figures=("created_utc",),
        examples=(),
        not_found={"message": "Not Found", "error": 404},
        too_many={"message": "Too Many Requests", "error": 429},
        server_error={"message": "Internal Server Error", "error": 500},
        error_in_200={"message": "Forbidden", "error": 403},
    )


def _child(post: SimulatedPost, subreddit: str, raw: bool) -> dict[str, Any]:
    """One post, with the recorded keys that have information."""
    name = _name(post.number)
    link = f"/r/{subreddit}/comments/{name.removeprefix('t3_')}/simulated/"
    return {
        "kind": "t3",
        "data": {
            "subreddit": subreddit,
            "selftext": "",
            "title": post.title if raw else html.escape(post.title, quote=False),
            "name": name,
            "upvote_ratio": 0.86,
            "ups": post.score,
            "score": post.score,
            "edited": False,
            "is_self": True,
            "created": post.created,
            "link_flair_text": None,
            "over_18": False,
            "locked": False,
            "id": name.removeprefix("t3_"),
            "author": post.author,
            "num_comments": post.comments,
            "permalink": link,
            "stickied": False,
            "url": f"https://www.reddit.com{link}",
            "created_utc": post.created,
        },
    }


def _name(number: int) -> str:
    """A post's full name: its number in base 36."""
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return f"t3_{digits}"


def _number(name: str) -> int | None:
    """The number of the post with a full name; None for an invalid name."""
    digits = name.removeprefix("t3_")
    if digits == name or not digits or len(digits) > 12 or any(digit not in _DIGITS for digit in digits):
        return None
    return int(digits, 36)
