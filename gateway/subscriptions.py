"""Subscriptions: what one client receives, from when on, and how it gets what it has missed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from gateway.broadcast.hub import Hub
from gateway.broadcast.outbox import Outbox
from gateway.broadcast.recent import Missed
from gateway.broadcast.replays import Allowance, FellBehind
from gateway.endpoints import expand
from gateway.filters.coins import Coins
from gateway.filters.filter import Filter
from gateway.filters.reading import read_filter
from gateway.frames import Form
from gateway.messages.actions import (
    ServicePosition,
    Since,
    Subscribe,
    SubscriptionConfirmed,
    Unsubscribe,
    UnsubscriptionConfirmed,
)
from gateway.messages.message import Notice
from shared.bus import Position
from shared.metrics import GatewayMetrics

_PROOF = 3.0  # s to wait for Redis to say how far the services are: a reconnect takes less, an outage longer
_AHEAD = 2.0  # s to wait for an update, or a new epoch, that the client has heard of and Redis has not


class Recipient(Protocol):
    """The session whose subscriptions these are."""

    def send(self, message: Notice) -> None:
        """Send a message behind all before it."""
        ...

    def fell_behind(self) -> None:
        """What the client missed is no longer kept."""
        ...

    def unproven(self) -> None:
        """Nobody can tell now what the client missed."""
        ...

    def recovered(self, error: BaseException | None) -> None:
        """A recovery has ended; `error` is an error of ours."""
        ...


class Prover(Protocol):
    """What knows how far the services are."""

    async def prove(self) -> None:
        """Return once the hub has what was published before now. Waits until Redis answers."""
        ...


class Subscriptions:
    """The services that one client receives, in its form, and at most one filter of each."""

    __slots__ = (
        "_allowance",
        "_coins",
        "_ended",
        "_hub",
        "_metrics",
        "_prover",
        "_recipient",
        "_recovery",
        "filters",
        "form",
        "outbox",
        "services",
    )

    def __init__(
        self,
        recipient: Recipient,
        hub: Hub,
        prover: Prover,
        metrics: GatewayMetrics,
        outbox: Outbox,
        form: Form,
        coins: Coins,
    ) -> None:
        """None yet. Updates go to `outbox` in the `form` that the client opted into. `coins` are those of filters."""
        self.services: set[str] = set()
        """The names that are subscribed to."""
        self.filters: dict[str, Filter] = {}
        """By service, of those that are not sent whole."""
        self._coins = coins
        self.outbox = outbox
        self.form = form
        self._recipient = recipient
        self._hub = hub
        self._prover = prover
        self._metrics = metrics
        self._ended = False
        self._recovery: asyncio.Task[None] | None = None
        self._allowance: Allowance | None = None  # made for the first replay: most clients have none

    @property
    def recovering(self) -> bool:
        """Whether something that was missed is being sent."""
        return self._recovery is not None

    def subscribe(self, command: Subscribe) -> None:
        """Receive more services. With `since`, what was missed comes first; `recovered` is called after that.

        Raises Fault `invalid_filter`; then nothing is changed.
        """
        self._keep(expand(command.services), self.read_filter(command))
        if isinstance(command.since, Since):
            self._recover(command, Position(command.since.epoch, command.since.seq))
            return
        services = expand(command.services)
        self.services.update(services)
        self._choose(command)
        self._go_live()
        self._confirm(command, {service: self._hub.recent[service].position for service in services})
        for service in services:
            self._hub.send_latest(self, service)

    def read_filter(self, command: Subscribe) -> dict[str, Filter]:
        """The filter of each service in a command; none for what is to be sent whole. Raises Fault `invalid_filter`."""
        wanted = None if command.filter is UNSET else command.filter
        return read_filter(expand(command.services), wanted, self._coins)

    def _keep(self, services: Iterable[str], filters: Mapping[str, Filter]) -> None:
        """Forget the filters of `services`, and keep those in `filters`."""
        before = sum(only.size for only in self.filters.values())
        for service in services:
            self.filters.pop(service, None)
        self.filters.update(filters)
        if change := sum(only.size for only in self.filters.values()) - before:
            self.outbox.charge(change)

    def unsubscribe(self, command: Unsubscribe) -> None:
        """Receive less."""
        services = expand(command.services)
        self.services.difference_update(services)
        self._keep(services, {})
        self.outbox.delivery.forget(services)
        self._go_live()
        left = sorted(self.services)
        self._send(UnsubscriptionConfirmed(service=command.asked, subscriptions=left, id=command.id))

    def end(self) -> None:
        """Receive nothing any more: the connection has ended."""
        if self._ended:
            return
        self._ended = True
        if self._recovery is not None:
            self._recovery.cancel()
        self._hub.want(self, ())
        self._keep(tuple(self.filters), {})
        del self._recipient  # it refers to this: a circle that only the garbage collector could find

    def _recover(self, command: Subscribe, since: Position) -> None:
        """Send what was missed since a position, then go live; a snapshot where continuity can't be proven.

        What is sent is never older than the position. What need not wait is done at once, so that it counts as reading:
        thousands may come back in one turn of the event loop, and a task each would delay the next one by all of them.
        """
        self._show_meta()
        (service,) = command.services
        self.services.add(service)
        self._choose(command)
        self._go_live(but=service)  # live updates only after the missed ones
        if not self._hub.recent[service].knows(since):
            self._begin_recovery(self._prove(command, since))
        elif missed := self._resume(command, since):
            self._begin_recovery(self._replay(service, missed))
        else:
            self._go_live()

    async def _prove(self, command: Subscribe, since: Position) -> None:
        """Recover from a position that this gateway has not heard of, once Redis has told whether it exists."""
        (service,) = command.services
        recent = self._hub.recent[service]
        try:
            async with asyncio.timeout(_PROOF):
                await self._prover.prove()
        except TimeoutError:
            self._recipient.unproven()
            return
        await recent.reach(since, _AHEAD)
        if missed := self._resume(command, since):
            await self._replay(service, missed)
        else:
            self._go_live()

    def _resume(self, command: Subscribe, since: Position) -> Missed | None:
        """Confirm, with a snapshot where what was missed can't be proven. Returns what is to be replayed."""
        (service,) = command.services
        recent = self._hub.recent[service]
        missed = recent.since(since)
        # Redis has lost updates that the client has received, and perhaps everything.
        older = missed is None and (recent.latest is None or recent.behind(since))
        self._metrics.recoveries.labels(str(missed is not None).lower()).inc()
        # Until the first replayed update, the client has to come back with the position that it came with.
        known = since if missed is not None or older else recent.position
        self._confirm(command, {service: known}, recovered=missed is not None)
        if missed is None and not older:
            self._hub.send_latest(self, service)
        return missed

    async def _replay(self, service: str, missed: Missed) -> None:
        self._allowance, only = self._allowance or Allowance(), self.filters.get(service)
        try:
            await self._hub.replays.run(self.outbox, missed, self.form.as_recovered(), self._allowance, only)
        except FellBehind:
            if not self._ended:
                self._recipient.fell_behind()
        self._go_live()

    def _begin_recovery(self, recovery: Coroutine[Any, Any, None]) -> None:
        self._recovery = asyncio.get_running_loop().create_task(recovery)
        self._recovery.add_done_callback(self._end_recovery)

    def _end_recovery(self, recovery: asyncio.Task[None]) -> None:
        self._recovery = None
        if not self._ended:
            self._recipient.recovered(recovery.exception())

    def _show_meta(self) -> None:
        form = self.form.showing_meta()
        if form is not self.form:
            self.form = form
            self._go_live()

    def _go_live(self, *, but: str | None = None) -> None:
        """Receive from now on every service that is subscribed to, except `but`."""
        if not self._ended:
            self._hub.want(self, self.services - {but})

    def _choose(self, command: Subscribe) -> None:
        if command.deliver is not UNSET:
            self.outbox.delivery.choose(expand(command.services), command.deliver)

    def _confirm(self, command: Subscribe, at: Mapping[str, Position], recovered: bool | UnsetType = UNSET) -> None:
        """Confirm; `at` are the positions that the next updates follow."""
        positions = {service: ServicePosition(epoch=epoch, seq=seq) for service, (epoch, seq) in at.items()}
        only = self.filters.get(expand(command.services)[0])  # that of all its services
        shown, one = self.form.has_meta, isinstance(command.asked, str) and command.asked in positions
        self._send(
            SubscriptionConfirmed(
                service=command.asked,
                subscriptions=sorted(self.services),
                recovered=recovered,
                position=positions[str(command.asked)] if shown and one else UNSET,
                positions=positions if shown and not one else UNSET,
                deliver=command.deliver,
                filter=UNSET if only is None else only.as_dict(),
                id=command.id,
            )
        )

    def _send(self, message: Notice) -> None:
        if not self._ended:
            self._recipient.send(message)
