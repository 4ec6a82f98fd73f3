"""`python -m commands.credentials FOLDER`: makes the passwords of a deployment, once, and says who may do what.

Each part finds what it needs in a folder of its own, and mounts no other:

    redis/users.acl, redis/operator_password               users of Redis (hashes only), and who may do everything
    postgres/postgres_password, postgres/reader_password   of the roles coinwire and coinwire_reader
    worker/, gateway/, tools/: redis_url, database_url     settings, as `shared.settings` reads them from files

What is there already is kept, what is missing or can't be read is made anew. REDIS_WORKER_PASSWORD,
REDIS_GATEWAY_PASSWORD, REDIS_READER_PASSWORD, REDIS_OPERATOR_PASSWORD, POSTGRES_PASSWORD and POSTGRES_READER_PASSWORD
replace what was made.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from shared.bus.acl import users
from shared.errors import CoinwireError

UID = 10001
"""Who gateways, workers and tools run as in the image."""

_SHORTEST = 16  # characters of a password from the environment: an online attack would take longer than the universe
_BYTES = 32  # of randomness in one that is made: as many as its hash keeps
_OWN, _ALL = 0o400, 0o444


class CredentialsError(CoinwireError):
    """Credentials could not be made. Says why, and never what they are."""


class Login(NamedTuple):
    """One password: whose it is, which variable replaces it, and which file holds it."""

    user: str
    variable: str
    file: str


LOGINS = (
    Login("worker", "REDIS_WORKER_PASSWORD", "worker/redis_url"),
    Login("gateway", "REDIS_GATEWAY_PASSWORD", "gateway/redis_url"),
    Login("reader", "REDIS_READER_PASSWORD", "tools/redis_url"),
    Login("operator", "REDIS_OPERATOR_PASSWORD", "redis/operator_password"),
    Login("coinwire", "POSTGRES_PASSWORD", "postgres/postgres_password"),
    Login("coinwire_reader", "POSTGRES_READER_PASSWORD", "postgres/reader_password"),
)


def make(
    folder: Path,
    environment: Mapping[str, str],
    *,
    uid: int = UID,
    redis_host: str = "redis",
    postgres_host: str = "postgres",
) -> list[str]:
    """Write what is missing or changed below `folder`. Returns the names of the files that were written.

    `uid` gets the files of gateways, workers and tools, where we are root. Raises CredentialsError where a password is
    too short, the prefix is none, or a file can't be written.
    """
    prefix = environment.get("REDIS_PREFIX") or "coinwire"
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", prefix):
        raise CredentialsError("REDIS_PREFIX: letters, digits, _, . and - only")
    try:
        # A volume, so that containers see each other's lock: the folders are mounted one by one.
        with _locked(folder / "redis"):
            known = {login.user: _password(folder, login, environment) for login in LOGINS}
            files = _files(prefix, known, redis_host, postgres_host)
            return [name for name, (text, mode) in files.items() if _put(folder / name, text, mode, uid)]
    except OSError as error:
        raise CredentialsError(f"{error.filename or folder}: {error.strerror}") from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else writes here. The lock is the kernel's: it ends with its holder, however that ends."""
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
    except (FileNotFoundError, ValueError):  # neither text nor a URL: no password either
        found = ""
    return found or secrets.token_urlsafe(_BYTES)


def _files(
    prefix: str, passwords: Mapping[str, str], redis_host: str, postgres_host: str
) -> dict[str, tuple[str, int]]:
    """Every file: its text, and who may read it."""
    rules = {
        name: f"{rule} #{hashlib.sha256(passwords[name].encode()).hexdigest()}" if name in passwords else rule
        for name, rule in users(prefix).items()
    }
    found = {
        "redis/operator_password": (passwords["operator"], _OWN),
        # Read by whoever the image runs its server as, which differs between images; nobody else mounts these.
        "redis/users.acl": ("".join(f"user {name} {rule}\n" for name, rule in rules.items()), _ALL),
        "postgres/postgres_password": (passwords["coinwire"], _ALL),
        "postgres/reader_password": (passwords["coinwire_reader"], _ALL),
    }
    for part, redis_user, role in (
        ("worker", "worker", "coinwire"),
        ("gateway", "gateway", "coinwire_reader"),
        ("tools", "reader", "coinwire"),
    ):
        redis_url = f"redis://{redis_user}:{quote(passwords[redis_user], safe='')}@{redis_host}:6379/0"
        found[f"{part}/redis_url"] = redis_url, _OWN
        database_url = f"postgresql://{role}:{quote(passwords[role], safe='')}@{postgres_host}:5432/coinwire"
        found[f"{part}/database_url"] = database_url, _OWN
    return found


def _put(path: Path, text: str, mode: int, uid: int) -> bool:
    """Write a file whole or not at all. Returns whether that was necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)  # of a start that was cut off
    root = os.geteuid() == 0
    owner = uid if path.parent.name not in ("redis", "postgres") else 0
    if path.exists():
        found = path.stat()
        owned = found.st_uid == owner or not root
        if owned and found.st_mode & 0o777 == mode and path.read_bytes() == text.encode():
            return False
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(text.encode())
        os.fchmod(file.fileno(), mode)  # whatever the umask took away
        if root:
            os.fchown(file.fileno(), owner, owner)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        # The name too: a database that was made with a password must not outlive it when the power fails.
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 2 with one line that says what is wrong."""
    parser = argparse.ArgumentParser(prog="commands.credentials", description="Makes the passwords of a deployment.")
    parser.add_argument("folder", type=Path, help="with a volume each at redis, postgres, worker, gateway and tools")
    parser.add_argument("--uid", type=int, default=UID, help="who gateways, workers and tools run as")
    parser.add_argument("--redis-host", default="redis", help="where they find Redis")
    parser.add_argument("--postgres-host", default="postgres", help="where they find PostgreSQL")
    options = parser.parse_args(arguments)
    try:
        written = make(
            options.folder,
            os.environ,
            uid=options.uid,
            redis_host=options.redis_host,
            postgres_host=options.postgres_host,
        )
    except CredentialsError as error:
        sys.stderr.write(f"credentials: {error}\n")
        return 2
    print(f"credentials: {'wrote ' + ', '.join(written) if written else 'nothing to change'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
