"""Answers that requests share: how old they may be, how many are made at once, and who waits."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateway.http import answers
from gateway.http.answers import MAKING, SHARED_SECONDS, Answers, BusyError
from tests.shared.outage import Clock
from tests.waiting import until

FAVOURITE = 0


class Source:
    """Makes answers, each when it is let; counts how often, and how many at once."""

    def __init__(self) -> None:
        self.version = 0
        self.made = Counter[int]()
        self.making = self.most = 0
        self.lets = asyncio.Event()
        self.lets.set()

    async def make(self, asked: int) -> str:
        """The number of times that this was made."""
        self.making += 1
        self.most = max(self.most, self.making)
        try:
            await self.lets.wait()
        finally:
            self.making -= 1
        self.made[asked] += 1
        return f"{asked}: {self.made[asked]}"


@pytest.fixture
def source() -> Source:
    """What answers are made by."""
    return Source()


@pytest.fixture
def clock() -> Clock:
    """The time that answers see."""
    return Clock()


@pytest.fixture
def shared(source: Source, clock: Clock) -> Answers[int, str]:
    """The answers of `source`."""
    return Answers(source.make, lambda: source.version, favourite=FAVOURITE, clock=clock)


async def test_who_asks_at_once_shares_an_answer(shared: Answers[int, str], source: Source) -> None:
    """One is made for three hundred, whatever it says; one of them has it made."""
    got = await asyncio.gather(*(shared.get(1) for _ in range(300)))
    assert Counter(got) == {("1: 1", True): 1, ("1: 1", False): 299}


async def test_an_answer_is_shared_for_a_second(shared: Answers[int, str], clock: Clock) -> None:
    """Then it is made anew."""
    assert await shared.get(1) == ("1: 1", True)
    clock.now += SHARED_SECONDS - 0.001
    assert await shared.get(1) == ("1: 1", False)
    clock.now += 0.001
    assert await shared.get(1) == ("1: 2", True)


async def test_who_connects_and_looks_at_once_is_there(shared: Answers[int, str], source: Source, clock: Clock) -> None:
    """A change of ours makes an answer old at once, five times per second and no more."""
    made = []
    for _ in range(20):
        source.version += 1
        made.append((await shared.get(1))[1])
    assert made == [True] * 6 + [False] * 14  # the first of all, and five
    clock.now += SHARED_SECONDS / 2
    source.version += 1
    assert [(await shared.get(n))[1] for n in (1, 1)] == [True, False]


async def test_few_answers_are_made_at_once(shared: Answers[int, str], source: Source) -> None:
    """Who asks for something else waits for a turn, and gets it. The favourite has one of its own."""
    source.lets.clear()
    asking = [asyncio.create_task(shared.get(n % 100)) for n in range(300)]
    await until(lambda: source.making == MAKING)
    source.lets.set()
    got = await asyncio.gather(*asking)
    assert [answer for answer, _ in got] == [f"{n % 100}: 1" for n in range(300)]
    assert source.most == MAKING


async def test_what_most_want_waits_for_nobody(
    shared: Answers[int, str], source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others who ask for ever new answers delay and refuse only each other."""
    monkeypatch.setattr(answers, "WANTED", 10)
    source.lets.clear()
    asking = [asyncio.create_task(shared.get(n)) for n in range(1, 11)]
    await until(lambda: source.making == MAKING - 1)
    with pytest.raises(BusyError):
        await shared.get(11)
    favourite = [asyncio.create_task(shared.get(FAVOURITE)) for _ in range(2)]
    await until(lambda: source.making == MAKING)
    source.lets.set()
    assert (await asyncio.gather(*favourite))[0] == ("0: 1", True)
    await asyncio.gather(*asking)


async def test_beyond_the_limit_of_different_answers_who_asks_is_told(
    shared: Answers[int, str], source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BusyError at once for one more; who asks for one of those under way is not refused."""
    monkeypatch.setattr(answers, "WANTED", 5)
    source.lets.clear()
    asking = [asyncio.create_task(shared.get(n)) for n in (*range(1, 6), 1)]
    await until(lambda: source.making == MAKING - 1)
    with pytest.raises(BusyError):
        await shared.get(6)
    source.lets.set()
    assert len(await asyncio.gather(*asking)) == 6
    assert await shared.get(6) == ("6: 1", True)


async def test_nobody_waits_for_ever(source: Source) -> None:
    """Who has waited for too long gets BusyError, and the next has the answer made again."""
    shared = Answers[int, str](source.make, lambda: 0, patience=0.05)
    source.lets.clear()
    outcomes = await asyncio.gather(*(shared.get(1) for _ in range(10)), return_exceptions=True)
    assert all(isinstance(outcome, BusyError) for outcome in outcomes)
    source.lets.set()
    assert await shared.get(1) == ("1: 1", True)


async def test_a_request_that_ends_takes_nobodys_answer(shared: Answers[int, str], source: Source) -> None:
    """If the one for whom it is made is cancelled, it is made for the next."""
    source.lets.clear()
    asking = [asyncio.create_task(shared.get(1)) for _ in range(3)]
    await until(lambda: source.making == 1)
    asking[0].cancel()
    source.lets.set()
    assert (await asyncio.gather(*asking, return_exceptions=True))[1:] == [("1: 1", True), ("1: 1", False)]


async def test_few_answers_are_kept(shared: Answers[int, str], source: Source) -> None:
    """Those that were wanted last; a stranger who asks for everything costs no memory."""
    for asked in range(200):
        await shared.get(asked)
    assert len(shared._kept) == 32
    assert not shared._wanted
    assert await shared.get(199) == ("199: 1", False)
    assert await shared.get(0) == ("0: 2", True)
