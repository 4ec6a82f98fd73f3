"""Whose X-Forwarded-For is believed."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket
from collections.abc import Collection

import pytest
import websockets
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from gateway.node import Node
from gateway.transport.proxies import TrustedProxies
from shared.errors import SettingsError
from shared.settings import Settings
from tests.contract.conftest import running
from tests.contract.test_limits import deaf_client
from tests.gateway.raw import code_of, dial, frame, upgrade
from tests.waiting import until

SPOOFED, CLIENT = "203.0.113.9", "198.51.100.7"


class Seen:
    """An application that remembers who its last client was."""

    def __init__(self) -> None:
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, _receive: Receive, _send: Send) -> None:
        """Answers nothing."""
        self.scope = scope


async def client_of(proxies: TrustedProxies, app: Seen, peer: str | None, forwarded: str = CLIENT) -> str | None:
    """Whom the application takes for the client when `peer` says that it is `forwarded`."""

    async def receive() -> dict[str, object]:
        raise AssertionError("nothing is read")

    async def send(_message: object) -> None:
        raise AssertionError("nothing is sent")

    headers = [(b"x-forwarded-for", forwarded.encode()), (b"x-forwarded-proto", b"https")]
    client = (peer, 1) if peer else None
    await proxies({"type": "websocket", "scheme": "ws", "client": client, "headers": headers}, receive, send)
    return str(app.scope["client"][0]) if app.scope["client"] else None


class Names:
    """A resolver whose answers the test decides."""

    def __init__(self, **addresses: Collection[str]) -> None:
        self.addresses = addresses
        self.error: OSError | None = None

    async def __call__(self, name: str) -> Collection[str]:
        """As `gateway.transport.proxies.resolve`."""
        if self.error is not None:
            raise self.error
        return self.addresses[name]


class Clock:
    """A clock that the test sets, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        """As `time.monotonic`."""
        return self.now


KNOWN, UNKNOWN = "proxy known", "proxy unknown: nobody is trusted by this name"
DENIED = socket.gaierror(socket.EAI_NONAME, "no such name")
TROUBLE = [
    socket.gaierror(socket.EAI_AGAIN, "SERVFAIL"),
    TimeoutError(),
    OSError(errno.EMFILE, "too many open files"),
]


@pytest.mark.parametrize(
    ("trusted", "peer", "believed"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("10.0.0.0/24, ::1", "10.0.0.77", True),
        ("10.0.0.0/24, ::1", "::1", True),
        ("10.0.0.0/24, ::1", "10.0.1.1", False),
        ("10.0.0.0/24, ::1", "::ffff:10.0.0.77", True),
        ("10.0.0.0/24, ::1", "::ffff:10.0.1.1", False),
        ("*", "192.0.2.1", True),
        ("", "127.0.0.1", False),
    ],
)
async def test_addresses_and_networks(trusted: str, peer: str, believed: bool) -> None:
    """Listed peers are trusted; from others the header is ignored, the scheme included."""
    app = Seen()
    assert await client_of(TrustedProxies(app, trusted), app, peer) == (CLIENT if believed else peer)
    assert app.scope["scheme"] == ("wss" if believed else "ws")


async def test_a_peer_without_an_address_is_not_believed() -> None:
    """If the server has no peer address, the client has none, and the header is ignored."""
    app = Seen()
    assert await client_of(TrustedProxies(app, "10.0.0.1"), app, None) is None


async def test_what_a_client_says_of_itself_through_a_proxy_is_not_believed() -> None:
    """Proxies append: the last address that is not a proxy's is the client's; earlier ones are ignored."""
    app = Seen()
    proxies = TrustedProxies(app, "10.0.0.1,10.0.0.2")
    assert await client_of(proxies, app, "10.0.0.1", f"{SPOOFED}, {CLIENT}, 10.0.0.2") == CLIENT


