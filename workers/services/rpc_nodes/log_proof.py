"""LogProof: whether the logs that a node gave of a block are all that there are.

A node that lacks a block may answer with no logs (see workers/providers/ethereum_logs.py). What proves an answer:

- a block that used no more gas than its transactions need to do nothing has no logs, and a bloom without the contracts
  or the topics proves that there are none;
- logs of the block show that the node has it: it looks for them in the receipts of this one block;
- otherwise its receipts decide: as many as the block has transactions, of this block, with the same logs;
- of nodes that don't give receipts, two must say the same.

An answer without logs is always checked. One with some logs is checked for contracts that it lacks as long as the bloom
is sparse; in a full block the bloom says of any contract that it may be there, so that the check would ask for the
receipts (a megabyte) of many blocks. See docs/adr/0035-absence.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from shared.errors import ProviderError
from workers.answers import BlockReceipts, EthHeader
from workers.answers.blooms import Bloom
from workers.asking.jsonrpc import RpcError
from workers.asking.provider import Ask
from workers.providers.ethereum_rpc import EthereumRpc

_BY_CHANCE = 0.01
"""Largest chance that a contract which wrote no log seems to be in a bloom, for an answer with logs to be checked. It
is reached with some 165 addresses and topics in a block; the receipts of such blocks have 100 kB.
"""
_LEAST_GAS = 21_000
"""Gas of a transaction that runs no code (yellow paper, appendix G); code that writes a log uses more."""
_MOST_OPINIONS = 256
"""Answers remembered that a second node may confirm: more than the blocks of an hour. Beyond that the oldest go."""


class Log(Protocol):
    """What a proof reads of a log."""

    @property
    def contract(self) -> str:
        """Address, lower case."""
        ...

    @property
    def index(self) -> int:
        """Of the log within its block."""
        ...


Place = tuple[str, int]
"""Contract and index of a log."""


class LogProof:
    """Checks answers of eth_getLogs. It remembers what nodes without receipts said, for the second one."""

    def __init__(self) -> None:
        self._opinions: dict[tuple[str, frozenset[Place]], str] = {}
        """By block and logs: the first node that said so."""

    async def check(
        self,
        node: EthereumRpc,
        ask: Ask,
        header: EthHeader,
        contracts: Collection[str],
        topics: Collection[str],
        logs: Sequence[Log],
    ) -> None:
        """Check that `logs` are all of `contracts` with one of `topics` first, in the block with this header.

        At most one more call to the node. Raises ProviderError if that is not proven.
        """
        if (doubt := doubt_of(header, contracts, topics, logs)) is None:
            return
        said = frozenset((log.contract, log.index) for log in logs)
        try:
            receipts = await node.receipts(ask, header.number)
        except RpcError as error:
            if error.limited or not self._agreed(node.name, header.hash, said):
                raise ProviderError(node.name, f"{doubt}, and it has no receipts: {error.reason}") from None
            return
        if receipts is None or not _complete(header, receipts):
            raise ProviderError(node.name, f"{doubt}, and it lacks receipts")
        if said != _places(receipts, contracts, topics):
            raise ProviderError(node.name, f"{doubt}, and its receipts have others")

    def _agreed(self, name: str, block_hash: str, said: frozenset[Place]) -> bool:
        """Whether another node said the same of this block; if not, note it."""
        first = self._opinions.setdefault((block_hash, said), name)
        while len(self._opinions) > _MOST_OPINIONS:
            del self._opinions[next(iter(self._opinions))]
        return first != name


def doubt_of(header: EthHeader, contracts: Collection[str], topics: Collection[str], logs: Sequence[Log]) -> str | None:
    """Why these logs may not be all that the block has; None if its header proves them or does not contradict them."""
    if header.gas_used <= _LEAST_GAS * (header.count or 0):
        return None
    bloom = Bloom(header.bloom) if header.bloom is not None else None
    if not logs:
        if bloom is not None and not bloom.may_hold_log(contracts, topics):
            return None
        return f"no logs of block {header.number}, which may have some"
    if bloom is None or bloom.chance > _BY_CHANCE:
        return None
    wrote = {log.contract for log in logs}
    if any(contract not in wrote and bloom.may_hold(contract) for contract in contracts):
        return f"a part of the logs of block {header.number}, which seems to have more"
    return None


def _complete(header: EthHeader, receipts: BlockReceipts) -> bool:
    """Whether there is a receipt for each transaction of the block, and none of another block."""
    return receipts.block_hashes == {header.hash} and (header.count is None or header.count == receipts.count)


def _places(receipts: BlockReceipts, contracts: Collection[str], topics: Collection[str]) -> set[Place]:
    """The logs among the receipts' that were asked for."""
    return {
        (log.contract, log.index)
        for log in receipts.logs
        if log.contract in contracts and log.topics and log.topics[0] in topics
    }
