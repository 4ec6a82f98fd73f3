"""Without logs: thousands of schedules would write gigabytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog


def _drop(_logger: Any, _method: str, _event: Any) -> Any:
    raise structlog.DropEvent


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what the code logs."""
    before = structlog.get_config()
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.configure(**before)
