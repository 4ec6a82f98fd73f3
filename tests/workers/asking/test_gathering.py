"""gather_all: several questions at once."""

from __future__ import annotations

import asyncio

import pytest

from workers.asking.gathering import gather_all


async def answer(value: int, after: asyncio.Event | None = None) -> int:
    """`value`, once `after` is set."""
    if after is not None:
        await after.wait()
    return value


async def fail(error: Exception, then: asyncio.Event | None = None) -> int:
    """Set `then` and raise `error`."""
    if then is not None:
        then.set()
    raise error


async def test_results_come_in_the_order_asked() -> None:
    """Whichever is there first."""
    second_began = asyncio.Event()

    async def second() -> str:
        second_began.set()
        return "b"

    assert await gather_all(answer(1, second_began), second()) == [1, "b"]
    assert await gather_all(*(answer(n) for n in range(4))) == [0, 1, 2, 3]


async def test_an_error_is_raised_as_it_is_after_the_last_has_ended() -> None:
    """Not in a group, and nothing is cancelled: an answer under way is waited for."""
    failed, ended = asyncio.Event(), []

    async def slow() -> int:
        await failed.wait()
        ended.append(True)
        return 1

    with pytest.raises(ValueError, match="first"):
        await gather_all(slow(), fail(ValueError("first"), failed))
    assert ended == [True]


async def test_of_several_errors_the_first_in_order_is_raised() -> None:
    """The order asked decides, not that of time."""
    later = asyncio.Event()

    async def fail_last() -> int:
        await later.wait()
        raise KeyError("asked first")

    with pytest.raises(KeyError, match="asked first"):
        await gather_all(fail_last(), fail(ValueError("failed first"), later))


async def test_cancelled_it_cancels_what_it_waits_for() -> None:
    """A cycle that is cut off leaves no question behind."""
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def endless() -> int:
        began.set()
        try:
            return await answer(1, asyncio.Event())
        finally:
            cancelled.set()

    task = asyncio.create_task(gather_all(endless(), answer(2)))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()
