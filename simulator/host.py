"""What a simulated host is: its routes and the forms of its errors. One file in `simulator/hosts/` makes one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from simulator.world.clock import Clock
from simulator.world.market import Market


@dataclass(frozen=True, slots=True)
class World:
    """What every host answers from."""

    market: Market
    clock: Clock
    coingecko_refresh: float = 60.0
    """How long CoinGecko's cache keeps an answer (its real `s-maxage`); 0 for figures that are always fresh."""
    binance_weight: int = 6000
    """Request weight that Binance allows a minute (its real limit for one address); beyond it 429 until the next."""


@dataclass(frozen=True, slots=True)
class Host:
    """One upstream: what it answers, and how it says no.

    Recorded are CoinGecko's 500, CoinPaprika's 404, and the form of CoinGecko's 404 and Binance's errors. Others follow
    documentation or custom, and CoinPaprika's and CoinLore's refusals are made up: rely on their status and headers.
    """

    routes: Sequence[Route]
    figures: tuple[str, ...]
    """Keys under which its figures are: the first one found is what the fault `wrong_types` spoils."""
    examples: tuple[str, ...]
    """GETs that are answered with a figure, as path and query; none where the host wants a POST or a token."""
    not_found: Any
    too_many: Any
    server_error: Any
    error_in_200: Any
    banned: Any = None
    """Body of a 418; as `too_many` where the provider has none of its own."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of its limits and errors, besides `retry-after`."""


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer as these APIs send it: compact, UTF-8, never `NaN`. A text that begins with `<` is an HTML page."""
    if isinstance(body, str) and body.startswith("<"):
        return HTMLResponse(body, status, headers=dict(headers or {}))
    return Response(
        json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
        status,
        headers={"content-type": "application/json; charset=utf-8", **(headers or {})},
    )


def significant(value: float, digits: int = 6) -> int | float:
    """`value` with so many significant digits; without a fraction, an int, as CoinGecko writes it."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() else rounded


def whole(text: str | None, default: int, low: int, high: int) -> int:
    """A query parameter as a number from `low` to `high`; anything else means `default`, as these APIs have it."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 9:
        return default
    return min(max(int(text), low), high)
