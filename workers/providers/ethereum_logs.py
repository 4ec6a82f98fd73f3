"""Logs and receipts of Ethereum's blocks as nodes give them: https://ethereum.github.io/execution-apis/

A node that lacks a block may answer eth_getLogs with no logs instead of an error, even if asked by the block's hash:
besu 24.10 (github.com/besu-eth/besu/issues/8007), reth until 2024 (github.com/paradigmxyz/reth/issues/7371), anvil
until 2026 (github.com/foundry-rs/foundry/pull/14371), and proxies over several backends. So no logs prove nothing by
themselves: see workers/services/rpc_nodes/log_proof.py.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.errors import ProviderError
from workers.answers import BlockReceipts, ContractLog, EthLog, TokenTransfer
from workers.asking.jsonrpc import Address, Hash, Quantity, result_of, result_or_none, unhex
from workers.providers.ethereum_blocks import EMPTY, NAME, MaybeQuantity

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Topic of Transfer(address,address,uint256)."""
_ERC20_TOPICS = 3
"""An ERC-721 Transfer has the same topic and a fourth, and no data."""
_WORD = 2 + 64  # characters of 32 bytes of hex


class _Log(Struct):
    address: Address
    topics: list[Hash]
    data: Annotated[str, Meta(min_length=2)]
    block: Quantity = msgspec.field(name="blockNumber")
    block_hash: Hash = msgspec.field(name="blockHash")
    transaction: Hash = msgspec.field(name="transactionHash")
    index: Quantity = msgspec.field(name="logIndex")
    removed: bool = False

    def answer(self) -> EthLog:
        return EthLog(
            block=unhex(self.block),
            block_hash=self.block_hash.lower(),
            transaction=self.transaction.lower(),
            index=unhex(self.index),
            contract=self.address.lower(),
            topics=tuple(topic.lower() for topic in self.topics),
            data=self.data,
            removed=self.removed,
        )


class _Receipt(Struct):
    status: MaybeQuantity | None = None


class _BlockReceipt(Struct):
    block_hash: Hash = msgspec.field(name="blockHash")
    logs: list[_Log]


def parse_transfers(body: bytes, provider: str = NAME) -> tuple[TokenTransfer, ...]:
    """ERC-20 Transfer logs of eth_getLogs, in the chain's order; other logs are left out. Raises ProviderError."""
    transfers = []
    for log in _logs(body, provider):
        if log.removed or len(log.topics) != _ERC20_TOPICS or log.topics[0] != TRANSFER:
            continue
        try:
            if len(log.data) != _WORD:
                raise ValueError
            units = int(log.data, 16)
        except ValueError:
            raise ProviderError(provider, "a transfer without an amount", field="$.result[...].data") from None
        transfers.append(
            TokenTransfer(
                block=log.block,
                block_hash=log.block_hash,
                transaction=log.transaction,
                index=log.index,
                contract=log.contract,
                sender="0x" + log.topics[1][-40:],
                to="0x" + log.topics[2][-40:],
                units=units,
            )
        )
    return tuple(transfers)


def parse_logs(body: bytes, provider: str = NAME, block_hash: str | None = None) -> tuple[ContractLog, ...]:
    """eth_getLogs, in the chain's order; removed logs and logs without a topic are left out.

    With `block_hash`, a log of another block is an error.

    Raises ProviderError.
    """
    logs = _logs(body, provider)
    if block_hash is not None and any(log.block_hash != block_hash for log in logs):
        raise ProviderError(provider, "logs that were not asked for")
    return tuple(
        ContractLog(
            block=log.block, index=log.index, transaction=log.transaction, contract=log.contract, topic=log.topics[0]
        )
        for log in logs
        if not log.removed and log.topics
    )


def parse_receipts(body: bytes, provider: str = NAME) -> BlockReceipts | None:
    """eth_getBlockReceipts; None for a block that is not there. Raises ProviderError."""
    receipts = result_or_none(provider, body, list[_BlockReceipt])
    if receipts is None:
        return None
    return BlockReceipts(
        count=len(receipts),
        block_hashes=frozenset(receipt.block_hash.lower() for receipt in receipts),
        logs=tuple(_once(provider, [log.answer() for receipt in receipts for log in receipt.logs])),
    )


def parse_status(body: bytes, provider: str = NAME) -> bool | None:
    """Whether the transaction of a receipt succeeded; None without a receipt or (before 2017) a status.

    Raises ProviderError.
    """
    receipt = result_or_none(provider, body, _Receipt)
    if receipt is None or receipt.status is None or receipt.status in EMPTY:
        return None
    return unhex(receipt.status) == 1


def _logs(body: bytes, provider: str) -> list[EthLog]:
    return _once(provider, [log.answer() for log in result_of(provider, body, list[_Log])])


def _once(provider: str, logs: list[EthLog]) -> list[EthLog]:
    """`logs`, if no two have one place in a block. Raises ProviderError: what is told twice happened once."""
    there = [(log.block_hash, log.index) for log in logs if not log.removed]
    if len(set(there)) < len(there):
        raise ProviderError(provider, "two logs with one index", field="$.result[...].logIndex")
    return logs
