"""TCP ports: free ones for what is internal, and a clear word about one that somebody else has."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """`count` different ports that nobody listens on now."""
    with ExitStack() as held:  # all at once: the kernel may hand out a port again as soon as it is closed
        probes = [held.enter_context(socket.socket(_family(host))) for _ in range(count)]
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def fault_of(host: str, port: int) -> str | None:
    """Why nobody can listen on `host`:`port` now, or None where one can."""
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection of a past run is no listener
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return None


def reachable(host: str) -> str:
    """`host` as a client on this machine writes it in a URL."""
    host = {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
