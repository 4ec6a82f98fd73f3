"""Files that are there whole or not at all, and how far their writing is."""

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


class FileError(CoinwireError):
    """A file can't be read or written, is there already, or is not what it should be."""


class HashedFile:
    """What `writing` gives: a binary file that counts and hashes what goes into it."""

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
        """As a file's; `writing` closes it."""
        return False

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that was written."""
        return self._hash.digest()


@contextmanager
def writing(path: Path, *, replace: bool) -> Iterator[HashedFile]:
    """A file that appears under its name once it is complete and on disk; whatever goes wrong leaves nothing behind.

    Raises FileError where one is there already and `replace` is not asked for, or where it can't be written.
    """
    if path.exists() and not replace:
        raise FileError(f"{path} is there already: FORCE=1 replaces it")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
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
    """A renamed file survives a power cut only once its folder is on disk too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Steps:
    """A progress bar on the standard error of a terminal; nothing elsewhere."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int) -> None:
        """So many more are done."""
        self._progress.advance(self._task, count)


@contextmanager
def progress(what: str, total: int) -> Iterator[Steps]:
    """Shows how many of `total` records are done."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield Steps(shown, shown.add_task(what, total=total))
