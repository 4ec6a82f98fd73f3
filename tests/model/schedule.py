"""Schedules: what happens to a cluster, and when, chosen by a seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.model.truth import Broken
from tests.model.world import SERVICES, Shape, Shared, World

_PAUSES = (0.0, 0.0, 0.001, 0.002, 0.004, 0.01, 0.05, 0.3, 1.0, 3.0)
"""Seconds between two steps: many happen while the one before is still on its way."""
_SHORT = (0.005, 0.05, 0.5, 2.0)
_LONG = (0.2, 1.0, 3.0, 7.0)
_SKEWS = (0.0, 0.0, -0.5, 2.0, -3.0)  # s that another server's clock is ahead
_STEPS = (6, 20)
_PATIENT = 8  # of so many schedules, one waits to the end although everything looks well


@dataclass(frozen=True)
class Step:
    """One thing that happens: a method of World, some seconds after the step before."""

    pause: float
    what: str
    args: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.pause:6.3f} s later: {self.what}{self.args}"


@dataclass(frozen=True)
class Schedule:
    """A cluster and what happens to it. The same schedule always goes the same way."""

    seed: int
    shape: Shape
    steps: tuple[Step, ...]

    def without(self, first: int, count: int) -> Schedule:
        """The same without some steps."""
        return replace(self, steps=self.steps[:first] + self.steps[first + count :])


@dataclass(frozen=True)
class Failure:
    """A schedule that breaks a promise."""

    schedule: Schedule
    reason: str
    trace: Sequence[str]


def make(seed: int) -> Schedule:
    """The schedule of a seed."""
    dice = random.Random(seed)
    leases = dice.random() < 0.35
    shape = Shape(
        gateways=dice.choice((1, 2, 2)),
        publishers=2 if leases else dice.choice((1, 2)),
        leases=leases,
        history=dice.choice((4, 6, 10, 30)),
        outbox=dice.choice((16, 64)),
        clients=tuple(dice.choices(_CLIENTS, k=dice.choice((2, 3)))),
    )
    steps = [Step(dice.choice((0.0, 0.5)), "publish", (0, service, dice.choice((1, 3)))) for service in SERVICES]
    kinds = dice.sample(list(_FAULTS), k=dice.choice((1, 2, 3, 5)))  # few kinds in one schedule meet more often
    for _ in range(dice.randint(*_STEPS)):
        what = "publish" if dice.random() < 0.5 else dice.choice(("client", *kinds))
        steps.append(
            Step(dice.choice(_PAUSES), what, _FAULTS[what](dice, shape) if what != "publish" else _burst(dice))
        )
    return Schedule(seed, shape, tuple(steps))


_CLIENTS = ((True, None), (True, None), (True, "latest"), (False, None), (False, "every"))


def _burst(dice: random.Random) -> tuple[Any, ...]:
    return dice.randrange(2), dice.choice(SERVICES), dice.choice((1, 1, 1, 1, 2, 2, 3, 3, 8, 14))


def _anybody(dice: random.Random, shape: Shape) -> str:
    names = [f"gateway{n}" for n in range(shape.gateways)] + [f"worker{n}" for n in range(shape.publishers)]
    return dice.choice(names)


_FAULTS: dict[str, Any] = {
    "cut": lambda dice, shape: (_anybody(dice, shape), dice.random() < 0.5),
    "hold": lambda dice, shape: (_anybody(dice, shape), dice.choice(_LONG)),
    "deaden": lambda dice, shape: (_anybody(dice, shape),),
    "slow": lambda dice, shape: (_anybody(dice, shape), dice.choice((0.01, 0.2, 1.0)), dice.choice(_LONG)),
    "pause": lambda dice, shape: (_anybody(dice, shape), dice.choice(_LONG)),
    "kill": lambda dice, shape: (_anybody(dice, shape), dice.choice(_SHORT)),
    "stop": lambda dice, shape: (f"worker{dice.randrange(shape.publishers)}", dice.choice(_SHORT)),
    "restart": lambda dice, shape: (dice.choice((0, 0, 1, 2, 5, 1000)), dice.choice(_SHORT)),
    "failover": lambda dice, shape: (dice.choice((0, 1, 2, 5)), dice.choice(_SKEWS), dice.choice(_SHORT)),
    "demote": lambda dice, shape: (dice.choice((0, 0, 1, 5)), dice.choice(_SKEWS), dice.choice(_LONG)),
    "flush": lambda dice, shape: (),
    "freeze": lambda dice, shape: (dice.choice(_LONG),),
    "deliver": lambda dice, shape: (tuple(dice.choices((0, 1, 1, 2), k=dice.randint(1, 6))),),
    "kill_subscribers": lambda dice, shape: (),
    "forget_scripts": lambda dice, shape: (),
    "client": lambda dice, shape: (
        dice.randrange(3),
        dice.choice(("leave", "leave", "cut", "move", "move", "slow", "slow", "hole")),
        dice.choice(_LONG),
    ),
}


def run(shared: Shared, schedule: Schedule, trace: list[str] | None = None) -> Failure | None:
    """Run a schedule. Returns how it breaks a promise, or None. What happened is added to `trace`."""
    random.seed(schedule.seed)  # for the jitter of pauses
    world = World(shared, schedule.shape, random.Random(schedule.seed))
    if trace is not None:
        world.truth.trace = trace

    async def story() -> None:
        for step in schedule.steps:
            if step.pause:
                await asyncio.sleep(step.pause)
            world.check()
            world.truth.note(f"--------- {step.what}{step.args}")
            getattr(world, step.what)(*step.args)
        await world.settle(patient=schedule.seed % _PATIENT == 0)

    try:
        world.run(story())
    except Broken as broken:
        return Failure(schedule, str(broken), world.truth.trace)
    return None


def shrink(shared: Shared, failure: Failure) -> Failure:
    """The same failure with as few steps as can be found by leaving out some."""
    size = len(failure.schedule.steps) // 2
    while size:
        first = 0
        while first < len(failure.schedule.steps):
            found = run(shared, failure.schedule.without(first, size))
            if found is not None:
                failure = found
            else:
                first += size
        size //= 2
    return failure
