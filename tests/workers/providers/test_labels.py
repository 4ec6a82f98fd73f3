"""Answers whose servers label them wrongly, over real sockets."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import ProviderError
from tests.places import RECORDED
from tests.workers.providers.feeds import PARSERS
from tests.workers.upstream import Upstream, reply
from workers.asking.fetch import Fetcher
from workers.providers import load_provider

PAGE = b"<!DOCTYPE html><html><head><title>Access denied</title></head><body>1015</body></html>"


async def asked(name: str, body: bytes, label: str, fetcher: Fetcher, upstream: Upstream) -> Any:
    """What provider `name` makes of an answer."""
    provider: Any = load_provider(name)
    provider.base_url = upstream.base_url
    upstream.answers = [reply("200 OK", body, f"content-type: {label}")]
    ask = fetcher.asker(provider, 5.0)
    return await (provider.headlines(ask) if name in PARSERS else provider.fear_and_greed(ask))


@pytest.mark.parametrize("name", [*PARSERS, "alternative_me"])
async def test_the_body_decides(fetcher: Fetcher, upstream: Upstream, name: str) -> None:
    """Feeds and JSON that are labelled as HTML are read; a page that is labelled as data is refused as HTML."""
    path = next((RECORDED / name).glob("feed.xml" if name in PARSERS else "fng.json"))
    right = await asked(name, path.read_bytes(), "application/json", fetcher, upstream)
    for label in ("text/html; charset=UTF-8", "text/plain"):
        assert await asked(name, path.read_bytes(), label, fetcher, upstream) == right
        with pytest.raises(ProviderError, match="HTML instead of data"):
            await asked(name, PAGE, label, fetcher, upstream)
    with pytest.raises(ProviderError, match="HTML instead of data"):
        await asked(name, PAGE, "application/xml", fetcher, upstream)
    with pytest.raises(ProviderError):
        await asked(name, path.read_bytes()[:-30], "text/html", fetcher, upstream)
