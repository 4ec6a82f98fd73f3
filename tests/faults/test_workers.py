"""Real workers on the simulator: killed, suspended, cut off, and without Redis."""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from shared.bus import Bus
from shared.catalog import DATA_COLLECTION, SERVICES
from shared.errors import FencedError
from shared.lease import Lease
from tests.faults.cluster import NAMES, PREFIX, Cluster, lasts
from tests.faults.follower import Follower, Habits
from tests.faults.processes import HELD, STANDBY, Part, to
from tests.faults.report import Report
from tests.waiting import until

INTERVALS = {name: each.interval for name, each in SERVICES.items() if each.category == DATA_COLLECTION}
KILLS = 5
SLOW_HOSTS = ("data-api.binance.vision", "api.coingecko.com", "mempool.space", "blockchain.info")


async def heard(follower: Follower, services: int = len(INTERVALS)) -> None:
    """Wait until updates of so many services have come."""
    await until(lambda: len({service for _, service in follower.diary}) >= services, 120)


def gaps(follower: Follower, moment: float) -> dict[str, tuple[float, float]]:
    """By service, how long after `moment` its next update came, and how long the gap was in all; inf before it came."""
    found = {}
    for service in INTERVALS:
        times = [at for at, name in follower.diary if name == service]
        before, after = [at for at in times if at <= moment], [at for at in times if at > moment]
        if before:
            next_at = after[0] if after else float("inf")
            found[service] = (round(next_at - moment, 1), round(next_at - before[-1], 1))
    return found


async def all_again(follower: Follower, moment: float, seconds: float) -> dict[str, tuple[float, float]]:
    """The gaps, once every service has had an update after `moment`."""
    await until(lambda: all(next_s < float("inf") for next_s, _ in gaps(follower, moment).values()), seconds)
    return gaps(follower, moment)


def listener(cluster: Cluster) -> Follower:
    """A client that writes down when each update came."""
    (follower,) = cluster.crowd.add(1, to(cluster.gateways[0]), Habits(silence=600.0, numbered=False))
    return follower


def unbroken(report: Report, cluster: Cluster, *, new_epochs: bool = False) -> None:
    """Nothing was missing or came twice, whoever published it, in the same epoch unless `new_epochs` may begin."""
    counts = cluster.crowd.counts()
    saw = f"{counts.missing} missing, {counts.duplicates} twice, {counts.epochs} new epochs"
    same = new_epochs or not counts.epochs
    report.holds("once", not counts.missing and not counts.duplicates and same, saw)
    report.seen = "every update once" + (", in a new epoch" if counts.epochs else "")


class Writers:
    """Who wrote each service last, as Redis has it, looked up all the time."""

    def __init__(self, cluster: Cluster) -> None:
        self._client = cluster.redis.sync()
        self.changes: dict[str, list[tuple[float, str, int]]] = defaultdict(list)

    @contextmanager
    def watched(self) -> Iterator[Writers]:
        """Look until the block ends."""
        task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            task.cancel()
            self._client.close()

    async def _run(self) -> None:
        while True:
            for service, seen in ((name, self.changes[name]) for name in INTERVALS):
                writer, seq = self._client.hmget(f"{PREFIX}:{{{service}}}:meta", "publisher", "seq")
                if writer is not None and (not seen or seen[-1][2] != int(seq)):
                    seen.append((time.time(), writer.decode(), int(seq)))
            await asyncio.sleep(0.03)

    def latest(self, service: str) -> str:
        """Who wrote it last."""
        return self.changes[service][-1][1]

    def by(self, writer: str, moment: float) -> dict[str, list[tuple[float, int]]]:
        """What a writer published after a moment: seconds after it, and seq."""
        found = {
            service: [(round(at - moment, 2), seq) for at, who, seq in seen if who == writer and at > moment]
            for service, seen in self.changes.items()
        }
        return {service: rows for service, rows in found.items() if rows}


async def takes_over(standby: Part, held: int) -> float:
    """Wait until it holds the lease once more than `held` times. Seconds that took."""
    began = time.time()
    await standby.logs(HELD, held + 1, 60)
    return time.time() - began


@pytest.mark.long
@pytest.mark.fault("kill -9 of the leading worker, five times")
async def test_workers_that_are_killed(report: Report, tmp_path: Path) -> None:
    """After kill -9 of the worker that leads, the standby publishes within 10 s, and no service waits 10 s longer than
    its interval. One that is asked to stop hands its lease over."""
    async with Cluster(tmp_path, 1, services=tuple(INTERVALS)) as cluster:
        follower = listener(cluster)
        workers = await cluster.workers(2)
        await heard(follower)
        leases, firsts, over = [], [], {}
        for number, (leader, standby) in enumerate(itertools.islice(itertools.cycle((workers, workers[::-1])), KILLS)):
            await lasts(6.0 + 1.3 * number)  # another moment between two renewals of the lease each time
            held, killed = standby.logged(HELD), time.time()
            await leader.end(signal.SIGKILL)
            leases.append(round(await takes_over(standby, held), 1))
            # What the leader published just before arrives after the kill.
            await until(lambda since=killed + 0.5: follower.diary[-1][0] > since, 60)  # type: ignore[misc]
            firsts.append(round(next(at for at, _ in follower.diary if at > killed + 0.5) - killed, 1))
            if not number:
                found = await all_again(follower, killed + 0.5, 80)
                over = {service: round(gap - INTERVALS[service], 1) for service, (_, gap) in found.items()}
            told = leader.logged(STANDBY)
            await leader.start()
            await leader.logs(STANDBY, told + 1)
        leader, standby = workers[KILLS % 2], workers[1 - KILLS % 2]
        held = standby.logged(HELD)
        status = await leader.end(signal.SIGTERM)
        handed = round(await takes_over(standby, held), 1)
        report.back(max(firsts))
        report.figure(lease_taken_after_s=leases, first_update_after_s=firsts, gap_beyond_interval_s=over)
        report.figure(stopped={"exit_status": status, "lease_taken_after_s": handed})
        report.holds("takeover", max(firsts) <= 10, f"leases after {leases} s, first updates after {firsts} s")
        late = {service: seconds for service, seconds in over.items() if seconds > 10}
        report.holds("takeover", not late, f"gaps longer than the interval by more than 10 s: {late}")
        unbroken(report, cluster)


