"""`coinwire watch`: a service in the terminal, over lost connections too."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from launcher.ports import free_port
from tests.commands.live.serving import Served, served
from tests.conftest import settings_on
from tests.places import ROOT
from tests.started import Command, Start

__all__ = ["served"]

pytestmark = pytest.mark.slow  # each starts a process or two

COLUMNS, LINES = 100, 24


@pytest.fixture
def gateway(redis_url: str) -> Iterator[Served]:
    """A gateway of the test's own, which it may stop."""
    gateway = Served(settings_on(redis_url))
    try:
        yield gateway.start()
    finally:
        gateway.stop()


def market(bitcoin: float) -> dict[str, object]:
    """An update of market_data."""
    return {"prices": {"bitcoin": bitcoin, "ethereum": 1.5}, "source": "coingecko \x1b[31m"}


def watch(start: Start, gateway: Served, *arguments: str) -> Command:
    """`coinwire watch …`, into a pipe."""
    return start("commands", "watch", *arguments, "--url", gateway.url)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._screen, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "commands", *arguments],
            cwd=ROOT,
            env={**environment, "TERM": "xterm-256color"},
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
        )
        os.close(inside)
        os.set_blocking(self._screen, False)
        self.written = ""

    def shows(self, pattern: str, seconds: float = 30.0) -> str:
        """What was written since the last call, once it matches."""
        end, seen = time.monotonic() + seconds, ""
        while not re.search(pattern, seen):
            assert time.monotonic() < end, f"no {pattern!r} in {seen!r}"
            try:
                seen += os.read(self._screen, 65536).decode(errors="replace")
            except BlockingIOError:
                os.sched_yield()
        self.written += seen
        return seen

    def end(self) -> None:
        """End it, also after a failed test."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._screen)


@pytest.fixture
def terminal(gateway: Served) -> Iterator[Terminal]:
    """Two coins of market_data, watched."""
    made = Terminal("watch", "market_data", "--coins", "bitcoin", "--url", gateway.url)
    yield made
    made.end()


def test_a_table_is_updated_in_place(gateway: Served, terminal: Terminal) -> None:
    """The newest update, then each new one over it; nothing of an upstream moves the cursor; Ctrl-C is quiet."""
    gateway.publish("market_data", market(101234.5))
    first = terminal.shows(r"101,234\.50")
    assert "market_data #1" in first
    gateway.publish("market_data", market(99000.25))
    second = terminal.shows(r"99,000\.25")
    assert "market_data #2" in second
    assert "\x1b[1A" in second  # the cursor goes up: the table is written over the one before
    assert "ethereum" not in terminal.written
    assert "coingecko \ufffd[31m" in terminal.written
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(10) == 0
    assert "Traceback" not in terminal.written


def test_the_state_of_the_connection_is_shown(gateway: Served, terminal: Terminal) -> None:
    """A gateway that goes away is told above the table, which stays; when it is back, the note goes."""
    gateway.publish("market_data", market(1.25))
    terminal.shows(r"1\.25")
    gateway.stop()
    assert "1.25" in terminal.shows("connection lost")
    gateway.start()
    gateway.publish("market_data", market(2.25))
    assert "connection lost" not in terminal.shows(r"#2 .*\n?.*(.*\n)*.*2\.25").rpartition("#2")[2]


def test_into_a_pipe_goes_a_line_per_update(gateway: Served, start: Start) -> None:
    """Without a terminal: time, number and figures, one line each, with no escape sequence."""
    gateway.publish("market_data", market(101234.5))
    reader = watch(start, gateway, "market_data", "--fields", "prices")
    reader.line(r"^20\d\d-\S+Z #1  prices: \[bitcoin 101,234\.50, ethereum 1\.50\]$")
    gateway.publish("market_data", market(2.5))
    reader.line("#2 ")
    assert "\x1b" not in reader.output


def test_an_outage_loses_nothing(gateway: Served, start: Start) -> None:
    """What is published while the gateway is away comes when it is back: every number once, in order."""
    gateway.publish("market_data", market(1.0))
    reader = watch(start, gateway, "market_data", "--json", "--coins", "bitcoin")
    reader.line('"seq":1[,}]')
    gateway.stop()
    reader.line("connection lost")
    for price in (2.0, 3.0):
        gateway.publish("market_data", market(price))
    gateway.start()
    reader.line('"seq":3[,}]')
    gateway.publish("market_data", market(4.0))
    reader.line('"seq":4[,}]')
    messages = [json.loads(line) for line in reader.lines if line.startswith("{")]
    assert [message["meta"]["seq"] for message in messages] == [1, 2, 3, 4]
    assert [message["data"]["prices"] for message in messages] == [{"bitcoin": float(n)} for n in (1, 2, 3, 4)]


def test_what_can_not_be_recovered_is_said(gateway: Served, start: Start) -> None:
    """After a new epoch, a line says that updates were lost, and following goes on."""
    gateway.publish("market_data", market(1.0))
    reader = watch(start, gateway, "market_data", "--json")
    reader.line('"seq":1[,}]')
    gateway.stop()
    reader.line("connection lost")
    gateway.forget("market_data")
    gateway.publish("market_data", market(2.0))
    gateway.start()
    reader.line("some updates were lost")
    reader.line(r'"bitcoin":2\.0')


def test_a_refused_filter_is_one_line(served: Served, start: Start) -> None:
    """What the gateway refuses ends the command with its message, and status 2."""
    reader = watch(start, served, "market_data", "--fields", "prces")
    assert reader.wait() == 2
    (line,) = reader.lines
    assert line.startswith("coinwire: ")
    assert "prces" in line
    assert "price_changes" in line


def test_a_command_that_is_too_long_is_told(served: Served, start: Start) -> None:
    """Where the gateway ends the connection at once, its reason is printed, and the status is 2."""
    reader = watch(start, served, "market_data", "--coins", ",".join(f"{n:0100}" for n in range(200)))
    assert reader.wait() == 2
    (line,) = reader.lines
    assert "1009" in line


def test_nobody_who_listens_at_first_is_one_line(start: Start) -> None:
    """Without a gateway at its start it does not wait for one: one line, and status 2."""
    reader = start("commands", "watch", "news", "--url", f"http://127.0.0.1:{free_port()}")
    assert reader.wait() == 2
    (line,) = reader.lines
    assert line.startswith("coinwire: no gateway at ")


def test_heartbeats_of_system_are_shown(served: Served, start: Start) -> None:
    """What a gateway tells about itself has no number, and is shown all the same."""
    served.publish("market_data", market(1.0))
    watch(start, served, "system").line(r"^20\d\d-\S+Z  .*event: heartbeat  services: \[market_data ")
