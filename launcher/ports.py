"""TCP ports: free ones for internal use, and the reason why one can't be used."""

from __future__ import annotations

import errno
import random
import socket
from contextlib import ExitStack

from shared.errors import CoinwireError

LOOPBACK = "127.0.0.1"

# Below the ports that a kernel gives to connections that go out, so that a server that restarts finds its port free:
# Linux takes 32768 to 60999 (ip_local_port_range), macOS 49152 to 65535. A node of a Redis Cluster also listens
# 10,000 above its port, which is below them too.
_QUIET = range(12_000, 22_000)
_ATTEMPTS = 1000
_CHANCE = random.SystemRandom()  # a process that seeds `random` must not walk the same ports as the next one


class PortError(CoinwireError):
    """A process can't listen on its port."""


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """`count` ports side by side that no process listens on now.

    They are reserved: as long as this process lives, no process gets one of them from here. Raises PortError where
    `host` is not of this machine, or nothing is free.
    """
    for _ in range(_ATTEMPTS):
        first = _CHANCE.randrange(_QUIET.start, _QUIET.stop - count + 1)
        ports = range(first, first + count)
        with ExitStack() as held:
            try:
                # UDP ports of the same numbers, which nobody here uses: whichever way this process ends, the kernel
                # frees them then.
                reserved = [held.enter_context(_bound(host, port, socket.SOCK_DGRAM)) for port in ports]
                for port in ports:
                    _bound(host, port).close()
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise PortError(f"can't listen on {host}: {error.strerror or error}") from error
            for each in reserved:
                each.detach()
            return list(ports)
    raise PortError(f"no {count} ports side by side are free on {host} from {_QUIET.start} to {_QUIET.stop - 1}")


def free_port(host: str = LOOPBACK) -> int:
    """One of `free_ports`."""
    return free_ports(1, host)[0]


def fault_of(host: str, port: int) -> str | None:
    """Why a process can't listen on `host`:`port` now, or None if it can."""
    try:
        _bound(host, port).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def reachable(host: str) -> str:
    """`host` as clients on this machine write it in a URL: loopback for all interfaces, IPv6 in brackets."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host


def _bound(host: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket on `host`:`port`, which listens to nobody. Raises OSError."""
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    try:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignores connections of a past run
        probe.bind((host, port))
    except OSError:
        probe.close()
        raise
    return probe
