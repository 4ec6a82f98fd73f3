"""The promises that scenarios try, what one scenario measured, and the table in docs/explanation/delivery.md."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.book import Counts
from tests.faults.crowd import Crowd
from tests.faults.follower import Follower

PROMISES = {
    "order": "per service a client never sees updates out of order",
    "once": "a client that comes back with its position sees every update exactly once",
    "told": "where continuity can't be proven it is told so, and gets the newest state",
    "isolation": "one client's slowness never costs another",
    "replica": "a replica's death costs a reconnect and nothing else",
    "share": "many clients that recover the same range share one read",
    "epoch": "when Redis lost data the epoch changes, and only then",
    "takeover": "after kill -9 the standby publishes within 10 s",
    "fenced": "an old holder of a lease can't publish",
    "keeps": "after Redis was away every service is published within 5 s",
    "heals": "a gateway notices a silent Redis, connects anew, and repairs from the stream",
    "ready": "/health/ready is red while delivery is unproven, and green by itself; /health/live never changes",
    "conflates": "a slow client gets the newest state instead of an old one",
    "stalled": "a client that takes nothing for 10 s is closed with 4008",
    "bounded": "memory stays bounded with 1,000 clients that never read",
    "drain": "SIGTERM: not ready, a notice, closes with 1012 spread over a window, exit status 0",
    "rolling": "a rolling restart of two gateways loses nothing for clients that recover",
    "replicated": "REDIS_URL may name a single server, Sentinels or a cluster",
    "recorded": "every update is in the database once, whatever dies",
    "clock": "leases, pauses and intervals don't depend on the clock",
}


@dataclass
class Report:
    """What one scenario measured, and which promises held in it."""

    name: str
    fault: str
    figures: dict[str, Any] = field(default_factory=dict)
    checks: list[tuple[str, bool, str]] = field(default_factory=list)
    seen: str = ""
    """What clients saw, in a few words."""
    recovered: float | None = None
    """Seconds until everything was as before, where that is a question."""

    def figure(self, **figures: Any) -> None:
        """Keep measured values; they are shown when a promise is broken."""
        self.figures |= figures

    def holds(self, promise: str, ok: bool, saw: str) -> None:
        """Whether a promise held, and what was seen of it. A broken one fails the test at its end."""
        assert promise in PROMISES, promise
        self.checks.append((promise, bool(ok), saw))

    def back(self, seconds: float) -> None:
        """Everything was as before, so long after the fault ended. The longest counts."""
        self.recovered = max(self.recovered or 0.0, seconds)

    def judge(self, crowd: Crowd, *, may_lose: bool = False) -> Counts:
        """Hold everybody against the book. With `may_lose`, updates may be missing if the client was told."""
        counts = crowd.counts()
        self.figure(**crowd.figures(), positions_given_twice=crowd.book.conflicts)
        self.holds(
            "order",
            not counts.backwards and not counts.ancient and not crowd.book.conflicts,
            f"{counts.backwards} older snapshots, {counts.ancient} updates from before the client's first, "
            f"{crowd.book.conflicts} positions given twice",
        )
        self.holds(
            "once",
            not counts.duplicates and not counts.holes,
            f"{counts.duplicates} duplicates, {counts.missing} missing in {counts.holes} holes that nobody told of",
        )
        if not may_lose:
            self.holds(
                "once",
                counts.complete and not counts.unproven,
                f"{counts.delivered:,} of {counts.expected:,} delivered, recovered: false {counts.unproven} times",
            )
        self.seen = words(counts)
        return counts

    @property
    def broken(self) -> list[str]:
        """The promises that did not hold, and what was seen instead."""
        return [f"{PROMISES[promise]}: {saw}" for promise, ok, saw in self.checks if not ok]

    def __str__(self) -> str:
        lines = [f"{'holds ' if ok else 'BROKEN'}  {promise}: {saw}" for promise, ok, saw in self.checks]
        return "\n".join([*lines, *(f"{name}: {value}" for name, value in self.figures.items())])

    def row(self) -> dict[str, Any]:
        """Of the table."""
        holds = all(ok for _, ok, _ in self.checks)
        recovered = None if self.recovered is None else round(self.recovered, 1)
        return {"name": self.name, "fault": self.fault, "saw": self.seen, "recovered_s": recovered, "holds": holds}


def words(counts: Counts, what: str = "lost") -> str:
    """What clients saw; `what` happened to the updates that they did not get."""
    saw = f"all {counts.expected:,} updates once"
    if not counts.complete:
        saw = f"{counts.expected - counts.delivered:,} of {counts.expected:,} updates {what}, told"
    if counts.complete and counts.unproven:
        saw += ", some as a snapshot"
    faults = {
        "silently missing": counts.missing,
        "twice": counts.duplicates,
        "older": counts.backwards + counts.ancient,
    }
    wrong = ", ".join(f"{count:,} {what}" for what, count in faults.items() if count)
    return wrong or saw


def of(crowd: Crowd, who: Iterable[Follower]) -> dict[str, Any]:
    """The figures of some of the crowd that are not zero."""
    return {name: value for name, value in crowd.figures(who).items() if value}


def keep(row: dict[str, Any], file: Path) -> None:
    """Put a row into the table, in the place of the one with its name."""
    rows = json.loads(file.read_text()) if file.exists() else []
    names = [each["name"] for each in rows]
    if row["name"] in names:
        rows[names.index(row["name"])] = row
    else:
        rows.append(row)
    file.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
