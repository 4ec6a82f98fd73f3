"""What every process does with an environment it can't use."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.places import ROOT

pytestmark = pytest.mark.slow

ENTRY_POINTS = (
    "gateway",
    "workers data_collection",
    *(f"commands {words}" for words in ("demo", "run", "gateway", "worker data_collection", "tail")),
    "launcher.tail market_data",
)


def run(command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """One process with `env` added to the environment."""
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("command", ENTRY_POINTS)
def test_a_settings_error_is_one_line_and_status_2(command: str) -> None:
    """A wrong setting ends any process with one line that names the setting, and exit status 2."""
    result = run(command, HISTORY_LENGTH="many", REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "HISTORY_LENGTH" in line
    assert "many" not in line


@pytest.mark.parametrize("command", ENTRY_POINTS)
def test_a_malformed_redis_url_is_never_printed(command: str) -> None:
    """A REDIS_URL that can't be used is named, and its password is not."""
    result = run(command, REDIS_URL="http://:secret@127.0.0.1:1/0")
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "REDIS_URL" in line
    assert "secret" not in line
