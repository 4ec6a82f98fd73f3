"""Hub: service to sessions. `broadcast` is a plain def: one slow client costs the others nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from gateway.broadcast.outbox import Outbox
from gateway.broadcast.recent import Recent
from gateway.frames import Form, Update
from shared.metrics import GatewayMetrics


class Subscriber(Protocol):
    """What the hub needs of a session."""

    outbox: Outbox
    form: Form


class Hub:
    """Who gets what, and the newest updates of every service."""

    def __init__(self, services: Iterable[str], history_length: int, metrics: GatewayMetrics) -> None:
        self.recent = {service: Recent(history_length) for service in services}
        self._metrics = metrics
        # A dict for its order: whoever subscribed first is served first.
        self._outboxes: dict[str, dict[Form, dict[Outbox, None]]] = {
            service: defaultdict(dict) for service in self.recent
        }

    def subscribe(self, subscriber: Subscriber, service: str) -> None:
        """Send `service` to the subscriber from now on, in its form. Doing it again changes nothing."""
        self.unsubscribe(subscriber, service)
        self._outboxes[service][subscriber.form][subscriber.outbox] = None

    def unsubscribe(self, subscriber: Subscriber, service: str) -> None:
        """Stop sending; nothing happens where nothing was sent."""
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
