"""What caches may do with answers: every route says so."""

from __future__ import annotations

import pytest
from starlette.routing import Route

from gateway.app import ROUTES
from tests.gateway.serving import Gateway
from tests.gateway.test_pollers import VALUES

NOTHING, ALWAYS_ASK, A_MINUTE = "no-store", "public, no-cache", "public, max-age=60"
EXPECTED = {
    "/ws/stats": NOTHING,
    "/ws/services": A_MINUTE,
    "/ws/endpoints": A_MINUTE,
    "/api/v1/snapshot/{service}": ALWAYS_ASK,
    "/api/v1/coins": ALWAYS_ASK,
    "/api/v1/schemas/{service}": A_MINUTE,
    "/health/live": NOTHING,
    "/health/ready": NOTHING,
    "/metrics": NOTHING,
    "/docs": "no-cache",
    "/openapi.json": "no-cache",
    "/asyncapi.json": "no-cache",
}
"""Cache-Control of what is there. Routes that are not here answer without a place in a cache: `no-store`."""


async def test_every_answer_says_whether_it_may_be_kept(gateway: Gateway) -> None:
    """Routes that are not named above, and every error: not at all."""
    for route in ROUTES:
        assert isinstance(route, Route)
        if route.path.startswith("/api/v1/stream"):
            continue  # it never ends: its own tests look at its head
        answer = await gateway.http.get(route.path.format(**VALUES))
        expected = EXPECTED.get(route.path, "no-cache" if route.path.startswith("/docs/") else NOTHING)
        assert answer.headers.get("cache-control") == (expected if answer.status_code == 200 else NOTHING), route.path
    for path in ("/nothing", "/docs/nothing.md", "/api/v1/snapshot/gold", "/api/v1/coins?what=1"):
        answer = await gateway.http.get(path)
        assert answer.status_code >= 400
        assert answer.headers["cache-control"] == NOTHING
    answer = await gateway.http.post("/ws/stats")
    assert (answer.status_code, answer.headers["cache-control"]) == (405, NOTHING)


@pytest.mark.parametrize("path", ["/api/v1/snapshot/news", "/api/v1/coins", "/api/v1/schemas/news", "/openapi.json"])
async def test_what_has_an_etag_is_not_sent_twice(gateway: Gateway, path: str) -> None:
    """304 with the same headers, in whichever coding it was."""
    for coding in ("identity", "gzip", "zstd"):
        headers = {"Accept-Encoding": coding}
        first = await gateway.http.get(path, headers=headers)
        assert first.status_code == 200
        known = await gateway.http.get(path, headers={**headers, "If-None-Match": first.headers["etag"]})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", first.headers["etag"])
        assert known.headers["cache-control"] == first.headers["cache-control"]
