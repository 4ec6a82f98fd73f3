"""Blocks of Ethereum and other EVM chains as nodes give them: https://ethereum.github.io/execution-apis/

Nodes differ in what they leave out: `to` of a contract creation is null, absent or an empty string, `baseFeePerGas`
came with London, and layer 2 and older nodes lack other members. Only fields that are read here are checked.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from shared.errors import ProviderError
from workers.answers import ChainHead, EthBlock, EthHeader, EthTransaction
from workers.answers.blooms import Bloom
from workers.asking.jsonrpc import Address, BigQuantity, Hash, Quantity, result_or_none, unhex

NAME = "ethereum_rpc"
_NO_TRANSACTIONS = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
"""`transactionsRoot` of a block without transactions: the root of an empty trie (yellow paper, appendix D)."""

MaybeAddress = Annotated[str, Meta(pattern=r"^(0x([0-9a-fA-F]{40})?)?\Z")]
"""An address, or an empty text where there is none."""
MaybeQuantity = Annotated[str, Meta(pattern=r"^(0x[0-9a-fA-F]{0,64})?\Z")]
"""A number of 256 bits in hex, or an empty text where there is none."""
EMPTY = ("", "0x")
"""Texts that stand for nothing."""


class _Header(Struct, kw_only=True):
    number: Quantity
    hash: Hash
    parent: Hash = msgspec.field(name="parentHash")
    timestamp: Quantity
    gas_used: Quantity = msgspec.field(name="gasUsed")
    gas_limit: BigQuantity = msgspec.field(name="gasLimit")  # Arbitrum's is 2^50, a private chain's may be 2^63
    base_fee: MaybeQuantity | None = msgspec.field(name="baseFeePerGas", default=None)
    bloom: str | None = msgspec.field(name="logsBloom", default=None)

    def answer(self, count: int | None) -> EthHeader:
        return EthHeader(
            number=unhex(self.number),
            hash=self.hash.lower(),
            parent=self.parent.lower(),
            time=float(unhex(self.timestamp)),
            gas_used=unhex(self.gas_used),
            gas_limit=unhex(self.gas_limit),
            base_fee=unhex(self.base_fee) if self.base_fee is not None and self.base_fee not in EMPTY else None,
            count=count,
            bloom=_bloom(self.bloom),
        )


class _Head(Struct):
    number: Quantity
    timestamp: Quantity | None = None


class _Named(Struct):
    hash: Hash


class _Listed(_Header, kw_only=True):
    transactions: list[Hash | _Named] | None = None
    """Hashes, or whole transactions."""


class _Transaction(Struct):
    hash: Hash
    sender: Address = msgspec.field(name="from")
    value: BigQuantity
    to: MaybeAddress | None = None


class _Block(_Header, kw_only=True):
    transactions: list[_Transaction]
    root: str | None = msgspec.field(name="transactionsRoot", default=None)


def parse_header(body: bytes, provider: str = NAME) -> EthHeader | None:
    """The header of eth_getBlockByNumber; None for a block that is not there. Raises ProviderError."""
    header = result_or_none(provider, body, _Listed)
    if header is None:
        return None
    if header.transactions is None:
        return header.answer(None)
    hashes = {each if isinstance(each, str) else each.hash for each in header.transactions}
    if len(hashes) < len(header.transactions):
        raise ProviderError(provider, "one transaction twice", field="$.result.transactions")
    return header.answer(len(hashes))


def parse_head(body: bytes, provider: str = NAME) -> ChainHead:
    """Number and time of eth_getBlockByNumber for `latest`, and its header if that is whole. Raises ProviderError."""
    head = result_or_none(provider, body, _Head)
    if head is None:
        raise ProviderError(provider, "no newest block")
    try:
        header = parse_header(body, provider)
    except ProviderError:
        header = None  # of a kind that is not known here; the number and the time are
    time = float(unhex(head.timestamp)) if head.timestamp is not None else None
    return ChainHead(number=unhex(head.number), time=time, header=header)


def parse_block(body: bytes, provider: str = NAME) -> EthBlock | None:
    """eth_getBlockByNumber with whole transactions; None for a block that is not there.

    Raises ProviderError, also for a block without transactions that used gas or whose root is not that of an empty one.
    """
    block = result_or_none(provider, body, _Block)
    if block is None:
        return None
    if not block.transactions:
        if unhex(block.gas_used) > 0:
            raise ProviderError(provider, "no transaction in a block that used gas", field="$.result.transactions")
        if block.root and block.root.lower() != _NO_TRANSACTIONS:
            raise ProviderError(provider, "no transaction under a root of some", field="$.result.transactions")
    transactions = tuple(
        EthTransaction(
            hash=tx.hash.lower(),
            sender=tx.sender.lower(),
            to=tx.to.lower() if tx.to is not None and tx.to not in EMPTY else None,
            wei=unhex(tx.value),
        )
        for tx in block.transactions
    )
    if len({tx.hash for tx in transactions}) < len(transactions):
        raise ProviderError(provider, "one transaction twice", field="$.result.transactions")
    return EthBlock(header=block.answer(len(transactions)), transactions=transactions)


def _bloom(text: str | None) -> str | None:
    """The bloom in lower case; None for anything else, as it is only used as proof."""
    try:
        Bloom(text or "")
    except ValueError:
        return None
    return text.lower() if text is not None else None
