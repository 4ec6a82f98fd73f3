"""SCENARIOS: what is measured, in the order of the report. Each is a set of trials whose repeats take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.gateways import GATEWAYS, SERVICE, Gateway, coinwire, filtered, mixed, patient
from benchmarks.load import Group
from benchmarks.measure import Trial
from benchmarks.payloads import market_data, padded
from benchmarks.publisher import Pace

QUICK = ("coinwire", "C loop", "Centrifugo")
"""The gateways of `make bench-quick`."""

_SLOW = "Django Channels"  # costs 200 µs per delivery: fewer messages, and only where the point is its limit
_BURST = 20_000  # messages
_SPARE_FILES = 200  # beside one per client


@dataclass(frozen=True, slots=True)
class Scenario:
    """One table of the report."""

    name: str
    title: str
    shows: str
    """What it does, in a sentence or two for the report."""
    trials: Sequence[Trial]
    columns: Sequence[str]
    """Of `report.COLUMNS`."""
    repeats: int = 3
    quick_repeats: int = 1
    ratios: Sequence[str] = ()
    """Names of trials; a column per name divides the processor time of each trial by theirs."""

    @property
    def files(self) -> int:
        """Open files that a gateway or the load client needs."""
        return max((trial.clients for trial in self.trials), default=0) + _SPARE_FILES


def _each(make: Callable[[str], Trial], *, without: Sequence[str] = ()) -> list[Trial]:
    return [make(name) for name in GATEWAYS if name not in without]


def _saturated(name: str) -> Trial:
    return Trial(GATEWAYS[name], 1000, 50 if name == _SLOW else 500, Pace(in_flight=32))


def _paced(name: str) -> Trial:
    return Trial(GATEWAYS[name], 1000, 200, Pace(per_second=20))


def _market(name: str) -> Trial:
    return Trial(GATEWAYS[name], 1000, 100, Pace(per_second=10), market_data)


def _compressed() -> Trial:
    deflated = coinwire("coinwire, compressed", [Group(f"/ws/{SERVICE}")], compressed=True)
    return replace(_market("coinwire"), gateway=deflated)


def _filters() -> list[Trial]:
    """Everything, and a hundred filters of five coins, plain and compressed."""
    coins, pace = list(next(market_data())["prices"]), Pace(per_second=10)
    whole = [Group(f"/ws/{SERVICE}")]
    return [
        Trial(gateway, 1000, 100, pace, market_data)
        for compressed in (False, True)
        for after in (", compressed" if compressed else "",)
        for gateway in (
            coinwire(f"all coins{after}", whole, compressed=compressed),
            filtered(f"100 filters{after}", coins, 100, compressed=compressed),
        )
    ]


def _burst(name: str) -> Trial:
    ours = name == "coinwire"
    gateway = patient(_BURST) if ours else GATEWAYS[name]
    return Trial(gateway, 20, _BURST, Pace(through_bus=ours), lambda: padded(4096), idle=5.0)


def _crowd(name: str) -> Trial:
    return Trial(GATEWAYS[name], 10_000, 30, Pace(per_second=2))


def _herd(name: str) -> Trial:
    return Trial(GATEWAYS[name], 10_000, at_once=10_000, retry=True, missed=3 if name == "coinwire" else 0)


def _share(gateway: Gateway) -> float:
    """The share of the published updates that a client receives, on average."""
    groups = gateway.dialect.groups
    return sum(len(group.services or ()) for group in groups) / len(groups) / len(gateway.channels)


def _mixed() -> list[Trial]:
    """All endpoints, and beside it the same clients with as many deliveries in flight in one cohort."""
    everywhere, together = mixed(), replace(GATEWAYS["coinwire"], name="one cohort")
    share = _share(everywhere)
    return [
        Trial(everywhere, 1000, 1000, Pace(in_flight=32)),
        Trial(together, 1000, round(1000 * share), Pace(in_flight=32 * share)),
    ]


def _mixed_paced() -> list[Trial]:
    """All endpoints, and beside it as many clients, of which as many as receive an update there are one cohort."""
    everywhere, pace = mixed(), Pace(per_second=40)
    tenth = round(10 * _share(everywhere))
    subscribed = Group(f"/ws/{SERVICE}", services=frozenset({SERVICE}))
    others = Group("/ws/news", services=frozenset())
    together = coinwire("one cohort", [subscribed] * tenth + [others] * (10 - tenth))
    return [Trial(gateway, 1000, 400, pace) for gateway in (everywhere, together)]


_FLOOR = ("C loop", "Centrifugo")
_COSTS = ("cpu", "range", "ratios")

_LINES = (
    Scenario(
        "saturated",
        "Processor time per delivery, 32 updates in flight",
        "1,000 clients, 500 messages of 512 bytes, published as fast as the gateway delivers them.",
        _each(_saturated),
        ("cpu", "kernel", "range", "ratios", "rate", "lost"),
        quick_repeats=2,
        ratios=_FLOOR,
    ),
    Scenario(
        "paced",
        "Processor time per delivery, one update per turn",
        "1,000 clients, 20 messages of 512 bytes per second for 10 s: each arrives alone, and is late by no queue.",
        _each(_paced),
        ("cpu", "kernel", "range", "ratios", "late", "lost"),
        quick_repeats=2,
        ratios=_FLOOR,
    ),
    Scenario(
        "market",
        "Updates of market_data",
        "1,000 clients, 10 updates of 100 coins per second (10 kB each) for 10 s. The service itself publishes one "
        "per 5 s. Clients of the compressed row offer permessage-deflate, and their messages are counted, not read.",
        [*_each(_market, without=[_SLOW]), _compressed()],
        (*_COSTS, "size", "late", "lost"),
        repeats=2,
        ratios=("coinwire", *_FLOOR),
    ),
    Scenario(
        "filters",
        "Updates of market_data, filtered",
        "1,000 clients of coinwire that share 100 filters of five coins each, and beside it 1,000 without a filter: 10 "
        "updates of 100 coins per second for 10 s.",
        _filters(),
        (*_COSTS, "late", "lost"),
        repeats=2,
        ratios=("all coins", "all coins, compressed"),
    ),
    Scenario(
        "mixed",
        "Mixed subscriptions, 32 updates in flight",
        "1,000 clients of coinwire, evenly on its sixteen endpoints; where an endpoint subscribes nothing, they "
        "subscribe all that it lists. Twelve services publish in turn. Beside it, as many clients and deliveries, "
        "in all and in flight, of one service.",
        _mixed(),
        (*_COSTS, "rate", "lost"),
        ratios=("one cohort",),
    ),
    Scenario(
        "mixed-paced",
        "Mixed subscriptions, one update per turn",
        "The same with 40 updates per second for 10 s. Beside it, as many clients and updates of one service, which "
        "three of ten clients receive: as many as receive an update on all endpoints.",
        _mixed_paced(),
        (*_COSTS, "late", "lost"),
        ratios=("one cohort",),
    ),
    Scenario(
        "idle",
        "Idle connections",
        "5,000 clients connect, 100 at a time, subscribe, and receive nothing.",
        _each(lambda name: Trial(GATEWAYS[name], 5000)),
        ("memory", "connect", "failed"),
        repeats=1,
    ),
    Scenario(
        "herd",
        "10,000 clients come back at once",
        "As after the loss of another gateway: all connect in the same moment and subscribe. Those of coinwire ask "
        "for three missed updates. Measured until the last one is confirmed.",
        [_herd(name) for name in ("coinwire", "C loop", "Centrifugo", "ws")],
        ("herd", "memory", "failed"),
        repeats=2,
    ),
    Scenario(
        "crowd",
        "How late updates are with 10,000 clients",
        "10,000 clients, 2 messages of 512 bytes per second for 15 s.",
        [_crowd(name) for name in ("coinwire", "C loop", "Centrifugo", "picows", "ws")],
        ("late", *_COSTS, "lost"),
        repeats=2,
        ratios=_FLOOR,
    ),
    Scenario(
        "burst",
        "Overload: 82 MB at once",
        "20 clients, 20,000 messages of 4 KiB published without waiting for anybody. Redis disconnects subscribers "
        "that have more than 32 MB to read. coinwire gets its updates through its Bus, which also stores them, and "
        "fills holes from there; HISTORY_LENGTH is as long as the burst, and clients subscribe with `deliver: "
        "every`. A client that is disconnected knows that it missed something; one that stays connected does not.",
        _each(_burst),
        ("lost", "twice", "gone", "again", "growth"),
        repeats=1,
    ),
)

SCENARIOS: dict[str, Scenario] = {line.name: line for line in _LINES}
"""By name. The bytes of `/ws/all` are measured by `wire`."""


def shortened(scenario: Scenario) -> Scenario:
    """The scenario of `make bench-quick`: fewer gateways, repeats and, where they are published at a rate, messages."""
    own = [trial for trial in scenario.trials if trial.gateway.name in QUICK or trial.gateway.name not in GATEWAYS]
    trials = [replace(trial, messages=trial.messages // 2) if trial.pace.per_second else trial for trial in own]
    return replace(scenario, trials=trials, repeats=scenario.quick_repeats)
