"""Hub: from a service to its subscribers. `broadcast` never awaits, so a slow client delays nobody."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from gateway.broadcast.outbox import Outbox
from gateway.broadcast.recent import Recent
from gateway.frames import Form, Update
from shared.metrics import GatewayMetrics


class Subscriber(Protocol):
    """What the hub needs from a session."""

    outbox: Outbox
    form: Form


class Hub:
    """The subscribers and the newest updates of every service."""

    def __init__(self, services: Iterable[str], recent_length: int, metrics: GatewayMetrics) -> None:
        self.recent = {service: Recent(recent_length) for service in services}
        self._metrics = metrics
        # A dict as an ordered set: the first subscriber is served first.
        self._outboxes: dict[str, dict[Form, dict[Outbox, None]]] = {
            service: defaultdict(dict) for service in self.recent
        }

    def subscribe(self, subscriber: Subscriber, service: str) -> None:
        """Send `service` to the subscriber from now on, in its form. Doing it again changes nothing."""
        self.unsubscribe(subscriber, service)
        self._outboxes[service][subscriber.form][subscriber.outbox] = None

    def unsubscribe(self, subscriber: Subscriber, service: str) -> None:
        """Stop sending `service` to the subscriber. Does nothing if it is not subscribed."""
        for outboxes in self._outboxes[service].values():
            outboxes.pop(subscriber.outbox, None)

    def broadcast(self, update: Update) -> None:
        """Keep `update` and offer it to every subscriber, encoded once per form."""
        self.recent[update.service].append(update)
        self._metrics.broadcasts.labels(update.service).inc()
        for form, outboxes in self._outboxes[update.service].items():
            if outboxes:
                frame = update.frame(form)
                for outbox in outboxes:
                    outbox.offer(frame)
                self._metrics.offered.labels(update.service).inc(len(outboxes))
