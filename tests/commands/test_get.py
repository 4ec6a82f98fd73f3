"""`coinwire get`: the newest update of a service from a gateway."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from click.testing import Result
from typer.testing import CliRunner

from commands.app import app
from commands.live.filters import RULES
from launcher.ports import free_port
from shared.catalog import CHANNEL_NAMES, SERVICES
from tests.answering import Quiet, answering
from tests.commands.live.serving import Served, served

__all__ = ["served"]

DATA = {
    "prices": {"bitcoin": 101234.5, "ethereum": 3500.25, "tether": 1.0},
    "price_changes": {"bitcoin": 1.234, "ethereum": -0.5, "tether": None},
    "source": "coingecko \x1b[31m",
    "timestamp": "2025-11-11T10:30:00.000Z",
}


@pytest.fixture(scope="module")
def published(served: Served) -> Served:
    """The gateway, after updates of three services."""
    served.publish("market_data", DATA)
    served.publish(
        "news", {"articles": [{"title": "Up", "source": "Decrypt"}, {"title": "Down", "source": "CoinDesk"}]}
    )
    served.publish(
        "whale_tracking", {"large_transactions": [{"hash": "a", "value_usd": 9e6}, {"hash": "b", "value_usd": 2e6}]}
    )
    return served


def get(*arguments: str, **env: str) -> Result:
    """`coinwire get …`, into a pipe."""
    return CliRunner(env=env).invoke(app, ["get", *arguments], prog_name="coinwire")


def words(done: Result) -> list[list[str]]:
    """Of each line."""
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.stdout.splitlines()]


def test_the_newest_update_is_printed_as_tables(published: Served) -> None:
    """Service, number and time, then every figure; nothing that a terminal would obey."""
    done = get("market_data", "--url", published.url)
    found = words(done)
    assert found[0][:2] == ["market_data", "#1"]
    assert ["bitcoin", "101,234.50", "1.23"] in found
    assert "\x1b" not in done.stdout


def test_json_is_the_whole_message(published: Served) -> None:
    """`--json` prints what WebSocket clients get, with its position, on one line."""
    done = get("market_data", "--json", "--url", published.url)
    message = json.loads(done.stdout)
    assert message["data"] == DATA
    assert message["meta"]["seq"] == 1
    assert done.stdout.count("\n") == 1
    assert "\x1b" not in done.stdout


def test_the_address_is_a_setting(published: Served) -> None:
    """GATEWAY_URL names the gateway where `--url` does not."""
    assert get("news", GATEWAY_URL=published.url + "/").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("market_data", "--coins", "bitcoin, tether"), {"prices": {"bitcoin": 101234.5, "tether": 1.0}}),
        (("market_data", "--coins", "bitcoin", "--coins", "tether"), {"prices": {"bitcoin": 101234.5, "tether": 1.0}}),
        (("market_data", "--coins", "bitcoin", "--fields", "prices"), {"prices": {"bitcoin": 101234.5}}),
        (("market_data", "--coins", "bitcoin,nocoin"), {"unknown": ["nocoin"]}),
        (("news", "--sources", "decrypt"), {"articles": [{"title": "Up", "source": "Decrypt"}]}),
        (
            ("whale_tracking", "--min-value-usd", "5000000.5"),
            {"large_transactions": [{"hash": "a", "value_usd": 9e6}]},
        ),
    ],
)
def test_filters_are_options(published: Served, arguments: tuple[str, ...], left: dict[str, object]) -> None:
    """Values are separated by commas, in one option or in several, and the gateway applies them."""
    done = get(*arguments, "--json", "--url", published.url)
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)["data"]
    assert {name: data.get(name) for name in left} == left


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("market_data", "--fields", "prces"), "prces"),
        (("market_data", "--coins", ""), "coins"),
        (("market_data", "--coins", " , "), "coins"),
        (("whale_tracking", "--min-value-usd", "-1"), "min_value_usd"),
        (("whale_tracking", "--min-value-usd", "nan"), "min_value_usd"),
        (("market_data", "--coins", ",".join(f"coin-{n}" for n in range(251))), "250"),
    ],
)
def test_what_a_gateway_refuses_is_one_line(published: Served, arguments: tuple[str, ...], said: str) -> None:
    """Its message is printed with what helps, and the status is 2."""
    done = get(*arguments, "--url", published.url)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.output
    assert said in done.stderr


def test_a_wrong_field_is_told_with_those_there_are(published: Served) -> None:
    """The names that `--fields` may have are listed."""
    assert "price_changes" in get("market_data", "--fields", "prces", "--url", published.url).stderr


def test_every_filter_of_the_catalogue_is_an_option() -> None:
    """A filter that a service gets later is an option by itself, of `get` and of `watch`."""
    assert {name for spec in SERVICES.values() for name in spec.filters} == set(RULES)
    for command in ("get", "watch"):
        text = CliRunner().invoke(app, [command, "--help"]).output
        assert all(f"--{name.replace('_', '-')} " in text for name in RULES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("weather",), "no service 'weather'; there are market_data"),
        (("news", "--coins", "bitcoin"), "news has no filter --coins; it has --sources, --categories, --fields"),
        (("system", "--fields", "event"), "system has no filter --fields; it has none"),
        (("news", "--url", "localhost"), "not the address of a gateway: localhost"),
        (("news", "--url", "ftp://localhost"), "not the address of a gateway"),
        (("news", "--url", "http://[::1"), "not the address of a gateway"),
        (("news", "--url", "http://localhost:99999"), "not the address of a gateway"),
    ],
)
def test_what_makes_no_sense_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    """Wrong services, filters and addresses are refused before anything is asked: one line, and status 2."""
    done = get(*arguments)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_what_a_gateway_does_not_have_is_one_line(published: Served) -> None:
    """Its message is printed, and the status is 2."""
    done = get("sentiment", "--url", published.url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "coinwire: No update of sentiment has been published yet\n"


def test_nobody_who_listens_is_one_line() -> None:
    """Without a gateway, one line says where none is and what to do, and the status is 2."""
    url = f"http://127.0.0.1:{free_port()}"
    done = get("news", "--url", url)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"coinwire: no gateway at {url} (")
    assert "coinwire demo" in done.stderr


class Other(Quiet):
    """A server of something else."""

    body = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html\x1b[31m")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)


@pytest.fixture
def other() -> Iterator[tuple[str, type[Other]]]:
    """Its address, and the class whose `body` it answers with."""

    class Own(Other):
        pass

    with answering(Own) as url:
        yield url, Own


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"status": "success"}', b"\xff"])
def test_another_server_is_told_apart(other: tuple[str, type[Other]], body: bytes) -> None:
    """What answers something else than a gateway does is named as such, on one printable line."""
    url, server = other
    server.body = body
    done = get("news", "--url", url)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"{url} is no gateway" in done.stderr
    assert "\x1b" not in done.stderr


def test_a_server_that_says_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """What accepts a connection and never answers is left after a while, with one line."""
    monkeypatch.setattr("commands.live.api.SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = get("news", "--url", f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert done.exit_code == 2
    assert "no answer in time" in done.stderr


def test_all_services_can_be_asked_for() -> None:
    """`system` too, though it has no filter."""
    assert {"market_data", "system"} <= set(CHANNEL_NAMES)
    url = f"http://127.0.0.1:{free_port()}"
    assert all("no gateway at" in get(name, "--url", url).stderr for name in CHANNEL_NAMES)
