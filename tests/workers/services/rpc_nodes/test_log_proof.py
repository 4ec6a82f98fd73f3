"""What proves that a node's logs of a block are all that there are."""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

import pytest

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import BlockReceipts, ContractLog, EthHeader, EthLog
from workers.answers.blooms import HEX, bits_of
from workers.asking.jsonrpc import RpcError
from workers.services.rpc_nodes.log_proof import LogProof

A, B, RARE, OTHER = ("0x" + pair * 20 for pair in ("aa", "bb", "cc", "dd"))
TOPIC, MINT = "0x" + "11" * 32, "0x" + "22" * 32
CONTRACTS, TOPICS = (A, B, RARE), (TOPIC, MINT)
HASH = "0x" + "64" * 32
FULL = "0x" + "f" * (HEX - 2)
"""Of a bloom that seems to hold everything, as those of Filecoin do."""


def bloom_of(*items: str) -> str:
    return f"0x{reduce(lambda bits, item: bits | bits_of(item), items, 0):0{HEX - 2}x}"


def header(bloom: str | None, *, gas: int = 100_000, count: int | None = 2) -> EthHeader:
    return EthHeader(
        number=100, hash=HASH, parent="0x63", time=0.0, gas_used=gas, gas_limit=1, base_fee=0, count=count, bloom=bloom
    )


def log(contract: str, index: int = 0, topic: str = TOPIC) -> ContractLog:
    return ContractLog(block=100, index=index, transaction="0x1", contract=contract, topic=topic)


def receipts(*logs: ContractLog, count: int = 2, block_hash: str = HASH) -> BlockReceipts:
    whole = tuple(
        EthLog(
            block=100,
            block_hash=block_hash,
            transaction="0x1",
            index=entry.index,
            contract=entry.contract,
            topics=(entry.topic,),
            data="0x",
            removed=False,
        )
        for entry in logs
    )
    return BlockReceipts(count=count, block_hashes=frozenset([block_hash] if count else []), logs=whole)


class Node:
    """A node with these receipts, or with this error instead."""

    base_url, chain = "https://example.invalid", "ethereum"
    budget = Budget(1, 1.0)
    parsers: ClassVar[dict[str, Any]] = {}

    def __init__(self, said: BlockReceipts | ProviderError | None, name: str = "a") -> None:
        self.name, self._said, self.calls = name, said, 0

    async def receipts(self, ask: Any, number: int) -> BlockReceipts | None:
        self.calls += 1
        if isinstance(self._said, ProviderError):
            raise self._said
        return self._said


async def is_proven(node: Node, of: EthHeader, *logs: ContractLog, proof: LogProof | None = None) -> bool:
    checking: Any = (proof or LogProof()).check
    try:
        await checking(node, None, of, CONTRACTS, TOPICS, logs)
    except ProviderError as error:
        assert error.provider == node.name  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize(
    ("of", "logs"),
    [
        (header(bloom_of()), ()),
        (header(bloom_of(OTHER, TOPIC)), ()),
        (header(bloom_of(A)), ()),
        (header(None, gas=0, count=0), ()),
        (header(None, gas=0, count=None), ()),
        (header(FULL, gas=42_000, count=2), ()),
        (header(FULL), (log(A),)),
        (header(None), (log(A),)),
        (header(bloom_of(A, TOPIC)), (log(A),)),
        (header(bloom_of(A, RARE, TOPIC)), (log(A), log(RARE, 1))),
    ],
)
async def test_what_needs_no_further_call(of: EthHeader, logs: tuple[ContractLog, ...]) -> None:
    """No gas for code, no contract or no topic in the bloom; or logs of all contracts that a sparse bloom has."""
    node = Node(None)
    assert await is_proven(node, of, *logs)
    assert node.calls == 0


@pytest.mark.parametrize(
    ("of", "logs"),
    [
        (header(bloom_of(A, TOPIC)), ()),
        (header(bloom_of(RARE, MINT)), ()),
        (header(FULL), ()),
        (header(None), ()),
        (header(None, gas=42_001), ()),
        (header(bloom_of(A, RARE, TOPIC)), (log(A),)),
    ],
)
async def test_what_receipts_decide(of: EthHeader, logs: tuple[ContractLog, ...]) -> None:
    """No logs where the bloom may have some or is not there, and a part of those of a sparse bloom: one call decides.

    Receipts with the same logs prove them; those with others, of another block, too few, or none don't.
    """
    other = log(OTHER, 8), log(A, 9, "0x" + "33" * 32)  # not asked for
    assert await is_proven(node := Node(receipts(*logs, *other)), of, *logs)
    assert node.calls == 1
    for said in (
        receipts(*logs, log(RARE, 7)),
        receipts(*logs, block_hash="0x" + "65" * 32),
        receipts(*logs, count=1),
        receipts(count=0),
        None,
        RpcError("a", -32601, "the method eth_getBlockReceipts does not exist"),
        RpcError("a", -32005, "limit exceeded"),
        ProviderError("a", "HTTP 500"),
    ):
        assert not await is_proven(Node(said), of, *logs), said


async def test_no_receipts_of_a_block_that_used_gas_prove_nothing() -> None:
    """Also where the header does not say how many transactions there are."""
    assert not await is_proven(Node(receipts(count=0)), header(FULL, count=None))
    assert await is_proven(Node(receipts(count=3)), header(FULL, count=None))


async def test_two_nodes_without_receipts_must_agree() -> None:
    """The same of the same block from another node is proof; from the same node again, or other logs, are not."""
    proof, no_method = LogProof(), RpcError("a", -32601, "method not found")
    first, second = Node(no_method, "a"), Node(no_method, "b")
    of, of_another = (
        header(FULL),
        EthHeader(
            number=101, hash="0x" + "65" * 32, parent=HASH, time=0.0, gas_used=1, gas_limit=1, base_fee=0, bloom=FULL
        ),
    )
    assert not await is_proven(first, of, proof=proof)
    assert not await is_proven(first, of, proof=proof)
    assert not await is_proven(second, of_another, proof=proof)
    assert await is_proven(second, of, proof=proof)
    sparse = header(bloom_of(A, B, TOPIC))
    assert not await is_proven(first, sparse, log(A), proof=proof)
    assert not await is_proven(second, sparse, log(B), proof=proof)
    assert await is_proven(second, sparse, log(A), proof=proof)


async def test_opinions_are_forgotten() -> None:
    """A node without receipts, which nobody confirms, does not fill the memory."""
    proof, node = LogProof(), Node(RpcError("a", -32601, "method not found"))
    for number in range(600):
        of = EthHeader(
            number=number, hash=f"0x{number:064x}", parent=HASH, time=0.0, gas_used=1, gas_limit=1, base_fee=0
        )
        assert not await is_proven(node, of, proof=proof)
    assert len(proof._opinions) <= 256
