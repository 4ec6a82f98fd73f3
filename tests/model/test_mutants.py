"""The model finds mistakes: each is made in the real code, and some schedule shows it."""

from __future__ import annotations

import pytest

from tests.model.mutants import MUTANTS, Mutant
from tests.model.quiet import quiet
from tests.model.schedule import make, run
from tests.model.world import Shared

_MOST = 1500  # schedules


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.name.replace(" ", "-") for mutant in MUTANTS])
def test_a_mistake_is_found(mutant: Mutant) -> None:
    """A mistake in the bus, the gateway or a script breaks a promise within seconds."""
    with quiet():
        shared = Shared()
        with mutant.at_work(shared.scripts):
            assert any(run(shared, make(seed)) for seed in range(mutant.start, mutant.start + _MOST))
    assert {old.encode() for old, _ in mutant.scripts} == shared.scripts.changed
