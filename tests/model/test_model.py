"""The model: what it needs to be trusted, and the first of its schedules. `make test-model` runs many more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.model.mutants import MUTANTS
from tests.model.quiet import quiet
from tests.model.schedule import make, run, shrink
from tests.model.world import Shared


@pytest.fixture
def shared() -> Iterator[Shared]:
    with quiet():
        yield Shared()


def model(*args: str, hashes: str = "0") -> str:
    """Run the command; what it prints."""
    return subprocess.run(
        [sys.executable, "-m", "tests.model", *args],
        env=os.environ | {"PYTHONHASHSEED": hashes},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.slow
def test_no_promise_is_broken() -> None:
    """Through the faults of the first schedules, no update is out of order, twice, or silently missing."""
    assert model("--seconds", "0", "--jobs", "2").startswith("50 schedules from seed 0 on")


def test_a_schedule_goes_the_same_way_twice() -> None:
    """The seed alone decides what happens, in every process and whatever its hashes are."""
    trace = model("--replay", "--seed", "8", hashes="1")
    assert trace == model("--replay", "--seed", "8", hashes="2")
    assert "gets market_data" in trace


def test_a_failure_is_shortened(shared: Shared) -> None:
    """A schedule that breaks a promise is reported with the few steps that are needed for it."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "gaps are not told")
    with mutant.at_work(shared.scripts):
        failure = next(found for seed in range(1000) if (found := run(shared, make(seed))) is not None)
        short = shrink(shared, failure)
    assert "silently missing" in short.reason
    assert len(short.schedule.steps) < len(failure.schedule.steps)
    assert run(shared, short.schedule) is None  # the mistake was the mutant's
