"""SourcePool: providers of one kind of answer, tried in their order by health, cooled down after failure."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from shared.errors import NoSourceError, ProviderError, RateBudgetError
from workers.asking.provider import Ask, Provider

P = TypeVar("P", bound=Provider)
T = TypeVar("T")

log = structlog.get_logger()

_SHARE = 0.6  # of the time that is left goes to one attempt: a source that hangs leaves the rest to the next
_LEAST = 1.0  # s an attempt needs to have a chance; with less left, the next cycle tries (a call would be wasted)
_FIRST_PAUSE = 5.0  # s after the first failure: one cycle of our fastest service
_LONGEST_PAUSE = 300.0  # s: a source that is back is noticed within five minutes; asking more often helps nobody
_JITTER = 0.25  # of a pause is random, so that many workers don't come back in one burst


class Asking(Protocol):
    """What a pool needs of a Fetcher."""

    def asker(self, provider: Provider, seconds: float, *, reserve: int = 0) -> Ask:
        """The Ask of `provider` for one attempt that ends within `seconds` and leaves `reserve` units of the budget."""
        ...


@dataclass(slots=True)
class Source(Generic[P]):
    """One provider of a pool and its health."""

    provider: P
    failures: int = 0
    """Failed attempts since the last success; 0 means healthy."""
    error: ProviderError | None = None
    """What the last failure said, while it is not healthy."""
    down_since: float | None = None
    """Clock's seconds of the first of these failures."""
    retry_at: float = 0.0
    """Clock's seconds before which it is left alone."""


class Outages:
    """Sources that this process has said to be down: once each, however many pools they are in."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def begins(self, source: str) -> bool:
        """Whether to say that `source` is down: nobody has yet."""
        is_news = source not in self._told
        self._told.add(source)
        return is_news

    def ends(self, source: str) -> bool:
        """Whether to say that `source` is back: it was said to be down, and nobody has said this yet."""
        is_news = source in self._told
        self._told.discard(source)
        return is_news


class SourcePool(Generic[P]):
    """Providers in declared order: the first that is well answers. Not for two asks at a time."""

    def __init__(
        self,
        name: str,
        providers: Sequence[P],
        fetcher: Asking,
        *,
        on_failover: Callable[[str, str | None, str | None, str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        outages: Outages | None = None,
    ) -> None:
        """`on_failover(pool, before, now, reason)` is called when `active` changes; `chance` gives 0 ≤ x < 1.

        Pools that share `outages` say once among them that a source is down, or back.
        """
        self.name = name
        self.sources: tuple[Source[P], ...] = tuple(Source(provider) for provider in providers)
        self.active: str | None = providers[0].name if providers else None
        """The source that answered last, at first the first one; None when none did. Of several, the first in order."""
        self._fetcher = fetcher
        self._on_failover = on_failover
        self._clock = clock
        self._chance = chance
        self._outages = outages or Outages()

    @property
    def available(self) -> tuple[str, ...]:
        """Names of the sources that are not cooling down, in their order."""
        now = self._clock()
        return tuple(source.provider.name for source in self.sources if source.retry_at <= now)

    async def ask(
        self, question: Callable[[P, Ask], Awaitable[T]], deadline: float, *, skip: Collection[str] = ()
    ) -> tuple[str, T]:
        """Name and answer of the first source that has one, within `deadline` seconds from now.

        `skip` names sources not wanted this time; an answer that comes only because a better source was skipped does
        not change `active`. Raises NoSourceError with what each said; anything but a ProviderError passes through.
        """
        end = self._clock() + deadline
        errors: list[ProviderError] = []
        tried = False
        for source in self.sources:
            now = self._clock()
            if source.provider.name in skip or source.retry_at > now:
                continue
            left = end - now
            if tried and left < _LEAST:
                break
            seconds = max(left * _SHARE, min(left, _LEAST))
            try:
                answer = await question(source.provider, self._fetcher.asker(source.provider, seconds))
            except RateBudgetError as error:
                errors.append(error)  # not asked, so neither failed nor out of time
                continue
            except ProviderError as error:
                tried = True
                errors.append(error)
                self._failed(source, error)
                continue
            self._answered(source)
            self._settle(source, skip, errors)
            return source.provider.name, answer
        if tried or not errors:  # else nobody failed: our own budget merely forbids asking more often
            self._settle(None, skip, errors)
        raise NoSourceError(self.name, errors)

    async def ask_all(
        self, question: Callable[[P, Ask], Awaitable[T]], deadline: float, *, cooling: bool = False
    ) -> list[tuple[str, T]]:
        """Name and answer of every source that has one within `deadline` seconds; all are asked at once.

        For answers that add up instead of standing in for one another: there is no active source, hence no failover.
        With `cooling`, sources that cool down are asked too: how they are is what is wanted.
        Raises NoSourceError where none has one, with what each said; anything but a ProviderError passes through.
        """
        now = self._clock()
        asked = [source for source in self.sources if cooling or source.retry_at <= now]
        results = await asyncio.gather(
            *(question(source.provider, self._fetcher.asker(source.provider, deadline)) for source in asked),
            return_exceptions=True,
        )
        answers: list[tuple[str, T]] = []
        errors: list[ProviderError] = []
        for source, result in zip(asked, results, strict=True):
            if isinstance(result, RateBudgetError):
                errors.append(result)
            elif isinstance(result, ProviderError):
                errors.append(result)
                self._failed(source, result)
            elif isinstance(result, BaseException):
                raise result
            else:
                self._answered(source)
                answers.append((source.provider.name, result))
        self.active = answers[0][0] if answers else None
        if not answers:
            raise NoSourceError(self.name, errors)
        return answers

    def _failed(self, source: Source[P], error: ProviderError) -> None:
        now = self._clock()
        if error.retry_after is not None:
            pause = error.retry_after
        else:
            longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(source.failures, 10))
            pause = longest * (1 - _JITTER * self._chance())
        source.failures += 1
        source.error = error
        source.retry_at = now + pause
        if source.down_since is None:
            source.down_since = now
            if self._outages.begins(error.provider):
                log.warning(f"{error.provider} down: {_what(error)}, next try in {_span(pause)}", pool=self.name)

    def _answered(self, source: Source[P]) -> None:
        if source.down_since is not None and self._outages.ends(source.provider.name):
            log.info(f"{source.provider.name} back after {_span(self._clock() - source.down_since)}", pool=self.name)
        source.failures, source.error, source.down_since, source.retry_at = 0, None, None, 0.0

    def _settle(self, source: Source[P] | None, skip: Collection[str], errors: Sequence[ProviderError]) -> None:
        """Tell of a change of the active source."""
        after = source.provider.name if source else None
        better = self.sources[: self.sources.index(source)] if source else self.sources
        if after == self.active or any(other.provider.name in skip for other in better):
            return
        before, self.active = self.active, after
        if self._on_failover is not None:
            self._on_failover(self.name, before, after, self._why(before, after, errors))

    def _why(self, before: str | None, after: str | None, errors: Sequence[ProviderError]) -> str:
        """Why `before` no longer answers: what it said now, else what it said last, else that another is back."""
        said = [error for error in errors if error.provider == before]
        said += [source.error for source in self.sources if source.provider.name == before and source.error]
        return _what(said[0]) if said else f"{after} answers again"


def _what(error: ProviderError) -> str:
    return error.reason + (f" (field {error.field})" if error.field else "")


def _span(seconds: float) -> str:
    """A duration for people."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