async def test_a_name_trusts_nobody_until_it_is_looked_up() -> None:
    """A host name stands for all its addresses once they are resolved; before that, for none."""
    app = Seen()
    proxies = TrustedProxies(app, "balancer", Names(balancer=["10.0.0.5", "fd00::5"]))
    assert proxies.has_names
    assert await client_of(proxies, app, "10.0.0.5") == "10.0.0.5"
    await proxies.look_up("balancer")
    for peer in ("10.0.0.5", "::ffff:10.0.0.5", "fd00::5"):
        assert await client_of(proxies, app, peer) == CLIENT


async def test_a_proxy_made_anew_is_believed_at_its_new_address_only() -> None:
    """The old address of a proxy is no longer trusted, as it may belong to another host."""
    app, names = Seen(), Names(balancer=["10.0.0.5"])
    proxies = TrustedProxies(app, "balancer", names)
    await proxies.look_up("balancer")
    names.addresses = {"balancer": ["10.0.0.6"]}
    await proxies.look_up("balancer")
    assert await client_of(proxies, app, "10.0.0.6") == CLIENT
    assert await client_of(proxies, app, "10.0.0.5") == "10.0.0.5"


async def test_names_are_looked_up_again_and_again() -> None:
    """Without a request and without a restart, a new address takes the old one's place."""
    names = Names(balancer=["10.0.0.5"])
    proxies = TrustedProxies(Seen(), "balancer", names, every=0.01)
    with capture_logs() as logs:
        running = asyncio.create_task(proxies.run())
        await until(lambda: len(logs) == 1)
        names.addresses = {"balancer": ["10.0.0.7", "10.0.0.6"]}
        await until(lambda: len(logs) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [(line["event"], line["addresses"]) for line in logs] == [
        (KNOWN, ["10.0.0.5"]),
        (KNOWN, ["10.0.0.6", "10.0.0.7"]),
    ]


async def test_a_name_that_is_denied_trusts_nobody_at_once() -> None:
    """If the name does not exist any more, its addresses lose trust at once. The change is logged once."""
    app, names = Seen(), Names(balancer=["10.0.0.5"])
    proxies = TrustedProxies(app, "balancer", names)
    with capture_logs() as logs:
        await proxies.look_up("balancer")
        names.error = DENIED
        for _ in range(3):
            await proxies.look_up("balancer")
    assert await client_of(proxies, app, "10.0.0.5") == "10.0.0.5"
    assert [line["event"] for line in logs] == [KNOWN, UNKNOWN]


@pytest.mark.parametrize("error", TROUBLE)
async def test_while_the_resolver_fails_addresses_stay_for_thirty_seconds(error: OSError) -> None:
    """A short failure changes nothing and is not logged; after thirty seconds no address is trusted."""
    app, names, clock = Seen(), Names(balancer=["10.0.0.5"]), Clock()
    proxies = TrustedProxies(app, "balancer", names, clock=clock)
    with capture_logs() as logs:
        await proxies.look_up("balancer")
        names.error = error
        clock.now += 29.9
        await proxies.look_up("balancer")
        assert await client_of(proxies, app, "10.0.0.5") == CLIENT
        names.error = None
        await proxies.look_up("balancer")
        names.error = error
        clock.now += 29.9
        await proxies.look_up("balancer")
        assert [line["event"] for line in logs] == [KNOWN]
        clock.now += 0.2
        await proxies.look_up("balancer")
        assert await client_of(proxies, app, "10.0.0.5") == "10.0.0.5"
        names.error = None
        await proxies.look_up("balancer")
        assert await client_of(proxies, app, "10.0.0.5") == CLIENT
    assert [line["event"] for line in logs] == [KNOWN, UNKNOWN, KNOWN]


@pytest.mark.parametrize("error", [DENIED, *TROUBLE])
async def test_a_name_that_was_never_known_is_told_once(error: OSError) -> None:
    """A misspelt FORWARDED_ALLOW_IPS is logged once."""
    names = Names()
    names.error = error
    proxies = TrustedProxies(Seen(), "balancr", names)
    with capture_logs() as logs:
        for _ in range(3):
            await proxies.look_up("balancr")
    assert [(line["event"], line["proxy"]) for line in logs] == [(UNKNOWN, "balancr")]


@pytest.mark.parametrize(
    "trusted",
    [
        "10.0.0.300",
        "10.0.0.300.",
        "10.0.0",
        "0x7f000001",
        "10.0.0.1/33",
        "10.0.0.1/24",
        "bal ancer",
        "-x",
        "a..b",
        "x" * 64,
        "http://balancer",
        "balancer:80",
        "*,10.0.0.1",
    ],
)
def test_what_is_no_address_network_or_name_is_refused(trusted: str) -> None:
    """FORWARDED_ALLOW_IPS is named; a gateway with it does not start."""
    with pytest.raises(SettingsError, match="FORWARDED_ALLOW_IPS"):
        TrustedProxies(Seen(), trusted)


@pytest.mark.parametrize(
    ("host", "trusted", "address"),
    [
        ("127.0.0.1", "localhost", CLIENT),
        ("::", "localhost", CLIENT),
        ("127.0.0.1", "192.0.2.1", "127.0.0.1"),
        ("::", "192.0.2.1", "::ffff:127.0.0.1"),
    ],
)
async def test_a_client_closed_for_flooding_is_logged_with_its_address(
    settings: Settings, host: str, trusted: str, address: str
) -> None:
    """The address that a trusted proxy gave, `localhost` as the system's resolver has it; else the peer's own. One
    line a close, however many commands were refused."""
    with capture_logs() as logs:
        changed = settings.model_copy(update={"host": host, "forwarded_allow_ips": trusted})
        async with running(changed) as cluster:
            names = 2 if trusted == "localhost" else 0  # one in each gateway
            await until(lambda: [line["event"] for line in logs].count(KNOWN) == names)
            headers = {"X-Forwarded-For": f"{SPOOFED}, {CLIENT}"}
            client = await cluster.connect("/ws", additional_headers=headers)
            with contextlib.suppress(websockets.ConnectionClosed):
                for _ in range(400):
                    await client.connection.send(json.dumps({"action": "ping"}))
            assert (await client.rest())[1] == 1008
    (line,) = [line for line in logs if line["event"] == "client kept on although rate limited"]
    assert line["address"] == address


@pytest.mark.slow  # it sends thousands of frames
async def test_a_client_closed_for_small_frames_is_logged_with_its_address(settings: Settings) -> None:
    """The address that a trusted proxy gave; one line a close, however many frames were sent."""
    with capture_logs() as logs:
        async with running(settings) as cluster, dial(cluster.nodes[0].port) as raw:
            await raw.send(upgrade("/ws/data", f"X-Forwarded-For: {CLIENT}"))
            assert (await raw.head()).startswith("HTTP/1.1 101")
            await raw.message()
            await raw.send(frame(b"", opcode=10) * 3000)
            *_, close = await raw.rest()
            assert code_of(close) == 1008
    (line,) = [line for line in logs if line["event"] == "client sent too many control frames or fragments"]
    assert line["address"] == CLIENT


async def test_a_client_too_slow_is_logged_with_its_address(settings: Settings) -> None:
    """One line for the close, with what was dropped."""
    with capture_logs() as logs:
        async with running(settings.model_copy(update={"outbox_bytes": 65_536})) as cluster:
            raw = await deaf_client(cluster, "/ws/news?meta=1")
            await until(lambda: cluster.nodes[0].presence.total_clients == 1)

            async def closed() -> bool:
                await cluster.publish("news", text="x" * 300_000)
                return cluster.nodes[0].presence.total_clients == 0

            await until(closed)
            raw.close()
    (line,) = [line for line in logs if line["event"] == "client too slow"]
    assert line["address"] == "127.0.0.1"
    assert line["dropped"] >= 1


async def test_a_gateway_that_can_look_up_no_more_goes_down(settings: Settings) -> None:
    """Exit status 1: rather than one that believes an address which is another's by now."""
    node = Node(settings.model_copy(update={"forwarded_allow_ips": "localhost"}))
    gateway = asyncio.create_task(node.run(node.bind()))
    await until(lambda: not node.unready)
    name = "TrustedProxies.run"
    (dying,) = [each for each in asyncio.all_tasks() if getattr(each.get_coro(), "__qualname__", "") == name]
    dying.cancel()
    async with asyncio.timeout(10):
        assert await gateway == 1
