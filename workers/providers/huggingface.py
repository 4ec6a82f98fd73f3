"""The Hugging Face hub: https://huggingface.co/docs/hub/api

Limits are counted in windows of five minutes: 500 calls per address, 1,000 per free account
(https://huggingface.co/docs/hub/rate-limits); a 429 has the time until the next window in `RateLimit`. `search` finds
parts of ids. The header `Link` has the address of the next page, if there is one. `expand` reduces a row of some
two kilobytes to the figures asked for; its names are those of huggingface_hub's list_models and list_datasets. A row
whose id, downloads or privacy does not fit is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, ClassVar
from urllib.parse import urlencode, urljoin, urlsplit

import msgspec
from msgspec import Meta, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import Repo, RepoPage
from workers.asking.provider import Ask, Count, Parsers, Provider, Request
from workers.asking.rows import decode_list

NAME = "huggingface"
MODELS, DATASETS = "/api/models", "/api/datasets"
_HOST = "https://huggingface.co"
_PAGE = 100  # rows asked for per call; the hub may return fewer, with a link to the next ones
_MOST_PAGES = 5
"""Pages of one list: the 500 most downloaded. Later rows have hardly any downloads and are left out."""
_MAX_LINK = 4096  # characters of the next page's address, many times a cursor's length; a longer one fails the call
_NEXT = re.compile(r"<([^<>]*)>\s*;[^<]*?\brel=\"?next\b")

# As validate_repo_id in huggingface_hub: at most 96 characters each, `_` also first. The oldest models have no owner.
_RepoId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)?\Z", max_length=200)]


class _Row(Struct):
    id: _RepoId
    downloads: Count
    private: bool = False


def parse_page(body: bytes) -> RepoPage:
    """A page of /api/models or /api/datasets with at least one row. Raises ProviderError."""
    page = _parse_rows(body)
    if page is None:
        raise ProviderError(NAME, "no row in the list")
    return page


def parse_last(body: bytes) -> RepoPage:
    """A page after the first one, which may be empty. Raises ProviderError."""
    return _parse_rows(body) or RepoPage(repos=())


def next_page(path: str, page: RepoPage, headers: Mapping[str, str]) -> RepoPage:
    """`page` of the list at `path`, with the address of the next one from its header.

    Raises ProviderError if that is on another host, which would receive the token.
    """
    found = _NEXT.search(headers.get("link", ""))
    if found is None:
        return page
    if len(found[1]) > _MAX_LINK:
        raise ProviderError(NAME, "next page with an address too long", field="Link")
    try:
        link = urlsplit(urljoin(_HOST + path, found[1]))
    except ValueError:
        raise ProviderError(NAME, "next page with no address", field="Link") from None
    if f"{link.scheme}://{link.netloc}" != _HOST or link.path != path:
        raise ProviderError(NAME, "next page on another host or of another list", field="Link")
    return msgspec.structs.replace(page, next=f"{link.path}?{link.query}")


class HuggingFace(Provider):
    """The lists of models and of datasets."""

    name = NAME
    base_url = _HOST
    # Three sweeps of all our terms, at most 40 calls each, per window of the hub: less than a third of its 500.
    budget = Budget(150, 300.0)
    key_settings = ("huggingface_token",)
    parsers: ClassVar[Parsers] = {"models": parse_page, "datasets": parse_page}

    def __init__(self, token: str | None = None) -> None:
        self._token = token
        if token is not None:
            self.budget = Budget(300, 300.0)  # of 1,000

    def headers(self) -> Mapping[str, str]:
        """The token, if there is one."""
        return {"Authorization": f"Bearer {self._token}"} if self._token is not None else {}

    async def probe(self, ask: Ask) -> None:
        """See Provider. One row of the list of models."""
        await ask(Request(_first(MODELS, "bitcoin", 1), parse_page))

    async def models(self, ask: Ask, term: str) -> tuple[Repo, ...]:
        """The 500 most downloaded models with `term` in their ids. Raises ProviderError, also if there is none."""
        return await _listed(ask, MODELS, term)

    async def datasets(self, ask: Ask, term: str) -> tuple[Repo, ...]:
        """The 500 most downloaded datasets with `term` in their ids. Raises ProviderError, also if there is none."""
        return await _listed(ask, DATASETS, term)


async def _listed(ask: Ask, path: str, term: str) -> tuple[Repo, ...]:
    address: str | None = _first(path, term, _PAGE)
    parse: Callable[[bytes], RepoPage] = parse_page
    repos: dict[str, Repo] = {}
    for _ in range(_MOST_PAGES):
        if address is None:
            break
        page = await ask(Request(address, parse, conditional=True, complete=partial(next_page, path)))
        for repo in page.repos:
            repos.setdefault(repo.name, repo)  # ranks change between two calls, so the same row may be on both pages
        address, parse = page.next, parse_last
    return tuple(repos.values())


def _first(path: str, term: str, limit: int) -> str:
    """Path and query of a list's first page."""
    asked = {"search": term, "sort": "downloads", "direction": "-1", "limit": limit, "expand": ("downloads", "private")}
    return f"{path}?{urlencode(asked, doseq=True)}"


def _parse_rows(body: bytes) -> RepoPage | None:
    """The public rows: with a token the hub also lists the owner's private ones. None without rows."""
    rows = decode_list(NAME, body, _Row)
    if not rows:
        return None
    return RepoPage(repos=tuple(Repo(row.id, row.downloads) for row in rows if not row.private))
