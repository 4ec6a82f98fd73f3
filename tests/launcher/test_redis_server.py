"""RedisServer: which server is started, and who may use it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.redis_server import OLDEST, RedisServer, RedisServerError, find_redis_server, version_of
from tests.waiting import until

Put = Callable[[str, str], Path]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that runs."""
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.kill()


@pytest.fixture
def put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts programs on a PATH that has no others: a name, and what the program does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def program(name: str, does: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{does}\n")
        path.chmod(0o755)
        return path

    return program


def says(version: str, software: str = "Redis") -> str:
    """A program that prints a version as redis-server does."""
    return f"echo '{software} server v={version} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=0123456789abcdef'"


def answer(server: RedisServer, *commands: str) -> list[str]:
    """The first line of each answer to inline commands on one connection, which gives no password by itself."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection,
        connection.makefile("rb") as lines,
    ):
        answers = []
        for command in commands:
            connection.sendall(command.encode() + b"\r\n")
            answers.append(lines.readline().decode().rstrip())
        return answers


def test_the_one_on_path_comes_first(put: Put) -> None:
    """A redis-server on PATH that is new enough is taken before a valkey-server beside it and the embedded one."""
    put("valkey-server", says("9.0.0", "Valkey"))
    redis = put("redis-server", says("6.2.14"))
    assert find_redis_server() == redis


def test_a_valkey_server_on_path_will_do(put: Put) -> None:
    """Where PATH has no redis-server, its valkey-server is taken."""
    valkey = put("valkey-server", says("8.0.1", "Valkey"))
    assert find_redis_server() == valkey


def test_the_first_folder_of_path_counts(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A valkey-server in front of a redis-server is taken: `PATH=<its folder>:$PATH make test` tests on it."""
    put("redis-server", says("7.0.15"))
    front = tmp_path / "front"
    front.mkdir()
    valkey = put("valkey-server", says("9.0.0", "Valkey")).rename(front / "valkey-server")
    monkeypatch.setenv("PATH", f"{front}/:{tmp_path / 'bin'}")
    assert find_redis_server() == valkey


@pytest.mark.parametrize("does", [says("6.0.16"), says("5.0.14"), "echo hello", "exit 1"])
def test_one_that_is_too_old_or_broken_is_passed_over(put: Put, does: str) -> None:
    """A server older than OLDEST, or broken, is skipped for the next: valkey-server, then the embedded one."""
    old = put("redis-server", does)
    embedded = find_redis_server()
    assert embedded.name == "valkey-server"
    assert embedded.parent != old.parent
    valkey = put("valkey-server", says("8.1.1", "Valkey"))
    assert find_redis_server() == valkey


def test_what_needs_a_newer_one_gets_it(put: Put) -> None:
    """A caller may ask for more than OLDEST; a server on PATH that is too old for it gives way."""
    old = put("redis-server", says("7.0.15"))
    assert find_redis_server() == old
    assert find_redis_server(oldest=(7, 2)) != old


def test_the_embedded_server_runs_here(put: Put) -> None:
    """The wheel that the lock names has a server for this machine, and it is a Valkey of the version that it names."""
    version = version_of(find_redis_server())
    assert version is not None
    assert version >= (9, 1)


def test_what_was_passed_over_is_said(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no server is left, the message lists each with its fault, and what to install."""
    old, broken = put("redis-server", says("6.0.16")), put("valkey-server", "exit 1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RedisServerError) as caught:
        find_redis_server()
    assert f"{old} is version 6.0" in str(caught.value)
    assert f"{broken} does not run" in str(caught.value)
    assert f"version {OLDEST[0]}.{OLDEST[1]} or newer" in str(caught.value)
    assert "apt-get install redis-server" in str(caught.value)


@pytest.mark.parametrize("command", ["CONFIG SET dir /tmp", "INFO", "GET key", "SHUTDOWN", "AUTH default wrong"])
def test_who_does_not_know_the_password_may_do_nothing(server: RedisServer, command: str) -> None:
    """Other users of the machine can connect to the port, and that is all."""
    (refusal,) = answer(server, command)
    assert refusal.startswith(("-NOAUTH", "-WRONGPASS"))
    assert answer(server, f"AUTH {server.password}", "PING") == ["+OK", "+PONG"]


def test_the_password_is_in_no_list_of_processes_and_no_log(server: RedisServer) -> None:
    """Neither the command line nor what the server logs has it."""
    assert server.process is not None
    assert server.password not in " ".join(server.command)
    assert server.password.encode() not in Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
    assert server.password not in (server.folder / "redis.log").read_text()
    assert server.password not in server.address
    assert server.password in server.url


def test_each_has_a_password_of_its_own_and_keeps_it(server: RedisServer) -> None:
    """Passwords are random; a restart keeps its server's, so that clients find their way back."""
    assert RedisServer(server.folder).password != server.password
    assert answer(server, f"AUTH {server.password}", "SET kept yes") == ["+OK", "+OK"]
    server.kill()
    server.start()
    assert answer(server, f"AUTH {server.password}", "EXISTS kept") == ["+OK", ":1"]


def test_a_port_where_another_server_listens_is_refused(server: RedisServer, tmp_path: Path) -> None:
    """Another server's PONG does not pass for one's own, and the error says what the server said last."""
    other = RedisServer(tmp_path / "other", server.port)
    with pytest.raises(RedisServerError, match=r"exited with 1 \(.*[Ll]istening.*\): see .*redis\.log"):
        other.start()


async def test_what_it_keeps_is_no_dump(server: RedisServer) -> None:
    """Rewritten, its file still holds commands, which Redis and Valkey both read; each other's dumps they refuse."""
    auth = f"AUTH {server.password}"

    def info() -> str:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(f"{auth}\r\nINFO persistence\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    assert answer(server, auth, "SET kept yes", "BGREWRITEAOF")[2].startswith("+Background")
    await until(lambda: "aof_rewrite_in_progress:0" in info() and "aof_rewrite_scheduled:0" in info())
    assert "aof_last_bgrewrite_status:ok" in info()
    kept = [file.read_bytes() for file in server.folder.rglob("*.aof*")]
    assert any(b"kept" in data for data in kept)
    assert not [data for data in kept if data.startswith((b"REDIS", b"VALKEY"))]
