"""`.coinwire/`: what a running cluster leaves on disk for the next run, for `make tail` and for `make export`.

Whoever wants the database of the cluster that runs here (or ran here last) takes
`settings_here(load_settings(), state)` and opens what that says: an operator's DATABASE_URL counts first, then the
cluster's own, then the default.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from shared.errors import CoinwireError
from shared.settings import Settings

DEFAULT_FOLDER = Path(".coinwire")


class StateError(CoinwireError):
    """The folder can't be used: another cluster runs in it, or it can't be written."""


class State:
    """One cluster's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._redis_url = folder / "redis-url"
        self._database_url = folder / "database-url"

    def redis_folder(self, mode: str) -> Path:
        """Where the embedded Redis keeps its data. Simulated figures never mix with real ones: a folder a mode."""
        return self.folder / "redis" / mode

    def database_file(self, mode: str) -> Path:
        """The SQLite file of a cluster whose operator named no database, absolute. A file a mode, as for Redis."""
        return (self.folder / "history" / f"{mode}.db").absolute()

    def redis_url(self) -> str | None:
        """Address of the Redis of the cluster that runs here, or None."""
        return _read(self._redis_url)

    def database_url(self) -> str | None:
        """Address of the database of the cluster that runs here, or of the SQLite file of the one that ran last."""
        return _read(self._database_url)

    @contextmanager
    def claim(self, redis_url: str, database_url: str | None = None) -> Iterator[None]:
        """Hold the folder, with both addresses told to who looks for the cluster. StateError where another holds it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise StateError(f"{self.folder}: {error.strerror}") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # two servers on one append-only file would ruin it
                raise StateError(
                    f"{self.folder} is in use: another `make demo` or `make run` of this checkout is running"
                ) from None
            _write(self._redis_url, redis_url)
            if database_url is not None:
                _write(self._database_url, database_url)
            try:
                yield
            finally:
                self._redis_url.unlink(missing_ok=True)
                if database_url is not None and not database_url.startswith("sqlite:"):
                    self._database_url.unlink(missing_ok=True)  # a file can be exported from later; a password leaks


def settings_here(settings: Settings, state: State) -> Settings:
    """`settings` with the database of the cluster in `state`, unless the operator set one. Nothing is opened."""
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
