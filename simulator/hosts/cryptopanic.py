"""CryptoPanic: https://cryptopanic.com/developers/api/

Accepts any token. Links of posts lead to CryptoPanic's own pages.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.world.clock import iso
from simulator.world.newsroom import OUTLETS, Newsroom, Story

_PAGE = 20


def host(world: World) -> Host:
    """cryptopanic.com."""
    newsroom = Newsroom(world.market)

    async def posts(request: Request) -> Response:
        if not request.query_params.get("auth_token"):
            return answer({"status": "Incomplete", "info": "Token not found"}, 400)
        time = world.clock.now()
        posts = [(story, outlet.name) for outlet in OUTLETS.values() for story in newsroom.feed(outlet.key, time)]
        posts.sort(key=lambda pair: -pair[0].published)
        return answer({"next": None, "previous": None, "results": [_post(*pair) for pair in posts[:_PAGE]]})

    return Host(
        routes=[Route(f"/api/{plan}/v2/posts/", posts) for plan in ("growth", "enterprise")],
        figures=("published_at",),
        examples=("/api/growth/v2/posts/?auth_token=any",),
        not_found={"status": "api_error", "info": "Not found"},
        too_many={"status": "api_error", "info": "Rate limit exceeded"},
        server_error="<h1>Server Error (500)</h1>",
        error_in_200={"status": "Incomplete", "info": "Token not found"},
    )


def _post(story: Story, outlet: str) -> dict[str, Any]:
    """One post."""
    slug = "".join(char if char.isalnum() or char == " " else "" for char in story.title).replace(" ", "-")
    number = sum(story.link.encode()) * 100_000 + story.number % 100_000
    domain = story.link.split("/")[2].removeprefix("www.")
    return {
        "kind": "news",
        "source": {"title": outlet, "region": "en", "domain": domain, "type": "feed"},
        "title": story.title,
        "published_at": iso(story.published, "seconds"),
        "slug": slug,
        "id": number,
        "url": f"https://cryptopanic.com/news/{number}/{slug}",
        "created_at": iso(story.published, "seconds"),
    }
