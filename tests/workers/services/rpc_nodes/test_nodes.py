"""RPC_NODES: which nodes are asked, and that what is wrong with an entry is told without quoting it."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from shared.errors import SettingsError
from shared.settings import Settings
from simulator.hosts import HOSTS
from tests.workers.stage import host_of
from workers.providers.ethereum_rpc import EthereumRpc
from workers.providers.solana_rpc import SolanaRpc
from workers.services.rpc_nodes.chains import CHAINS, OTHER, chain_of
from workers.services.rpc_nodes.nodes import DEFAULT_NODES, NodeAddress, nodes_of, open_node

KEY = "0123456789abcdef0123456789abcdef"


def nodes(text: str | None) -> tuple[NodeAddress, ...]:
    return nodes_of(Settings(_env_file=None, rpc_nodes=SecretStr(text) if text is not None else None))


def test_public_nodes_by_default() -> None:
    """Without a setting the public nodes are asked: two or more of each chain, and the simulator has every one."""
    assert nodes(None) == DEFAULT_NODES
    labels = [node.label for node in DEFAULT_NODES]
    assert len(set(labels)) == len(labels)
    for chain in ("ethereum", "bsc", "polygon", "base", "optimism", "arbitrum", "solana"):
        assert sum(node.chain == chain for node in DEFAULT_NODES) >= 2
    assert all(host_of(node.url) in HOSTS for node in DEFAULT_NODES)


def test_the_operators_own() -> None:
    """Entries are separated by commas or white space; keys in path or query stay where they are."""
    one, two, three = nodes(
        f"ethereum/mine=https://mainnet.example.com/v3/{KEY},\n solana/rpc-1=http://10.0.0.1:8899/?key={KEY}=\n"
        "gnosis/local=http://[::1]:8545"
    )
    assert one == NodeAddress("ethereum", "mine", f"https://mainnet.example.com/v3/{KEY}")
    assert two.url.endswith(f"/?key={KEY}=")
    assert isinstance(open_node(one), EthereumRpc)
    assert isinstance(open_node(two), SolanaRpc)
    assert open_node(three).name == "gnosis/local"
    assert chain_of("gnosis") == OTHER


def test_a_node_is_printed_without_its_address() -> None:
    """repr() and the provider's name hold no key."""
    (node,) = nodes(f"ethereum/mine=https://example.com/{KEY}")
    assert KEY not in repr(node)
    assert open_node(node).name == "ethereum/mine"


@pytest.mark.parametrize(
    ("text", "position"),
    [
        (f"https://example.com/{KEY}", 1),
        (f"ethereum/a=https://example.com,ethereum=https://example.com/{KEY}", 2),
        (f"ethereum/a=https://example.com Ethereum/b=https://{KEY}", 2),
        (f"ethereum/a=wss://example.com/{KEY}", 1),
        (f"ethereum/a=https:///{KEY}", 1),
        (f"ethereum/a=https://example.com:{KEY}/", 1),
        (f"ethereum/a=https://[::1/{KEY}", 1),
        (f"ethereum/a=https://a.example,bsc/a=https://b.example,ethereum/a=https://{KEY}", 3),
        ("ethereum/a=", 1),
    ],
)
def test_a_wrong_entry_is_named_by_its_position(text: str, position: int) -> None:
    """The error holds the entry's number and nothing of its text, which may hold a key."""
    with pytest.raises(SettingsError) as caught:
        nodes(text)
    assert str(caught.value).startswith(f"RPC_NODES: entry {position} ")
    assert KEY not in str(caught.value)
    assert "example" not in str(caught.value)


@pytest.mark.parametrize("count", [0, 65])
def test_too_few_or_too_many(count: int) -> None:
    """One to 64 nodes."""
    with pytest.raises(SettingsError, match=f"{count} entries"):
        nodes(",".join(f"ethereum/n{i}=https://example.com" for i in range(count)) or " , ")


def test_lag_is_counted_in_seconds() -> None:
    """A node lags from 36 s of blocks on: 3 of Ethereum, 18 of a chain with a block every other second."""
    assert CHAINS["ethereum"].lag_limit == 3
    assert CHAINS["polygon"].lag_limit == CHAINS["optimism"].lag_limit == 18
    assert CHAINS["base"].lag_limit == 180
    assert all(chain.lag_limit >= 2 for chain in CHAINS.values())
