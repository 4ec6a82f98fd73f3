"""The Hugging Face hub: lists of models and datasets, https://huggingface.co/docs/hub/api

Rows are as recorded, or have only the fields of `expand`. The header Link has the next page, with a cursor. ETags are
weak, as Express makes them. Any token is accepted; with one, the list also has its owner's private model. Downloads
change once per hour. A renamed repository gets a 307 with a text body.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer, whole

HOST = "https://huggingface.co"
LIMITS = {"ratelimit": '"api";r=0;t=55', "ratelimit-policy": '"fixed window";"api";q=500;w=300'}
"""Headers of a refusal."""
_RENAMED = {"finbert": "ProsusAI/finbert"}
_MOST = 1000
"""Most rows per page, even with a higher `limit`."""
_KNOWN = {
    "models": ("ProsusAI/finbert", "ElKulako/cryptobert", "kk08/CryptoBERT", "burakutf/finetuned-finbert-crypto"),
    "datasets": ("ElKulako/stocktwits-crypto", "zeroshot/twitter-financial-news-sentiment"),
}
_OWNERS = ("satoshi-lab", "chainwatch", "deepledger", "onchain-ai", "hodl-research", "blocknlp", "quantcoin")
_TERMS = {"models": {"crypto": 230, "bitcoin": 90, "ethereum": 40, "blockchain": 30}}
_TERMS["datasets"] = {"crypto": 120, "bitcoin": 110, "ethereum": 35, "blockchain": 25}
_THINGS = ("price", "news", "tweets", "sentiment", "ohlcv", "whales", "risk", "qa", "volatility", "reddit")
_TASKS = ("text-classification", "text-generation", "time-series-forecasting", None)


def host(world: World) -> Host:
    """huggingface.co."""
    rows = {kind: _rows(world.market.seed, kind) for kind in ("models", "datasets")}

    async def models(request: Request) -> Response:
        return _page(request, "models", rows["models"], world.clock.now())

    async def datasets(request: Request) -> Response:
        return _page(request, "datasets", rows["datasets"], world.clock.now())

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        if (target := _RENAMED.get(name)) is not None:
            path = f"/api/models/{target}"
            text = f"Temporary Redirect. Redirecting to {path}"
            return Response(text, 307, headers={"location": path}, media_type="text/plain")
        now = world.clock.now()
        found = [row for row in rows["models"] if row["id"] == name and _is_visible(request, row)]
        if found:
            return _tagged(request, {**_current(found[0], now), "gated": False, "disabled": False}, {})
        return answer({"error": "Repository not found"}, 404, {"x-error-code": "RepoNotFound"})

    return Host(
        routes=[
            Route("/api/models", models),
            Route("/api/datasets", datasets),
            Route("/api/models/{name:path}", model),
        ],
        figures=("downloads",),
        examples=("/api/models?search=crypto",),
        not_found={"error": "Sorry, we can't find the page you are looking for."},
        too_many={"error": "We had to rate limit you, you hit the quota of 500 api requests per 5 minutes period."},
        server_error={"error": "Internal Error - We're working hard to fix this as soon as possible!"},
        error_in_200={"error": "Service temporarily unavailable"},
        headers=LIMITS,
    )


def _page(request: Request, kind: str, rows: Sequence[dict[str, Any]], now: float) -> Response:
    query = request.query_params
    term = query.get("search", "").lower()
    found = [_current(row, now) for row in rows if term in row["id"].lower() and _is_visible(request, row)]
    if query.get("sort") in ("downloads", "likes"):
        found.sort(key=lambda row: (-row[query["sort"]], row["id"]))
    limit = whole(query.get("limit"), _MOST, 1, _MOST)
    begin = _position(query.get("cursor"))
    page = found[begin : begin + limit]
    if expand := query.getlist("expand"):
        page = [{key: row[key] for key in ("_id", "id", *expand) if key in row} for row in page]
    headers = {}
    if begin + limit < len(found):
        pairs = [(name, value) for name, value in query.multi_items() if name != "cursor"]
        following = urlencode([*pairs, ("cursor", _cursor(begin + limit))])
        headers["link"] = f'<{HOST}/api/{kind}?{following}>; rel="next"'
    return _tagged(request, page, headers)


def _tagged(request: Request, body: Any, headers: dict[str, str]) -> Response:
    """An answer with its ETag, or 304 for clients that have it."""
    text = json.dumps(body, separators=(",", ":"))
    etag = f'W/"{len(text):x}-{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}"'
    limits = {"ratelimit": '"api";r=480;t=246', "ratelimit-policy": LIMITS["ratelimit-policy"]}
    headers = {**headers, **limits, "etag": etag}
    if etag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    return Response(text, headers={**headers, "content-type": "application/json; charset=utf-8"})


def _is_visible(request: Request, row: dict[str, Any]) -> bool:
    return not row["private"] or "authorization" in request.headers


def _cursor(begin: int) -> str:
    return base64.b64encode(json.dumps({"$skip": begin}).encode()).decode()


def _position(cursor: str | None) -> int:
    """The position of a cursor; any other text means the start."""
    try:
        begin = json.loads(base64.b64decode(cursor or "", validate=True))["$skip"]
    except (ValueError, TypeError, KeyError):
        return 0
    return begin if isinstance(begin, int) and begin >= 0 else 0


def _current(row: dict[str, Any], now: float) -> dict[str, Any]:
    """A row with its current downloads; each rises and falls by a tenth within nine days."""
    phase = int(row["_id"], 16) % 1000 / 1000 + now // 3600 / (24 * 9)
    return row | {"downloads": int(row["downloads"] * (1 + 0.1 * math.sin(2 * math.pi * phase)))}


@lru_cache(maxsize=8)  # they are shared: don't change them
def _rows(seed: int, kind: str) -> tuple[dict[str, Any], ...]:
    random = Random(f"{seed}/hub/{kind}")
    names = dict.fromkeys(_KNOWN[kind])
    for term, count in _TERMS[kind].items():
        for number in range(count):
            names[f"{random.choice(_OWNERS)}/{term}-{random.choice(_THINGS)}-{number}"] = None
    rows = [_row(random, kind, name) for name in names]
    return (*rows, _row(random, kind, "me/private-crypto-notes") | {"private": True, "downloads": 10**6})


def _row(random: Random, kind: str, name: str) -> dict[str, Any]:
    created = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(seconds=random.randrange(3 * 365 * 86_400))
    task = random.choice(_TASKS)
    row: dict[str, Any] = {
        "_id": f"{random.getrandbits(96):024x}",
        "id": name,
        "likes": int(random.paretovariate(0.8)),
        "trendingScore": 0,
        "private": False,
        "downloads": int(3 * random.paretovariate(0.5)) % 2_000_000,
        "tags": ["license:mit", "region:us"],
        "createdAt": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if kind == "datasets":
        return row
    return row | {"modelId": name} | ({} if task is None else {"pipeline_tag": task})
