"""Chromium without a window."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")

_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


async def open_page(program: str, folder: Path) -> asyncio.subprocess.Process:
    """A page that runs `program`; its process is the first of a group."""
    page = folder / "page.html"
    page.write_text(f"<!doctype html><script>{program}</script>")
    return await asyncio.create_subprocess_exec(
        "chromium",
        *_OPTIONS,
        f"--user-data-dir={folder / 'profile'}",
        page.as_uri(),
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


@asynccontextmanager
async def browsing(program: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The same, until the block ends."""
    process = await open_page(program, folder)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()
