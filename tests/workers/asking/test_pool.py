"""SourcePool: who is asked, when a source is left alone, and what is told of it. A clock by hand, no upstream."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from structlog.testing import capture_logs

from shared.budget import Budget
from shared.errors import BusError, NoSourceError, ProviderError, RateBudgetError
from workers.asking.outages import Outages
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask, Parsers, Provider


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A provider that answers with its name, or fails as it is told."""

    base_url = "https://example.invalid"
    budget = Budget(1, 1.0)
    parsers: ClassVar[Parsers] = {}

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.error: Exception | None = None
        self.takes = 0.0
        self.asked = 0
        self.released = asyncio.Event()
        self.released.set()
        self._clock = clock

    def headers(self) -> Mapping[str, str]:
        return {}

    async def answer(self, ask: Ask) -> str:
        self.asked += 1
        self._clock.now += self.takes
        await self.released.wait()
        if self.error is not None:
            raise self.error
        return f"from {self.name}"

    def fail(self, reason: str = "HTTP 500", *, retry_after: float | None = None) -> None:
        self.error = ProviderError(self.name, reason, retry_after=retry_after)


class Fetching:
    """Makes no requests; notes how long each attempt may take."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def asker(self, provider: Provider, seconds: float, *, reserve: int = 0) -> Ask:
        self.seconds.append(seconds)

        async def ask(request: Any) -> Any:
            raise AssertionError("nothing to fetch")

        return ask


class Stage:
    """A pool of three sources and all that is seen of it."""

    def __init__(self, chance: float = 0.0) -> None:
        self.clock = Clock()
        self.a, self.b, self.c = (Source(name, self.clock) for name in "abc")
        self.fetching = Fetching()
        self.failovers: list[tuple[str, str | None, str | None, str]] = []
        self.pool: SourcePool[Source] = SourcePool(
            "letters",
            (self.a, self.b, self.c),
            self.fetching,
            on_failover=lambda *told: self.failovers.append(told),
            clock=self.clock,
            chance=lambda: chance,
        )

    async def ask_each(self, patience: float = 0.01) -> tuple[list[str], list[str]]:
        """Who answered, and whose errors there were."""
        answers, errors = await self.pool.ask_each(lambda source, ask: source.answer(ask), 4.0, patience=patience)
        assert all(answer == f"from {name}" for name, answer in answers)
        return [name for name, _ in answers], [error.provider for error in errors]

    async def ask(self, deadline: float = 4.0, **more: Any) -> str:
        name, answer = await self.pool.ask(lambda source, ask: source.answer(ask), deadline, **more)
        assert answer == f"from {name}"
        return name


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_the_first_healthy_source_answers(stage: Stage) -> None:
    """In declared order; later ones are not asked, and no failover is reported."""
    assert await stage.ask() == "a"
    assert (stage.a.asked, stage.b.asked) == (1, 0)
    assert stage.pool.active == "a"
    assert stage.failovers == []


async def test_a_failure_goes_on_to_the_next_in_the_same_ask(stage: Stage) -> None:
    """A ProviderError of the first source costs the caller nothing but time."""
    stage.a.fail()
    assert await stage.ask() == "b"
    assert stage.pool.active == "b"
    assert stage.failovers == [("letters", "a", "b", "HTTP 500")]


async def test_a_failed_source_is_left_alone_for_a_while(stage: Stage) -> None:
    """It is not asked during its pause, and asked again at its end."""
    stage.a.fail()
    await stage.ask()
    stage.clock.now += 4.9
    assert stage.pool.available == ("b", "c")
    await stage.ask()
    assert stage.a.asked == 1
    stage.clock.now += 0.1
    await stage.ask()
    assert stage.a.asked == 2


async def test_retry_after_is_obeyed_exactly(stage: Stage) -> None:
    """A pause that the source asked for replaces ours."""
    stage.a.fail("HTTP 429", retry_after=120.0)
    await stage.ask()
    stage.clock.now += 119.9
    assert "a" not in stage.pool.available
    stage.clock.now += 0.1
    assert "a" in stage.pool.available


async def test_pauses_double_to_five_minutes(stage: Stage) -> None:
    """5 s, 10 s, … 300 s while a source keeps failing."""
    stage.a.fail()
    pauses = []
    for _ in range(9):
        await stage.ask()
        pauses.append(stage.pool.sources[0].retry_at - stage.clock.now)
        stage.clock.now = stage.pool.sources[0].retry_at
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


async def test_pauses_have_jitter() -> None:
    """Up to a quarter of a pause is left to chance."""
    stage = Stage(chance=1.0)
    stage.a.fail()
    await stage.ask()
    assert stage.pool.sources[0].retry_at - stage.clock.now == 3.75


async def test_a_source_that_is_back_takes_over(stage: Stage) -> None:
    """After its pause the better source answers again, with a clean record."""
    stage.a.fail()
    await stage.ask()
    stage.a.error = None
    stage.clock.now += 5
    assert await stage.ask() == "a"
    assert stage.failovers[-1] == ("letters", "b", "a", "a answers again")
    assert stage.pool.sources[0].failures == 0
    assert stage.pool.sources[0].error is None


async def test_a_spent_budget_is_no_failure(stage: Stage) -> None:
    """A source that our own budget forbids is passed over, but keeps its health and no pause."""
    stage.a.error = RateBudgetError("a", "not asked: budget spent for 3 s", retry_after=3.0)
    assert await stage.ask() == "b"
    assert stage.pool.available == ("a", "b", "c")
    assert stage.pool.sources[0].failures == 0


async def test_when_all_fail_the_error_says_what_each_said(stage: Stage) -> None:
    """NoSourceError has every error in the order asked, and no source is active."""
    stage.a.fail("HTTP 500")
    stage.b.fail("empty answer")
    stage.c.fail("HTTP 418", retry_after=3600.0)
    with pytest.raises(NoSourceError) as caught:
        await stage.ask()
    assert [error.reason for error in caught.value.errors] == ["HTTP 500", "empty answer", "HTTP 418"]
    assert stage.pool.active is None
    assert stage.failovers == [("letters", "a", None, "HTTP 500")]


async def test_when_all_cool_down_nobody_is_asked(stage: Stage) -> None:
    """During every source's pause, NoSourceError is raised at once."""
    for source in (stage.a, stage.b, stage.c):
        source.fail()
    with pytest.raises(NoSourceError):
        await stage.ask()
    with pytest.raises(NoSourceError) as caught:
        await stage.ask()
    assert caught.value.errors == []
    assert stage.a.asked == 1


