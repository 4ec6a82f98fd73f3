"""SourcePool: providers of the same kind of answer, tried in order. One that fails gets a pause."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog

from shared.errors import NoSourceError, ProviderError, RateBudgetError
from workers.asking.outages import Outages
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
        on_refused: Callable[[ProviderError], None] = lambda error: None,
    ) -> None:
        """`on_failover(pool, before, now, reason)` is called when `active` changes; `chance` gives 0 ≤ x < 1.

        Pools that share `outages` log only once that a source is down or back. `on_refused` gets the error of every
        failed attempt.
        """
        self.name = name
        self.sources: tuple[Source[P], ...] = tuple(Source(provider) for provider in providers)
        self.active: str | None = providers[0].name if providers else None
        """The source that answered last, at first the first; None if none did. After `ask_all`, the first that did."""
        self._fetcher = fetcher
        self._on_failover = on_failover
        self._on_refused = on_refused
        self.clock = self._clock = clock
        """Seconds that only grow, to measure ages of answers with."""
        self._chance = chance
        self._outages = outages or Outages()
        self._running: dict[str, asyncio.Future[Any]] = {}
        """The questions of `ask_each` that have no answer yet, by source; each ends within its deadline."""

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
        if tried or not _only_budgets(errors):
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

    async def ask_each(
        self, question: Callable[[P, Ask], Awaitable[T]], deadline: float, *, patience: float
    ) -> tuple[list[tuple[str, T]], list[ProviderError]]:
        """Name and answer of every source that has one now, and the errors of those that failed; all are asked at once.

        For answers that are compared and replace each other: `active` is the first source that answered, and its change
        is reported. The best source is waited for until it has answered or failed, as in `ask`; then the others at most
        `patience` seconds. One that takes longer is left to finish: the next call gives its answer, and does not ask it
        again before. Errors other than ProviderError pass through.
        """
        answers: dict[str, T] = {}
        errors: list[ProviderError] = []
        self._gather(answers, errors)
        now = self._clock()
        for source in self.sources:
            if source.retry_at <= now and source.provider.name not in self._running:
                ask = self._fetcher.asker(source.provider, deadline * _SHARE)
                task = self._running[source.provider.name] = asyncio.ensure_future(question(source.provider, ask))
                task.add_done_callback(_looked_at)
        try:
            await self._wait(patience)
        except BaseException:
            await self.aclose()
            raise
        self._gather(answers, errors)
        first = next((source for source in self.sources if source.provider.name in answers), None)
        if first is not None or not (self._running or _only_budgets(errors)):
            self._settle(first, (), errors)
        order = {source.provider.name: rank for rank, source in enumerate(self.sources)}
        return sorted(answers.items(), key=lambda answer: order[answer[0]]), errors

    async def aclose(self) -> None:
        """Give up the questions of `ask_each` that have no answer yet."""
        running = tuple(self._running.values())
        self._running.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _wait(self, patience: float) -> None:
        """Wait for the running questions: for the best one's end, then at most `patience` seconds for the others'."""
        clock = asyncio.get_running_loop().time
        until: float | None = None
        while pending := [task for task in self._running.values() if not task.done()]:
            if until is None and self._has_best():
                until = clock() + patience
            left = None if until is None else until - clock()
            if left is not None and left <= 0:
                return
            await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)

    def _has_best(self) -> bool:
        """Whether a running question has its answer, and all sources before it that were asked have failed."""
        for source in self.sources:
            task = self._running.get(source.provider.name)
            if task is None:
                continue
            if not task.done():
                return False
            if task.exception() is None:
                return True
        return False

    def _gather(self, answers: dict[str, Any], errors: list[ProviderError]) -> None:
        """Add what finished questions gave, and note it in their sources. Raises errors that are no ProviderError."""
        for source in self.sources:
            task = self._running.get(source.provider.name)
            if task is None or not task.done():
                continue
            del self._running[source.provider.name]
            try:
                answers[source.provider.name] = task.result()
            except ProviderError as error:
                errors.append(error)
                if not isinstance(error, RateBudgetError):  # then it was not asked, so it has not failed
                    self._failed(source, error)
            else:
                self._answered(source)

    def _failed(self, source: Source[P], error: ProviderError) -> None:
        self._on_refused(error)
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


def _looked_at(task: asyncio.Future[Any]) -> None:
    """Look at the error of a question, which asyncio would log if the service ends before it asks again."""
    if not task.cancelled():
        task.exception()


def _only_budgets(errors: Sequence[ProviderError]) -> bool:
    """Whether our own budget forbade the calls: then no source failed."""
    return bool(errors) and all(isinstance(error, RateBudgetError) for error in errors)


def _what(error: ProviderError) -> str:
    return error.reason + (f" (field {error.field})" if error.field else "")


def _span(seconds: float) -> str:
    """A duration as text."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
