"""free_ports: ports that stay one's own, though nobody listens on them yet."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.ports import LOOPBACK, PortError, fault_of, free_port, free_ports
from tests.places import ROOT

MANY = 300  # of 10,000: two processes that do not know of each other would take nine of them twice
TAKES = f"""
import random
from launcher.ports import free_ports
random.seed(1)
print(*(port for _ in range({MANY} // 2) for port in free_ports(2)), flush=True)
input()
"""


def test_no_two_processes_get_the_same_port() -> None:
    """Of processes that live, none gets a port that another one got, though nobody listens there, whatever the seed."""
    processes = [
        subprocess.Popen([sys.executable, "-c", TAKES], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    taken: list[int] = []
    for process in processes:
        assert process.stdout
        taken += map(int, process.stdout.readline().split())
    assert len(taken) == len(set(taken)) == 2 * MANY
    for process in processes:
        process.communicate(b"\n")


def test_several_are_side_by_side_and_free() -> None:
    """A plan of two gateways is one port and the next."""
    first, second = free_ports(2)
    assert second == first + 1
    assert fault_of(LOOPBACK, first) is fault_of(LOOPBACK, second) is None


def test_no_connection_that_goes_out_takes_one() -> None:
    """A server that restarts finds its port free: the kernel gives other ports to clients, also to those of Redis."""
    kernel = Path("/proc/sys/net/ipv4/ip_local_port_range")
    first = int(kernel.read_text().split()[0]) if kernel.exists() else 49_152
    assert free_port() + 10_000 < first


def test_a_port_where_somebody_listens_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is passed over; where no other is left, that is said."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        monkeypatch.setattr("launcher.ports._QUIET", range(port, port + 1))
        with pytest.raises(PortError, match="no 1 ports side by side are free"):
            free_port()
    assert free_port() == port


def test_an_address_of_another_machine_is_named() -> None:
    """It is no reason to try other ports."""
    with pytest.raises(PortError, match=r"can't listen on 192\.0\.2\.1: "):
        free_port("192.0.2.1")
