"""What really happened, and what each client may have seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgpack

from shared.bus import Position
from shared.channels import Channels
from tests.model.loop import VirtualLoop
from tests.model.server import Server


class Broken(Exception):
    """A promise is broken."""


@dataclass(slots=True, eq=False)
class Published:
    """One update that a server executed."""

    service: str
    position: Position
    n: int
    """What the update says: each call of `Bus.publish` has its own."""
    order: int
    """Counts all updates of all services, in the order in which servers executed them."""
    write: int
    fence: int
    lost: bool = False
    """Whether the server has lost it since."""


@dataclass(slots=True)
class Grant:
    """A lease that was given to a new holder."""

    owner: bytes
    fence: int
    write: int
    lost: bool = False


class Truth:
    """What servers executed; the trace of a schedule."""

    def __init__(self, loop: VirtualLoop, channels: Channels) -> None:
        self.trace: list[str] = []
        self.updates: dict[tuple[str, Position], list[Published]] = {}
        self.newest: dict[str, list[Published]] = {}
        """By service, those that are not lost, in order."""
        self.grants: list[Grant] = []
        self._loop = loop
        self._channels = channels
        self._by_n: dict[int, Published] = {}
        self._all_by_n: dict[int, list[Published]] = {}
        self._epochs: dict[tuple[str, str], int] = {}
        self._shown: dict[tuple[str, Position], int] = {}
        self._holders: dict[bytes, int] = {}
        self._again: set[int] = set()
        self._count = 0

    def note(self, text: str) -> None:
        """Add a line to the trace."""
        self.trace.append(f"{self._loop.now:9.4f}  {text}")

    # What servers do.

    def published(self, server: Server, channel: bytes, message: bytes, keys: list[bytes], args: list[bytes]) -> None:
        """A script published `message`."""
        service = self._channels.service_of(channel.decode())
        if service is None:
            return
        fields = msgpack.unpackb(message)
        position, n = Position(fields["epoch"], fields["seq"]), fields["data"]["n"]
        self._count += 1
        update = Published(service, position, n, self._count, server.writing, int(args[1]))
        self._epochs.setdefault((service, position.epoch), len(self._epochs))
        self.note(f"redis     executes {self.name(update)} with fence {update.fence}")
        before = self._by_n.get(n)
        if before is not None and not before.lost and before.position.epoch == position.epoch:
            raise Broken(f"published twice: {self.name(before)} and {self.name(update)}")
        for grant in self.grants:
            if update.fence and grant.fence > update.fence and not grant.lost:
                raise Broken(f"fence {update.fence} published {self.name(update)} after {grant.fence} was handed out")
        if before is not None:
            self._again.add(n)
        self._by_n[n] = update
        self._all_by_n.setdefault(n, []).append(update)
        self.updates.setdefault((service, position), []).append(update)
        self.newest.setdefault(service, []).append(update)

    def stored(self, server: Server, key: bytes, value: bytes, keys: list[bytes], args: list[bytes]) -> None:
        """A script set a key."""
        if key.endswith(b":fence"):
            holder = self._holders.setdefault(args[0], len(self._holders))
            self.note(f"redis     hands out fence {int(value)} to holder {holder}")
            for grant in self.grants:
                if grant.fence == int(value) and grant.owner != args[0]:
                    raise Broken(f"fence {int(value)} was handed out to two holders")
            self.grants.append(Grant(args[0], int(value), server.writing))

    def lose(self, left: int) -> None:
        """The server lost all that it wrote after write number `left`."""
        for updates in self.newest.values():
            while updates and updates[-1].write > left:
                updates.pop().lost = True
        for grant in self.grants:
            grant.lost = grant.lost or grant.write > left

    # What is known of it.

    def count(self, service: str) -> int:
        """How many updates of a service there are that are not lost."""
        return len(self.newest.get(service, ()))

    def confirmed(self, service: str, position: Position, n: int) -> None:
        """A publisher was told that its update is at `position`."""
        self._show(service, position, n)

    def seen(self, service: str, position: Position | None, n: int, last: Published | None) -> list[Published]:
        """What a client may have seen after or as `last`: several, if it has no position of what was published again.

        Raises Broken if that never happened, or is not what others saw there.
        """
        update = self._by_n.get(n)
        if update is None or update.service != service:
            raise Broken(f"invented: {service} {position} {n}")
        if position is None:
            behind = -1 if last is None else last.order
            return [each for each in self._all_by_n[n] if each.order >= behind] or [update]
        self._show(service, position, n)
        for update in self.updates.get((service, position), ()):
            if update.n == n:
                return [update]
        raise Broken(f"invented: {service} {position} is not {n}")

    def age(self, update: Published) -> int:
        """The number of its epoch: epochs count up."""
        return self._epochs[update.service, update.position.epoch]

    def again(self, n: int) -> bool:
        """Whether an update was published again after Redis had lost it or its epoch: nobody knows then that it was."""
        return n in self._again

    def order(self, service: str, position: Position) -> int:
        """When a position was published; 0 if never."""
        return max((update.order for update in self.updates.get((service, position), ())), default=0)

    def provable(self, service: str, since: Position, history: int) -> bool:
        """Whether Redis has every update since a position, and not more of them than the history holds."""
        updates = self.newest.get(service)
        if not updates or updates[-1].position.epoch != since.epoch:
            return False
        missed = updates[-1].position.seq - since.seq
        return 0 <= missed <= history and any(not each.lost for each in self.updates.get((service, since), ()))

    def name(self, update: Published) -> str:
        """The update in a trace: epochs have numbers there."""
        return f"{update.service} {self.age(update)}:{update.position.seq} (n={update.n})"

    def place(self, service: str, position: Position | None) -> str:
        """A position in a trace."""
        if position is None:
            return "?"
        return f"{self._epochs.get((service, position.epoch), repr(position.epoch))}:{position.seq}"

    def _show(self, service: str, position: Position, n: int) -> None:
        shown = self._shown.setdefault((service, position), n)
        if shown != n:
            raise Broken(f"{service} {self.place(service, position)} stands for two updates: n={shown} and n={n}")


@dataclass(slots=True)
class View:
    """What one client saw of one service, and what it is told."""

    truth: Truth
    client: str
    service: str
    history: int
    meta: bool
    every: bool
    """Whether it is promised every update, not only the latest one while it is slow."""
    last: Published | None = None
    _told: bool = True
    """Whether something may be missing before the next update: the client was told, or begins there."""
    _again: bool = False
    """Whether the next update may be the one that it has: a snapshot."""
    _had: set[int] = field(default_factory=set)
    _provable: bool = False
    """Whether everything since its position was there when it came back."""

    def come_back(self, known: Position) -> Position | None:
        """The position to come back with, to a gateway that knows the service up to `known`.

        Without `meta` there is none: a gateway that knows less than the client can't know that.
        """
        if self.last is None:
            return None
        if not self.meta:
            if self.truth.order(self.service, known) < self.last.order:
                self.last = None
                self._had.clear()
            return None
        self._provable = self.truth.provable(self.service, self.last.position, self.history)
        return self.last.position

    def subscribed(self, recovered: bool | None, at: Position | None) -> None:
        """A confirmation came; `recovered` is what it says to a client that came with its position. Raises Broken.

        `at` is where the gateway stands. It may know more than Redis, which has lost writes since: a later epoch, or
        more updates of this one than its own history holds.
        """
        last, came_provable = self.last, self._provable
        if not recovered:
            self._told = self._again = True
        if last is None or recovered is not False or not came_provable:
            return
        if at is not None and at.epoch != last.position.epoch and self.truth.order(self.service, at) > last.order:
            return
        if at is not None and at.epoch == last.position.epoch and at.seq - last.position.seq > self.history:
            return
        if self.truth.provable(self.service, last.position, self.history):
            raise Broken(f"{self.client} is told recovered: false, but all after {self.truth.name(last)} is there")

    def lost(self) -> None:
        """A notice on `system` says that updates are lost."""
        self._told = self._told or not self.meta

    def update(self, position: Position | None, n: int, meta: dict[str, Any]) -> None:
        """An update came. Raises Broken."""
        faults = []
        for update in self.truth.seen(self.service, position, n, self.last):
            if update is self.last and (self._again or (position is None and self.truth.again(n))):
                self._again = False  # a snapshot; or published again, and the client does not see where
                return
            fault = self._fault(update, meta)
            if fault is None:
                self._told = self._again = False
                self._had.add(n)
                self.last = update
                return
            faults.append(fault)
        raise Broken(f"{self.client} got {faults[0]}")

    def _fault(self, update: Published, meta: dict[str, Any]) -> str | None:
        """What is wrong with this update as the next one."""
        last, name = self.last, self.truth.name(update)
        if last is None:
            return None
        same = update.position.epoch == last.position.epoch
        if update.n in self._had and not self.truth.again(update.n):
            return f"{name} twice"
        if self.truth.age(update) < self.truth.age(last) or (same and update.position.seq < last.position.seq):
            return f"{name} after {self.truth.name(last)}: older than what it had"
        follows = last.position.seq + 1 if same else 1
        if update.position.seq != follows and not self._told and not self._is_told(meta, follows, update, same):
            return f"{name} after {self.truth.name(last)}: silently missing {follows}"
        return None

    def _is_told(self, meta: dict[str, Any], follows: int, update: Published, same: bool) -> bool:
        """Whether the update itself says which are missing before it."""
        if not self.meta:  # it sees no epochs, and gets states as `latest`
            return not self.every or not same
        if meta.get("skipped", 0) >= update.position.seq - follows:
            return True
        gap = meta.get("gap")
        return gap is not None and gap["from"] <= follows and gap["to"] >= update.position.seq - 1