async def test_budgets_alone_do_not_end_what_is_active(stage: Stage) -> None:
    """If only our own budgets forbid asking, the active source stays, and no failover is reported."""
    for source in (stage.a, stage.b, stage.c):
        source.error = RateBudgetError(source.name, "not asked", retry_after=1.0)
    with pytest.raises(NoSourceError):
        await stage.ask()
    assert stage.pool.active == "a"
    assert stage.failovers == []


async def test_a_hanging_source_leaves_time_for_the_next(stage: Stage) -> None:
    """An attempt gets at most 60 % of what is left, and no attempt begins with less than a second left."""
    for source in (stage.a, stage.b, stage.c):
        source.fail("no answer in time")
    stage.a.takes, stage.b.takes = 2.4, 1.0
    with pytest.raises(NoSourceError):
        await stage.ask(4.0)
    assert stage.fetching.seconds == pytest.approx([2.4, 1.0])
    assert stage.c.asked == 0


async def test_skipped_sources_are_not_asked_and_nothing_changes(stage: Stage) -> None:
    """An answer that comes because a better source was skipped is no failover."""
    assert await stage.ask(skip=("a",)) == "b"
    assert stage.a.asked == 0
    assert stage.pool.active == "a"
    assert stage.failovers == []


async def test_a_better_source_may_come_back_while_others_are_skipped(stage: Stage) -> None:
    """Skipping those behind does not keep the best source from being active again; its failure changes nothing."""
    stage.a.fail()
    await stage.ask()
    stage.clock.now += 5
    with pytest.raises(NoSourceError):
        await stage.ask(skip=("b", "c"))
    assert stage.pool.active == "b"
    stage.a.error = None
    stage.clock.now += 10
    await stage.ask(skip=("b", "c"))
    assert stage.pool.active == "a"


async def test_transitions_are_logged_once(stage: Stage) -> None:
    """One line when a source goes down, one when it is back, however often it failed between."""
    with capture_logs() as lines:
        stage.a.fail("HTTP 429", retry_after=60.0)
        for _ in range(4):
            await stage.ask()
            stage.clock.now += 60
        stage.a.error = None
        await stage.ask()
    assert [line["event"] for line in lines] == ["a down: HTTP 429, next try in 60 s", "a back after 4 min"]


def test_an_outage_is_told_once_by_all_pools_together() -> None:
    """The first pool that fails logs a source as down; the first with an answer logs it as back."""
    outages = Outages()
    assert [outages.begins("a"), outages.begins("a"), outages.begins("b")] == [True, False, True]
    assert [outages.ends("a"), outages.ends("a"), outages.ends("c")] == [True, False, False]
    assert outages.begins("a")


async def test_what_is_not_a_provider_error_passes_through(stage: Stage) -> None:
    """A bug is not a failing source: it reaches the caller."""
    stage.a.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await stage.ask()


async def test_all_are_asked_at_once_and_those_that_have_one_answer(stage: Stage) -> None:
    """`ask_all` gives every answer there is, in the sources' order, each with the whole deadline."""
    stage.b.fail()
    answers = await stage.pool.ask_all(lambda source, ask: source.answer(ask), 10.0)
    assert answers == [("a", "from a"), ("c", "from c")]
    assert stage.fetching.seconds == [10.0, 10.0, 10.0]
    assert stage.failovers == []


