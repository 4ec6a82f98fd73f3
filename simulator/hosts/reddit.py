"""Reddit's website, as far as programs use it: https://github.com/reddit-archive/reddit/wiki/OAuth2

It grants tokens to apps with any id and secret, and refuses all other requests, as since May 2026.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from hashlib import sha256
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from simulator.host import Host, World, answer

TOKEN_SECONDS = 86_400
"""Lifetime of a token in seconds."""
UNAUTHORIZED = {"message": "Unauthorized", "error": 401}

_BLOCKED = """<!doctype html>
<html><head><title>Blocked</title></head>
<body><h1>whoa there, pardner!</h1><p>reddit's awesome and all, but you may have a bit of a problem.</p></body></html>
"""


def host(world: World) -> Host:
    """www.reddit.com."""

    async def access_token(request: Request) -> Response:
        if _client_of(request.headers.get("authorization", "")) is None:
            return answer(UNAUTHORIZED, 401)
        if parse_qs((await request.body()).decode("ascii", "replace")).get("grant_type") != ["client_credentials"]:
            return answer({"error": "unsupported_grant_type"})
        token = token_of(world, int(world.clock.now()))
        return answer(
            {"access_token": token, "token_type": "bearer", "expires_in": TOKEN_SECONDS, "scope": "*"},
            headers={"cache-control": "max-age=0, must-revalidate"},
        )

    async def blocked(request: Request) -> Response:
        return HTMLResponse(_BLOCKED, 403)

    return Host(
        routes=[
            Route("/api/v1/access_token", access_token, methods=["POST"]),
            Route("/{path:path}", blocked),
        ],
        figures=("expires_in",),
        examples=(),
        not_found={"message": "Not Found", "error": 404},
        too_many={"message": "Too Many Requests", "error": 429},
        server_error={"message": "Internal Server Error", "error": 500},
        error_in_200={"error": "invalid_grant"},
    )


def token_of(world: World, issued: int) -> str:
    """The token granted at that second: every host can verify it from the seed, without storage."""
    return f"{issued}-{sha256(f'{world.market.seed}/{issued}'.encode()).hexdigest()[:24]}"


def is_valid(world: World, token: str) -> bool:
    """Whether a token was granted by this world's website and is not expired."""
    issued, _, _ = token.partition("-")
    if not (issued.isascii() and issued.isdecimal() and len(issued) < 12) or token != token_of(world, int(issued)):
        return False
    return 0 <= world.clock.now() - int(issued) < TOKEN_SECONDS


def _client_of(authorization: str) -> str | None:
    """The client id of a Basic authorization that has an id and a secret."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        client, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return client if scheme.lower() == "basic" and client and secret else None
