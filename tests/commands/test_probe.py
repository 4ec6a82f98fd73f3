"""`coinwire probe`, the command that health checks run."""

from __future__ import annotations

import http.server
import subprocess
import sys
from collections.abc import Iterator

import pytest

from commands.probe import ask, main
from launcher.ports import free_port
from tests.answering import Quiet, answering


class Pages(Quiet):
    """Answers with the status that the path names."""

    def do_GET(self) -> None:
        """One request."""
        self.send_response(int(self.path.strip("/").partition("?")[0]))
        self.send_header("Location", "/200")
        self.end_headers()
        self.wfile.write(b'{"reasons": ["draining"]}')


@pytest.fixture
def url() -> Iterator[str]:
    """Where the pages are."""
    with answering(Pages) as url:
        yield url


@pytest.mark.parametrize(("path", "status"), [("/200", 0), ("/201?x=1", 0), ("/503", 1), ("/302", 1), ("/404", 1)])
def test_its_status_says_whether_it_went_well(
    url: str, path: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 for a 2xx, 1 for anything else, a redirect included; the body is printed either way, a failure is one line."""
    assert main([url + path]) == status
    printed = capsys.readouterr()
    assert printed.out == '{"reasons": ["draining"]}\n'
    wrong = [line.startswith(f"{url}{path}: {path[1:]} ") for line in printed.err.splitlines()]
    assert wrong == [True] * status


def test_nobody_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a server the status is 1, and one line names the address."""
    port = free_port()
    assert main([f"http://127.0.0.1:{port}/health/ready"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f":{port}/health/ready: no answer" in line


def test_who_does_not_answer_is_given_up(url: str) -> None:
    """A server that accepts connections but never answers is given up after the timeout."""
    silent = http.server.HTTPServer(("127.0.0.1", 0), Pages)  # nobody runs it
    with silent:
        body, wrong = ask(f"http://127.0.0.1:{silent.server_address[1]}/200", 0.2)
        assert main([f"http://127.0.0.1:{silent.server_address[1]}/200", "--timeout", "0.1"]) == 1
    assert (body, wrong) == ("", "no answer (timed out)")


def test_a_name_that_no_host_can_have_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for what DNS could not even be asked."""
    assert main([f"http://{'x' * 70}/"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert ": no answer (" in line


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b"],
        ["ftp://x/"],
        ["https://x/"],
        ["http:///x"],
        ["http://x:99999/"],
        ["http://x:0/"],
        ["http://name:secret@x/"],
        ["http://x/ä"],
        ["http://x/", "--timeout"],
        ["http://x/", "--timeout", "soon"],
        ["http://x/", "--timeout", "0"],
        ["http://x/", "--timeout", "nan"],
    ],
)
def test_what_can_not_be_asked_is_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With how to ask, and without what was asked: there may be a password in it."""
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("usage: ")
    assert "secret" not in printed


def test_it_starts_fast_enough_to_be_run_every_few_seconds() -> None:
    """It imports none of the libraries that the rest is made of, not even typer."""
    program = (
        "import sys\n"
        "from commands.__main__ import main\n"
        "try: main(['probe', 'http://127.0.0.1:1/'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert not {"typer", "redis", "pydantic", "httpx", "asyncio", "msgspec"} & {
        name.partition(".")[0] for name in loaded
    }
