"""Clocks that jump: libfaketime gives a process a wall clock of the test's own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.cluster import Cluster, lasts
from tests.faults.report import Report
from tests.faults.test_workers import heard, listener

HOUR = 3600


class FakeClock:
    """The wall clock of the processes that are started with `env`, and of no other."""

    def __init__(self, file: Path) -> None:
        library = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)
        if library is None:
            pytest.skip("no libfaketime here: install it (Debian: apt-get install faketime)")
        self._file = file
        self.env = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name before version 0.9.8
            "FAKETIME_CACHE_DURATION": "1",
        }
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """From within a second on it is so much ahead."""
        self._file.write_text(f"{seconds:+d}\n")


@pytest.mark.long
@pytest.mark.fault("a clock jumps an hour ahead, and back")
async def test_clocks_that_jump(report: Report, tmp_path: Path) -> None:
    """A gateway whose clock jumps an hour ahead and back stays ready and closes nobody; a worker whose clock does goes
    on publishing at its intervals."""
    gateways, workers = FakeClock(tmp_path / "gateway.clock"), FakeClock(tmp_path / "worker.clock")
    async with Cluster(tmp_path, 1, services=("market_data",), env=gateways.env) as cluster:
        (gateway,) = cluster.gateways
        follower = listener(cluster)
        await cluster.workers(1, **workers.env)
        await heard(follower, 1)

        async def updates_in(seconds: float) -> int:
            before = len(follower.diary)
            await lasts(seconds)
            return len(follower.diary) - before

        report.figure(undisturbed_in_20_s=await updates_in(20))
        began = time.time()
        gateways.jump(HOUR)
        ahead = await updates_in(16)
        gateways.jump(0)
        report.figure(gateway_ahead_in_16_s=ahead, gateway_back_in_16_s=await updates_in(16))
        changes = cluster.health.ready(gateway, began)
        quiet = not changes and not follower.closes
        report.holds("clock", quiet, f"a gateway whose clock jumped: {changes}, {follower.closes}")
        workers.jump(HOUR)
        ahead = await updates_in(25)
        workers.jump(0)
        back = await updates_in(40)
        report.seen = "updates go on"
        report.holds("clock", ahead >= 4, f"{ahead} updates in 25 s (of 5) after a worker's clock went an hour ahead")
        report.holds("clock", back >= 6, f"{back} updates in 40 s (of 8) after it went back")
