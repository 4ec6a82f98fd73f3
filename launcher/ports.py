"""TCP ports: free ones for internal use, and the reason why one can't be used."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """`count` different ports that no process listens on now."""
    with ExitStack() as held:  # all open at once, as the kernel may hand out a closed port again
        probes = [held.enter_context(socket.socket(_family(host))) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def fault_of(host: str, port: int) -> str | None:
    """Why a process can't listen on `host`:`port` now, or None if it can."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignores connections of a past run
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def reachable(host: str) -> str:
    """`host` as clients on this machine write it in a URL: loopback for all interfaces, IPv6 in brackets."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
