"""Reports: what workers tell of their own work, in Redis, so that monitoring speaks of the whole cluster."""

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
    """How the last call of a provider went, whoever made it. Times are unix seconds."""

    at: float
    """When it ended."""
    milliseconds: float | None
    """How long the last answer took, be it an error; None where none ever came."""
    error: str | None
    """What it failed with; None for success. Never holds a URL or a key."""
    limited: bool = False
    """Whether it failed because the provider says that we ask too often."""
    failures: int = 0
    """Failed calls in the whole cluster since the last success."""


class SourceReport(Struct, frozen=True, kw_only=True):
    """One source of a pool."""

    name: str
    available: bool
    """Whether this pool would ask it now: it does not cool down after a failure."""


class PoolReport(Struct, frozen=True, kw_only=True):
    """One pool of a service."""

    name: str
    active: str | None
    sources: tuple[SourceReport, ...]
    """In the order in which they are tried."""


class PoolsReport(Struct, frozen=True, kw_only=True):
    """All pools of a service, as its worker has them."""

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
    """Its lease's owner: while that is still so, it is alive."""
    at: float
    jobs: tuple[JobReport, ...]


class Reports:
    """Writes and reads them. Every method raises BusError where Redis is away."""

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
        """Put down what happened since the last time, all or nothing.

        `calls` is by provider, and `failed` has how many calls of it failed in a row; that adds to what stands unless
        one succeeded in between, which a number below zero says: -1 for none since the success, -3 for two. `pools`
        and `failovers` are by service, `jobs` by category.
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
        """By provider."""
        async with redis_call("calls"):
            found = await self._all(self._channels.calls, CallReport)
            failures = await self._counts(self._channels.call_failures)
        return {name: msgspec.structs.replace(report, failures=failures.get(name, 0)) for name, report in found.items()}

    async def pools(self) -> dict[str, PoolsReport]:
        """By service."""
        async with redis_call("pools"):
            return await self._all(self._channels.pools, PoolsReport)

    async def failovers(self) -> dict[str, int]:
        """By service, since the cluster was set up."""
        async with redis_call("failovers"):
            return await self._counts(self._channels.failovers)

    async def jobs(self) -> dict[str, JobsReport]:
        """By category."""
        async with redis_call("jobs"):
            return await self._all(self._channels.jobs, JobsReport)

    async def leaders(self, categories: Sequence[str]) -> dict[str, str]:
        """Who holds the lease of each of `categories`; those that nobody holds are missing."""
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
                continue  # of another version, while one is replaced by the next; it is written anew within seconds
        return found

    async def _counts(self, key: str) -> dict[str, int]:
        rows: Any = await self._redis.hgetall(key)
        return {name.decode(): int(count) for name, count in rows.items()}