async def test_a_source_that_failed_is_left_alone_by_ask_all_too(stage: Stage) -> None:
    """It cools down, and down and back are logged once each."""
    stage.b.fail()
    with capture_logs() as logs:
        await stage.pool.ask_all(lambda source, ask: source.answer(ask), 10.0)
        await stage.pool.ask_all(lambda source, ask: source.answer(ask), 10.0)
        assert stage.b.asked == 1
        stage.b.error = None
        stage.clock.now += 5.0
        answers = await stage.pool.ask_all(lambda source, ask: source.answer(ask), 10.0)
    assert [name for name, _ in answers] == ["a", "b", "c"]
    assert [line["event"].split(":")[0] for line in logs] == ["b down", "b back after 5 s"]


async def test_ask_all_without_any_answer_tells_what_each_said(stage: Stage) -> None:
    """A spent budget is no failure of the source; without any answer the errors come in the sources' order."""
    stage.a.fail("HTTP 500")
    stage.b.error = RateBudgetError("b", "not asked", retry_after=3.0)
    stage.c.fail("HTML")
    with pytest.raises(NoSourceError) as caught:
        await stage.pool.ask_all(lambda source, ask: source.answer(ask), 10.0)
    assert [error.provider for error in caught.value.errors] == ["a", "b", "c"]
    assert stage.pool.available == ("b",)


async def test_ask_all_lets_other_errors_through(stage: Stage) -> None:
    """An error other than ProviderError is raised."""
    stage.b.error = BusError("Redis is away")
    with pytest.raises(BusError):
        await stage.pool.ask_all(lambda source, ask: source.answer(ask), 10.0)


async def test_each_is_asked_and_its_error_told(stage: Stage) -> None:
    """`ask_each` gives every answer in the sources' order, and the errors beside them; a spent budget is no failure."""
    stage.a.error = RateBudgetError("a", "not asked", retry_after=3.0)
    stage.b.fail()
    assert await stage.ask_each() == (["c"], ["a", "b"])
    assert stage.pool.available == ("a", "c")
    assert stage.fetching.seconds == [2.4, 2.4, 2.4]


async def test_ask_each_reports_who_took_over(stage: Stage) -> None:
    """The first source that answers is the active one; with none left that is reported, too."""
    stage.a.fail()
    await stage.ask_each()
    assert stage.pool.active == "b"
    stage.a.error = None
    stage.clock.now += 5.0
    await stage.ask_each()
    for source in (stage.a, stage.b, stage.c):
        source.fail("HTML")
    assert await stage.ask_each() == ([], ["a", "b", "c"])
    assert [told[1:] for told in stage.failovers] == [
        ("a", "b", "HTTP 500"),
        ("b", "a", "a answers again"),
        ("a", None, "HTML"),
    ]


async def test_a_slow_source_does_not_delay_the_others(stage: Stage) -> None:
    """Its answer is left to come: the next call gives it, and does not ask it again before."""
    stage.b.released.clear()
    assert await stage.ask_each() == (["a", "c"], [])
    assert await stage.ask_each() == (["a", "c"], [])
    assert stage.b.asked == 1
    stage.b.released.set()
    assert await stage.ask_each() == (["a", "b", "c"], [])
    assert stage.failovers == []


async def test_the_best_source_is_waited_for(stage: Stage) -> None:
    """However soon others answer, the first source has the time of one attempt, as in `ask`."""
    stage.a.released.clear()
    asking = asyncio.create_task(stage.ask_each(patience=0.0))
    while stage.c.asked == 0:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)
    assert not asking.done()
    stage.a.released.set()
    assert (await asking)[0][0] == "a"


async def test_a_slow_source_that_fails_in_the_end_cools_down(stage: Stage) -> None:
    """Its error is told by the next call, which leaves it alone."""
    stage.b.released.clear()
    stage.b.fail("no answer within 2.4 s")
    await stage.ask_each()
    stage.b.released.set()
    assert await stage.ask_each(patience=1.0) == (["a", "c"], ["b"])
    assert await stage.ask_each() == (["a", "c"], [])
    assert stage.b.asked == 1


async def test_ask_each_leaves_nothing_running_if_cancelled(stage: Stage) -> None:
    """A cycle that is cancelled takes its questions with it; so does closing the pool."""
    stage.a.released.clear()
    asking = asyncio.create_task(stage.ask_each())
    while stage.c.asked == 0:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    stage.a.released.set()
    stage.b.released.clear()
    await stage.ask_each()
    await stage.pool.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_ask_each_lets_other_errors_through(stage: Stage) -> None:
    """An error other than ProviderError is raised."""
    stage.b.error = BusError("Redis is away")
    with pytest.raises(BusError):
        await stage.ask_each()
