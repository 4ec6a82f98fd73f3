"""Part: figures of a service that are refreshed less often than the service publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.errors import NoSourceError, ProviderError, RateBudgetError
from workers.asking.moments import believed, is_ahead, is_mistaken
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask, Provider

P = TypeVar("P", bound=Provider)
T = TypeVar("T")

_LEAST = 1.0  # s that must remain of a cycle to ask once more in it: the same as for one attempt of a pool


def _undated(answer: object) -> float | None:
    """For answers without a time of their own."""
    return None


@dataclass(frozen=True, slots=True)
class PartAnswer(Generic[T]):
    """The latest answer of a part."""

    source: str
    """Name of the provider."""
    value: T
    received: float
    """Unix seconds, to report."""
    received_at: float
    """By the pool's clock, to measure the age."""
    own: float | None = None
    """Unix seconds of the figures by the source's own clock; None if it gives no time."""

    @property
    def age_at_receipt(self) -> float:
        """Seconds; 0 if the source gives no plausible time."""
        return self.received - believed(self.own, self.received)


class Part(Generic[P, T]):
    """A question, the pool that answers it, and the latest answer."""

    def __init__(
        self,
        pool: SourcePool[P],
        question: Callable[[P, Ask, float], Awaitable[T]],
        *,
        refresh: float,
        keep: float,
        dated: Callable[[T], float | None] = _undated,
        oldest: float | None = None,
    ) -> None:
        """`question` gets the provider, its Ask, and the unix seconds of the cycle.

        `refresh`: seconds after which to ask again. `keep`: seconds during which an answer may be published. `dated`
        gives the unix seconds that an answer itself names as its time. `oldest`: seconds from that time during which it
        may be published; `keep` if None. An answer that is older already, or of the future, counts as a failure of its
        source.
        """
        self.pool = pool
        self._question = question
        self._refresh = refresh
        self._keep = keep
        self._dated = dated
        self._oldest = keep if oldest is None else oldest
        self._answer: PartAnswer[T] | None = None

    @property
    def answer(self) -> PartAnswer[T] | None:
        """The latest answer, or None if it is too old to count, by our clock or by its own time."""
        answer, age = self._answer, self.age
        if answer is None or age > self._keep or answer.age_at_receipt + age > self._oldest:
            return None
        return answer

    def moment(self, now: float) -> float:
        """Unix seconds of what the latest answer says: its own time, or that of its receipt as measured from `now`."""
        received = now - self.age
        return received if self._answer is None else believed(self._answer.own, received)

    @property
    def age(self) -> float:
        """Seconds since the latest answer; infinite before the first."""
        return float("inf") if self._answer is None else self.pool.clock() - self._answer.received_at

    @property
    def is_due(self) -> bool:
        """Whether to ask now: the answer is old, or a better source than its own is available again."""
        return self.age >= self._refresh or bool(self._better())

    async def ask(self, now: float, deadline: float, *, early: bool = False) -> bool:
        """Ask the pool. Returns whether an answer came. Raises NoSourceError.

        While the answer is fresh, only better sources are asked; if none of them answers, that is not a failure. With
        `early`, all sources are asked.
        """

        async def question(provider: P, ask: Ask) -> T:
            value = await self._question(provider, ask, now)
            if is_ahead(self._dated(value), now):
                raise ProviderError(provider.name, "its figures are of the future", kind="stale")
            if is_mistaken(self._dated(value), now):
                raise ProviderError(provider.name, "its figures have a time before 2009", kind="stale")
            if (age := now - believed(self._dated(value), now)) > self._oldest:
                raise ProviderError(provider.name, f"its figures are of {_span(age)} ago", kind="stale")
            return value

        began = self.pool.clock()
        if early or self.age >= self._refresh:
            source, value = await self.pool.ask(question, deadline)
        else:
            try:
                source, value = await self.pool.ask(question, deadline, skip=self._others())
            except NoSourceError:
                return False
        self._answer = PartAnswer(source, value, now, began, self._dated(value))
        return True

    def _better(self) -> set[str]:
        """Sources ranked above the one that answered last, without those that are cooling down."""
        return set(self.pool.available) - set(self._others())

    def _others(self) -> tuple[str, ...]:
        """The source that answered last and those ranked below it."""
        names = [source.provider.name for source in self.pool.sources]
        return tuple(names[names.index(self._answer.source) :]) if self._answer is not None else ()


async def refresh_parts(
    service: str, parts: Sequence[Part[Any, Any]], now: float, deadline: float, *, stands: bool = False
) -> None:
    """Ask every part that is due at `now` (unix seconds). Afterwards the parts' answers may be published.

    A part whose pool has no source is not due. If all due parts failed, the others are asked early, so that old
    answers are not published again while no source answers. `stands`: the service has other data to publish, even
    if no source answers. Raises NoSourceError with each source's error if nothing may be published; other errors
    pass through.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + deadline
    parts = [part for part in parts if part.pool.sources]  # the operator may have disabled them: no outage
    due = [part for part in parts if part.is_due]
    answered, errors = await _ask(due, now, deadline)
    if stands or answered or (errors is None and len(due) < len(parts)):
        return
    rest = [part for part in parts if part not in due]
    if (left := end - clock()) >= _LEAST:
        answered, more = await _ask(rest, now, left, early=True)
        errors = (errors or []) + (more or [])
    if not answered:
        raise NoSourceError(service, errors or [])


async def _ask(
    parts: Sequence[Part[Any, Any]], now: float, deadline: float, *, early: bool = False
) -> tuple[bool, list[ProviderError] | None]:
    """Ask all at once. Returns whether any part has an answer to publish, and the errors if any part failed.

    An answer to publish is a new one, or an older one that our own budget forbids to refresh.
    """
    results = await asyncio.gather(*(part.ask(now, deadline, early=early) for part in parts), return_exceptions=True)
    stands, errors = False, None
    for part, result in zip(parts, results, strict=True):
        if isinstance(result, NoSourceError):
            errors = (errors or []) + result.errors
            stands = stands or _is_spared(part, result.errors)
        elif isinstance(result, BaseException):
            raise result
        else:
            stands = stands or result
    return stands, errors


def _is_spared(part: Part[Any, Any], errors: Sequence[ProviderError]) -> bool:
    """Whether the part's answer still counts because our own budget forbids asking again yet.

    True only if the budget is that of the answer's own source, and that source has not failed since: in an outage,
    retries spend budgets too.
    """
    answer = part.answer
    if answer is None or not all(isinstance(error, RateBudgetError) for error in errors):
        return False
    failed = {source.provider.name for source in part.pool.sources if source.error is not None}
    return answer.source in {error.provider for error in errors} - failed


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds < 200 * 3600 else f"{seconds / 86_400:.0f} days"
