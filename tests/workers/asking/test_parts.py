"""Parts: how often a kind of figure is asked for, how long it counts, and when nothing may be published."""

from __future__ import annotations

import pytest

from shared.errors import BusError, NoSourceError, RateBudgetError
from tests.workers.asking.test_pool import Clock, Fetching, Source
from workers.asking.parts import Part, refresh_parts
from workers.asking.pool import SourcePool


class Stage:
    """Two parts: a quick one with two sources, and a slow one with one."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.a, self.b, self.slow = (Source(name, self.clock) for name in ("a", "b", "slow"))
        self.quick_part = self.part((self.a, self.b), refresh=10.0, keep=30.0)
        self.slow_part = self.part((self.slow,), refresh=600.0, keep=3600.0)

    def part(self, sources: tuple[Source, ...], *, refresh: float, keep: float) -> Part[Source, str]:
        """One part."""
        pool: SourcePool[Source] = SourcePool("pool", sources, Fetching(), clock=self.clock, chance=lambda: 0.0)

        async def question(source: Source, ask: object, now: float) -> str:
            return await source.answer(ask)  # type: ignore[arg-type]

        return Part(pool, question, refresh=refresh, keep=keep)

    async def refresh(self, later: float = 0.0, *, stands: bool = False) -> list[str | None]:
        """One cycle; the sources whose answers count afterwards."""
        self.clock.now += later
        parts = (self.quick_part, self.slow_part)
        await refresh_parts("service", parts, self.clock.now, 4.0, stands=stands)
        answers = [part.answer for part in parts]
        return [answer.source if answer else None for answer in answers]


@pytest.fixture
def stage() -> Stage:
    """A new one for each test."""
    return Stage()


async def test_each_part_is_asked_when_its_answer_is_old(stage: Stage) -> None:
    """An answer is asked for again after `refresh` seconds, not earlier."""
    for later in (0, 5, 5, 5, 5):
        assert await stage.refresh(later) == ["a", "slow"]
    assert (stage.a.asked, stage.slow.asked) == (3, 1)
    assert stage.b.asked == 0


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
async def test_a_clock_that_is_set_makes_no_answer_older_or_younger(stage: Stage, jump: float) -> None:
    """Ages are measured by a clock that nobody sets: nothing is asked early, and nothing counts for longer."""
    parts = (stage.quick_part, stage.slow_part)
    await refresh_parts("service", parts, 1_800_000_000.0, 4.0)
    stage.clock.now += 5
    await refresh_parts("service", parts, 1_800_000_005.0 + jump, 4.0)
    assert (stage.a.asked, stage.slow.asked) == (1, 1)
    assert [part.age for part in parts] == [5.0, 5.0]
    stage.a.fail()
    stage.b.fail()
    stage.clock.now += 26
    await refresh_parts("service", parts, 1_800_000_000.0, 4.0)
    assert stage.quick_part.answer is None


async def test_an_answer_counts_until_it_is_too_old(stage: Stage) -> None:
    """A part whose sources fail keeps its answer for `keep` seconds, then has none; the others go on."""
    await stage.refresh()
    stage.a.fail()
    stage.b.fail()
    assert await stage.refresh(30) == ["a", "slow"]
    assert await stage.refresh(1) == [None, "slow"]


async def test_a_better_source_is_asked_as_soon_as_its_pause_is_over(stage: Stage) -> None:
    """While a fallback's answer is young, the primary is tried again after its pause, the fallback is not."""
    stage.a.fail()
    assert await stage.refresh() == ["b", "slow"]
    await stage.refresh(6)
    assert (stage.a.asked, stage.b.asked) == (2, 1)
    stage.a.error = None
    assert await stage.refresh(3) == ["b", "slow"]
    assert await stage.refresh(7) == ["a", "slow"]


async def test_a_better_source_that_still_fails_is_no_reason_to_ask_the_others(stage: Stage) -> None:
    """The fallback's young answer stands; parts that are not due are left alone."""
    stage.a.fail()
    await stage.refresh()
    assert await stage.refresh(6) == ["b", "slow"]
    assert stage.slow.asked == 1


async def test_nothing_is_repeated_while_no_source_is_well(stage: Stage) -> None:
    """When all that was due failed, a part that was not due must prove itself, or nothing may be published."""
    await stage.refresh()
    for source in (stage.a, stage.b, stage.slow):
        source.fail()
    with pytest.raises(NoSourceError) as caught:
        await stage.refresh(10)
    assert [error.provider for error in caught.value.errors] == ["a", "b", "slow"]
    with pytest.raises(NoSourceError):
        await stage.refresh(1)
    stage.slow.error = None
    assert await stage.refresh(6) == ["a", "slow"]


async def test_a_part_that_is_not_due_proves_itself(stage: Stage) -> None:
    """One source that answers is enough; it is asked early then."""
    await stage.refresh()
    stage.a.fail()
    stage.b.fail()
    assert await stage.refresh(10) == ["a", "slow"]
    assert stage.slow.asked == 2


