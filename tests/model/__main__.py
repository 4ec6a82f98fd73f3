"""Run schedules on all cores. The first that breaks a promise is printed, shortened, with the seed that replays it."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

from tests.model.mutants import MUTANTS
from tests.model.quiet import quiet
from tests.model.schedule import Failure, Schedule, make, run, shrink
from tests.model.search import first_failure
from tests.model.world import Shared

_CHUNK = 25  # schedules that a process runs between two reports: about a second


def main() -> int:
    """Run what is asked for. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="make test-model ARGS=…", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first schedule (default 0)")
    parser.add_argument("--seconds", type=float, default=150.0, help="for how long (default 150)")
    parser.add_argument("--schedules", type=int, default=5000, help="how many at most (default 5000)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    parser.add_argument("--replay", action="store_true", help="run only the schedule of --seed, and print its trace")
    parser.add_argument("--mutants", action="store_true", help="break the code on purpose, and see it found")
    args = parser.parse_args()
    if args.replay:
        with quiet():
            return replay(args.seed)
    if args.mutants:
        with quiet():
            return hunt(args.seed, args.seconds)
    return search(args.seed, args.seconds, args.schedules, args.jobs)


def search(seed: int, seconds: float, schedules: int, jobs: int) -> int:
    """Run schedules until there are enough, or the time is over, or one breaks a promise."""
    began, count = time.monotonic(), 0
    chunks = iter(range(seed, seed + schedules, _CHUNK))
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running: set[Future[Failure | None]] = {
            pool.submit(first_failure, first, _CHUNK) for first in itertools.islice(chunks, jobs)
        }
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                failure = future.result()
                if failure is not None:
                    show(failure)
                    return 1
                count += _CHUNK
                following = next(chunks, None) if time.monotonic() - began < seconds else None
                if following is not None:
                    running.add(pool.submit(first_failure, following, _CHUNK))
    taken = time.monotonic() - began
    print(f"{count} schedules from seed {seed} on in {taken:.0f} s: no promise was broken")
    return 0


def replay(seed: int) -> int:
    """Run one schedule, and print what happened."""
    shared, trace = Shared(), []
    failure = run(shared, make(seed), trace)
    if failure is None:
        print("\n".join(trace))
        describe(make(seed))
        print(f"seed {seed}: no promise was broken")
        return 0
    show(shrink(shared, failure))
    return 1


def hunt(seed: int, seconds: float) -> int:
    """Make one mistake after another, and print how soon it is found."""
    missed = 0
    for mutant in MUTANTS:
        began, shared, failure = time.monotonic(), Shared(), None
        with mutant.at_work(shared.scripts):
            for number in _while(began, seconds):
                failure = run(shared, make(seed + mutant.start + number))
                if failure is not None:
                    break
        missed += failure is None
        found = (
            f"{number + 1:4} schedules, {time.monotonic() - began:4.1f} s: {failure.reason}" if failure else "NOT FOUND"
        )
        print(f"{mutant.name}\n    {found}", flush=True)
    return int(missed > 0)


def _while(began: float, seconds: float) -> Iterator[int]:
    return itertools.takewhile(lambda _: time.monotonic() - began < seconds, itertools.count())


def show(failure: Failure) -> None:
    """Print a failure: what happened, the steps that are needed for it, and how to see it again."""
    print("\n".join(failure.trace))
    describe(failure.schedule)
    print(f"BROKEN: {failure.reason}")
    print(f'replay: make test-model ARGS="--replay --seed {failure.schedule.seed}"')


def describe(schedule: Schedule) -> None:
    """Print the cluster and the steps."""
    print(schedule.shape)
    for step in schedule.steps:
        print(step)


if __name__ == "__main__":
    sys.exit(main())
