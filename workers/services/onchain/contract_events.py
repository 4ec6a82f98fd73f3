"""The events of contracts in Ethereum's blocks since the last update: each once, with no block left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta, Struct

from shared.errors import ProviderError
from shared.payloads.onchain import ContractEvent
from workers.answers import ContractLog, EthHeader
from workers.asking.gathering import gather_all
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask
from workers.providers.ethereum_rpc import TRANSFER, EthereumRpc
from workers.services.onchain.contracts import ADDRESSES, NAMES, TOPICS
from workers.services.rpc_nodes.chains import ETHEREUM
from workers.services.rpc_nodes.heights import Claim, HeightWatch
from workers.services.rpc_nodes.log_proof import LogProof
from workers.services.rpc_nodes.nodes import verify_mainnet

log = structlog.get_logger()

_SETTLED = 2  # how far below the newest block to read: reorgs that replace more blocks are rare, and not followed
_RANGE = 10  # blocks per call, as some nodes allow no more; each cycle has two or three new ones
_LOOK_BACK = 300  # blocks, an hour: after a longer absence, start at the newest block; the gap is not reported
_MOST = 100  # events per update, 25 kB of message: ten blocks seldom have as many; the rest follows in the next update
_ASKED = (*TOPICS, TRANSFER)
"""The topics of the events, and one that is in nearly every block: its logs prove that the node has the block."""


class LogPosition(Struct, frozen=True, array_like=True):
    """The position of a log on the chain, or of the next one."""

    block: Annotated[int, Meta(ge=0, le=2**53)]
    index: Annotated[int, Meta(ge=0, le=2**53)] = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """The events that one node returned."""

    events: tuple[ContractEvent, ...]
    next: LogPosition
    """Where the next reading begins."""
    time: float | None = None
    """Unix seconds of the newest block that was read; None if none was."""


class ContractEvents:
    """Continues where the last accepted reading ended."""

    def __init__(self, pool: SourcePool[EthereumRpc], most: int = _MOST, watch: HeightWatch | None = None) -> None:
        """`pool` has nodes of Ethereum and is not shared. At most `most` events are read per call.

        `watch` knows the chain's height; None for one of its own.
        """
        self.pool = pool
        self._watch = watch or HeightWatch(ETHEREUM)
        self._most = most
        self._next: LogPosition | None = None
        self._verified: set[str] = set()
        self._proof = LogProof()

    async def read(self, now: float, deadline: float) -> tuple[str, Reading]:
        """The node that answered, and events up to two blocks below its newest block.

        At most ten blocks and `most` events. The position changes only with `accept`. Raises NoSourceError.
        """

        async def question(node: EthereumRpc, ask: Ask) -> Reading:
            head = await newest_header(node, ask, now, self._verified, self._watch)
            return await self._read(node, ask, head.number - _SETTLED)

        return await self.pool.ask(question, deadline)

    def accept(self, reading: Reading) -> None:
        """Continue after this reading: it is in the update."""
        self._next = reading.next

    @property
    def cursor(self) -> bytes:
        """Where the next reading begins; empty before the first one."""
        return msgspec.msgpack.encode(self._next) if self._next is not None else b""

    def resume(self, cursor: bytes | None) -> None:
        """Continue at `cursor`; without one, or with one that can't be read, at the newest settled block."""
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
        headers = await gather_all(*(node.header(ask, number) for number in range(start.block, last + 1)))
        blocks = [header for header in headers if header is not None]
        if len(blocks) < len(headers):
            raise ProviderError(node.name, "lacks blocks below its newest")
        parts = await gather_all(*(self._logs(node, ask, header) for header in blocks))
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
            time=headers[-1].time if headers[-1] is not None else None,
        )

    async def _logs(self, node: EthereumRpc, ask: Ask, header: EthHeader) -> tuple[ContractLog, ...]:
        """The logs of one block, by its hash. Raises ProviderError, also for logs that may not be all."""
        logs = await node.logs_in(ask, ADDRESSES, _ASKED, header.hash)
        await self._proof.check(node, ask, header, ADDRESSES, _ASKED, logs)
        return logs


async def newest_header(node: EthereumRpc, ask: Ask, now: float, verified: set[str], watch: HeightWatch) -> EthHeader:
    """The newest block of a node that is up to date with Ethereum's mainnet; `verified` has nodes on mainnet.

    Raises ProviderError.
    """
    await verify_mainnet(node, ask, verified)
    header = await node.header(ask)
    if header is None:
        raise ProviderError(node.name, "no newest block")
    watch.check(node.name, Claim(header.number, header.time), now)
    return header
