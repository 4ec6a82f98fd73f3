"""`coinwire credentials FOLDER`: generates the passwords of a deployment once, and the rights of its Redis users.

Each part of the deployment mounts one folder, which has what that part needs:

    redis/users.acl, redis/operator_password               Redis users (hashed passwords, rights); the operator's own
    postgres/postgres_password, postgres/reader_password   of the roles coinwire and coinwire_reader
    worker/, gateway/, tools/: redis_url, database_url     settings, as `shared.settings` reads them from files
    consumer/: redis_url                                   the same for tools that read with consumer groups

With `--sentinels`, the Redis of a deployment is replicated, and has more users:

    redis/replica_password, redis/sentinel_password        of replicas and Sentinels, as users of the servers
    redis/sentinels.acl, redis/watcher_password            users of the Sentinels; the password of all others

Existing passwords are kept; a missing or unreadable one is generated. REDIS_WORKER_PASSWORD, REDIS_GATEWAY_PASSWORD,
REDIS_READER_PASSWORD, REDIS_CONSUMER_PASSWORD, REDIS_OPERATOR_PASSWORD, POSTGRES_PASSWORD and POSTGRES_READER_PASSWORD
in the environment replace existing ones.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import typer

from shared.bus.acl import replication_users, sentinel_users, user_lines, users
from shared.errors import CoinwireError

UID = 10001
"""The user id of gateways, workers and tools in the image."""

_SHORTEST = 16  # characters of a password from the environment: fewer could be guessed over the network
_BYTES = 32  # of randomness in a generated password: as many as its SHA-256 keeps
_OWN, _ALL = 0o400, 0o444


class CredentialsError(CoinwireError):
    """Credentials could not be made. The message says why, and holds none of them."""


class Login(NamedTuple):
    """One password: its user, the variable that replaces it ('' for none), and the file that holds it."""

    user: str
    variable: str
    file: str


LOGINS = (
    Login("worker", "REDIS_WORKER_PASSWORD", "worker/redis_url"),
    Login("gateway", "REDIS_GATEWAY_PASSWORD", "gateway/redis_url"),
    Login("reader", "REDIS_READER_PASSWORD", "tools/redis_url"),
    Login("consumer", "REDIS_CONSUMER_PASSWORD", "consumer/redis_url"),
    Login("operator", "REDIS_OPERATOR_PASSWORD", "redis/operator_password"),
    Login("coinwire", "POSTGRES_PASSWORD", "postgres/postgres_password"),
    Login("coinwire_reader", "POSTGRES_READER_PASSWORD", "postgres/reader_password"),
)
REPLICATED_LOGINS = (
    Login("replica", "", "redis/replica_password"),
    Login("sentinel", "", "redis/sentinel_password"),
    Login("watcher", "", "redis/watcher_password"),
)
"""Those of a Redis with Sentinels."""

REPLICATED_SERVICE = "coinwire"
"""The name that the Sentinels know the servers by: deploy/redis/sentinel.sh."""


def make(
    folder: Path,
    environment: Mapping[str, str],
    *,
    uid: int = UID,
    redis_host: str = "redis",
    postgres_host: str = "postgres",
    sentinels: Sequence[str] = (),
) -> list[str]:
    """Write what is missing or changed below `folder`. Returns the names of the files that were written.

    `sentinels` are the hosts of the Sentinels, if Redis has any; then `redis_host` is not used.

    When run as root, gives the files of gateways, workers and tools to the user `uid`. Raises CredentialsError for a
    password that is too short, a malformed prefix, and a file that can't be written.
    """
    prefix = environment.get("REDIS_PREFIX") or "coinwire"
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", prefix):
        raise CredentialsError("REDIS_PREFIX: letters, digits, _, . and - only")
    try:
        # Locked in a volume: `folder` itself is not one, so containers would not see each other's lock there.
        with _locked(folder / "redis"):
            logins = LOGINS + (REPLICATED_LOGINS if sentinels else ())
            known = {login.user: _password(folder, login, environment) for login in logins}
            place = f"{redis_host}:6379/0"
            if sentinels:
                hosts = ",".join(f"{host}:26379" for host in sentinels)
                login = f"sentinel_username=watcher&sentinel_password={quote(known['watcher'], safe='')}"
                place = f"{hosts}/{REPLICATED_SERVICE}/0?{login}"
            files = _files(prefix, known, place, postgres_host)
            return [name for name, (text, mode) in files.items() if _put(folder / name, text, mode, uid)]
    except OSError as error:
        raise CredentialsError(f"{error.filename or folder}: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. The kernel releases it however its holder ends."""
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _password(folder: Path, login: Login, environment: Mapping[str, str]) -> str:
    given = environment.get(login.variable)
    if given:
        if len(given) < _SHORTEST or not given.isprintable():
            raise CredentialsError(f"{login.variable}: at least {_SHORTEST} characters, all of them printable")
        return given
    try:
        text = (folder / login.file).read_text(encoding="utf-8").rstrip("\r\n")
        found = unquote(urlsplit(text).password or "") if login.file.endswith("_url") else text
    except (FileNotFoundError, ValueError):  # neither text nor a URL, so it holds no password
        found = ""
    return found or secrets.token_urlsafe(_BYTES)


