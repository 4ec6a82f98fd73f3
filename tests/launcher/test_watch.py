"""`python -m launcher.watch`: who says what to open, and when a gateway is not ready any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from launcher.ports import free_port, reachable
from launcher.watch import fault_of, invitation
from tests.answering import Quiet, answering
from tests.started import Start


class Health(Quiet):
    """Answers every GET with the server's status of the moment."""

    status = 503

    def do_GET(self) -> None:
        self.send_response(type(self).status)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def health() -> Iterator[tuple[str, type[Health]]]:
    """A server that stands for a gateway: its URL, and the class whose `status` it answers with."""

    class Own(Health):
        pass

    with answering(Own) as url:
        yield url, Own


def test_it_invites_once_all_are_ready_and_tells_of_changes(health: tuple[str, type[Health]], start: Start) -> None:
    """Nothing is printed before every gateway is ready; then each change is printed once."""
    url, gateway = health
    watch = start("launcher.watch", url, "--simulated")
    gateway.status = 200
    watch.line("ready. What to open")
    watch.line("Ctrl-C")
    gateway.status = 503
    watch.line(f"{url} is not ready: HTTP 503")
    gateway.status = 200
    watch.line(f"{url} is ready again")
    assert len(watch.lines) == len(invitation([url], simulated=True)) + 2


def test_a_gateway_that_is_not_there_is_not_ready() -> None:
    """No listener is a fault with a reason, not an exception."""
    assert fault_of(f"http://127.0.0.1:{free_port()}")


def test_the_invitation_names_what_there_is_to_open() -> None:
    """Sockets, documentation, statistics, history, Redis and its users, database, and whether figures are simulated."""
    gateways, database = ["http://127.0.0.1:7860", "http://127.0.0.1:7861"], "sqlite:////tmp/demo.db"
    text = "\n".join(invitation(gateways, simulated=True, database=database, state=".coinwire", notes=["old"]))
    for part in ("ws://127.0.0.1:7860/ws/", "ws://127.0.0.1:7861/ws/", "/docs", "/ws/stats", "make tail", "simulated"):
        assert part in text
    for part in ("http://127.0.0.1:7860/api/v1/history/market_data", database, ".coinwire/redis-url-consumer", "old"):
        assert part in text
    assert "simulated" not in "\n".join(invitation(["http://127.0.0.1:7860"], simulated=False))
    assert max(map(len, text.splitlines())) <= 80


def test_the_first_address_is_one_that_a_browser_shows() -> None:
    """The first line with an address has the page of the API's documentation, over http."""
    first, *_ = [line for line in invitation(["http://127.0.0.1:7860"], simulated=True) if "://" in line]
    assert first.endswith(" http://127.0.0.1:7860/docs")


@pytest.mark.parametrize(
    ("host", "written"),
    [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "127.0.0.1"), ("::", "[::1]"), ("gateway", "gateway")],  # noqa: S104
)
def test_urls_name_a_host_that_can_be_reached(host: str, written: str) -> None:
    """An address to listen on everywhere is written as loopback, IPv6 in brackets."""
    assert reachable(host) == written
