"""Solana's activity and fees, from its nodes."""

from __future__ import annotations

from msgspec import Struct

from shared.errors import ProviderError
from workers.asking.gathering import gather_all
from workers.asking.provider import Ask
from workers.providers.solana_rpc import GENESIS, SolanaRpc
from workers.services.rpc_nodes.chains import CHAINS
from workers.services.rpc_nodes.heights import Claim, HeightWatch

SOLANA = "solana"


class SolanaFigures(Struct, frozen=True, kw_only=True):
    """What one node says."""

    transactions_per_second: float
    priority_fee: float
    """Micro-lamports per compute unit."""


class SolanaQuestion:
    """Asks one node after another, and remembers what they said about the chain's height."""

    def __init__(self) -> None:
        self._verified: set[str] = set()
        self._watch = HeightWatch(CHAINS[SOLANA])

    async def ask(self, node: SolanaRpc, ask: Ask, now: float) -> SolanaFigures:
        """The figures of a node that is up to date; its answers about the past don't say whether it is.

        Five calls. Raises ProviderError.
        """
        if node.name not in self._verified:
            if (chain := await node.identity(ask)) != GENESIS:
                raise ProviderError(node.name, f"on chain {chain} instead of {GENESIS}")
            self._verified.add(node.name)
        head = await node.head(ask)
        self._watch.check(node.name, Claim(head.number, head.time), now)
        rate, fee = await gather_all(node.transactions_per_second(ask), node.priority_fee(ask))
        return SolanaFigures(transactions_per_second=round(rate, 1), priority_fee=fee)
