"""One attack, measured: what the innocent noticed before it and during it, and what it cost the gateway."""

from __future__ import annotations

import collections
import json
import subprocess
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.attacks.crowd import Attack
from benchmarks.attacks.stage import Stage

LATE = 250.0
"""Milliseconds that an update may take from the publisher to an innocent client."""
HEALTH = 500.0
"""Milliseconds that the answer to a health check may take."""
MEMORY = 512.0
"""MiB that a gateway may use: half of what docker-compose.yml allows it."""
LOG_BURST = 1000
"""Lines that a gateway may log at once: one per address and minute, for a thousand addresses at most."""
LOG_LINES = 50.0
"""Lines per second that it may log besides."""
BUSY = 100.0
"""Milliseconds that an update may take on the bus alone; beyond, the machine is too busy to measure on."""

_CALM = 1.0  # s of watching before an attack
_AFTER = 0.5  # s from the end of an attack until memory is read


@dataclass(frozen=True)
class Times:
    """Milliseconds, of so many samples."""

    p50: float
    p99: float
    max: float
    count: int

    @classmethod
    def of(cls, samples: list[float]) -> Times:
        """Their percentiles; all zero without samples."""
        found = sorted(round(sample, 1) for sample in samples) or [0.0]
        return cls(found[len(found) // 2], found[min(len(found) - 1, len(found) * 99 // 100)], found[-1], len(samples))


@dataclass(frozen=True)
class Result:
    """What one attack did."""

    name: str
    about: str
    seconds: float
    calm: Times
    """How late updates came before the attack."""
    late: Times
    """During it."""
    bus: Times
    """How late the same updates came from Redis itself: the share of the machine."""
    health: Times
    joins: Times
    """From a newcomer's connect to its first message."""
    before: float
    """MiB of the gateway."""
    peak: float
    after: float
    cpu: float
    """Seconds of processor time during the attack."""
    delayed: float
    """Seconds for which others had the processors that the gateway needed."""
    logged: dict[str, int]
    """The most frequent events in its log."""
    fates: dict[str, int]
    tally: dict[str, int]
    events: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    """The bounds that were missed."""

    @property
    def busy(self) -> bool:
        """Whether the machine was too busy to trust the numbers."""
        return self.bus.max > BUSY


def measure(stage: Stage, attack: Attack) -> Result:
    """Start a gateway and an innocent client, watch for a while, attack, and end both."""
    gateway = stage.gateway(attack)
    watcher = stage.watcher(gateway)
    calm_from = time.time()
    time.sleep(_CALM)
    before, cpu, delayed, quiet = gateway.memory, gateway.cpu, gateway.delayed, len(gateway.log)
    began = time.time()
    crowds = stage.attackers(attack, gateway)
    for crowd in crowds:
        assert crowd.stdout is not None
        crowd.stdout.readline()  # `attacked`; nothing from one that failed
    ended = time.time()
    cpu, delayed = gateway.cpu - cpu, gateway.delayed - delayed
    seen = json.loads(watcher.communicate("")[0])
    stage.end(watcher)
    fates, tally = _reports(crowds)
    for crowd in crowds:
        stage.end(crowd)
    time.sleep(_AFTER)
    peak, after, lines = gateway.peak, gateway.memory, gateway.log[quiet:]
    died = gateway.process.poll() is not None
    stage.end(gateway.process)

    def within(name: str, since: float = began) -> list[list[Any]]:
        until = began if since < began else ended
        return [sample for sample in seen[name] if since <= sample[0] <= until]

    late, health = Times.of([row[1] for row in within("updates")]), Times.of([row[1] for row in within("health")])
    events = dict(collections.Counter(row[1] for row in within("events")))
    events |= dict(
        collections.Counter(f"health answered {row[2] or 'nothing'}" for row in within("health") if row[2] != 200)
    )
    missed = []
    if late.max > LATE or not late.count:
        missed.append(f"updates {late.max:.0f} ms late")
    if health.max > HEALTH:
        missed.append(f"health after {health.max:.0f} ms")
    if peak > MEMORY:
        missed.append(f"{peak:.0f} MiB")
    if len(lines) > LOG_BURST + LOG_LINES * (ended - began):
        missed.append(f"{len(lines)} lines logged")
    if died:
        missed.append("the gateway died")
    missed += [f"{count} × {event}" for event, count in events.items()]
    if attack.lawful:
        missed += [f"{count} lawful clients: {fate}" for fate, count in fates.items() if fate != "held"]
    joins = within("joins")
    failed = collections.Counter(f"newcomers: {row[2]}" for row in joins if row[2])
    return Result(
        name=attack.name,
        about=attack.about,
        seconds=round(ended - began, 1),
        calm=Times.of([row[1] for row in within("updates", calm_from)]),
        late=late,
        bus=Times.of([row[1] for row in within("direct")]),
        health=health,
        joins=Times.of([row[1] for row in joins]),
        before=round(before, 1),
        peak=round(peak, 1),
        after=round(after, 1),
        cpu=round(cpu, 2),
        delayed=round(delayed, 2),
        logged=dict(collections.Counter(lines).most_common(5)),
        fates=fates,
        tally=tally | failed,
        events=events,
        missed=missed,
    )


def _reports(crowds: list[subprocess.Popen[str]]) -> tuple[dict[str, int], dict[str, int]]:
    fates: collections.Counter[str] = collections.Counter()
    tally: collections.Counter[str] = collections.Counter()
    for crowd in crowds:
        assert crowd.stdout is not None
        line = crowd.stdout.readline()
        if not line:
            tally["attackers that failed"] += 1
            continue
        report = json.loads(line)
        fates.update(report["fates"])
        tally.update(report["tally"])
    return dict(fates), dict(tally)
