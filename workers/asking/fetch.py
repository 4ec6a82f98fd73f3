"""Fetcher: makes one call of a provider within its budget and a deadline. Every failure becomes a ProviderError."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any, TypeVar

import httpx

from shared.bus.budgets import Budgets
from shared.errors import BusError, ProviderError, RateBudgetError
from workers.asking.provider import Ask, Provider, Request, StatusError

T = TypeVar("T")

OnCall = Callable[[str, float | None, ProviderError | None], None]
"""Called after every call as (provider, seconds, error); `seconds` until the answer, None without one."""

_USER_AGENT = "coinwire/2.0 (cryptocurrency data relay; one fetcher per provider and cluster)"
_ACCEPT = "application/json, text/plain;q=0.9, */*;q=0.1"
_REMEMBERED = 64  # answers kept for conditional requests: feeds, 40 pages of a hub; beyond that the oldest is dropped
_MAX_REDIRECTS = 3  # a missing slash takes one; more means a loop and raises ProviderError
_MAX_PAUSE = {429: 3600.0, 418: 3 * 86400.0}
"""Longest Retry-After that is obeyed, in seconds, by status; longer ones are cut to it. Binance's bans (418) last up to
three days. A 429 that asks for more than an hour is treated as a mistake.
"""
_USED_UP, _RESET = re.compile(r";\s*r=0\s*(?:;|$)"), re.compile(r";\s*t=(\d{1,9})\s*(?:;|$)")


@dataclass(frozen=True, slots=True)
class _Remembered:
    """An answer, and the headers of the request that asks whether it has changed."""

    validators: Mapping[str, str]
    answer: Any


class Fetcher:
    """Makes the `Ask` of each provider."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        budgets: Budgets,
        clock: Callable[[], float] = time.time,
        on_call: OnCall = lambda provider, seconds, error: None,
    ) -> None:
        """`clock` gives unix seconds, to turn a Retry-After date into a delay where an answer has no date itself."""
        self._client = client
        self._budgets = budgets
        self._clock = clock
        self._on_call = on_call
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
                failure = ProviderError(provider.name, f"no answer within {seconds:.1f} s")
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                # Report only the type: the message may contain the URL, and that a key.
                failure = ProviderError(provider.name, f"connection: {type(error).__name__}")
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
                known: T = before.answer
                return known
            answer = request.parse(await self._body_of(provider.name, request, response))
            if request.complete is not None:
                answer = request.complete(answer, response.headers)
            validators = _validators(response.headers)
        if request.conditional and validators:
            self._remembered[key] = _Remembered(validators, answer)
            self._remembered.move_to_end(key)
            if len(self._remembered) > _REMEMBERED:
                self._remembered.popitem(last=False)
        return answer

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
        raise ProviderError(provider.name, f"more than {_MAX_REDIRECTS} redirects")

    @contextlib.asynccontextmanager
    async def _sent(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        response = await self._client.send(request, stream=True, follow_redirects=False)
        try:
            yield response
        finally:
            await response.aclose()

    async def _body_of(self, name: str, request: Request[Any], response: httpx.Response) -> bytes:
        if response.status_code != 200:
            raise await self._refused(name, response)
        if "," in response.headers.get("content-encoding", ""):
            # 64 KiB are read at a time. Compressed once, they expand to at most 64 MiB; compressed twice, to a thousand
            # times that.
            raise ProviderError(name, "compressed more than once")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > request.limit:
                raise ProviderError(name, f"answer larger than {request.limit / (1 << 20):.3g} MiB")
        if not body.strip():
            raise ProviderError(name, "empty answer")
        typed_html = "html" in response.headers.get("content-type", "").lower()
        if typed_html or (body.lstrip().startswith(b"<") and not request.markup):
            raise ProviderError(name, "HTML instead of data")
        return bytes(body)

    async def _refused(self, name: str, response: httpx.Response) -> StatusError:
        status = response.status_code
        most = _MAX_PAUSE.get(status, _MAX_PAUSE[429])
        pause = self._retry_after(response.headers, most)
        if pause is None and status == 429:
            pause = _reset_of(response.headers.get("ratelimit"), most)
        if pause is not None and status in _MAX_PAUSE:
            # Without Redis the pause is not shared with other workers; this worker's pool still keeps it.
            with contextlib.suppress(BusError):
                await self._budgets.block(name, pause)
        return StatusError(name, status, retry_after=pause)

    def _retry_after(self, headers: httpx.Headers, most: float) -> float | None:
        """Seconds of a Retry-After header, at most `most`; None if absent, past, or neither number nor date."""
        value = headers.get("retry-after", "")
        try:
            seconds = float(value)
        except ValueError:
            if (moment := _moment(value)) is None:
                return None
            sent = _moment(headers.get("date", ""))  # by the same clock; ours may have been set
            seconds = moment - (self._clock() if sent is None else sent)
        return min(seconds, most) if seconds > 0 else None


def _moment(date: str) -> float | None:
    """Unix seconds of an HTTP date; None if it is none."""
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _reset_of(value: str | None, most: float) -> float | None:
    """Seconds until an exhausted limit resets, at most `most`, from a RateLimit header; None if it names none.

    `"api";r=0;t=55`, one item per limit: https://www.ietf.org/archive/id/draft-ietf-httpapi-ratelimit-headers-09.html
    """
    found = [item for item in (value or "").split(",") if _USED_UP.search(item)]
    seconds = [float(reset[1]) for item in found if (reset := _RESET.search(item))]
    return min(max(seconds), most) if any(seconds) else None


def _validators(headers: httpx.Headers) -> dict[str, str]:
    """Headers for the next request, so that the upstream can answer 304 if nothing has changed."""
    pairs = {"If-None-Match": headers.get("etag"), "If-Modified-Since": headers.get("last-modified")}
    return {name: value for name, value in pairs.items() if value}


def _followed(name: str, target: httpx.Request, origin: httpx.Request) -> httpx.Request:
    """The next request of a redirect. Raises ProviderError if it leads to another host, which must not see our key."""
    if (target.url.scheme, target.url.netloc) != (origin.url.scheme, origin.url.netloc):
        raise ProviderError(name, "redirect to another host")
    return target
