"""A gateway that Redis does not reach, or reaches late, or that Redis has more for than it keeps."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from shared.errors import BusError
from tests.faults.cluster import FLOW, NAMES, PREFIX, Cluster, lasts
from tests.faults.crowd import recovery, share
from tests.faults.processes import to
from tests.faults.report import Report, of
from tests.waiting import until

BURST = 20_000


@pytest.mark.fault("no route to Redis for 20 s, for one of two gateways")
async def test_a_gateway_without_a_route_to_redis(report: Report, tmp_path: Path) -> None:
    """A gateway that Redis does not reach is not ready within 5.5 s of the last byte, and sends nobody backwards: a
    client with a position that it has not heard of is closed, and finds another gateway."""
    async with Cluster(tmp_path) as cluster:
        gateway, other = cluster.gateways
        await cluster.publish()
        cut_off = cluster.crowd.add(20, to(gateway))
        cluster.crowd.add(20, to(other))
        # Without a balancer that knows better, these come to the gateway that is cut off, then to the other again.
        hopping = cluster.crowd.add(10, to(other, gateway))
        await cluster.crowd.served()
        await cluster.crowd.flows(2 * FLOW)
        began = time.time()
        gateway.line.hold()
        await lasts(8)
        for follower in hopping:
            follower.leave()
        await lasts(12)
        gateway.line.heal()
        mended = time.time()
        report.back(await cluster.crowd.fresh_since(mended, 40))
        await cluster.crowd.flows(2 * FLOW)
        ready = cluster.health.ready(gateway, began)
        red = next((at for at, status in ready if status == 503), None)
        report.figure(
            **recovery(cut_off, began, mended),
            ready_changes=ready,
            other_gateway=cluster.health.ready(other, began),
            reconnects=await gateway.metric("coinwire_bus_reconnects_total"),
        )
        await cluster.finish()
        report.figure(hopping=of(cluster.crowd, hopping))
        report.judge(cluster.crowd)
        report.holds("ready", red is not None and red <= 5.5, f"not ready {red} s after the last byte")
        counts = cluster.crowd.counts(hopping)
        report.holds(
            "told",
            not counts.backwards and not counts.duplicates,
            f"clients that came to the gateway that was cut off: {counts.unproven} times recovered: false, "
            f"{counts.backwards} older snapshots, {counts.duplicates} updates twice",
        )


@pytest.mark.fault("an update is stored, but its PUBLISH reaches nobody")
async def test_an_update_that_nobody_was_sent(report: Report, tmp_path: Path) -> None:
    """An update that is in the stream but reached no subscriber is found within 15 s, though none follows it."""
    async with Cluster(tmp_path, 1, services=("news",)) as cluster:
        (gateway,) = cluster.gateways
        cluster.crowd.add(1, to(gateway))
        await cluster.bus().publish("news", {"n": 1, "at": time.time()})
        await cluster.crowd.wait(lambda follower: follower.counts.delivered == 1, 10)
        # A user who may do everything but publish on a channel: the script stores, and then fails.
        cluster.redis.tell("ACL", "SETUSER", "mute", "on", ">mute", "allkeys", "allcommands", "resetchannels")
        with pytest.raises(BusError):
            await cluster.bus(user="mute:mute").publish("news", {"n": 2, "at": time.time()})
        assert (position := cluster.redis.position(PREFIX, "news")) is not None
        assert position[1] == 2
        stored = time.time()
        await cluster.crowd.wait(lambda follower: follower.counts.delivered == 2, 15)
        found = time.time() - stored
        report.back(found)
        report.seen = "it comes late"
        report.figure(found_after_s=round(found, 1))
        report.holds("heals", found <= 15, f"found after {found:.1f} s")


@pytest.mark.fault("no route to Redis for longer than the history")
async def test_a_gateway_cut_off_for_longer_than_the_history_reaches(report: Report, tmp_path: Path) -> None:
    """Updates that nobody can bring back are told: in `meta` of the next update, and by a notice on `system`."""
    async with Cluster(tmp_path, 1, env={"HISTORY_LENGTH": "100", "HISTORY_BYTES": "0"}) as cluster:
        (gateway,) = cluster.gateways
        await cluster.publish()
        cluster.crowd.add(20, to(gateway))
        await cluster.crowd.served()
        await cluster.crowd.flows(FLOW)
        gateway.line.hold()
        cluster.redis.cut_subscribers()  # else everything would be in Redis' buffer for it
        await lasts(20)
        gateway.line.heal()
        mended = time.time()
        report.back(await cluster.crowd.fresh_since(mended, 20))
        await cluster.crowd.flows(FLOW)
        report.figure(unfilled=await gateway.metric("coinwire_bus_gap_unfilled_total"))
        await cluster.finish()
        counts = report.judge(cluster.crowd, may_lose=True)
        report.holds("told", not counts.missing, f"{counts.missing:,} updates jumped over without a word")
        report.holds("told", counts.told > 0, f"{counts.told:,} updates told to be lost")


@pytest.mark.long
@pytest.mark.fault("200 ms each way between a gateway and Redis")
async def test_a_gateway_far_from_redis(report: Report, tmp_path: Path) -> None:
    """With 200 ms each way to Redis, updates are at most 3 s late after a lost subscription, and on a quiet bus a
    gateway is ready and does not connect again and again."""
    async with Cluster(tmp_path) as cluster:
        gateway, other = cluster.gateways
        await cluster.publish()
        far = cluster.crowd.add(20, to(gateway))
        cluster.crowd.add(20, to(other))
        await cluster.crowd.served()
        gateway.line.delay(0.2)
        slowed = time.time()
        await cluster.crowd.flows(6 * FLOW)
        late = share([follower.late[-1] for follower in far], 0.5)
        for follower in far:
            follower.late_max = 0.0
        cluster.redis.cut_subscribers()
        await lasts(10)
        latest = max(follower.late_max for follower in far)
        report.figure(lateness_p50_s=round(late, 3), ready_changes=cluster.health.ready(gateway, slowed))
        await cluster.finish(30)
        report.judge(cluster.crowd)
        report.holds("heals", latest < 3, f"updates up to {latest:.1f} s late after its subscription was killed")

        # Nobody publishes now, as at night in a cluster of one slow service.
        reconnects = await gateway.metric("coinwire_bus_reconnects_total")
        began = time.time()
        cluster.redis.cut_subscribers()
        await lasts(30)
        again = await gateway.metric("coinwire_bus_reconnects_total") - reconnects
        report.figure(quiet_ready_changes=cluster.health.ready(gateway, began), quiet_reconnects_in_30_s=again)
        ready = await gateway.status("/health/ready")
        report.holds(
            "heals", ready == 200 and again <= 2, f"on a quiet bus: ready {ready}, {again:g} reconnects in 30 s"
        )


async def burst(report: Report, folder: Path, env: dict[str, str]) -> None:
    """A gateway does not read while 82 MB are published: more than Redis buffers for a subscriber."""
    async with Cluster(folder, 1, services=("market_data",), env=env) as cluster:
        (gateway,) = cluster.gateways
        history = int(env.get("HISTORY_LENGTH", "1000"))
        await cluster.fill(cluster.services, 1, history=history)
        cluster.crowd.add(20, to(gateway))
        await cluster.crowd.wait(lambda follower: follower.counts.delivered >= 1, 15)
        reconnects = await gateway.metric("coinwire_bus_reconnects_total")
        gateway.signal(signal.SIGSTOP)
        await cluster.fill(cluster.services, BURST, history=history)
        gateway.signal(signal.SIGCONT)
        mended = time.time()
        cluster.positions()
        await cluster.crowd.at_end(60)
        report.back(time.time() - mended)

        async def reconnected() -> bool:
            return await gateway.metric("coinwire_bus_reconnects_total") > reconnects

        await until(reconnected, 10)
        report.figure(
            memory_mib=round(gateway.memory),
            unfilled=await gateway.metric("coinwire_bus_gap_unfilled_total"),
            closed_slow=await gateway.metric("coinwire_gateway_closed_total", 'reason="slow"'),
            stream=cluster.redis.tell("XLEN", NAMES.stream("market_data")),
        )
        counts = report.judge(cluster.crowd)
        report.holds("told", not counts.missing, f"{counts.missing:,} updates missing without a word")


@pytest.mark.fault("82 MB at once, more than Redis buffers")
async def test_a_burst(report: Report, tmp_path: Path) -> None:
    """A burst of 82 MB in 20,000 updates, over what Redis buffers for a subscriber, reaches every client whole: the
    history keeps the last minute as far as HISTORY_BYTES allow."""
    await burst(report, tmp_path, {})


@pytest.mark.fault("the same, HISTORY_LENGTH holds it")
async def test_a_burst_that_the_history_holds_by_its_length(report: Report, tmp_path: Path) -> None:
    """So it does where HISTORY_LENGTH is larger than the burst."""
    await burst(report, tmp_path, {"HISTORY_LENGTH": "25000"})
