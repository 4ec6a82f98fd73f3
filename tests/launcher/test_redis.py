"""`python -m launcher.redis`: a redis-server that comes back."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest
from redis import AuthenticationError, Redis
from redis.exceptions import NoPermissionError

from launcher.ports import fault_of, free_port
from launcher.users import Users
from tests.started import Command, Start, alive

PASSWORD = "sesame"  # noqa: S105 - of servers that live as long as a test


def ask(port: int, command: str) -> str:
    """What the Redis on `port` answers to one inline command of who knows the password."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"AUTH {PASSWORD}\r\n".encode())
        assert connection.recv(65536) == b"+OK\r\n"
        connection.sendall(command.encode() + b"\r\n")
        return connection.recv(65536).decode()


def server_pid(port: int) -> int:
    """The process that listens on `port`, as it says itself."""
    found = re.search(r"process_id:(\d+)", ask(port, "INFO server"))
    assert found
    return int(found[1])


@pytest.fixture
def port() -> int:
    """A port for the server."""
    return free_port()


@pytest.fixture
def keeper(start: Start, tmp_path: Path, port: int) -> Command:
    """A keeper whose server listens."""
    command = start("launcher.redis", "--port", str(port), "--folder", tmp_path / "data", REDIS_PASSWORD=PASSWORD)
    command.line(f"redis-server listens on redis://127.0.0.1:{port}/0")
    return command


def test_a_killed_server_is_back_on_its_port(keeper: Command, port: int) -> None:
    """A killed redis-server is started again on the same port; both events are logged once."""
    first = server_pid(port)
    os.kill(first, signal.SIGKILL)
    keeper.line(rf"redis-server died \(killed by SIGKILL\): starting it again on port {port}")
    keeper.line(r"redis-server back after \d+\.\d s")
    assert server_pid(port) != first
    assert len(keeper.lines) == 3


def test_data_outlive_a_stop(keeper: Command, start: Start, port: int, tmp_path: Path) -> None:
    """What was written before a stop is there after the next start."""
    assert ask(port, "SET kept yes") == "+OK\r\n"
    keeper.process.terminate()
    assert keeper.wait() == 0
    again = start("launcher.redis", "--port", str(port), "--folder", tmp_path / "data", REDIS_PASSWORD=PASSWORD)
    again.line("listens")
    assert ask(port, "GET kept") == "$3\r\nyes\r\n"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_server_and_keeper(keeper: Command, port: int, signum: int) -> None:
    """SIGTERM and Ctrl-C stop the server with its keeper, with status 0."""
    server = server_pid(port)
    keeper.process.send_signal(signum)
    assert keeper.wait() == 0
    assert not alive(server)
    assert fault_of("127.0.0.1", port) is None


def test_a_taken_port_is_said_and_status_2(start: Start, tmp_path: Path, port: int) -> None:
    """A server that can't be started at all ends its keeper with one line and status 2."""
    with socket.create_server(("127.0.0.1", port)):
        keeper = start("launcher.redis", "--port", str(port), "--folder", tmp_path / "data", REDIS_PASSWORD=PASSWORD)
        assert keeper.wait() == 2
    (line,) = keeper.lines
    assert "redis-server exited" in line


def test_a_keeper_without_a_password_is_refused(start: Start, tmp_path: Path, port: int) -> None:
    """A server that anybody could use is never started: one line names the variable, and the status is 2."""
    keeper = start("launcher.redis", "--port", str(port), "--folder", tmp_path / "data", REDIS_PASSWORD="")
    assert keeper.wait() == 2
    assert "REDIS_PASSWORD is not set" in keeper.lines[-1]


@pytest.mark.slow  # it starts and stops servers
def test_users_come_back_with_their_server(start: Start, tmp_path: Path, port: int) -> None:
    """With `--prefix`, the server has the deployment's users, also after it was killed; none of them is shown."""
    users = Users.made("coinwire")
    command = ("--port", str(port), "--folder", tmp_path / "data", "--prefix", users.prefix)
    keeper = start("launcher.redis", *command, **users.environment)
    keeper.line("redis-server listens")
    for _ in range(2):
        seen = len(keeper.lines)
        with pytest.raises(AuthenticationError):
            Redis(port=port).ping()
        with Redis(port=port, username="reader", password=users.passwords["reader"]) as reader:
            assert reader.get("coinwire:{news}:last") is None
            with pytest.raises(NoPermissionError):
                reader.set("coinwire:{news}:last", "x")
        with Redis(port=port, username="operator", password=users.passwords["operator"]) as operator:
            os.kill(operator.info("server")["process_id"], signal.SIGKILL)
        keeper.line("redis-server back after", after=seen)
    shown = keeper.output + (tmp_path / "data" / "redis.log").read_text()
    assert not [user for user, password in users.passwords.items() if password in shown]


def test_a_keeper_without_all_passwords_of_its_users_is_refused(start: Start, tmp_path: Path, port: int) -> None:
    """A user without a password would be missing: one line names the variables, and the status is 2."""
    environment = {**Users.made("coinwire").environment, "REDIS_GATEWAY_PASSWORD": ""}
    command = ("--port", str(port), "--folder", tmp_path / "data", "--prefix", "coinwire")
    keeper = start("launcher.redis", *command, **environment)
    assert keeper.wait() == 2
    assert "REDIS_GATEWAY_PASSWORD" in keeper.lines[-1]
