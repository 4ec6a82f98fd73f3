"""`.coinwire/`: what a cluster on this machine keeps on disk for its next run and for other commands.

Whoever wants the database of the cluster that runs here (or ran here last) takes
`settings_here(load_settings(), state)` and opens what that says: an operator's DATABASE_URL counts first, then the
cluster's own, then the default.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pydantic import SecretStr

from shared.errors import CoinwireError
from shared.settings import Settings

DEFAULT_FOLDER = Path(".coinwire")


class StateError(CoinwireError):
    """The folder can't be used: another cluster runs in it, or it can't be written."""


class State:
    """The folder of one cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._redis_url = folder / "redis-url"
        self._database_url = folder / "database-url"

    def redis_folder(self, mode: str) -> Path:
        """Where the embedded Redis keeps its data: one folder per mode, as simulated and real figures must not mix."""
        return self.folder / "redis" / mode

    def database_file(self, mode: str) -> Path:
        """The SQLite file of a cluster without DATABASE_URL, as an absolute path: one file per mode."""
        return (self.folder / "history" / f"{mode}.db").absolute()

    def redis_url(self) -> str | None:
        """Address of the Redis of the cluster that runs here, for tools that read; or None."""
        return _read(self._redis_url)

    def database_url(self) -> str | None:
        """Address of the database of the cluster that runs here, or of the SQLite file of the one that ran last."""
        return _read(self._database_url)

    def _redis_url_of(self, user: str) -> Path:
        return self._redis_url.with_name(f"{self._redis_url.name}-{user}")

    def refuse_a_second(self) -> None:
        """Raise StateError if another cluster holds the folder. Creates nothing."""
        try:
            lock = (self.folder / "lock").open()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StateError(f"{self.folder}: {error.strerror}") from None
        with lock:
            self._lock(lock)

    @contextmanager
    def claim(
        self, redis_url: str, database_url: str | None = None, other_redis_urls: Mapping[str, str] | None = None
    ) -> Iterator[None]:
        """Hold the folder, with the addresses in it for other commands. Raises StateError if it is held already.

        `other_redis_urls` are those of users who may do more than read: `redis-url-consumer` has that of `consumer`.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise StateError(f"{self.folder}: {error.strerror}") from None
        with lock:
            self._lock(lock)
            others = {self._redis_url_of(user): url for user, url in (other_redis_urls or {}).items()}
            for path, url in {self._redis_url: redis_url, **others}.items():
                _write(path, url)
            if database_url is not None:
                _write(self._database_url, database_url)
            try:
                yield
            finally:
                for path in (self._redis_url, *others):
                    path.unlink(missing_ok=True)
                if database_url is not None and not database_url.startswith("sqlite:"):
                    self._database_url.unlink(missing_ok=True)  # it may hold a password; a file's address stays

    def _lock(self, file: TextIO) -> None:
        """Lock `file` until it is closed: two servers would ruin one append-only file."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StateError(
                f"{self.folder} is in use: another `make demo` or `make run` of this checkout is running"
            ) from None


def settings_here(settings: Settings, state: State) -> Settings:
    """`settings` with the database of the cluster in `state`, unless DATABASE_URL is set. Opens nothing."""
    url = state.database_url()
    if url is None or "database_url" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"database_url": SecretStr(url)})


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None


def _write(path: Path, address: str) -> None:
    path.unlink(missing_ok=True)
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it may hold a password
    with os.fdopen(opened, "w") as file:
        file.write(address + "\n")
