"""Delivery: of which services a client that is behind gets every update, and of which only the latest one. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from gateway.frames import Frame
from gateway.messages.fields import Deliver
from shared.catalog import STATES

_NONE: frozenset[str] = frozenset()


class Delivery:
    """How one client gets each service, and the updates that are postponed because it is behind.

    Of a postponed service, one update is sent once the client reads again: the one that is newest then. It stands for
    all that were postponed.
    """

    __slots__ = ("_chosen", "_counts", "_latest")

    def __init__(self) -> None:
        self._latest = _NONE
        self._chosen: dict[str, Deliver] | None = None  # like the next, made when needed: most clients are never slow
        self._counts: dict[str, int] | None = None

    @property
    def due(self) -> bool:
        """Whether an update of any service is postponed."""
        return bool(self._counts)

    # What the client chose.

    def choose(self, services: Iterable[str], deliver: Deliver) -> None:
        """Deliver these services so, until they are forgotten. Takes effect with `restrict`."""
        self._chosen = (self._chosen or {}) | dict.fromkeys(services, deliver)

    def forget(self, services: Iterable[str]) -> None:
        """Deliver these services by default again."""
        if self._chosen:
            for service in services:
                self._chosen.pop(service, None)

    def restrict(self, wanted: Collection[str], *, meta: bool) -> list[tuple[str, int]]:
        """From now on, postpone updates of the `wanted` services that are delivered as `latest`, and of no others.

        By default those are the states. A client that sees positions (`meta`) can tell whether it missed any update, so
        by default it misses none. Returns what `take` would, of each service that is not postponed any more.
        """
        default = _NONE if meta else STATES
        if self._chosen:
            latest = {service for service, deliver in self._chosen.items() if deliver == "latest"}
            default = default.difference(self._chosen) | latest
        self._latest = default
        counts = self._counts or {}
        leaving = [service for service in counts if service not in default or service not in wanted]
        return [(service, counts.pop(service)) for service in leaving]

    # While the client is behind.

    def sift(self, frames: Sequence[Frame]) -> Sequence[Frame]:
        """Postpone the updates of services that are delivered as `latest`. Returns the other frames, in order."""
        latest = self._latest
        if not latest:
            return frames
        kept = []
        for frame in frames:
            if frame.service in latest:
                self._count(frame.service, 1)
            else:
                kept.append(frame)
        return kept

    def repeat(self, service: str) -> bool:
        """Postpone an update that is sent because of a subscribe. Returns False if it has to be queued."""
        if service not in self._latest:
            return False
        self._count(service, 0)
        return True

    def take(self) -> tuple[str, int]:
        """The service to send next, and how many updates its newest one stands for.

        0 means that there was none since the subscribe. Services take turns: a busy one does not hold up the others.
        """
        assert self._counts
        service = next(iter(self._counts))
        return service, self._counts.pop(service)

    def clear(self) -> int:
        """Send nothing more. Returns how many updates that leaves out."""
        lost = sum(self._counts.values()) if self._counts else 0
        self._counts = None
        return lost

    def _count(self, service: str, updates: int) -> None:
        if self._counts is None:
            self._counts = {}
        self._counts[service] = self._counts.get(service, 0) + updates
