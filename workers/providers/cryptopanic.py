"""CryptoPanic, an aggregator of other outlets: https://cryptopanic.com/developers/api/

Needs a key (`auth_token`), which is in the query. An answer of v1 (2022) and the error without a token are recorded.
The fields of v2, which replaced v1, are taken from programs that read it (`original_url`, `instruments` instead of
`currencies`), so fields that differ are optional here. A post without a title and a time that fit is left out. Without
a token it answers 400 and `{"status":"Incomplete"}`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Headline
from workers.answers.dates import unix_seconds
from workers.answers.texts import canonical_link, plain
from workers.asking.ports import NewsSource
from workers.asking.provider import Ask, Count, Moment, Parsers, Request
from workers.asking.rows import decode_outside, decode_rows, note_left_out

NAME = "cryptopanic"
OUTLET = "CryptoPanic"
_LOWEST = "growth"
"""The lowest plan since the free one, `developer`, ended on 2026-04-01; its path now answers 404 with a page."""
_PLANS = (_LOWEST, "enterprise")
_NONE = "no post with title and link"
_NO_LINKS = f"{_NONE}: the plan of this key sends posts without links, see CRYPTOPANIC_PLAN"
"""Posts of a plan below the two have neither id, slug, source nor link."""
_MAX_TITLE = 300  # characters, as for feeds
_MAX_NAME = 60  # characters of an outlet's name; the rest is cut off
_MAX_ROWS = 500  # a page has 20 or 50; larger answers are refused


class _Outlet(Struct):
    title: str | None = None
    domain: str | None = None


class _Post(Struct):
    title: str
    published_at: Moment
    id: Count | None = None
    url: str | None = None
    original_url: str | None = None
    source: _Outlet | None = None


class _Answer(Struct):
    results: Annotated[list[Raw], Meta(max_length=_MAX_ROWS)]


def parse_posts(body: bytes) -> tuple[Headline, ...]:
    """The articles of one page; one without title or link is left out. Raises ProviderError."""
    posts = decode_rows(NAME, decode_outside(NAME, body, _Answer).results, _Post, "$.results")
    headlines = tuple(headline for post in posts if (headline := _headline(post)))
    if not headlines:
        bare = bool(posts) and not any(post.url or post.original_url for post in posts)
        raise ProviderError(NAME, _NO_LINKS if bare else _NONE, field="$.results")
    return headlines


def _headline(post: _Post) -> Headline | None:
    title = plain(post.title, _MAX_TITLE)
    url = canonical_link(post.original_url or post.url or "")
    if url is None:
        return None  # some plans have no links
    published = unix_seconds(post.published_at)
    if not title or published is None:
        note_left_out("published_at" if title else "title", "empty, or can't be read")
        return None
    named = (post.source.title or post.source.domain) if post.source else None
    return Headline(
        title=title,
        url=url,
        outlet=plain(named or "", _MAX_NAME) or OUTLET,
        published=published,
        guid="" if post.id is None else str(post.id),
        categories=(),  # it lists coins, but no categories
        relayed=True,
    )


class CryptoPanic(NewsSource):
    """Headlines of some hundred outlets. Needs a key."""

    name = NAME
    outlet = OUTLET
    key_settings = ("cryptopanic_plan", "cryptopanic_key")
    needs_key = True
    base_url = f"https://cryptopanic.com/api/{_LOWEST}/v2"
    budget = Budget(96, 86_400.0)  # reported limit of the growth plan: 3,000 calls per month
    refresh = 1800.0
    parsers: ClassVar[Parsers] = {"posts": parse_posts}

    def __init__(self, key: str) -> None:
        """`key` is `plan:token`, the plan and auth_token of the operator; without a plan it is the lowest."""
        plan, _, token = key.partition(":")
        plan, self._key = (plan, token) if plan in _PLANS else (_LOWEST, key)
        self.base_url = f"https://cryptopanic.com/api/{plan}/v2"

    async def probe(self, ask: Ask) -> None:
        """See Provider. The only request of this provider."""
        await self.headlines(ask)

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """See NewsSource."""
        params = {"auth_token": self._key, "kind": "news", "regions": "en", "public": "true"}
        return await ask(Request("/posts/", parse_posts, params))
