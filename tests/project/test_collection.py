"""The tests themselves: test processes that run side by side have to find the same ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.places import ROOT


@pytest.mark.slow
def test_every_process_collects_the_same_tests() -> None:
    """No test's name has in it what a second process would make differently: a time, a hash, the order of a set.

    pytest-xdist refuses to run where two of its processes disagree, as they do now and then over a time in seconds.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:xdist", "-m", ""]
    # One after another, each for seconds: a clock has gone on in between.
    first, second = (
        subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        for seed in ("1", "2")
    )
    names = [line for line in first if "::" in line]
    assert len(names) > 1000
    assert names == [line for line in second if "::" in line]
