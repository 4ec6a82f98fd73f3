"""Reports: what workers store about their own work, in Redis, so that monitoring covers the whole cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from shared.bus.client import redis_call
from shared.channels import Channels

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


class Reports:
    """Writes and reads reports. Every method raises BusError if Redis can't be reached."""

    def __init__(self, redis: Redis, channels: Channels) -> None:
        self._redis = redis
        self._channels = channels

    async def write(
        self,
        *,
        calls: Mapping[str, CallReport],
        failed: Mapping[str, int],
        pools: Mapping[str, PoolsReport],
        failovers: Mapping[str, int],
        jobs: Mapping[str, JobsReport],
    ) -> None:
        """Store what happened since the last write, in one transaction.

        `calls` and `failed` are by provider, `pools` and `failovers` by service, `jobs` by category. A positive number
        in `failed` is added to the stored count of failures in a row. A negative one replaces it, because a call has
        succeeded in between: -1 for no failure since that success, -3 for two.
        """
        names, encode = self._channels, msgspec.msgpack.encode
        async with redis_call("reports"), self._redis.pipeline(transaction=True) as commands:
            for key, reports in ((names.calls, calls), (names.pools, pools), (names.jobs, jobs)):
                if reports:
                    commands.hset(key, mapping={name: encode(report) for name, report in reports.items()})
            for provider, count in failed.items():
                if count < 0:
                    commands.hset(names.call_failures, provider, -count - 1)
                elif count:
                    commands.hincrby(names.call_failures, provider, count)
            for service, count in failovers.items():
                commands.hincrby(names.failovers, service, count)
            await commands.execute()

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
            except (msgspec.DecodeError, msgspec.ValidationError):
                continue  # from another version, during an upgrade; it is written again within seconds
        return found

    async def _counts(self, key: str) -> dict[str, int]:
        rows: Any = await self._redis.hgetall(key)
        return {name.decode(): int(count) for name, count in rows.items()}
