"""Bucket: how much of something one client may have at once, and how fast that is refilled."""

from __future__ import annotations


class Bucket:
    """A token bucket. Who uses it decides what happens where too little is left; it may be overdrawn."""

    __slots__ = ("_at", "_burst", "_rate", "left")

    def __init__(self, burst: float, rate: float, now: float) -> None:
        """It is full `now` (s), with `burst` tokens, and gets `rate` tokens per second."""
        self.left = burst
        """Tokens, as of the last refill."""
        self._burst = burst
        self._rate = rate
        self._at = now

    def refill(self, now: float) -> None:
        """Add what has come since the last refill."""
        self.left = min(self._burst, self.left + (now - self._at) * self._rate)
        self._at = now
