"""Runs several awaitables at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")


@overload
async def gather_all(first: Awaitable[A], second: Awaitable[B], /) -> tuple[A, B]: ...
@overload
async def gather_all(first: Awaitable[A], second: Awaitable[B], third: Awaitable[C], /) -> tuple[A, B, C]: ...
@overload
async def gather_all(*awaitables: Awaitable[A]) -> list[A]: ...
async def gather_all(*awaitables: Awaitable[Any]) -> Any:
    """Every result, in order. Waits for all, then raises the error of the first that failed, as it was raised.

    asyncio.gather would raise while others still run; asyncio.TaskGroup would cancel them and raise an ExceptionGroup.
    """
    results = await asyncio.gather(*awaitables, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
