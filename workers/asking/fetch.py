"""Fetcher: makes one call of a provider within its budget and a deadline. Every failure becomes a ProviderError."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import httpx

from shared.bus.budgets import Budgets
from shared.errors import BusError, ProviderError, RateBudgetError
from workers.asking.jsonrpc import RpcError
from workers.asking.limits import LONGEST_ELSE, LimitError, limit_in, pause_of
from workers.asking.pages import is_page
from workers.asking.provider import Ask, Provider, Request, StatusError
from workers.asking.rows import Misfits, noting

T = TypeVar("T")

OnCall = Callable[[str, float | None, ProviderError | None], None]
"""Called after every call as (provider, seconds, error); `seconds` until the answer, None without one."""

OnMisfits = Callable[[str, Misfits], None]
"""Called after every answer as (provider, what did not fit in its lists)."""

_USER_AGENT = "coinwire/2.0 (cryptocurrency data relay; one fetcher per provider and cluster)"
_ACCEPT = "application/json, text/plain;q=0.9, */*;q=0.1"
_REMEMBERED = 64  # answers kept for conditional requests: feeds, 40 pages of a hub; beyond that the oldest is dropped
_MAX_REDIRECTS = 3  # a missing slash takes one; more means a loop and raises ProviderError
_NEVER_LIMITS = frozenset({400, 401, 404})
"""Statuses of a wrong question or key, whatever words their bodies have."""
_NOTICE_BYTES = 4096  # of an error's body are read, to find a notice of a limit; notices are a sentence
_NOTICE_SECONDS = 1.0  # for these bytes; an error that is slower is judged by its status alone


@dataclass(frozen=True, slots=True)
class _Remembered:
    """An answer, and the headers of the request that asks whether it has changed."""

    validators: Mapping[str, str]
    answer: Any
    misfits: Misfits


class Fetcher:
    """Makes the `Ask` of each provider."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        budgets: Budgets,
        clock: Callable[[], float] = time.time,
        on_call: OnCall = lambda provider, seconds, error: None,
        on_misfits: OnMisfits = lambda provider, misfits: None,
    ) -> None:
        """`clock` gives unix seconds, to turn a moment into a delay where an answer has no date itself."""
        self._client = client
        self._budgets = budgets
        self._clock = clock
        self._on_call = on_call
        self._on_misfits = on_misfits
        self._remembered: OrderedDict[Hashable, _Remembered] = OrderedDict()

    def asker(self, provider: Provider, seconds: float, *, reserve: int = 0) -> Ask:
        """The Ask of `provider` for one attempt: all its requests together end within `seconds` from now.

        A call that would leave less than `reserve` units of the budget is not made.

        The Ask raises ProviderError, RateBudgetError if the budget forbids the call, BusError if Redis can't count it.
        """
        until = asyncio.get_running_loop().time() + seconds

        async def ask(request: Request[T]) -> T:
            wait = await self._budgets.spend(provider.name, provider.budget, request.cost, reserve=reserve)
            if wait > 0:
                raise RateBudgetError(provider.name, f"not asked: budget spent for {ceil(wait)} s", retry_after=wait)
            clock = asyncio.get_running_loop().time
            began, failure = clock(), None
            try:
                async with asyncio.timeout_at(until):
                    answer = await self._answer(provider, request)
            except TimeoutError:
                failure = ProviderError(provider.name, f"no answer within {seconds:.1f} s", kind="timeout")
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                # Report only the type: the message may contain the URL, and that a key.
                failure = ProviderError(provider.name, f"connection: {type(error).__name__}", kind="connection")
            except ProviderError as error:
                self._on_call(provider.name, clock() - began, error)
                raise
            else:
                self._on_call(provider.name, clock() - began, None)
                return answer
            self._on_call(provider.name, None, failure)
            raise failure

        return ask

    async def _answer(self, provider: Provider, request: Request[T]) -> T:
        key = (provider.name, request.base_url, request.path, tuple(request.params.items()), request.body)
        before = self._remembered.get(key) if request.conditional else None
        async with self._got(provider, request, before.validators if before else {}) as response:
            if before is not None and response.status_code == 304:
                self._remembered.move_to_end(key)
                self._on_misfits(provider.name, before.misfits)  # they are left out of this answer too
                known: T = before.answer
                return known
            with noting() as misfits:
                try:
                    answer = await self._parsed(provider, request, response)
                finally:
                    self._on_misfits(provider.name, misfits)
            if request.complete is not None:
                answer = request.complete(answer, response.headers)
            validators = _validators(response.headers)
        if request.conditional and validators:
            self._remembered[key] = _Remembered(validators, answer, misfits)
            self._remembered.move_to_end(key)
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return answer

    async def _parsed(self, provider: Provider, request: Request[T], response: httpx.Response) -> T:
        body = await self._body_of(provider, request, response)
        try:
            return request.parse(body)
        except LimitError as error:
            raise await self._limited(error) from None
        except RpcError as error:  # its code has decided
            if error.retry_after is not None:
                await self._block(provider.name, error.retry_after)
            raise
        except ProviderError as error:
            if (notice := limit_in(provider.name, body)) is None:
                raise
            raise await self._limited(notice) from error

    @contextlib.asynccontextmanager
    async def _got(
        self, provider: Provider, request: Request[Any], validators: Mapping[str, str]
    ) -> AsyncIterator[httpx.Response]:
        """The response to `request` after redirects; its body is not read yet."""
        headers = {"User-Agent": _USER_AGENT, "Accept": _ACCEPT, **provider.headers(), **validators}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        http = self._client.build_request(
            "GET" if request.body is None else "POST",
            (request.base_url or provider.base_url) + request.path,
            params=request.params or None,
            headers={**headers, **request.headers},
            content=request.body,
        )
        for _ in range(_MAX_REDIRECTS + 1):
            async with self._sent(http) as response:
                if response.next_request is None:
                    yield response
                    return
                http = _followed(provider.name, response.next_request, http)
        raise ProviderError(provider.name, f"more than {_MAX_REDIRECTS} redirects", kind="status")

    @contextlib.asynccontextmanager
    async def _sent(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            yield response
        finally:
            await response.aclose()

    async def _body_of(self, provider: Provider, request: Request[Any], response: httpx.Response) -> bytes:
        name = provider.name
        if response.status_code != 200:
            raise await self._refused(provider, response)
        if "," in response.headers.get("content-encoding", ""):
            # 64 KiB are read at a time. Compressed once, they expand to at most 64 MiB; compressed twice, to a thousand
            # times that.
            raise ProviderError(name, "compressed more than once", kind="too_large")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > request.limit:
                raise ProviderError(name, f"answer larger than {request.limit / (1 << 20):.3g} MiB", kind="too_large")
        if not body.strip():
            raise ProviderError(name, "empty answer", kind="empty")
        if is_page(body, response.headers.get("content-type", ""), markup=request.markup):
            notice = limit_in(name, bytes(body))
            page = ProviderError(name, "HTML instead of data", kind="html")
            raise page if notice is None else await self._limited(notice)
        return bytes(body)

    async def _refused(self, provider: Provider, response: httpx.Response) -> StatusError:
        status, limits = response.status_code, provider.limits
        notice = limit_in(provider.name, await self._notice(response))
        pause = pause_of(response.headers, status, limits, self._clock())
        limited = status in limits.statuses or (notice is not None and status not in _NEVER_LIMITS)
        if pause is None and limited and notice is not None:
            pause = self._wait_of(notice)
        if pause is not None and limited:
            await self._block(provider.name, pause)
        return StatusError(provider.name, status, retry_after=pause, limited=limited)

    async def _notice(self, response: httpx.Response) -> bytes:
        """The beginning of an error's body; what has arrived if the rest is slow, broken, or encoded oddly."""
        body = bytearray()
        if "," in response.headers.get("content-encoding", ""):
            return b""  # see _body_of
        with contextlib.suppress(TimeoutError, httpx.HTTPError, httpx.StreamError):
            async with asyncio.timeout(_NOTICE_SECONDS):
                async for chunk in response.aiter_bytes(_NOTICE_BYTES):
                    body += chunk
                    if len(body) >= _NOTICE_BYTES:
                        break
        return bytes(body[:_NOTICE_BYTES])

    async def _limited(self, error: LimitError) -> LimitError:
        """A limit told in an answer, with its pause, which is kept by the whole cluster as that of a 429."""
        error.retry_after = self._wait_of(error)
        if error.retry_after is not None:
            await self._block(error.provider, error.retry_after)
        return error

    def _wait_of(self, error: LimitError) -> float | None:
        """Seconds until the limit ends, at most an hour; None if the upstream has not said."""
        if error.until is None:
            return error.retry_after
        left = error.until - self._clock()
        return min(left, LONGEST_ELSE) if left > 0 else None

    async def _block(self, name: str, pause: float) -> None:
        # Without Redis the pause is not shared with other workers; this worker's pool still keeps it.
        with contextlib.suppress(BusError):
            await self._budgets.block(name, pause)


def _validators(headers: httpx.Headers) -> dict[str, str]:
    """Headers for the next request, so that the upstream can answer 304 if nothing has changed."""
    pairs = {"If-None-Match": headers.get("etag"), "If-Modified-Since": headers.get("last-modified")}
    return {name: value for name, value in pairs.items() if value}


def _followed(name: str, target: httpx.Request, origin: httpx.Request) -> httpx.Request:
    """The next request of a redirect. Raises ProviderError if it leads to another host, which must not see our key."""
    if (target.url.scheme, target.url.netloc) != (origin.url.scheme, origin.url.netloc):
        raise ProviderError(name, "redirect to another host", kind="status")
    return target
