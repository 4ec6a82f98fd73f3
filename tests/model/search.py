"""What one process of a search does. A process that is started can't import it from `__main__`."""

from __future__ import annotations

from tests.model.quiet import quiet
from tests.model.schedule import Failure, make, run, shrink
from tests.model.world import Shared


def first_failure(first: int, count: int) -> Failure | None:
    """Run the schedules of some seeds. Returns the first failure, shortened, or None."""
    with quiet():
        shared = Shared()
        for seed in range(first, first + count):
            failure = run(shared, make(seed))
            if failure is not None:
                return shrink(shared, failure)
    return None
