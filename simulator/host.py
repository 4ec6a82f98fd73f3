"""The parts of a simulated host: its routes and its error responses. Each file in `simulator/hosts/` defines one."""

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
    """The simulated world and settings, shared by all hosts."""

    market: Market
    clock: Clock
    coingecko_refresh: float = 60.0
    """Seconds for which CoinGecko's cache keeps an answer (its real `s-maxage`); 0 for figures that are always fresh.
    """
    binance_weight: int = 6000
    """Request weight that Binance allows per minute (its real limit per address); then 429 until the next minute."""


@dataclass(frozen=True, slots=True)
class Host:
    """One upstream: its routes and its error responses.

    Recorded are CoinGecko's 500, CoinPaprika's 404, and the form of CoinGecko's 404 and Binance's errors. Others follow
    documentation or convention. The bodies of CoinPaprika's and CoinLore's refusals are made up, so rely only on their
    status and headers.
    """

    routes: Sequence[Route]
    figures: tuple[str, ...]
    """Keys of its figures; the fault `wrong_types` replaces all of them, `odd_row` the first one found."""
    examples: tuple[str, ...]
    """GETs with a figure in the answer, as path and query; empty if the host needs a POST or a token."""
    not_found: Any
    too_many: Any
    server_error: Any
    error_in_200: Any
    heights: tuple[str, ...] = ()
    """Keys of its block heights; the fault `far_ahead` raises them."""
    banned: Any = None
    """Body of a 418; that of `too_many` if the provider has no other."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of its error responses, besides `retry-after`."""


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response as these APIs send it: compact, UTF-8, without `NaN`. Text that begins with `<` is HTML."""
    if isinstance(body, str) and body.startswith("<"):
        return HTMLResponse(body, status, headers=dict(headers or {}))
    return Response(
        json.dumps(body, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
        status,
        headers={"content-type": "application/json; charset=utf-8", **(headers or {})},
    )


def significant(value: float, digits: int = 6) -> int | float:
    """`value` with `digits` significant digits; an int if it has no fraction, as CoinGecko writes it."""
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() else rounded


def whole(text: str | None, default: int, low: int, high: int) -> int:
    """A query parameter as a number from `low` to `high`; anything else means `default`, as in these APIs."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 9:
        return default
    return min(max(int(text), low), high)
