"""JSON-RPC of Solana: https://solana.com/docs/rpc

Public nodes allow 100 requests in 10 s, 40 of one method (https://solana.com/docs/references/clusters). Further
requests get 429, and later 403. Numbers are JSON numbers, not hex.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ChainHead
from workers.asking.gathering import gather_all
from workers.asking.jsonrpc import RpcError, call, result_of, result_or_none
from workers.asking.ports import ChainNode
from workers.asking.provider import Ask, Count, Parsers, ProbePlan
from workers.asking.rows import decode_rows

NAME = "solana_rpc"
GENESIS = "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"
"""Hash of mainnet's first block, which identifies the chain (documented with getGenesisHash)."""
LIMIT_CODES = frozenset({429, -32429})
"""Codes of Solana's nodes and their operators for a limit. In Solana -32005 means that a node is behind, and -32016
that a slot is not reached (https://github.com/anza-xyz/agave/blob/master/rpc-client-api/src/custom_error.rs).
"""
_SAMPLES = 5  # of a minute each; nodes keep 720
_COMMITMENT = {"commitment": "confirmed"}
"""Blocks that a supermajority voted for: about a second old, and no replacement of one is known."""


class _Sample(Struct):
    seconds: Annotated[int, Meta(ge=1, le=86_400)] = msgspec.field(name="samplePeriodSecs")
    transactions: Annotated[int, Meta(ge=0, le=10**12)] = msgspec.field(name="numNonVoteTransactions")


class _Fee(Struct):
    fee: Count = msgspec.field(name="prioritizationFee")


def parse_height(body: bytes, provider: str = NAME) -> int:
    """getBlockHeight. Raises ProviderError."""
    return result_of(provider, body, Count, LIMIT_CODES)


def parse_slot(body: bytes, provider: str = NAME) -> int:
    """getSlot. Raises ProviderError."""
    return result_of(provider, body, Count)


def parse_time(body: bytes, provider: str = NAME) -> float | None:
    """getBlockTime: unix seconds, estimated from the votes of validators; None if unknown. Raises ProviderError."""
    time = result_or_none(provider, body, Count)
    return None if time is None else float(time)


def parse_samples(body: bytes, provider: str = NAME) -> float:
    """getRecentPerformanceSamples: transactions per second without votes, over all samples. Raises ProviderError."""
    samples = decode_rows(provider, result_of(provider, body, list[Raw]), _Sample, "$.result")
    seconds = sum(sample.seconds for sample in samples)
    if not seconds:
        raise ProviderError(provider, "no second in the samples", field="$.result")
    return sum(sample.transactions for sample in samples) / seconds


def parse_priority(body: bytes, provider: str = NAME) -> float:
    """getRecentPrioritizationFees: the median of the slots' fees, in micro-lamports per compute unit.

    Without accounts, a slot's fee is the lowest that one of its transactions paid
    (https://github.com/anza-xyz/agave/blob/master/runtime/src/prioritization_fee.rs), so it is often 0.
    Raises ProviderError.
    """
    slots = decode_rows(provider, result_of(provider, body, list[Raw]), _Fee, "$.result")
    if not slots:
        raise ProviderError(provider, "no slot in the answer", field="$.result")
    return float(median(slot.fee for slot in slots))


def parse_genesis(body: bytes, provider: str = NAME) -> str:
    """getGenesisHash: base58. Raises ProviderError."""
    genesis = result_of(provider, body, str, LIMIT_CODES)
    if not 32 <= len(genesis) <= 44 or not genesis.isalnum():
        raise ProviderError(provider, "not a hash", field="$.result")
    return genesis


def parse_health(body: bytes, provider: str = NAME) -> str:
    """getHealth: `ok`. Raises ProviderError; an RpcError if the node is behind its cluster."""
    health = result_of(provider, body, str, LIMIT_CODES)
    if health != "ok":
        raise ProviderError(provider, "not ok", field="$.result")
    return health


class SolanaRpc(ChainNode):
    """One node."""

    budget = Budget(40, 10.0)  # the documented limit per method, applied to all methods together
    probe_plan = ProbePlan(30.0)  # rpc_nodes asks each every 20 s
    parsers: ClassVar[Parsers] = {
        "height": parse_height,
        "slot": parse_slot,
        "time": parse_time,
        "samples": parse_samples,
        "priority": parse_priority,
        "genesis": parse_genesis,
        "health": parse_health,
    }

    def __init__(
        self, name: str = NAME, base_url: str = "https://api.mainnet-beta.solana.com", chain: str = "solana"
    ) -> None:
        """As EthereumRpc."""
        self.name = name
        self.base_url = base_url
        self.chain = chain

    async def probe(self, ask: Ask) -> None:
        """See Provider. Whether the node is up to date with its cluster."""
        await ask(call("getHealth", (), partial(parse_health, provider=self.name)))

    async def height(self, ask: Ask) -> int:
        """See ChainNode. The newest confirmed block. Heights are lower than slots, as some slots have no block."""
        return await ask(call("getBlockHeight", (_COMMITMENT,), partial(parse_height, provider=self.name)))

    async def head(self, ask: Ask) -> ChainHead:
        """See ChainNode. Times are known by slot; the time is None if the backend that is asked lacks the slot."""
        height, slot = await gather_all(
            self.height(ask), ask(call("getSlot", (_COMMITMENT,), partial(parse_slot, provider=self.name)))
        )
        try:
            time = await ask(call("getBlockTime", (slot,), partial(parse_time, provider=self.name)))
        except RpcError as error:
            if error.limited:
                raise
            time = None  # behind a load balancer, the next call may reach a node that has not got the slot yet
        return ChainHead(number=height, time=time)

    async def suggested_gas_price(self, ask: Ask) -> None:
        """See ChainNode. Solana has none."""

    async def identity(self, ask: Ask) -> str:
        """See ChainNode. The hash of its chain's first block."""
        return await ask(call("getGenesisHash", (), partial(parse_genesis, provider=self.name)))

    async def transactions_per_second(self, ask: Ask) -> float:
        """Over the last five minutes, without the votes of validators. One call. Raises ProviderError."""
        return await ask(call("getRecentPerformanceSamples", (_SAMPLES,), partial(parse_samples, provider=self.name)))

    async def priority_fee(self, ask: Ask) -> float:
        """Micro-lamports per compute unit that were enough, in half of the last 150 blocks. One call.

        Raises ProviderError.
        """
        return await ask(call("getRecentPrioritizationFees", ([],), partial(parse_priority, provider=self.name)))
