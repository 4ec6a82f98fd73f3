"""Asking several servers at once: the answers that come first count, and of the faults the one that says most."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from redis.exceptions import RedisError

from shared.bus.connections import NoServerError, WrongServerError

T = TypeVar("T")

ANSWER_SECONDS = 1.0
"""How long answers are waited for. Servers are near, and these questions are small: beyond it one is down."""


async def first_answers(questions: Iterable[Coroutine[Any, Any, T]], *, enough: int) -> tuple[list[T], list[Exception]]:
    """The first answers, at most `enough`, and what was raised instead of others until then."""
    asked = [asyncio.create_task(question) for question in questions]
    answers: list[T] = []
    faults: list[Exception] = []
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            for answer in asyncio.as_completed(asked):
                try:
                    answers.append(await answer)
                except (RedisError, OSError) as error:
                    faults.append(error)
                if len(answers) >= enough:
                    break
    except TimeoutError:
        pass
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return answers, faults


def no_answer(faults: Iterable[Exception], otherwise: str) -> Exception:
    """What to raise where nobody answered: that REDIS_URL is wrong, if a server said so; else NoServerError."""
    wrong = [error for error in faults if isinstance(error, WrongServerError)]
    return wrong[0] if wrong else NoServerError(otherwise)
