"""Exports, backups and restores take no more memory for many records than for few."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.database import Record, open_database
from shared.settings import Settings
from tests.places import ROOT

pytestmark = pytest.mark.slow

FEW, MANY = 20_000, 400_000

MEASURED = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def peak(folder: Path, url: str, *command: str) -> int:
    """Bytes of memory that a command took at most."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *command],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return int(done.stderr.split("peak ")[1]) * 1024


async def filled(folder: Path, count: int) -> str:
    """The address of a database with so many small records; its folder is made with it."""
    url = f"sqlite:///{folder}/history.db"
    database = open_database(Settings(_env_file=None, database_url=SecretStr(url)))
    await database.migrate()
    data = '{"articles":[],"sources":["a"],"categories":[],"timestamp":"2026-11-23T12:00:00.000Z"}'
    for start in range(0, count, 10_000):
        await database.insert([Record("news", "e", seq, 1000 + seq, data) for seq in range(start, start + 10_000)])
    assert await database.count() == count
    await database.aclose()
    return url


async def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    """Twenty times the records, at most 30 MiB more (what allocators keep), for every command."""
    few, many = await filled(tmp_path / "few", FEW), await filled(tmp_path / "many", MANY)
    commands = [
        *(
            ("commands", "export", "news", "--format", form, "--out", f"out.{form}")
            for form in ("csv", "jsonl", "parquet")
        ),
        ("commands", "backup", "b"),
        ("commands", "restore", "b", "--replace"),
    ]
    for command in commands:
        small = peak(tmp_path / "few", few, *command)
        large = peak(tmp_path / "many", many, *command)
        assert large - small < 30 << 20, (command, small, large)
