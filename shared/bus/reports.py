"""Reports: what workers store about their own work, in Redis, so that monitoring covers the whole cluster."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from shared.bus.client import redis_call
from shared.bus.once import Once
from shared.channels import Channels
from shared.errors import BusError, UnconfirmedError

R = TypeVar("R", bound=Struct)


class CallReport(Struct, frozen=True, kw_only=True):
    """The outcome of the last call of a provider by any worker. Times are unix seconds."""

    at: float
    """When it ended."""
    milliseconds: float | None
    """Duration of the last answer, which may be an error; None if there was none yet."""
    error: str | None
    """The error; None for success. Never contains a URL or a key."""
    limited: bool = False
    """Whether the provider refused the call because of its rate limit."""
    failures: int = 0
    """Failed calls in the whole cluster since the last success."""


class SourceReport(Struct, frozen=True, kw_only=True):
    """One source of a pool."""

    name: str
    available: bool
    """Whether the pool would ask it now, because it is not cooling down after a failure."""


class PoolReport(Struct, frozen=True, kw_only=True):
    """One pool of a service."""

    name: str
    active: str | None
    sources: tuple[SourceReport, ...]
    """In the order in which they are tried."""


class PoolsReport(Struct, frozen=True, kw_only=True):
    """All pools of a service."""

    worker: str
    category: str
    at: float
    """Unix seconds."""
    pools: tuple[PoolReport, ...]


class JobReport(Struct, frozen=True, kw_only=True):
    """One job. Times are unix seconds."""

    id: str
    service: str
    interval: float
    status: Literal["running", "waiting", "failed", "stopped"]
    next_run: float | None
    last_run: float | None
    last_duration: float | None
    failures: int


class JobsReport(Struct, frozen=True, kw_only=True):
    """All jobs of the worker that leads a category, or led it last."""

    worker: str
    """The owner of its lease. The worker is alive while it holds the lease."""
    at: float
    jobs: tuple[JobReport, ...]


_RECOGNIZED_MS = 600_000
"""How long a report that is sent again is recognized. Repetitions come at the pace of reports; a worker that stalls for
longer has lost its lease."""


_Parts = dict[str, Mapping[str, bytes | int]]
"""What a report says, by the names that report.lua has for its parts."""


class _Report(NamedTuple):
    """What is written at once."""

    number: int
    """Among those of this process."""
    parts: _Parts


class Reports:
    """Writes and reads reports. Every method raises BusError if Redis can't be reached."""

    def __init__(self, redis: Redis, channels: Channels) -> None:
        self._redis = redis
        self._channels = channels
        self._name = secrets.token_hex(8)
        self._number = 0
        self._unconfirmed: _Report | None = None
        """One that Redis may have stored or not. It is sent again before any other."""
        self._write = Once(redis, "report")

    async def write(
        self,
        *,
        calls: Mapping[str, CallReport],
        failed: Mapping[str, int],
        pools: Mapping[str, PoolsReport],
        failovers: Mapping[str, int],
        jobs: Mapping[str, JobsReport],
    ) -> None:
        """Store what happened since the last write, in one step, once.

        `calls` and `failed` are by provider, `pools` and `failovers` by service, `jobs` by category. A positive number
        in `failed` is added to the stored count of failures in a row. A negative one replaces it, because a call has
        succeeded in between: -1 for no failure since that success, -3 for two.

        Raises UnconfirmedError if Redis may have stored it or not: the next write sends it again before its own, so its
        counts must not be reported a second time. After any other BusError nothing was stored.
        """
        if self._unconfirmed is not None:
            try:
                await self._send(self._unconfirmed, again=True)
            except UnconfirmedError as error:
                raise BusError(str(error)) from error  # of the report before: this one was not sent
        self._number += 1
        parts: _Parts = {
            "calls": _packed(calls),
            "failed": {provider: count for provider, count in failed.items() if count},
            "pools": _packed(pools),
            "failovers": failovers,
            "jobs": _packed(jobs),
        }
        await self._send(_Report(self._number, parts))

    def stop_leading(self) -> None:
        """Repeat nothing but failovers: another worker reports newer calls, pools and jobs."""
        if self._unconfirmed is not None:
            number, parts = self._unconfirmed
            self._unconfirmed = _Report(number, {"failovers": parts["failovers"]})

    async def _send(self, report: _Report, *, again: bool = False) -> None:
        names = self._channels
        keys = [names.calls, names.call_failures, names.pools, names.failovers, names.jobs]
        said = [value for part, fields in report.parts.items() for pair in fields.items() for value in (part, *pair)]
        self._unconfirmed = report  # also if this task is cancelled
        try:
            await self._write.call(
                "reports",
                [*keys, names.report_number(self._name)],
                lambda: [report.number, _RECOGNIZED_MS, *said],
                sent=again,
            )
        except UnconfirmedError:
            raise
        except BusError:
            self._unconfirmed = None
            raise
        self._unconfirmed = None

    async def calls(self) -> dict[str, CallReport]:
        """The last call of each provider."""
        async with redis_call("calls"):
            found = await self._all(self._channels.calls, CallReport)
            failures = await self._counts(self._channels.call_failures)
        return {name: msgspec.structs.replace(report, failures=failures.get(name, 0)) for name, report in found.items()}

    async def pools(self) -> dict[str, PoolsReport]:
        """The pools of each service."""
        async with redis_call("pools"):
            return await self._all(self._channels.pools, PoolsReport)

    async def failovers(self) -> dict[str, int]:
        """Failovers per service, since the cluster was set up."""
        async with redis_call("failovers"):
            return await self._counts(self._channels.failovers)

    async def jobs(self) -> dict[str, JobsReport]:
        """The jobs of each category."""
        async with redis_call("jobs"):
            return await self._all(self._channels.jobs, JobsReport)

    async def leaders(self, categories: Sequence[str]) -> dict[str, str]:
        """The holder of the lease of each of `categories`, without those that nobody holds."""
        found: dict[str, str] = {}
        async with redis_call("leases"):
            for category in categories:
                owner: Any = await self._redis.get(self._channels.lease(category))
                if owner is not None:
                    found[category] = owner.decode()
        return found

    async def _all(self, key: str, kind: type[R]) -> dict[str, R]:
        rows: Any = await self._redis.hgetall(key)
        found: dict[str, R] = {}
        for name, raw in rows.items():
            try:
                found[name.decode()] = msgspec.msgpack.decode(raw, type=kind)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # from another version, during an upgrade; it is written again within seconds
        return found

    async def _counts(self, key: str) -> dict[str, int]:
        rows: Any = await self._redis.hgetall(key)
        return {name.decode(): int(count) for name, count in rows.items()}


def _packed(reports: Mapping[str, Struct]) -> dict[str, bytes]:
    return {name: msgspec.msgpack.encode(report) for name, report in reports.items()}
