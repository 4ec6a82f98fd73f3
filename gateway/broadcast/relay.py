"""Relay: from the bus to the hub. The only reader of the bus in a gateway."""

from __future__ import annotations

import structlog

from gateway.broadcast.hub import Hub
from gateway.frames import Form, Update
from gateway.messages.faults import Fault
from shared.bus import Subscription
from shared.envelope import Envelope
from shared.metrics import BusMetrics

log = structlog.get_logger()


class Relay:
    """Carries every update from the subscription to the hub, in order."""

    def __init__(self, subscription: Subscription, hub: Hub, metrics: BusMetrics) -> None:
        self._subscription = subscription
        self._hub = hub
        self._metrics = metrics

    @property
    def proven(self) -> bool:
        """Whether delivery from Redis was proven lately."""
        return self._subscription.proven

    async def run(self) -> None:
        """Relay until cancelled."""
        await self._subscription.run(self._relay)

    def _relay(self, envelope: Envelope, raw: bytes) -> None:
        update = Update(envelope, raw)
        try:  # others may write to Redis, too; data that can't be encoded must not end the gateway
            update.frame(Form.TEXT)
            update.frame(Form.PACKED)
        except Fault as fault:
            self._metrics.malformed.labels(envelope.service).inc()
            log.warning("update dropped: it can't be sent", service=envelope.service, reason=str(fault))
            return
        self._hub.broadcast(update)
