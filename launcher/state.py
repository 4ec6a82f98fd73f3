"""`.coinwire/`: what a running cluster leaves on disk for the next run and for `make tail`."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import CoinwireError

DEFAULT_FOLDER = Path(".coinwire")


class StateError(CoinwireError):
    """The folder can't be used: another cluster runs in it, or it can't be written."""


class State:
    """One cluster's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._address = folder / "redis-url"

    def redis_folder(self, mode: str) -> Path:
        """Where the embedded Redis keeps its data. Simulated figures never mix with real ones: a folder a mode."""
        return self.folder / "redis" / mode

    def redis_url(self) -> str | None:
        """Address of the Redis of the cluster that runs here, or None."""
        try:
            return self._address.read_text().strip() or None
        except FileNotFoundError:
            return None

    @contextmanager
    def claim(self, redis_url: str) -> Iterator[None]:
        """Hold the folder, with `redis_url` told to `make tail`. Raises StateError where another cluster holds it."""
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
            self._write_address(redis_url)
            try:
                yield
            finally:
                self._address.unlink(missing_ok=True)

    def _write_address(self, redis_url: str) -> None:
        self._address.unlink(missing_ok=True)
        opened = os.open(self._address, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it may hold a password
        with os.fdopen(opened, "w") as file:
            file.write(redis_url + "\n")
