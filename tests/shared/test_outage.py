"""Outage and Backoff: what is logged and how long is waited while something is away."""

from __future__ import annotations

from structlog.testing import capture_logs

from shared.outage import Backoff, Outage
from tests.shared.outage import Clock


def test_an_outage_is_two_lines_however_many_attempts_fail() -> None:
    """The first failure is a warning with its reason, the first success has the duration; that is all."""
    clock = Clock()
    outage = Outage("redis lost", "redis back", clock=clock, url="here")
    with capture_logs() as logs:
        outage.back()
        outage.lost(OSError("no route"))
        clock.now += 7.25
        outage.lost(OSError("refused"))
        outage.back()
        outage.back()
    assert logs == [
        {"event": "redis lost", "log_level": "warning", "reason": "no route", "url": "here"},
        {"event": "redis back", "log_level": "info", "after_seconds": 7.2, "url": "here"},
    ]


def test_every_outage_is_logged() -> None:
    """A second outage has two lines of its own."""
    outage = Outage("lost", "back")
    with capture_logs() as logs:
        for _ in range(2):
            outage.lost("reason")
            outage.back()
    assert [line["event"] for line in logs] == ["lost", "back", "lost", "back"]


def test_a_reason_without_a_text_is_named_by_its_type() -> None:
    """asyncio's TimeoutError has no text, so its type is logged."""
    with capture_logs() as logs:
        Outage("lost", "back").lost(TimeoutError())
    assert logs[0]["reason"] == "TimeoutError"


def test_pauses_double_up_to_the_longest_and_begin_again() -> None:
    """Each is the drawn share of 0.5 s, 1 s, 2 s, then 3 s for ever; after a success of 0.5 s."""
    backoff = Backoff(0.5, 3.0, chance=lambda: 0.5)
    assert [backoff.pause() for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]
    backoff.reset()
    assert backoff.pause() == 0.25


def test_a_share_is_drawn_for_each_pause() -> None:
    """Full jitter: a pause may be anything from none at all to the whole."""
    shares = iter((0.0, 0.9, 0.1))
    backoff = Backoff(10.0, 10.0, chance=lambda: next(shares))
    assert [backoff.pause() for _ in range(3)] == [0.0, 9.0, 1.0]


def test_no_number_of_failures_is_too_large() -> None:
    """After thousands of them, an outage of hours, the pause is the longest still."""
    backoff = Backoff(0.1, 5.0, chance=lambda: 1.0)
    assert max(backoff.pause() for _ in range(3000)) == 5.0
