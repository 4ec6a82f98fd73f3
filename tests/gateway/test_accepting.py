"""Which media type a client gets, where there are two."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.http.accepting import preferred

JSON, LINES = "application/json", "application/x-ndjson"


@pytest.mark.parametrize(
    ("accept", "found"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/html", JSON),
        (LINES, LINES),
        ("Application/X-NDJSON", LINES),
        (f"{LINES}; charset=utf-8", LINES),
        (f"{LINES};charset=utf-8;q=0.5", LINES),
        (f"{LINES}, */*", LINES),
        (f"*/*, {LINES}", LINES),
        (f"{LINES}, */*;q=0.1", LINES),
        (f"{LINES}, {JSON}", JSON),
        (f"{JSON};q=0.5, {LINES}", LINES),
        (f"{JSON}, {LINES};q=0.9", JSON),
        ("application/json, text/plain, */*", JSON),
        (f"{LINES};q=0", JSON),
        (f"{LINES};q=0, */*", JSON),
        (f"{JSON};q=0, {LINES}", LINES),
        (f"{JSON};q=0, */*", LINES),
        (f"{LINES};q=x", JSON),
        ("nonsense", JSON),
        (";;;,,,=", JSON),
        (";" * 60_000, JSON),
        ("a/b" + ";q" * 20_000, JSON),
        ("," * 60_000 + LINES, JSON),
    ],
)
def test_the_media_type_is_the_one_that_the_client_prefers(accept: str | None, found: str) -> None:
    """By weight, then by how exactly it is named; the first for who accepts none, or does not say."""
    headers = [] if accept is None else [(b"accept", accept.encode())]
    assert preferred(Request({"type": "http", "headers": headers}), (JSON, LINES)) == found