@pytest.mark.fault("SIGSTOP of the leading worker for 30 s")
async def test_a_worker_that_is_suspended(report: Report, tmp_path: Path) -> None:
    """A worker that is stopped in the middle of its cycles and goes on 30 s later publishes nothing of what it had
    begun: another leads."""
    async with Cluster(tmp_path, 1, services=tuple(INTERVALS)) as cluster:
        follower = listener(cluster)
        leader, standby = await cluster.workers(2)
        with Writers(cluster).watched() as writers:
            await heard(follower)
            await until(lambda: bool(writers.changes["market_data"]))
            old = writers.latest("market_data")
            control = f"{cluster.simulator_url}/_simulator/faults"
            async with httpx.AsyncClient() as http:
                for host in SLOW_HOSTS:
                    await http.post(control, json={"host": host, "fault": "slow", "seconds": 2.0})
                await lasts(9)  # cycles are slow now, and some are under way
                held, stopped = standby.logged(HELD), time.time()
                leader.signal(signal.SIGSTOP)
                await takes_over(standby, held)
                taken = time.time() - stopped
                await lasts(max(0.0, stopped + 30 - time.time()))
                await http.delete(control)
            woken = time.time()
            leader.signal(signal.SIGCONT)
            await leader.logs(STANDBY, 1, 30)
            await lasts(10)
            late = writers.by(old, woken)
        report.back(taken)
        report.figure(refused=leader.logged("publish refused"), gaps=gaps(follower, stopped + 0.5))
        report.holds("fenced", not late, f"published by the old holder after it went on: {late}")
        unbroken(report, cluster)


@pytest.mark.fault("no route to Redis for 25 s, for the leading worker")
async def test_a_worker_without_a_route_to_redis(report: Report, tmp_path: Path) -> None:
    """What a worker sent before its route to Redis was lost, and arrives 25 s later, is refused: another leads."""
    async with Cluster(tmp_path, 1, services=tuple(INTERVALS)) as cluster:
        follower = listener(cluster)
        leader, standby = await cluster.workers(2)
        with Writers(cluster).watched() as writers:
            await heard(follower, 5)
            await until(lambda: bool(writers.changes["market_data"]))
            old, held, began = writers.latest("market_data"), standby.logged(HELD), time.time()
            leader.line.hold()
            await takes_over(standby, held)
            taken = time.time() - began
            await lasts(max(0.0, began + 25 - time.time()))
            leader.line.heal()
            await lasts(12)
            late = writers.by(old, began + 0.2)
        report.back(taken)
        report.holds("fenced", not late, f"published by the old holder: {late}")
        unbroken(report, cluster)


@pytest.mark.fault("an old holder of a lease publishes")
async def test_an_old_holder_is_refused_from_the_moment_another_takes_the_lease(report: Report, tmp_path: Path) -> None:
    """Who takes a lease raises the fence of every service of its category in the same call: an old holder is refused
    before the new one has published anything."""
    async with Cluster(tmp_path, 0) as cluster:
        redis = cluster.client()
        old, new = (Lease(redis, NAMES, "data_collection", 1.0) for _ in range(2))
        first, second = Bus(redis, NAMES, 100), Bus(redis, NAMES, 100)
        before = await old.refresh()
        for service in ("market_data", "news"):
            await first.publish(service, {"n": 1}, fence=before)
        after = before

        async def taken() -> bool:
            nonlocal after
            after = await new.refresh()
            return bool(after)

        await until(taken, 5)
        await second.publish("market_data", {"n": 2}, fence=after)
        for service, when in (("market_data", "after"), ("news", "before")):
            try:
                outcome = f"accepted as {(await first.publish(service, {'n': 3}, fence=before)).seq}"
            except FencedError:
                outcome = "refused"
            report.holds("fenced", outcome == "refused", f"{when} the new holder's first publish: {outcome}")
        report.seen = "nothing of it"


@pytest.mark.long
@pytest.mark.fault("Redis away for 20 s under a real worker")
async def test_services_after_redis_was_away(report: Report, tmp_path: Path) -> None:
    """What could not be published while Redis was away is published within 5 s of its return, also where the service's
    next turn is later."""
    async with Cluster(tmp_path, 1, services=tuple(INTERVALS)) as cluster:
        follower = listener(cluster)
        await cluster.workers(1)
        await heard(follower)
        news = max(at for at, name in follower.diary if name == "news")
        await lasts(max(0.0, news + 50 - time.time()))  # so that the next turn of news falls into the outage
        cluster.redis.kill()
        await lasts(20)
        await cluster.redis.up()
        mended = time.time()
        found = await all_again(follower, mended, 75)
        slow = {service: next_s for service, (next_s, _) in found.items() if next_s > 5}
        report.back(max(next_s for next_s, _ in found.values()))
        report.figure(by_service=found)
        report.holds("keeps", not slow, f"services without an update within 5 s of Redis' return: {slow}")
        # The lease has run out meanwhile: nobody can prove that nothing was lost.
        unbroken(report, cluster, new_epochs=True)
