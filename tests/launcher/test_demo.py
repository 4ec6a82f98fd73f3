"""`coinwire demo` as a person uses it: start, look, kill things, Ctrl-C."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from websockets.sync.client import connect

from shared.catalog import CATEGORIES
from tests.started import Command, Start, alive, pids_of

pytestmark = pytest.mark.slow


@pytest.fixture
def demo(start: Start, tmp_path: Path) -> Command:
    """A demo on free ports that says it is ready."""
    cluster = start("commands", "demo", "--state", tmp_path / "state", PORT="0", REDIS_URL="", SIMULATOR_URL="")
    cluster.line("ready. What to open")
    cluster.line("Ctrl-C stops all of it")
    return cluster


def addresses(cluster: Command) -> list[str]:
    """WebSocket URLs of market_data, as the demo prints them."""
    return [line.split()[-1] for line in cluster.lines if "  prices  " in line]


def update(socket: object) -> dict[str, object]:
    """The next update on a connection."""
    while True:
        message: dict[str, object] = json.loads(socket.recv(timeout=30))  # type: ignore[attr-defined]
        if message["type"] == "update":
            return message


def test_ctrl_c_stops_everything_with_status_0(demo: Command, tmp_path: Path) -> None:
    """Ctrl-C ends the demo with status 0, and no process of it stays behind."""
    pids = pids_of(demo)
    assert len(pids) == 5 + len(CATEGORIES)  # redis, simulator, two gateways, who says what to open; and the workers
    redis_url = (tmp_path / "state" / "redis-url").read_text()
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0, demo.output
    assert not any(alive(pid) for pid in pids)
    assert "Traceback" not in demo.output
    assert not (tmp_path / "state" / "redis-url").exists()
    with socket.socket() as probe:  # redis-server is no direct child: its port tells
        assert probe.connect_ex(("127.0.0.1", int(redis_url.split(":")[-1].split("/")[0]))) != 0


def test_sigterm_stops_it_as_ctrl_c_does(demo: Command) -> None:
    """SIGTERM to the launcher alone, as `kill` sends it, is a clean stop too."""
    demo.process.terminate()
    assert demo.wait() == 0, demo.output
    assert not any(alive(pid) for pid in pids_of(demo))


def test_a_closed_terminal_stops_it(demo: Command) -> None:
    """SIGHUP to the whole group, as a closing terminal sends it, ends every process."""
    demo.signal(signal.SIGHUP)
    assert demo.wait() == 0, demo.output
    assert not any(alive(pid) for pid in pids_of(demo))


def test_a_process_that_dies_ends_the_demo(demo: Command) -> None:
    """When one process dies by itself, the demo names it, stops the others and exits with status 1."""
    os.kill(int(demo.line(r"gateway-2 started \(pid=(\d+)\)")[1]), signal.SIGKILL)
    assert demo.wait() == 1
    assert demo.line(r"coinwire: gateway-2 ended by itself \(killed by SIGKILL\)")
    assert not any(alive(pid) for pid in pids_of(demo))


def test_prices_move_on_both_gateways(demo: Command) -> None:
    """Both printed addresses give simulated prices, the same ones under the same number."""
    first, second = addresses(demo)
    with connect(f"{first}?meta=1") as left, connect(f"{second}?meta=1") as right:
        one, other = update(left), update(right)
        while one["meta"]["seq"] != other["meta"]["seq"]:  # type: ignore[index]
            one, other = (update(left), other) if one["meta"]["seq"] < other["meta"]["seq"] else (one, update(right))  # type: ignore[index]
        assert one["data"] == other["data"]
        assert "simulated" in one["data"]["source"]  # type: ignore[index]
        later = update(left)
        assert later["meta"]["seq"] == one["meta"]["seq"] + 1  # type: ignore[index]
        assert later["data"]["prices"] != one["data"]["prices"]  # type: ignore[index]


def test_a_killed_redis_comes_back_under_its_clients(demo: Command, tmp_path: Path) -> None:
    """Redis killed: it is started again on its port, the client stays connected, and updates go on."""
    port = int((tmp_path / "state" / "redis-url").read_text().split(":")[-1].split("/")[0])
    keeper = int(demo.line(r"redis started \(pid=(\d+)\)")[1])
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    with connect(f"{addresses(demo)[0]}?meta=1") as client:
        before = update(client)
        seen = len(demo.lines)
        os.kill(int(children[0]), signal.SIGKILL)
        demo.line(rf"redis-server died \(killed by SIGKILL\): starting it again on port {port}", after=seen)
        demo.line(r"redis-server back after", after=seen)
        after = update(client)
        assert after["meta"] != before["meta"]
    assert demo.process.poll() is None


def test_make_tail_prints_the_channel(demo: Command, start: Start, tmp_path: Path) -> None:
    """`make tail` finds the demo's Redis by itself and prints its updates."""
    tail = start("commands", "tail", "market_data", "--state", tmp_path / "state", REDIS_URL="")
    tail.line(r"#\d+  bitcoin [\d,.]+ \([+-]\d+\.\d %\)")
    tail.signal(signal.SIGINT)
    assert tail.wait() == 0


