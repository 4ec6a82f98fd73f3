"""Mistakes that the model has to find: each breaks the real code in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gateway.broadcast.recent import Missed, Recent
from gateway.broadcast.relay import Relay
from gateway.subscriptions import Subscriptions
from gateway.updates import Update
from shared.bus import Position, Subscription
from shared.bus.line import Line
from tests.model.scripts import Scripts


class Mutant(NamedTuple):
    """One mistake: methods that are replaced, and text that is replaced in Lua scripts."""

    name: str
    methods: tuple[tuple[type, str, Any], ...] = ()
    scripts: tuple[tuple[str, str], ...] = ()
    start: int = 0
    """The seed to begin with, where the first that finds it comes late."""

    @contextmanager
    def at_work(self, scripts: Scripts) -> Iterator[None]:
        """Make the mistake for a while. `scripts` must be new."""
        before = [(kind, name, kind.__dict__[name]) for kind, name, _ in self.methods]
        scripts.changes = {old.encode(): new.encode() for old, new in self.scripts}
        try:
            for kind, name, method in self.methods:
                setattr(kind, name, method)
            yield
        finally:
            for kind, name, method in before:
                setattr(kind, name, method)


async def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def _accept_everything(real: Callable[..., None]) -> Callable[..., None]:
    def accept(self: Any, envelope: Any, raw: bytes) -> None:
        known = self._positions.get(envelope.service)
        if known is not None and known.epoch == envelope.epoch and known.seq >= envelope.seq:
            self._deliver(envelope, raw, None)
        else:
            real(self, envelope, raw)

    return accept


def _begin_again(self: Any, service: str, epoch: str) -> None:
    self._positions[service] = Position(epoch, 0)


def _always(answer: Any) -> Any:
    return lambda *_, **__: answer


def _since_anything(self: Recent, position: Position) -> Missed:
    missed = self.position.seq - position.seq
    return Missed(self, max(self.first, self.count - max(0, missed)))


def _go_live(self: Any, *, but: str | None = None) -> None:
    if not self._ended:
        self._hub.want(self, self.services)


def _without_gap(real: Callable[..., None]) -> Callable[..., None]:
    def relay(self: Any, envelope: Any, raw: bytes, gap: Any) -> None:
        real(self, envelope, raw, None)

    return relay


def _patient(real: Callable[..., None]) -> Callable[..., None]:
    def init(self: Any, *args: Any, deadline: float, **rest: Any) -> None:
        real(self, *args, deadline=1e6, **rest)

    return init


MUTANTS = (
    Mutant("nothing is read from the streams", ((Subscription, "_fill", _nothing),)),
    Mutant("no audit", ((Subscription, "_audit", _nothing),)),
    Mutant("duplicates are delivered", ((Subscription, "_accept", _accept_everything(Subscription._accept)),)),
    Mutant("an epoch that ended begins again", ((Subscription, "_begin_epoch", _begin_again),)),
    Mutant("gaps are not told", ((Relay, "_relay", _without_gap(Relay._relay)),)),
    Mutant("silence proves delivery", ((Line, "__init__", _patient(Line.__init__)),)),
    Mutant("recovered: true without proof", ((Recent, "since", _since_anything),)),
    Mutant("nothing is ever recovered", ((Recent, "since", _always(None)),)),
    Mutant(
        "a position ahead is judged at once", ((Recent, "knows", _always(True)), (Recent, "behind", _always(False)))
    ),
    Mutant("live updates before the missed ones", ((Subscriptions, "_go_live", _go_live),)),
    Mutant(
        "skipped updates are not counted",
        ((Update, "after", lambda self, _, form, __=None, only=None: self.frame(form, only)),),
    ),
    Mutant("the fence is ignored", (), (("if tonumber(fence) < least_fence then", "if false then"),)),
    Mutant(
        "taking the lease shuts nobody out",
        (),
        (("for i = 3, #KEYS do redis.pcall('HSET', KEYS[i], 'fence', text) end", ""),),
    ),
    Mutant("everybody vouches for the epoch", (), (("(moved and not vouched)", "false"),)),
    Mutant(
        "a repetition is not recognized", (), (("if tonumber(this_number) == tonumber(number) then", "if false then"),)
    ),
)
