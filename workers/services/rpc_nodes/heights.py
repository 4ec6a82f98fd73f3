"""Which heights of a chain are believed: judged by the newest block's time, the block time, other sources, and before.

Health that is only relative to other nodes says nothing about a node that is alone, and little about two that differ.
docs/adr/0036-heights-are-proven.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct

from shared.errors import ProviderError
from workers.services.rpc_nodes.chains import FASTER, Chain

Status = Literal["active", "lagging", "down"]

_HOLD = 600.0  # s after which a height that contradicts an older one is believed, if nothing confirms the older one
_NEAR = 3600.0  # s of blocks: of two heights closer than that the lower is late, further apart the higher is wrong
_TWICE = 2.0  # times its block time that a chain may seem to be faster: sources are not asked at the same moment
_MEMORY = 300.0  # s for which a source's latest height counts when another source is judged


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source says about the newest block."""

    height: int
    time: float | None
    """Unix seconds, from the block's header; None if the source does not say."""


class Head(Struct, frozen=True, array_like=True):
    """A height that was believed, or waits to be."""

    height: int
    at: float
    """Unix seconds when it was last confirmed."""
    since: float
    """Unix seconds since when heights that fit each other were confirmed."""


class Memory(Struct, frozen=True, array_like=True):
    """What is known of a chain's height from before."""

    head: Head | None = None
    rival: Head | None = None
    """A height that contradicts `head`, and was the only one seen last."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is believed of one source."""

    status: Status
    lag: int | None = None
    """Blocks behind the chain's head. If no source has the head, as many as fit into the age of its newest block."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is believed of a chain."""

    height: int | None
    """The height of its head; None if no source proves one."""
    verdicts: Mapping[str, Verdict]
    memory: Memory


@dataclass(slots=True)
class _Group:
    """Sources whose newest blocks are recent, and whose heights fit each other."""

    names: list[str] = field(default_factory=list)
    top: int = 0


def judge(chain: Chain, claims: Mapping[str, Claim], now: float, memory: Memory) -> Judgement:
    """Judge all sources of one chain at `now` (unix seconds).

    Only sources whose newest block is recent can prove a height. Of groups that contradict each other the largest is
    believed; of equal ones that which fits what was believed before, then that which is above the chain's known block,
    then the higher one if they are near, else the lower one. What one source alone says against before is believed
    after it has said so for as long as the other was believed, at most ten minutes; a rise always takes ten minutes.
    """
    faults = {name: _own_fault(chain, claim, now) for name, claim in claims.items()}
    recent = {name: claim for name, claim in claims.items() if faults[name] is None and claim.time is not None}
    group = _best(chain, _groups(chain, recent, now), now, memory.head)
    height, memory_now = _accept(chain, group, now, memory)
    verdicts = {}
    for name, claim in claims.items():
        verdict = faults[name]
        if verdict is None and claim.time is None:
            verdict = _timeless(chain, claim, now, height, memory)
        elif verdict is None and height is None:
            verdict = _contradicting(chain, claim, now, memory.head)
        verdicts[name] = verdict or _relative(chain, claim, height or 0)
        if height is not None and verdicts[name].status == "lagging" and claim.height <= height:
            verdicts[name] = Verdict("lagging", height - claim.height, verdicts[name].reason)
    return Judgement(height, verdicts, memory_now)


class HeightWatch:
    """Judges sources of one chain that are asked one after another, such as those of a pool."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._claims: dict[str, tuple[float, Claim]] = {}
        self._memory = Memory()

    def check(self, name: str, claim: Claim, now: float) -> None:
        """Raises ProviderError if `claim` of source `name` is not believed at `now` (unix seconds)."""
        self._claims[name] = now, claim
        self._claims = {one: (at, said) for one, (at, said) in self._claims.items() if abs(now - at) <= _MEMORY}
        claims = {one: said for one, (_, said) in self._claims.items()}
        judgement = judge(self._chain, claims, now, self._memory)
        self._memory = judgement.memory
        verdict = judgement.verdicts[name]
        if verdict.status != "active":
            reason = verdict.reason or f"{verdict.lag} blocks behind"
            raise ProviderError(name, reason, kind="stale" if verdict.status == "lagging" else None)


def fits(chain: Chain, head: Head, height: int, now: float) -> bool:
    """Whether `height` is what one expects of a chain with this head before."""
    risen = max(0.0, now - head.at) / chain.block_time
    return head.height - max(chain.depth, chain.slack) <= height <= head.height + _TWICE * risen + chain.slack


def may_follow(chain: Chain, head: Head, height: int, now: float) -> bool:
    """Whether a chain with this head before can have `height`: blocks take time, and reorganisations end."""
    risen = max(0.0, now - head.at) / chain.block_time
    near = max(chain.depth, chain.slack)
    return head.height - near <= height <= head.height + FASTER * risen + near


def _own_fault(chain: Chain, claim: Claim, now: float) -> Verdict | None:
    """Why a source can't prove a height, whatever others say; None if it can."""
    if claim.time is None:
        return None
    age = now - claim.time
    if age < -chain.ahead:
        return Verdict("down", None, f"its newest block is {_span(-age)} in the future")
    if age > chain.stale:
        if claim.time <= 0:
            return Verdict("lagging", None, "it has only the chain's first block")  # which has no time, on Ethereum
        return Verdict("lagging", int(age / chain.block_time), f"its newest block is {_span(age)} old")
    return None


