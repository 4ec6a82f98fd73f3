"""Reddit by OAuth: https://github.com/reddit-archive/reddit/wiki/OAuth2, https://www.reddit.com/dev/api#GET_new

The public `.json` pages have answered 403 since May 2026; an app (https://www.reddit.com/prefs/apps) may still read. A
list has at most 100 posts per page, besides pinned ones, and ends after 1,000. Text is HTML-escaped unless
`raw_json=1`. A post that does not fit is left out.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar

from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Post, PostPage
from workers.asking.limits import limit_in
from workers.asking.provider import Amount, Ask, Parsers, Provider, Request, StatusError, decode
from workers.asking.rows import Label, decode_outside, decode_rows

NAME = "reddit"
_SUBREDDIT = "CryptoCurrency"
_TOKENS = "https://www.reddit.com"
_PAGES = 10  # of 100 posts: Reddit's lists end there; further posts of a day are not counted
_MARGIN = 60.0  # s before its expiry a token is renewed: longer than a cycle, so that none expires within one
_LONGEST = 86_400.0  # s, longest use of a token: Reddit's present value, even if it grants more


class Token(Struct, frozen=True):
    """An access token, valid for a limited time."""

    access_token: str
    expires_in: Amount
    """Seconds."""


class _Granted(Struct):
    access_token: str | None = None
    expires_in: Amount | None = None
    error: str | int | None = None
    """With HTTP 200 for some refusals."""


_Created = Annotated[float, Meta(ge=0, lt=100_000_000_000)]
"""Unix seconds."""

_FOUNDED = 1_104_537_600.0
"""Unix seconds of 2005, when Reddit began. An earlier time is a mistake, and not the end of the day's posts."""


class _Link(Struct):
    id: Label
    title: Annotated[str, Meta(pattern=r"\S")]
    created_utc: _Created


class _Child(Struct):
    data: _Link


class _Page(Struct):
    children: list[Raw]
    after: str | None = None


class _Listing(Struct):
    kind: str
    data: _Page


def parse_token(body: bytes) -> Token:
    """/api/v1/access_token. Raises ProviderError."""
    answer = decode(NAME, body, _Granted)
    if answer.error or not answer.access_token or not answer.expires_in:
        raise limit_in(NAME, body) or ProviderError(
            NAME, f"no token in the answer: {str(answer.error or 'nor an error')[:80]}"
        )
    return Token(answer.access_token, answer.expires_in)


def parse_listing(body: bytes) -> PostPage:
    """One page of /r/…/new. Raises ProviderError."""
    listing = decode_outside(NAME, body, _Listing)
    if listing.kind != "Listing":
        raise ProviderError(NAME, "not a list", field="$.kind")
    links = [child.data for child in decode_rows(NAME, listing.data.children, _Child, "$.data.children")]
    posts = tuple(Post(post_id=link.id, title=link.title, created=link.created_utc) for link in links)
    return PostPage(posts=posts, after=(listing.data.after or "").strip() or None)


class Reddit(Provider):
    """The newest posts of r/CryptoCurrency."""

    name = NAME
    base_url = "https://oauth.reddit.com"
    other_urls = (_TOKENS,)
    budget = Budget(60, 60.0)  # an app may make 100 per minute, averaged over ten minutes
    key_settings = ("reddit_client_id", "reddit_client_secret")
    needs_key = True
    parsers: ClassVar[Parsers] = {"token": parse_token, "listing": parse_listing}

    def __init__(self, key: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`key` is "client_id:client_secret" of an app. `clock` gives seconds, for the lifetime of tokens."""
        self._credentials = b64encode(key.encode()).decode()
        self._clock = clock
        self._token = ""
        self._token_ends = float("-inf")

    async def probe(self, ask: Ask) -> None:
        """See Provider. The newest post, and a token if there is none: two calls once per day, else one."""
        await self._page(ask, {"limit": "1", "raw_json": "1"})

    async def posts(self, ask: Ask, since: float) -> tuple[Post, ...]:
        """Posts made after `since` (unix seconds), newest first: one call per hundred, one more for a token.

        Raises ProviderError. A token that is refused is forgotten: the next attempt gets another.
        """
        # New posts move others to the next page, where they come again. An id that two titles share identifies neither.
        found: dict[tuple[str, str], Post] = {}
        after: str | None = None
        for _ in range(_PAGES):
            params = {"limit": "100", "raw_json": "1"} | ({"after": after} if after else {})
            page = await self._page(ask, params)
            if after is None and not page.posts:
                raise ProviderError(NAME, "no post on the first page", field="$.data.children", kind="empty")
            found |= {(post.post_id, post.title): post for post in page.posts if post.created > since}
            after = page.after
            # By the last post: pinned posts come first, whatever their age.
            times = [post.created for post in page.posts if post.created >= _FOUNDED]
            if after is None or not page.posts or (times and times[-1] <= since):
                break
        return tuple(found.values())

    async def _page(self, ask: Ask, params: Mapping[str, str]) -> PostPage:
        headers = {"Authorization": f"Bearer {await self._valid_token(ask)}"}
        try:
            return await ask(Request(f"/r/{_SUBREDDIT}/new", parse_listing, params, headers=headers))
        except StatusError as error:
            if error.status == 401:
                self._token_ends = float("-inf")
            raise

    async def _valid_token(self, ask: Ask) -> str:
        if self._clock() >= self._token_ends:
            asked = self._clock()
            request = Request(
                "/api/v1/access_token",
                parse_token,
                base_url=_TOKENS,
                body=b"grant_type=client_credentials",
                headers={
                    "Authorization": f"Basic {self._credentials}",
                    "Content-Type": "application/x-www-form-urlencoded",
                },
            )
            token = await ask(request)
            self._token = token.access_token
            self._token_ends = asked + min(token.expires_in, _LONGEST) - _MARGIN
        return self._token
