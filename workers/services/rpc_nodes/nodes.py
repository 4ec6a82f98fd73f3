"""The JSON-RPC nodes that coinwire asks: the public ones, or those of the operator (RPC_NODES)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from shared.errors import ProviderError, SettingsError
from shared.settings import Settings
from workers.asking.pool import SourcePool
from workers.asking.provider import Ask
from workers.providers.ethereum_rpc import EthereumRpc
from workers.providers.solana_rpc import SolanaRpc
from workers.services.rpc_nodes.chains import CHAINS
from workers.services.service import ServiceContext

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
_MOST = 64  # most nodes: one worker asks each every 20 s; a longer setting is rejected as a mistake


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One node."""

    chain: str
    name: str
    url: str = field(repr=False)
    """May hold a key: for requests only, never logged or published."""

    @property
    def label(self) -> str:
        """Its name in logs, errors and budgets."""
        return f"{self.chain}/{self.name}"


DEFAULT_NODES: tuple[NodeAddress, ...] = (
    NodeAddress("ethereum", "publicnode", "https://ethereum-rpc.publicnode.com"),
    NodeAddress("ethereum", "drpc", "https://eth.drpc.org"),
    NodeAddress("ethereum", "mevblocker", "https://rpc.mevblocker.io"),
    NodeAddress("ethereum", "reth", "https://ethereum.reth.rs/rpc"),  # viem's default since 2026-07
    NodeAddress("bsc", "publicnode", "https://bsc-rpc.publicnode.com"),
    NodeAddress("bsc", "binance", "https://bsc-dataseed.binance.org"),
    NodeAddress("polygon", "publicnode", "https://polygon-bor-rpc.publicnode.com"),
    NodeAddress("polygon", "drpc", "https://polygon.drpc.org"),
    NodeAddress("base", "base", "https://mainnet.base.org"),
    NodeAddress("base", "publicnode", "https://base-rpc.publicnode.com"),
    NodeAddress("optimism", "optimism", "https://mainnet.optimism.io"),
    NodeAddress("optimism", "publicnode", "https://optimism-rpc.publicnode.com"),
    NodeAddress("arbitrum", "arbitrum", "https://arb1.arbitrum.io/rpc"),  # docs.arbitrum.io, node providers
    NodeAddress("arbitrum", "publicnode", "https://arbitrum-one-rpc.publicnode.com"),
    NodeAddress("solana", "solana", "https://api.mainnet-beta.solana.com"),
    NodeAddress("solana", "publicnode", "https://solana-rpc.publicnode.com"),
)
"""Public and keyless; per chain in order of preference."""


def nodes_of(settings: Settings) -> tuple[NodeAddress, ...]:
    """The configured nodes. Raises SettingsError with the position of the wrong entry, never its text."""
    if settings.rpc_nodes is None:
        return DEFAULT_NODES
    entries = [entry for entry in re.split(r"[\s,]+", settings.rpc_nodes.get_secret_value()) if entry]
    if not 1 <= len(entries) <= _MOST:
        raise SettingsError(f"RPC_NODES: {len(entries)} entries, should be 1 to {_MOST}")
    nodes: dict[str, NodeAddress] = {}
    for position, entry in enumerate(entries, 1):
        node = _node(entry, position)
        if node.label in nodes:
            raise SettingsError(f"RPC_NODES: entry {position} has the name of one before")
        nodes[node.label] = node
    return tuple(nodes.values())


def open_node(node: NodeAddress) -> EthereumRpc | SolanaRpc:
    """The provider that asks `node`."""
    kind = SolanaRpc if node.chain == "solana" else EthereumRpc
    return kind(node.label, node.url, node.chain)


def ethereum_pool(context: ServiceContext, name: str) -> SourcePool[EthereumRpc]:
    """A pool of the configured nodes of Ethereum, in their order; empty if there are none. Raises SettingsError."""
    nodes = [node for node in nodes_of(context.settings) if node.chain == "ethereum"]
    return context.pool_of(name, [EthereumRpc(node.label, node.url, node.chain) for node in nodes])


def solana_pool(context: ServiceContext, name: str) -> SourcePool[SolanaRpc]:
    """A pool of the configured nodes of Solana, in their order; empty if there are none. Raises SettingsError."""
    nodes = [node for node in nodes_of(context.settings) if node.chain == "solana"]
    return context.pool_of(name, [SolanaRpc(node.label, node.url, node.chain) for node in nodes])


def _node(entry: str, position: int) -> NodeAddress:
    """`chain/name=https://…`; errors don't quote it, as it may hold a key."""
    names, _, url = entry.partition("=")
    chain, _, name = names.partition("/")
    if not _NAME.fullmatch(chain) or not _NAME.fullmatch(name):
        raise SettingsError(f"RPC_NODES: entry {position} should begin with chain/name= in lower case")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is not a number, an incomplete IPv6 address
        usable = False
    if not usable:
        raise SettingsError(f"RPC_NODES: entry {position} should have an address that begins with https:// or http://")
    return NodeAddress(chain, name, url)


async def verify_mainnet(node: EthereumRpc, ask: Ask, verified: set[str]) -> None:
    """Verify that a node is on Ethereum's mainnet: the contracts' addresses are valid only there.

    Adds the node's name to `verified`; nodes in it are not asked again. Raises ProviderError.
    """
    if node.name not in verified:
        expected = CHAINS["ethereum"].identity
        if (chain := await node.chain_id(ask)) != expected:
            raise ProviderError(node.name, f"on chain {chain} instead of {expected}")
        verified.add(node.name)
