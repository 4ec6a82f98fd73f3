"""`python -m launcher.credentials FOLDER`: makes the passwords of a deployment, once, and says who may do what.

Each part finds what it needs in a folder of its own, and mounts no other:

    redis/users.acl, redis/operator_password               users of Redis (hashes only), and who may do everything
    postgres/postgres_password, postgres/reader_password   of the roles coinwire and coinwire_reader
    worker/, gateway/, tools/: redis_url, database_url     settings, as `shared.settings` reads them from files

What is there already is kept. REDIS_WORKER_PASSWORD, REDIS_GATEWAY_PASSWORD, REDIS_READER_PASSWORD,
REDIS_OPERATOR_PASSWORD, POSTGRES_PASSWORD and POSTGRES_READER_PASSWORD replace what was made.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from shared.acl import users
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


def make(folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Write what is missing or changed below `folder`. Returns the names of the files that were written.

    Raises CredentialsError where a password is too short, the prefix is none, or a file can't be written.
    """
    prefix = environment.get("REDIS_PREFIX") or "coinwire"
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", prefix):
        raise CredentialsError("REDIS_PREFIX: letters, digits, _, . and - only")
    try:
        known = {login.user: _password(folder, login, environment) for login in LOGINS}
        return [name for name, (text, mode) in _files(prefix, known).items() if _put(folder / name, text, mode)]
    except OSError as error:
        raise CredentialsError(f"{error.filename}: {error.strerror}") from None


def _password(folder: Path, login: Login, environment: Mapping[str, str]) -> str:
    given = environment.get(login.variable)
    if given:
        if len(given) < _SHORTEST or not given.isprintable():
            raise CredentialsError(f"{login.variable}: at least {_SHORTEST} characters, all of them printable")
        return given
    try:
        text = (folder / login.file).read_text().strip()
    except FileNotFoundError:
        text = ""
    found = unquote(urlsplit(text).password or "") if login.file.endswith("_url") else text
    return found or secrets.token_urlsafe(_BYTES)


def _files(prefix: str, passwords: Mapping[str, str]) -> dict[str, tuple[str, int]]:
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
        redis_url = f"redis://{redis_user}:{quote(passwords[redis_user], safe='')}@redis:6379/0"
        found[f"{part}/redis_url"] = redis_url, _OWN
        database_url = f"postgresql://{role}:{quote(passwords[role], safe='')}@postgres:5432/coinwire"
        found[f"{part}/database_url"] = database_url, _OWN
    return found


def _put(path: Path, text: str, mode: int) -> bool:
    """Write a file whole or not at all. Returns whether that was necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() == text and path.stat().st_mode & 0o777 == mode:
        return False
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.chmod(mode)  # whatever the umask took away
    if os.geteuid() == 0 and path.parent.name not in ("redis", "postgres"):
        os.chown(draft, UID, UID)
    draft.rename(path)
    return True


def main(arguments: list[str]) -> int:
    """Exit status: 0, or 2 with one line that says what is wrong."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m launcher.credentials FOLDER\n")
        return 2
    try:
        written = make(Path(arguments[0]), os.environ)
    except CredentialsError as error:
        sys.stderr.write(f"credentials: {error}\n")
        return 2
    print(f"credentials: {'wrote ' + ', '.join(written) if written else 'nothing to change'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
