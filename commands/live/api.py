"""Asking a gateway over HTTP. Whatever goes wrong is an ApiError of one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import typer

from commands.options import ArgumentError
from commands.terminal import printable
from shared.errors import CoinwireError
from shared.settings import load_settings
from shared.version import VERSION

Query = Mapping[str, str | int | Sequence[str]]

SECONDS = 10.0
"""Seconds that a gateway has to accept a connection, and then to answer: it needs milliseconds."""

GatewayUrl = Annotated[str | None, typer.Option("--url", help="Address of a gateway. Default: GATEWAY_URL.")]

_LISTED = ("known", "known_parameters", "fields", "ids", "available_services")
"""What helps, in the body of a failure."""


class ApiError(CoinwireError):
    """A gateway was not reached, or refused what it was asked. The message has one printable line."""


def address_of(url: str | None) -> str:
    """`url`, else GATEWAY_URL, without a slash at its end. Raises ArgumentError unless it is an http(s) address."""
    given = (url or load_settings().gateway_url).strip()
    try:
        parts = urlsplit(given)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and given.isprintable()
    except ValueError:
        fine = False
    if not fine or parts.query or parts.fragment:
        raise ArgumentError(f"not the address of a gateway: {printable(given)}. One looks like http://localhost:7860")
    return given.rstrip("/")


def ask(address: str, path: str, query: Query) -> Any:
    """The `data` of the answer to a GET. Raises ApiError."""
    try:
        answer = httpx.get(
            address + path,
            params={name: value if isinstance(value, str | int) else ",".join(value) for name, value in query.items()},
            headers={"Accept": "application/json", "User-Agent": f"coinwire/{VERSION}"},
            timeout=SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable(address, error) from None
    try:
        body: Any = answer.json()
        status, data = body["status"], body["data"]
    except (ValueError, TypeError, KeyError):
        kind = answer.headers.get("Content-Type", "without a Content-Type")
        raise ApiError(printable(f"{address} is no gateway: it answered HTTP {answer.status_code}, {kind}")) from None
    if status != "success" or answer.status_code != httpx.codes.OK:
        raise ApiError(refusal(data, f"HTTP {answer.status_code}"))
    return data


def unreachable(address: str, error: Exception) -> ApiError:
    """Nothing answers at `address`, and why."""
    why = "no answer in time" if isinstance(error, httpx.TimeoutException | TimeoutError) else str(error)
    return ApiError(
        printable(
            f"no gateway at {address} ({why or type(error).__name__}): "
            "start one with `coinwire demo`, or name another with --url or GATEWAY_URL"
        )
    )


def refusal(data: Any, otherwise: str) -> str:
    """What the body of a failure or an error message says, with what helps; `otherwise` where it says nothing."""
    if not isinstance(data, dict) or not isinstance(data.get("message"), str):
        return f"the gateway answered {otherwise}"
    helps = [f"{name.replace('_', ' ')}: {', '.join(map(str, data[name]))}" for name in _LISTED if data.get(name)]
    return printable("; ".join([data["message"], *helps]))
