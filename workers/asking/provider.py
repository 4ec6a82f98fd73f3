"""The provider port: describes one upstream and one of its requests."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, Protocol, TypeVar

import msgspec
from msgspec import Meta

from shared.budget import Budget
from shared.errors import ProviderError
from workers.asking.json_text import with_whole_texts
from workers.asking.limits import LIMIT_STATUSES, Limits, limit_in

T = TypeVar("T")

MAX_BODY = 8 << 20
"""Bytes of an answer unless its request has another limit: three times the largest list of coins known (CoinPaprika's).
"""

Parsers = Mapping[str, Callable[[bytes], Any]]

_MAX = sys.float_info.max
Amount = Annotated[float, Meta(ge=0, le=_MAX)]
"""A price, supply or volume: finite and not negative (numbers written as strings let `nan` and `inf` through)."""
Change = Annotated[float, Meta(ge=-_MAX, le=_MAX)]
"""A finite number of either sign."""
Text = Annotated[str, Meta(min_length=1)]
"""A text that has to be there: an empty one is as good as absent."""
Moment = Annotated[datetime, Meta(tz=True)]
"""An ISO 8601 time with a zone."""
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A whole number that a float holds exactly: a rank, a number of trades, milliseconds since 1970."""

Seconds = Annotated[int, Meta(ge=0, lt=100_000_000_000)]
"""Unix seconds, until the year 5138: milliseconds since 2009 don't fit."""


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One GET or POST of a provider: its address, and the parser of its body."""

    path: str
    parse: Callable[[bytes], T]
    """Pure; raises ProviderError only."""
    params: Mapping[str, str] = field(default_factory=dict)
    cost: int = 1
    """Units of the provider's budget."""
    _: KW_ONLY
    base_url: str | None = None
    """Another host of the same provider than its `base_url`."""
    body: bytes | None = None
    """Makes it a POST, of JSON unless `headers` have another type."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Besides the provider's own; never logged."""
    markup: bool = False
    """Whether the answer may begin with `<`, as feeds do; otherwise such an answer is an error page."""
    conditional: bool = False
    """Whether to send the ETag or Last-Modified of the previous answer; "not modified" returns that answer again."""
    complete: Callable[[T, Mapping[str, str]], T] | None = None
    """Completes the result of `parse` from the response headers, names in any case. Pure, raises ProviderError only."""
    limit: int = MAX_BODY
    """Most bytes of the decompressed body; a larger body fails the call."""


class Ask(Protocol):
    """How a provider's methods reach its upstream: within its budget and the cycle's deadline."""

    async def __call__(self, request: Request[T]) -> T:
        """The answer to `request`. Raises ProviderError (RateBudgetError if our own budget forbids the call)."""
        ...


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """When health_checker probes a provider, if its budget alone does not decide that."""

    after: float
    """Seconds without a call."""
    reserve: int | None = None
    """Units of the budget that a probe must leave; None for half of it."""
    insists: float = float("inf")
    """Seconds without a call after which a probe need only leave one unit."""


class Provider(Protocol):
    """One upstream with all its facts: one file, one class, one line in `PROVIDERS`.

    A provider with a key gets it in its constructor. Providers keep no state except what saves calls.
    """

    name: str
    base_url: str
    budget: Budget
    parsers: ClassVar[Parsers]
    """Every `parse` of this provider by the name its recordings have in `tests/recorded/<name>/`."""
    other_urls: ClassVar[tuple[str, ...]] = ()
    """Its other hosts, for requests with a `base_url` of their own."""
    key_settings: ClassVar[tuple[str, ...]] = ()
    """The settings that make up its key, joined by `:`. Without one of them it has no key."""
    needs_key: ClassVar[bool] = False
    """Whether every request needs a key."""
    limits: ClassVar[Limits] = Limits()
    """What its refusals because of a limit look like, beyond what is common to all."""
    probe_plan: ProbePlan | None = None
    """When it is probed; None to derive that from its budget."""

    def headers(self) -> Mapping[str, str]:
        """Headers of every request, keys included; they are never logged."""
        return {}

    @abstractmethod
    async def probe(self, ask: Ask) -> None:
        """Make the smallest call that shows that it answers; one call unless stated otherwise.

        Raises ProviderError, also for an answer of another shape.
        """
        ...


class StatusError(ProviderError):
    """The upstream answered with an HTTP status that is an error."""

    def __init__(
        self, provider: str, status: int, *, retry_after: float | None = None, limited: bool | None = None
    ) -> None:
        """`limited` is what the provider's limits say of it; None for the statuses common to all."""
        self.status = status
        self.limited = status in LIMIT_STATUSES if limited is None else limited
        super().__init__(provider, f"HTTP {status}", retry_after=retry_after, kind="status")


def decode(provider: str, body: bytes, kind: type[T], *, lax: bool = False, root: str = "$") -> T:
    """JSON `body` as `kind`; with `lax`, numbers also from strings. `root` is the path of `body` within its answer.

    Half an emoji in a text is read as U+FFFD. Raises ProviderError naming the field that does not fit; LimitError if
    the body is a notice of a limit.
    """
    try:
        try:
            return msgspec.json.decode(body, type=kind, strict=not lax)
        except msgspec.ValidationError:
            raise
        except (msgspec.DecodeError, UnicodeDecodeError):
            if (mended := with_whole_texts(body)) == body:
                raise
            return msgspec.json.decode(mended, type=kind, strict=not lax)
    except msgspec.ValidationError as error:
        raise limit_in(provider, body) or misfit(provider, error, root) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        at = None if root == "$" else root
        fault = ProviderError(provider, f"not JSON: {error}", field=at, kind="not_json")
        raise limit_in(provider, body) or fault from None


def misfit(provider: str, error: msgspec.ValidationError, root: str = "$") -> ProviderError:
    """A validation error as a ProviderError; `root` is the path of what was validated."""
    reason, _, path = str(error).partition(" - at `")
    return ProviderError(provider, reason, field=root + path.rstrip("`").removeprefix("$"))


def known(value: float | None) -> float | None:
    """`value`, or None for zero: several upstreams send zero for an unknown figure."""
    return value or None
