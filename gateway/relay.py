"""Relay: bus to hub. The only reader of the bus in a gateway."""

from __future__ import annotations

from gateway.frames import Update
from gateway.hub import Hub
from shared.bus import Subscription
from shared.envelope import Envelope


class Relay:
    """Carries every update from the subscription to the hub, in order."""

    def __init__(self, subscription: Subscription, hub: Hub) -> None:
        self._subscription = subscription
        self._hub = hub

    @property
    def proven(self) -> bool:
        """Whether delivery from Redis was proven lately."""
        return self._subscription.proven

    async def run(self) -> None:
        """Relay until cancelled."""
        await self._subscription.run(self._relay)

    def _relay(self, envelope: Envelope, raw: bytes) -> None:
        self._hub.broadcast(Update(envelope, raw))
