"""The project's HAProxy configuration behind a name server of ours, as Docker's is for a service."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path
from typing import cast

import pytest

from launcher.ports import free_ports
from tests.places import ROOT
from tests.system.processes import Process

CONFIGURATION = ROOT / "deploy" / "balancer" / "haproxy.cfg"


class Names(asyncio.DatagramProtocol):
    """A DNS server that answers every question for an IPv4 address with `addresses`."""

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.port = 0

    async def start(self) -> Names:
        """Listen on a free port of 127.0.0.1."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = transport.get_extra_info("sockname")[1]
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        end = data.index(b"\0", 12) + 5
        question, wants_address = data[12:end], data[end - 4 : end - 2] == b"\0\1"
        found = self.addresses if wants_address else []
        records = [b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address) for address in found]
        head = data[:2] + b"\x81\x80\0\1" + len(records).to_bytes(2, "big") + b"\0\0\0\0"
        self.transport.sendto(head + question + b"".join(records), sender)


def find_haproxy() -> str:
    """Where HAProxy is. Without one the test skips."""
    found = shutil.which("haproxy")
    if found is None:
        pytest.skip("no HAProxy here: install one (Debian: apt-get install haproxy)")
    return found


class Balancer(Process):
    """HAProxy with the deployment's own configuration, but for its ports and its name server."""

    def __init__(self, folder: Path, names: Names, gateway_port: int) -> None:
        self.port = free_ports(2)[0]
        inside = self.port + 1
        text = CONFIGURATION.read_text()
        for what, instead in {
            "127.0.0.11:53": f"127.0.0.1:{names.port}",
            "bind :7860": f"bind 127.0.0.1:{self.port}",
            "bind :8404": f"bind 127.0.0.1:{inside}",
            "gateway:7860": f"gateway:{gateway_port}",
        }.items():
            assert what in text, what
            text = text.replace(what, instead)
        file = folder / "haproxy.cfg"
        file.write_text(text)
        env = {"MAXCONN": "5000", "GATEWAY_SLOTS": "20"}
        super().__init__("balancer", [find_haproxy(), "-W", "-db", "-f", str(file)], env)
