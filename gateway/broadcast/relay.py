"""Relay: from the bus to the hub. The only reader of the bus in a gateway."""

from __future__ import annotations

import structlog

from gateway.broadcast.hub import Hub
from gateway.frames import Form
from gateway.messages.faults import Fault
from gateway.messages.message import Message
from gateway.updates import Update
from shared.bus import Gap, Subscription
from shared.catalog import SYSTEM
from shared.envelope import UPDATE, Envelope
from shared.metrics import BusMetrics
from shared.payloads import SystemNotice
from shared.timestamps import now_iso

log = structlog.get_logger()


class Relay:
    """Carries every update from the subscription to the hub, in order."""

    def __init__(self, subscription: Subscription, hub: Hub, metrics: BusMetrics) -> None:
        self._subscription = subscription
        self._hub = hub
        self._metrics = metrics
        self._dropped: dict[str, tuple[str, Gap]] = {}
        """By service, the epoch of updates that were dropped since the last one that was not, and which they are."""

    @property
    def proven(self) -> bool:
        """Whether delivery from Redis was proven lately."""
        return self._subscription.proven

    @property
    def whole(self) -> bool:
        """Whether the histories were read once: before that, no client can be told what it missed."""
        return self._subscription.whole

    async def prove(self) -> None:
        """Return once the hub has what was published before now. Waits until Redis answers."""
        await self._subscription.prove()

    async def run(self) -> None:
        """Relay until cancelled."""
        await self._subscription.run(self._relay)

    def _relay(self, envelope: Envelope, raw: bytes, gap: Gap | None) -> None:
        epoch, dropped = self._dropped.pop(envelope.service, ("", None))
        if dropped is not None and epoch == envelope.epoch:
            gap = Gap(dropped.first, envelope.seq - 1)
        update = Update(envelope, raw, gap)
        try:  # others may write to Redis, too; data that can't be encoded must not end the gateway
            update.frame(Form.TEXT)
            update.frame(Form.PACKED)
        except Fault as fault:
            self._metrics.malformed.labels(envelope.service).inc()
            log.warning("update dropped: it can't be sent", service=envelope.service, reason=str(fault))
            first = envelope.seq if gap is None else gap.first
            self._dropped[envelope.service] = envelope.epoch, Gap(first, envelope.seq)
            return
        if gap is not None:
            self._hub.announce(_lost(envelope.service, gap))
        self._hub.broadcast(update)


def _lost(service: str, gap: Gap) -> Message[SystemNotice]:
    """The notice about updates that clients of this gateway can't get any more."""
    text = f"{gap.size} updates of {service} are lost: no longer in the history, or not fit to be sent"
    now = now_iso()
    data = SystemNotice(event="updates_lost", message=text, about=service, timestamp=now, as_of={"gateway": now})
    return Message(service=SYSTEM, type=UPDATE, data=data, timestamp=now)
