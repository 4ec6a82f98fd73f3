"""The simulator as a process of its own, and as a guest in a test's loop."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from simulator.app import Simulator
from simulator.server import running
from tests.simulator.conftest import NO_TLS


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """`python -m simulator` on a free port."""
    command = [sys.executable, "-u", "-m", "simulator", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """It says where it listens, answers, and exits with 0 and nothing on stderr when asked to stop."""
    assert process.stdout is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
    assert found
    answer = httpx.get(f"{found[0]}/api/v3/ping", headers={"Host": "api.coingecko.com"})
    assert answer.json() == {"gecko_says": "(V3) To the Moon!"}
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


async def test_port_in_use() -> None:
    """A port that is taken is one readable line and exit status 1."""
    async with running(Simulator()) as server:
        port = server.url.rpartition(":")[2]
        command = [sys.executable, "-m", "simulator", "--port", port]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: ASYNC221
    assert done.returncode == 1
    assert done.stderr == f"cannot listen on 127.0.0.1 port {port}: Address already in use\n"


async def test_two_simulators_in_one_loop() -> None:
    """Simulators share nothing: each has its own port, faults and counts."""
    one, two = Simulator(), Simulator()
    async with running(one) as first, running(two) as second, httpx.AsyncClient(verify=NO_TLS) as client:
        await client.get(f"{first.url}/api/v3/ping", headers={"Host": "api.coingecko.com"})
        assert first.url != second.url
        assert one.tally.by_host()
        assert not two.tally.by_host()