def _files(
    prefix: str, passwords: Mapping[str, str], redis_place: str, postgres_host: str
) -> dict[str, tuple[str, int]]:
    """Every file: its text and its mode."""
    replicated = "watcher" in passwords
    found = {
        "redis/operator_password": (passwords["operator"], _OWN),
        # Readable by everybody, as the servers' user ids differ between images; only their containers mount these.
        "redis/users.acl": (user_lines(users(prefix) | (replication_users() if replicated else {}), passwords), _ALL),
        "postgres/postgres_password": (passwords["coinwire"], _ALL),
        "postgres/reader_password": (passwords["coinwire_reader"], _ALL),
    }
    if replicated:
        found["redis/sentinels.acl"] = user_lines(sentinel_users(), passwords), _ALL
        for login in REPLICATED_LOGINS:
            found[login.file] = passwords[login.user], _OWN
    scheme = "redis+sentinel" if replicated else "redis"
    for part, redis_user, role in (
        ("worker", "worker", "coinwire"),
        ("gateway", "gateway", "coinwire_reader"),
        ("tools", "reader", "coinwire"),
        ("consumer", "consumer", None),
    ):
        redis_url = f"{scheme}://{redis_user}:{quote(passwords[redis_user], safe='')}@{redis_place}"
        found[f"{part}/redis_url"] = redis_url, _OWN
        if role is None:
            continue
        database_url = f"postgresql://{role}:{quote(passwords[role], safe='')}@{postgres_host}:5432/coinwire"
        found[f"{part}/database_url"] = database_url, _OWN
    return found


def _put(path: Path, text: str, mode: int, uid: int) -> bool:
    """Write a file completely or not at all, unless it is right already. Returns whether it was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)  # left by a start that was interrupted
    root = os.geteuid() == 0
    owner = uid if path.parent.name not in ("redis", "postgres") else 0
    if path.exists():
        found = path.stat()
        owned = found.st_uid == owner or not root
        if owned and found.st_mode & 0o777 == mode and path.read_bytes() == text.encode():
            return False
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(text.encode())
        os.fchmod(file.fileno(), mode)  # undoes the umask
        if root:
            os.fchown(file.fileno(), owner, owner)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # The name too: after a power cut, a database must not exist whose password is lost.
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def credentials(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Holds a volume per part: redis, postgres, worker, …, consumer."),
    ],
    uid: Annotated[int, typer.Option(help="User id of gateways, workers and tools.")] = UID,
    redis_host: Annotated[str, typer.Option(help="Host name of Redis.")] = "redis",
    postgres_host: Annotated[str, typer.Option(help="Host name of PostgreSQL.")] = "postgres",
    sentinels: Annotated[str, typer.Option(help="Host names of Redis' Sentinels, separated by commas.")] = "",
) -> None:
    """Generate the passwords and Redis rights of a deployment.

    Prints the names of the files that were written, and no password.
    """
    hosts = [host.strip() for host in sentinels.split(",") if host.strip()]
    written = make(folder, os.environ, uid=uid, redis_host=redis_host, postgres_host=postgres_host, sentinels=hosts)
    typer.echo(f"credentials: {'wrote ' + ', '.join(written) if written else 'nothing to change'}")