def test_its_redis_has_the_users_of_a_deployment(demo: Command, tmp_path: Path) -> None:
    """Tools find an address each for reading, for consumer groups and for everything; no part is refused anything."""
    with connect(f"{addresses(demo)[0]}?meta=1") as client:
        update(client)
    url = {
        name: (tmp_path / "state" / f"redis-url{name}").read_text().strip() for name in ("", "-consumer", "-operator")
    }
    assert not [one for one in url.values() if str(urlsplit(one).password) in demo.output]
    stream = "coinwire:{market_data}:stream"
    with Redis.from_url(url[""]) as reader, Redis.from_url(url["-consumer"]) as consumer:
        assert reader.xlen(stream) > 0
        consumer.xgroup_create(stream, "mine", "0")
        assert consumer.xreadgroup("mine", "me", {stream: ">"}, count=1)
        with Redis.from_url(url["-operator"]) as operator:
            assert operator.acl_log() == []
        with pytest.raises(NoPermissionError):
            reader.xgroup_create(stream, "other", "0")
        with pytest.raises(NoPermissionError):
            consumer.xgroup_destroy(stream, "recorder")


def test_nobody_else_learns_the_password_of_its_redis(demo: Command, tmp_path: Path) -> None:
    """The demo's Redis password is in a file for this user only, not in the output or a command line."""
    file = tmp_path / "state" / "redis-url"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    address = urlsplit(file.read_text().strip())
    assert address.password
    assert address.password not in demo.output
    assert pids_of(demo)
    listed = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert not [line for line in listed if address.password.encode() in line]
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(b"CONFIG SET dir /tmp\r\n")
        assert connection.recv(100).startswith(b"-NOAUTH")


def test_two_demos_do_not_share_a_folder(demo: Command, start: Start, tmp_path: Path) -> None:
    """A second cluster on the same folder is refused in one line with status 2; the first is not disturbed."""
    second = start("commands", "demo", "--state", tmp_path / "state", PORT="0", REDIS_URL="")
    assert second.wait() == 2
    (line,) = second.lines
    assert "another `make demo` or `make run`" in line
    third = start(
        "commands", "demo", "--state", tmp_path / "state", PORT=str(urlsplit(addresses(demo)[0]).port), REDIS_URL=""
    )
    assert third.wait() == 2
    assert third.lines == second.lines
    assert (tmp_path / "state" / "redis-url").exists()


def test_both_gateways_answer_ready(demo: Command) -> None:
    """What the demo calls ready answers /health/ready with 200."""
    for url in addresses(demo):
        connection = http.client.HTTPConnection(url.split("/")[2], timeout=10)
        connection.request("GET", "/health/ready")
        assert connection.getresponse().status == 200
        connection.close()