def _groups(chain: Chain, recent: Mapping[str, Claim], now: float) -> list[_Group]:
    """Sources whose heights fit each other, considering how old the newest block of each is."""

    def reached(name: str) -> float:
        """The height that the chain has now if the source is right."""
        claim = recent[name]
        return claim.height + max(0.0, now - (claim.time or now)) / chain.block_time

    groups: list[_Group] = []
    before = float("-inf")
    for name in sorted(recent, key=reached):
        if reached(name) - before > chain.slack:
            groups.append(_Group())
        before = reached(name)
        groups[-1].names.append(name)
        groups[-1].top = max(groups[-1].top, recent[name].height)
    return groups


def _best(chain: Chain, groups: list[_Group], now: float, head: Head | None) -> _Group | None:
    """The group to believe; None if there is none with a possible height."""

    def rank(group: _Group) -> tuple[int, bool, bool]:
        return (
            len(group.names),
            head is not None and fits(chain, head, group.top, now),
            chain.known is not None and group.top >= chain.known[0],
        )

    possible = [group for group in groups if group.top <= chain.ceiling(now)]
    if not possible:
        return None
    first = max(map(rank, possible))
    equal = sorted((group for group in possible if rank(group) == first), key=lambda group: group.top)
    return equal[-1] if (equal[-1].top - equal[0].top) * chain.block_time <= _NEAR else equal[0]


def _accept(chain: Chain, group: _Group | None, now: float, memory: Memory) -> tuple[int | None, Memory]:
    """The height to believe, and what to remember."""
    head = memory.head
    if group is None:
        return None, memory
    if head is None or may_follow(chain, head, group.top, now):
        return group.top, Memory(Head(group.top, now, now if head is None else head.since))
    rival = memory.rival
    since = rival.since if rival is not None and may_follow(chain, rival, group.top, now) else now
    stood = _HOLD if group.top > head.height else min(head.at - head.since, _HOLD)
    if len(group.names) > 1 or now - since >= stood:
        return group.top, Memory(Head(group.top, now, since))
    return None, Memory(head, Head(group.top, now, since))


def _timeless(chain: Chain, claim: Claim, now: float, height: int | None, memory: Memory) -> Verdict | None:
    """The verdict on a source that does not say when its newest block was made; None if it is judged by others."""
    if height is not None:
        return None
    head = memory.head
    if claim.height > chain.ceiling(now) or (head is not None and not may_follow(chain, head, claim.height, now)):
        return _contradicting(chain, claim, now, head)
    if head is not None and now - head.at <= chain.stale:
        return Verdict("active", 0)
    return Verdict("lagging", None, "it does not say when its newest block was made")


def _contradicting(chain: Chain, claim: Claim, now: float, head: Head | None) -> Verdict:
    """The verdict on a source with a recent block whose height is not believed, when no other source proves one."""
    if head is None or claim.height > chain.ceiling(now):
        return Verdict("down", None, f"block {claim.height} can't be there yet")
    if claim.height > head.height:
        return Verdict("down", None, f"block {claim.height} is {claim.height - head.height} above the one before")
    behind = head.height - claim.height
    return Verdict("lagging", behind, f"{behind} blocks behind the one before")


def _relative(chain: Chain, claim: Claim, height: int) -> Verdict:
    """The verdict on a source in comparison with the chain's head."""
    behind = height - claim.height
    if behind < -chain.slack:
        return Verdict("down", None, f"block {claim.height} is {-behind} above the chain's")
    return Verdict("lagging" if behind >= chain.lag_limit else "active", max(behind, 0))


def _span(seconds: float) -> str:
    """A duration as text."""
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min" if seconds < 7200 else _hours(seconds)


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours < 100 else f"{hours / 24:.0f} days"
