"""Many followers of one cluster, and what they saw together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tests.faults.book import Book, Counts
from tests.faults.follower import Follower, Habits
from tests.waiting import until

_LOOK = 0.5  # s between two looks for connections on which nothing comes


def share(values: Sequence[float], part: float) -> float:
    """A quantile; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Crowd:
    """Followers that all hold what they get against one book."""

    def __init__(self, services: Iterable[str]) -> None:
        self.services = tuple(services)
        self.book = Book()
        self.followers: list[Follower] = []
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, count: int, where: Callable[[int], int], habits: Habits | None = None) -> list[Follower]:
        """`count` more, which connect at once. Each has a seed of its own, the same in every run."""
        made = [
            Follower(self.book, self.services, where, habits or Habits(), len(self.followers) + number)
            for number in range(count)
        ]
        self.followers += made
        self._tasks += [asyncio.create_task(follower.run()) for follower in made]
        return made

    async def served(self, seconds: float = 15.0, who: Sequence[Follower] | None = None) -> float:
        """Wait until everybody has live updates of everything on the present connection. Seconds that took."""
        return await self.wait(lambda follower: follower.served, seconds, who)

    async def flows(self, updates: int, seconds: float = 30.0, who: Sequence[Follower] | None = None) -> None:
        """Wait until everybody has had so many more live updates."""
        wanted = {id(follower): follower.fresh + updates for follower in who or self.followers}
        await self.wait(lambda follower: follower.fresh >= wanted[id(follower)], seconds, who)

    async def fresh_since(self, moment: float, seconds: float, who: Sequence[Follower] | None = None) -> float:
        """Wait until everybody has had a live update after `moment`, and is served. Seconds that took."""
        return await self.wait(lambda follower: follower.fresh_at > moment and follower.served, seconds, who)

    async def wait(
        self, holds: Callable[[Follower], bool], seconds: float, who: Sequence[Follower] | None = None
    ) -> float:
        """Wait until `holds` for everybody. Seconds that took. AssertionError after `seconds`, with how many remain."""
        loop, those = asyncio.get_running_loop(), who if who is not None else self.followers
        began = loop.time()
        try:
            await until(lambda: any(task.done() for task in self._tasks) or all(map(holds, those)), seconds)
            for task in self._tasks:
                if task.done():
                    task.result()  # what a follower died of
        except AssertionError:
            left = sum(not holds(follower) for follower in those)
            raise AssertionError(f"{left} of {len(those)} clients not within {seconds:g} s") from None
        return loop.time() - began

    async def watch(self) -> None:
        """Cut connections that are silent for too long, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK)
            for follower in self.followers:
                follower.give_up_if_silent()

    async def at_end(self, seconds: float = 20.0) -> None:
        """Wait until everybody has the newest of everything, and whatever else the gateways had for them."""
        await self.wait(lambda follower: follower.at_end, seconds)
        async with asyncio.timeout(seconds):
            await asyncio.gather(*(follower.caught_up() for follower in self.followers))

    def start(self) -> None:
        """Begin to watch."""
        self._tasks.append(asyncio.create_task(self.watch()))

    async def stop(self) -> None:
        """End everybody. Raises what a follower died of."""
        for follower in self.followers:
            follower.leave()
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    def counts(self, who: Iterable[Follower] | None = None) -> Counts:
        """Of everybody together."""
        return Counts.total(follower.counts for follower in (self.followers if who is None else who))

    def figures(self, who: Iterable[Follower] | None = None) -> dict[str, Any]:
        """The counts, and how connections ended and were refused."""
        who = list(self.followers if who is None else who)
        counts = self.counts(who)
        closes = Counter(code for follower in who for _, code in follower.closes)
        refused = sum((follower.refused for follower in who), Counter[str]())
        return {"clients": len(who), **vars(counts), "closes": dict(closes), "refused": dict(refused)}


def recovery(followers: Iterable[Follower], began: float, mended: float) -> dict[str, float]:
    """How long after `mended` live updates came again, and how long there were none, in gaps that end after `began`."""
    found = [[gap for gap in follower.gaps if gap[1] > began] for follower in followers]
    ends = [max(end for _, end in gaps) - mended for gaps in found if gaps]
    dark = [max(end - start for start, end in gaps) for gaps in found if gaps]
    return {
        "live_again_p50_s": round(share(ends, 0.5), 2),
        "live_again_max_s": round(max(ends, default=0.0), 2),
        "dark_max_s": round(max(dark, default=0.0), 2),
        "clients_with_gap": len(ends),
    }
