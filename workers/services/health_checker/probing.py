"""Probing: a light request to each provider that no worker has called recently.

Collectors have priority: a probe is made only if it leaves them part of the provider's budget. Providers with small
budgets are probed less often. By default at most a fifth of a budget goes to probes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil

from shared.bus.reports import CallReport, Reports
from shared.errors import BusError, ProviderError, RateBudgetError
from shared.outage import Outage
from workers.asking.pool import Asking
from workers.asking.provider import Provider

_LOOK_AGAIN = 5.0
"""Seconds between two checks for due providers, and before the first one, so that collectors call first."""
_PATIENCE = 10.0  # s a probe may take
_LATELY = 14.0
"""Seconds without a call after which a provider is probed, if its budget allows. Together with the time until the next
check and the second until the call is reported, an outage is detected after 20 s, so that health_checker and
pool_manager publish it within two of their
intervals. A smaller value would only cost more calls."""
_SHARE = 0.2  # largest share of a budget for probes
_RESERVE = 0.5  # share of a budget that is always left to collectors
_LONGEST_PAUSE = 300.0  # s between probes of a provider that answers "too many requests", as in a SourcePool
_NEVER = float("-inf")
_MOST_DOUBLINGS = 10  # of the pause: 2 ** 10 times the shortest is beyond the longest


@dataclass(frozen=True, slots=True)
class Plan:
    """When one provider is probed."""

    after: float
    """Seconds without a call."""
    reserve: int
    """Units of its budget that the probe must leave."""
    insists: float = float("inf")
    """Seconds without a call after which a probe need only leave one unit."""

    def left(self, silence: float) -> int:
        """Units that a probe must leave after `silence` seconds without a call."""
        return self.reserve if silence < self.insists else 1

    def believes(self, report: CallReport, silence: float) -> bool:
        """Whether a call still counts `silence` seconds later.

        It does for three pauses; older ones are left over from before a stop of the cluster. A provider that asked us
        to wait must not be probed, so its last call counts until the wait ends.
        """
        return report.limited or silence <= 3 * self.after + 60.0

    def is_due(self, report: CallReport | None, silence: float) -> bool:
        """Whether to probe, given the last reported call and the seconds since the last call.

        Each further "too many requests" doubles the pause.
        """
        pause = self.after
        if report is not None and report.limited:
            pause = max(pause, min(pause * 2 ** min(report.failures, _MOST_DOUBLINGS), _LONGEST_PAUSE))
        return silence >= pause


def plan_of(provider: Provider) -> Plan:
    """When `provider` is probed: its own plan, else one derived from its budget."""
    budget, own = provider.budget, provider.probe_plan
    after = max(_LATELY, budget.seconds / budget.units / _SHARE) if own is None else own.after
    reserve = own.reserve if own is not None else None
    if reserve is None:
        reserve = min(ceil(budget.units * _RESERVE), budget.units - 1)
    return Plan(after, reserve, insists=own.insists if own is not None else float("inf"))


class Prober:
    """Probes all due providers concurrently, each with one probe at a time. The fetcher reports the outcomes."""

    def __init__(
        self,
        providers: Iterable[Provider],
        fetcher: Asking,
        reports: Reports,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` measures pauses; `wall_clock` gives unix seconds. `providers` excludes those that lack their key."""
        self._providers = {provider.name: (provider, plan_of(provider)) for provider in providers}
        self._fetcher = fetcher
        self._reports = reports
        self._clock = clock
        self._wall_clock = wall_clock
        self._seen: dict[str, tuple[float, float, float]] = {}
        """By provider: the time that its last report names; when that call ended, and the last look, by our clock."""
        self.asking: set[str] = set()
        """Providers whose probe is under way."""
        self._asked: dict[str, float] = {}
        """By provider: the end of the last probe, until the call is reported; by our clock."""
        self._redis = Outage("providers are not probed", "providers are probed again")

    @property
    def plans(self) -> dict[str, Plan]:
        """By provider."""
        return {name: plan for name, (_, plan) in self._providers.items()}

    async def run(self, pause: float = _LOOK_AGAIN) -> None:
        """Probe until cancelled, with `pause` seconds before each check."""
        async with asyncio.TaskGroup() as probes:
            while True:
                await asyncio.sleep(pause)
                await self.look(probes)

    async def look(self, probes: asyncio.TaskGroup) -> None:
        """Start, in `probes`, a probe of every due provider; none while Redis is away, as it counts the calls."""
        try:
            calls = await self._reports.calls()
        except BusError as error:
            self._redis.lost(error)
            return
        self._redis.back()
        now = self._clock()
        for name, (provider, plan) in self._providers.items():
            if name in self.asking:
                continue
            silence = now - self._asked.get(name, _NEVER)
            if name in calls:
                silence = min(silence, self.silence(name, calls[name]))
            if plan.is_due(calls.get(name), silence):
                self.asking.add(name)
                probes.create_task(self._probe(provider, plan.left(silence)), name=f"probe {name}")

    def silence(self, name: str, report: CallReport) -> float:
        """Seconds since the call that provider `name`'s last report tells of.

        The call was between the last two looks at the report. Only when in between is told by clocks that may be set,
        the caller's and ours.
        """
        now = self._clock()
        told, ended, looked = self._seen.get(name, (None, _NEVER, _NEVER))
        if told != report.at:
            ended = max(looked, now - max(0.0, self._wall_clock() - report.at))
        self._seen[name] = report.at, ended, now
        return now - ended

    async def _probe(self, provider: Provider, reserve: int) -> None:
        try:
            await provider.probe(self._fetcher.asker(provider, _PATIENCE, reserve=reserve))
        except BusError as error:
            self._redis.lost(error)
        except RateBudgetError:
            pass  # the budget was spent meanwhile, or the provider asked us to wait: a later check probes it
        except ProviderError:
            self._asked[provider.name] = self._clock()  # the fetcher has reported the failure
        else:
            self._asked[provider.name] = self._clock()
        finally:
            self.asking.discard(provider.name)
