"""Output files, which exist complete or not at all, and a progress bar."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from shared.errors import CoinwireError

EXPORTS, BACKUPS = Path("exports"), Path("backups")
"""Where files go that are not named. Git and the image's build ignore both folders."""


class FileError(CoinwireError):
    """A file can't be read or written, exists already, or is not what it should be."""


class HashedFile:
    """A binary file that counts and hashes what is written into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """As a file's."""
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """As a file's."""
        self._file.flush()

    def writable(self) -> bool:
        """As a file's."""
        return True

    @property
    def closed(self) -> bool:
        """As a file's. Always False: `writing` closes the file."""
        return False

    @property
    def digest(self) -> bytes:
        """SHA-256 of everything written so far."""
        return self._hash.digest()


@contextmanager
def writing(path: Path, *, replace: bool) -> Iterator[HashedFile]:
    """A new file, which gets its name only when it is complete and on disk. After an error nothing is left behind.

    EXPORTS and BACKUPS are created when needed, other folders are not. Raises FileError where the file exists and
    `replace` is not given, and where it can't be written.
    """
    if path.exists() and not replace:
        raise FileError(f"{path} exists: FORCE=1 (--force) replaces it")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.parent in (EXPORTS, BACKUPS):
            path.parent.mkdir(exist_ok=True)
        with part.open("wb") as file:
            yield HashedFile(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _keep_name(path.parent)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or type(error).__name__}") from None
    finally:
        part.unlink(missing_ok=True)


def _keep_name(folder: Path) -> None:
    """Write the folder to disk: only then does the file's new name survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Steps:
    """A progress bar on standard error if that is a terminal, else nothing."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int) -> None:
        """Count `count` more records as done."""
        self._progress.advance(self._task, count)


@contextmanager
def progress(what: str, total: int) -> Iterator[Steps]:
    """Show how many of `total` records are done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield Steps(shown, shown.add_task(what, total=total))
