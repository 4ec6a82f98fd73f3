"""The events of contracts in Ethereum's blocks since the last update: each once, with no block left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta, Struct

from shared.errors import ProviderError
from shared.payloads.onchain import ContractEvent
from workers.answers import EthHeader
from workers.asking.gathering import gather_all
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask
from workers.providers.ethereum_rpc import EthereumRpc
from workers.services.onchain.contracts import ADDRESSES, NAMES, TOPICS
from workers.services.rpc_nodes.nodes import verify_mainnet

log = structlog.get_logger()

_SETTLED = 2  # blocks below the newest are read: reorgs that replace more are rare, and not followed
_RANGE = 10  # blocks are asked for at once, as some nodes allow no more; two or three are made in a cycle
_LOOK_BACK = 300  # blocks, an hour: after a longer absence, start at the newest block; the gap is not reported
_MOST = 100  # events in an update, 25 kB of message: ten blocks seldom have as many; the rest comes with the next
_LATE = 300.0  # s that the newest block may be old: 25 slots without any don't happen, a node that stands still does


class LogPosition(Struct, frozen=True, array_like=True):
    """A log of the chain, or where the next may be."""

    block: Annotated[int, Meta(ge=0, le=2**53)]
    index: Annotated[int, Meta(ge=0, le=2**53)] = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What one node had."""

    events: tuple[ContractEvent, ...]
    next: LogPosition
    """Where the next reading begins."""


class ContractEvents:
    """Reads on from where the last reading that was accepted ended."""

    def __init__(self, pool: SourcePool[EthereumRpc], most: int = _MOST) -> None:
        """`pool` are nodes of Ethereum; it is for this alone. `most` events are read at once."""
        self.pool = pool
        self._most = most
        self._next: LogPosition | None = None
        self._verified: set[str] = set()

    async def read(self, now: float, deadline: float) -> tuple[str, Reading]:
        """The node that answered and the events up to two blocks below its newest, at most ten blocks' and `most`.

        Changes nothing until `accept`. Raises NoSourceError.
        """

        async def question(node: EthereumRpc, ask: Ask) -> Reading:
            head = await newest_header(node, ask, now, self._verified)
            return await self._read(node, ask, head.number - _SETTLED)

        return await self.pool.ask(question, deadline)

    def accept(self, reading: Reading) -> None:
        """What was read is in the update: go on after it."""
        self._next = reading.next

    @property
    def cursor(self) -> bytes:
        """Where the next reading begins; empty where nothing was read yet."""
        return msgspec.msgpack.encode(self._next) if self._next is not None else b""

    def resume(self, cursor: bytes | None) -> None:
        """Go on where `cursor` says; without one, or with one that can't be read, at the newest settled block."""
        self._next = None
        if not cursor:
            return
        try:
            self._next = msgspec.msgpack.decode(cursor, type=LogPosition)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("cursor dropped", service="onchain", reason=str(error))

    async def _read(self, node: EthereumRpc, ask: Ask, settled: int) -> Reading:
        start = self._next
        if start is None or abs(settled - start.block) > _LOOK_BACK:
            start = LogPosition(max(0, settled))
        last = min(settled, start.block + _RANGE - 1)
        if last < start.block:
            return Reading((), start)
        # By hash: of numbers, a backend that lacks the blocks would say that they have no logs, and that is a gap.
        headers = await gather_all(*(node.header(ask, number) for number in range(start.block, last + 1)))
        if None in headers:
            raise ProviderError(node.name, "lacks blocks below its newest")
        hashes = [header.hash for header in headers if header is not None]
        parts = await gather_all(*(node.logs_in(ask, ADDRESSES, TOPICS, block_hash) for block_hash in hashes))
        logs = [entry for part in parts for entry in part]
        found = {
            (entry.block, entry.index): ContractEvent(
                chain="ethereum",
                contract=entry.contract,
                event=NAMES[entry.contract, entry.topic],
                block_number=entry.block,
                transaction_hash=entry.transaction,
            )
            for entry in logs
            if (entry.contract, entry.topic) in NAMES
        }
        places = sorted(place for place in found if place >= (start.block, start.index))
        rest = places[self._most :]
        return Reading(
            events=tuple(found[place] for place in places[: self._most]),
            next=LogPosition(*rest[0]) if rest else LogPosition(last + 1),
        )


async def newest_header(node: EthereumRpc, ask: Ask, now: float, verified: set[str]) -> EthHeader:
    """The newest block of a node that keeps up with Ethereum's mainnet; `verified` has the nodes known to be on it.

    Raises ProviderError.
    """
    await verify_mainnet(node, ask, verified)
    header = await node.header(ask)
    if header is None:
        raise ProviderError(node.name, "no newest block")
    if now - header.time > _LATE:
        raise ProviderError(node.name, f"its newest block is {now - header.time:.0f} s old")
    return header