async def test_a_spent_budget_is_no_failure(stage: Stage) -> None:
    """A young answer whose source we may not ask again yet stands."""
    await stage.refresh()
    stage.a.fail()
    stage.b.fail()
    stage.slow.error = RateBudgetError("slow", "not asked", retry_after=9.0)
    assert await stage.refresh(10) == ["a", "slow"]


async def test_a_spent_budget_proves_nothing_of_a_source_that_failed(stage: Stage) -> None:
    """In an outage nothing is published because the repeats, or a fallback that gave nothing, have spent a budget."""
    await stage.refresh()
    for source in (stage.a, stage.b, stage.slow):
        source.fail()
    with pytest.raises(NoSourceError):
        await stage.refresh(10)
    stage.b.error = RateBudgetError("b", "not asked", retry_after=9.0)
    stage.slow.error = RateBudgetError("slow", "not asked", retry_after=9.0)
    with pytest.raises(NoSourceError):
        await stage.refresh(6)


async def test_a_service_with_something_of_its_own_goes_on(stage: Stage) -> None:
    """With `stands`, no source is needed."""
    for source in (stage.a, stage.b, stage.slow):
        source.fail()
    assert await stage.refresh(stands=True) == [None, None]


async def test_nothing_known_and_nobody_well(stage: Stage) -> None:
    """From the start without any source: NoSourceError with each error; other errors pass through."""
    for source in (stage.a, stage.b, stage.slow):
        source.fail()
    with pytest.raises(NoSourceError, match="service: no source answered: a: HTTP 500; b: HTTP 500; slow: HTTP 500"):
        await stage.refresh()
    stage.slow.error = BusError("Redis is away")
    with pytest.raises(BusError):
        await stage.refresh(6)


def dated_part(stage: Stage, times: dict[str, float | None], *, oldest: float | None = None) -> Part[Source, str]:
    """A part whose answers have a time of their own, by source."""
    pool: SourcePool[Source] = SourcePool("pool", (stage.a, stage.b), Fetching(), clock=stage.clock, chance=lambda: 0.0)

    async def question(source: Source, ask: object, now: float) -> str:
        return await source.answer(ask)  # type: ignore[arg-type]

    return Part(pool, question, refresh=10.0, keep=30.0, dated=lambda answer: times[answer.split()[-1]], oldest=oldest)


NOW = 1_800_000_000.0


async def test_an_answer_ages_from_its_own_time(stage: Stage) -> None:
    """A figure that was old when it came is null so much earlier."""
    part = dated_part(stage, {"a": NOW - 20})
    await part.ask(NOW, 4.0)
    assert part.moment(NOW) == NOW - 20
    stage.clock.now += 10
    assert part.answer is not None
    assert part.moment(NOW + 10) == NOW - 20
    stage.clock.now += 1
    assert part.answer is None


async def test_a_source_whose_value_stopped_counts_as_failed(stage: Stage) -> None:
    """The next source is asked, although the first one answers; without another, nothing is kept."""
    part = dated_part(stage, {"a": NOW - 250 * 86_400, "b": None})
    await part.ask(NOW, 4.0)
    assert part.answer is not None
    assert (part.answer.source, part.moment(NOW)) == ("b", NOW)
    alone = dated_part(stage, {"a": NOW - 250 * 86_400, "b": NOW - 31})
    with pytest.raises(NoSourceError, match="250 days"):
        await alone.ask(NOW, 4.0)
    assert alone.answer is None


@pytest.mark.parametrize("own", [None, NOW + 3600, 0.0])
async def test_an_implausible_time_makes_an_answer_neither_older_nor_younger(stage: Stage, own: float | None) -> None:
    """Then its age is that of its receipt: a time in the future keeps nothing alive."""
    part = dated_part(stage, {"a": own})
    await part.ask(NOW, 4.0)
    stage.clock.now += 30
    assert part.answer is not None
    assert part.moment(NOW + 30) == NOW
    stage.clock.now += 1
    assert part.answer is None


async def test_figures_of_a_day_may_have_a_longer_bound_from_their_own_time(stage: Stage) -> None:
    """`keep` bounds the time since the source was asked, `oldest` the time since the day that the figure is of."""
    part = dated_part(stage, {"a": NOW - 100}, oldest=125.0)
    await part.ask(NOW, 4.0)
    stage.clock.now += 25
    assert part.answer is not None
    stage.clock.now += 1
    assert part.answer is None


@pytest.mark.parametrize(("own", "answers"), [(NOW + 60, "a"), (NOW + 3601, "b"), (NOW * 1000, "b")])
async def test_an_answer_of_the_future_is_a_failure_of_its_source(stage: Stage, own: float, answers: str) -> None:
    """A source that stopped would seem fresh until that time comes, so the next source is asked."""
    part = dated_part(stage, {"a": own, "b": NOW - 5})
    await part.ask(NOW, 4.0)
    assert part.answer is not None
    assert part.answer.source == answers
