"""The provider port: what one upstream is, and how one of its requests looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from shared.budget import Budget
from shared.errors import ProviderError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One GET of a provider: where, and how its body becomes an answer. `parse` is pure and raises ProviderError only."""

    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, str] = field(default_factory=dict)
    cost: int = 1
    """Units of the provider's budget."""


class Ask(Protocol):
    """How a provider's methods reach its upstream: within its budget and the cycle's deadline."""

    async def __call__(self, request: Request[T]) -> T:
        """Answer of `request`. Raises ProviderError (RateBudgetError where our own budget forbids the call)."""
        ...


class Provider(Protocol):
    """One upstream. One file, one class, one line in `PROVIDERS`."""

    name: str
    base_url: str
    budget: Budget
    parsers: Mapping[str, Callable[[bytes], Any]]
    """Every `parse` of this provider by the name its recordings have in `tests/recorded/<name>/`."""

    def headers(self) -> Mapping[str, str]:
        """Headers of every request, keys among them; they are never logged."""
        ...


def decode(provider: str, body: bytes, kind: type[T]) -> T:
    """JSON `body` as `kind`, numbers also from strings. Raises ProviderError naming the field that does not fit."""
    try:
        return msgspec.json.decode(body, type=kind, strict=False)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        raise ProviderError(provider, reason, field=path.rstrip("`") or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(provider, f"not JSON: {error}") from None


def finite(provider: str, name: str, value: float | None) -> float | None:
    """`value` if it is a finite number or None. Raises ProviderError otherwise (lax JSON lets `nan` through)."""
    if value is not None and not math.isfinite(value):
        raise ProviderError(provider, f"not a finite number: {value}", field=name)
    return value
