"""Whose X-Forwarded-For is believed."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Collection

import pytest
import websockets
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.proxies import TrustedProxies
from shared.errors import SettingsError
from shared.settings import Settings
from tests.contract.conftest import running
from tests.waiting import until

SPOOFED, CLIENT = "203.0.113.9", "198.51.100.7"


class Seen:
    """An application that remembers who its last client was."""

    def __init__(self) -> None:
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Answers nothing."""
        self.scope = scope


async def client_of(proxies: TrustedProxies, app: Seen, peer: str, forwarded: str = CLIENT) -> str:
    """Whom the application takes for the client when `peer` says that it is `forwarded`."""

    async def receive() -> dict[str, object]:
        raise AssertionError("nothing is read")

    async def send(_message: object) -> None:
        raise AssertionError("nothing is sent")

    headers = [(b"x-forwarded-for", forwarded.encode()), (b"x-forwarded-proto", b"https")]
    await proxies({"type": "websocket", "scheme": "ws", "client": (peer, 1), "headers": headers}, receive, send)
    return str(app.scope["client"][0])


class Names:
    """A resolver whose answers the test decides."""

    def __init__(self, **addresses: Collection[str]) -> None:
        self.addresses = addresses
        self.errno: int | None = None

    async def __call__(self, name: str) -> Collection[str]:
        """As `gateway.proxies.resolve`."""
        if self.errno is not None:
            raise socket.gaierror(self.errno, "no answer")
        return self.addresses[name]


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.0/24, ::1", "10.0.0.77", True),
        ("10.0.0.0/24, ::1", "::1", True),
        ("10.0.0.0/24, ::1", "10.0.1.1", False),
        ("*", "192.0.2.1", True),
        ("", "127.0.0.1", False),
    ],
)
async def test_addresses_and_networks(trusted: str, peer: str, believed: bool) -> None:
    """Who is listed is believed; from anybody else the header is ignored, and so is the scheme."""
    app = Seen()
    assert await client_of(TrustedProxies(app, trusted), app, peer) == (CLIENT if believed else peer)
    assert app.scope["scheme"] == ("wss" if believed else "ws")


async def test_what_a_client_says_of_itself_through_a_proxy_is_not_believed() -> None:
    """Proxies append: the last address that is no proxy's own is the client's, whatever stands before it."""
    app = Seen()
    proxies = TrustedProxies(app, "10.0.0.1,10.0.0.2")
    assert await client_of(proxies, app, "10.0.0.1", f"{SPOOFED}, {CLIENT}, 10.0.0.2") == CLIENT


async def test_a_name_trusts_nobody_until_it_is_looked_up() -> None:
    """A host name stands for all addresses it has, once they are known."""
    app = Seen()
    proxies = TrustedProxies(app, "balancer", Names(balancer=["10.0.0.5", "fd00::5"]))
    assert proxies.has_names
    assert await client_of(proxies, app, "10.0.0.5") == "10.0.0.5"
    await proxies.look_up("balancer")
    for peer in ("10.0.0.5", "::ffff:10.0.0.5", "fd00::5"):
        assert await client_of(proxies, app, peer) == CLIENT


async def test_a_proxy_made_anew_is_believed_at_its_new_address_only() -> None:
    """Its old address may be another's now."""
    app, names = Seen(), Names(balancer=["10.0.0.5"])
    proxies = TrustedProxies(app, "balancer", names)
    await proxies.look_up("balancer")
    names.addresses = {"balancer": ["10.0.0.6"]}
    await proxies.look_up("balancer")
    assert await client_of(proxies, app, "10.0.0.6") == CLIENT
    assert await client_of(proxies, app, "10.0.0.5") == "10.0.0.5"


@pytest.mark.parametrize(("errno", "believed"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)])
async def test_a_name_that_is_gone_trusts_nobody_a_resolver_in_trouble_changes_nothing(
    errno: int, believed: bool
) -> None:
    """EAI_NONAME says that there is no such proxy, EAI_AGAIN says nothing of it. The change is logged once."""
    app, names = Seen(), Names(balancer=["10.0.0.5"])
    proxies = TrustedProxies(app, "balancer", names)
    with capture_logs() as logs:
        await proxies.look_up("balancer")
        names.errno = errno
        for _ in range(3):
            await proxies.look_up("balancer")
    assert await client_of(proxies, app, "10.0.0.5") == (CLIENT if believed else "10.0.0.5")
    said = ["proxy trusted"] if believed else ["proxy trusted", "proxy gone: nobody is trusted by this name"]
    assert [line["event"] for line in logs] == said


@pytest.mark.parametrize("trusted", ["10.0.0.300", "10.0.0.1/33", "bal ancer", "-x", "http://balancer", "*,10.0.0.1"])
def test_what_is_no_address_network_or_name_is_refused(trusted: str) -> None:
    """FORWARDED_ALLOW_IPS is named; a gateway with it does not start."""
    with pytest.raises(SettingsError, match="FORWARDED_ALLOW_IPS"):
        TrustedProxies(Seen(), trusted)


async def test_a_gateway_believes_the_proxies_of_its_settings(settings: Settings) -> None:
    """A client closed for flooding is logged with the address that a proxy on this host gave: `localhost`, as the
    system's resolver has it."""
    with capture_logs() as logs:
        async with running(settings.model_copy(update={"forwarded_allow_ips": "localhost"})) as cluster:
            await until(lambda: [line["event"] for line in logs].count("proxy trusted") == 2)
            headers = {"X-Forwarded-For": f"{SPOOFED}, {CLIENT}"}
            client = await cluster.connect("/ws", additional_headers=headers)
            with contextlib.suppress(websockets.ConnectionClosed):
                for _ in range(400):
                    await client.connection.send(json.dumps({"action": "ping"}))
            assert (await client.rest())[1] == 1008
    (line,) = [line for line in logs if line["event"] == "client kept on although rate limited"]
    assert line["address"] == CLIENT
