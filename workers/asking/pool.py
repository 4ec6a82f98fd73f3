"""SourcePool: providers of the same kind of answer, tried in order. One that fails gets a pause."""

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

_SHARE = 0.6  # of the remaining time goes to one attempt, so that a source that hangs leaves time for the next
_LEAST = 1.0  # s an attempt needs; with less time left no attempt is made, and the next cycle tries
_FIRST_PAUSE = 5.0  # s after the first failure: one cycle of our fastest service
_FIRST_PAUSE_LIMITED = 30.0  # s after a limit of unsaid length: windows are a minute or so, and asking on prolongs bans
_LONGEST_PAUSE = 300.0  # s: a source that is back is noticed within five minutes
_JITTER = 0.25  # of a pause is random, so that workers don't retry all at once


class Asking(Protocol):
    """What a pool needs from a Fetcher."""

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
    """The last failure, while it is not healthy."""
    down_since: float | None = None
    """Clock time of the first of these failures."""
    retry_at: float = 0.0
    """Clock time before which it is not asked."""


class Outages:
    """Sources that this process has logged as down. Each is logged once, even if several pools have it."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def begins(self, source: str) -> bool:
        """Note that `source` is down. Returns whether to log it: True if no pool has logged it yet."""
        is_news = source not in self._told
        self._told.add(source)
        return is_news

    def ends(self, source: str) -> bool:
        """Note that `source` is back. Returns whether to log it: True if it was logged as down and not yet as back."""
        is_news = source in self._told
        self._told.discard(source)
        return is_news


class SourcePool(Generic[P]):
    """Providers in order of preference: the first healthy one answers. Not for concurrent asks."""

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

        Pools that share `outages` log only once that a source is down or back.
        """
        self.name = name
        self.sources: tuple[Source[P], ...] = tuple(Source(provider) for provider in providers)
        self.active: str | None = providers[0].name if providers else None
        """The source that answered last, at first the first; None if none did. After `ask_all`, the first that did."""
        self._fetcher = fetcher
        self._on_failover = on_failover
        self.clock = self._clock = clock
        """Seconds that only grow, to measure ages of answers with."""
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

        `skip` names sources that are not asked this time; an answer from a source behind a skipped one does not change
        `active`. Raises NoSourceError with each source's error; errors other than ProviderError pass through.
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
        if tried or not errors:  # else no source failed: our own budget forbids asking more often
            self._settle(None, skip, errors)
        raise NoSourceError(self.name, errors)

    async def ask_all(
        self, question: Callable[[P, Ask], Awaitable[T]], deadline: float, *, cooling: bool = False
    ) -> list[tuple[str, T]]:
        """Name and answer of every source that has one within `deadline` seconds; all are asked at once.

        For answers that are merged instead of replacing each other: there is no failover. With `cooling`, sources that
        are cooling down after a failure are asked too. Raises NoSourceError with each source's error if none answered;
        errors other than ProviderError pass through.
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
            first = _FIRST_PAUSE_LIMITED if error.limited else _FIRST_PAUSE
            longest = min(_LONGEST_PAUSE, first * 2 ** min(source.failures, 10))
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
        """Report a change of the active source."""
        after = source.provider.name if source else None
        better = self.sources[: self.sources.index(source)] if source else self.sources
        if after == self.active or any(other.provider.name in skip for other in better):
            return
        before, self.active = self.active, after
        if self._on_failover is not None:
            self._on_failover(self.name, before, after, self._why(before, after, errors))

    def _why(self, before: str | None, after: str | None, errors: Sequence[ProviderError]) -> str:
        """Why `before` no longer answers: its error now, else its last one, else that a better source is back."""
        said = [error for error in errors if error.provider == before]
        said += [source.error for source in self.sources if source.provider.name == before and source.error]
        return _what(said[0]) if said else f"{after} answers again"


def _what(error: ProviderError) -> str:
    return error.reason + (f" (field {error.field})" if error.field else "")


def _span(seconds: float) -> str:
    """A duration as text."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
