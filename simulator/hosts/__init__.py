"""The simulated hosts. A new one is a file here with `host(world) -> Host`, and its line in HOSTS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module

from simulator.host import Host, World
from simulator.world.clock import Clock

HOSTS: dict[str, str] = {
    "api.coingecko.com": "simulator.hosts.coingecko",
    "api.coinpaprika.com": "simulator.hosts.coinpaprika",
    "api.coinlore.net": "simulator.hosts.coinlore",
    "data-api.binance.vision": "simulator.hosts.binance",
    "api.binance.com": "simulator.hosts.binance",
    "api.kraken.com": "simulator.hosts.kraken",
    "api.exchange.coinbase.com": "simulator.hosts.coinbase",
    "api.coinbase.com": "simulator.hosts.coinbase",
    "coins.llama.fi": "simulator.hosts.defillama_coins",
    "mempool.space": "simulator.hosts.mempool",
    "blockstream.info": "simulator.hosts.esplora",
    "blockchain.info": "simulator.hosts.blockchain_com",
    "api.blockchain.info": "simulator.hosts.blockchain_com",
    "www.coindesk.com": "simulator.hosts.coindesk",
    "cointelegraph.com": "simulator.hosts.cointelegraph",
    "decrypt.co": "simulator.hosts.decrypt",
    "www.theblock.co": "simulator.hosts.theblock",
    "cryptopanic.com": "simulator.hosts.cryptopanic",
    "api.alternative.me": "simulator.hosts.alternative_me",
    "pro-api.coingecko.com": "simulator.hosts.coingecko",
    "pro-api.coinmarketcap.com": "simulator.hosts.coinmarketcap",
    "www.reddit.com": "simulator.hosts.reddit",
    "oauth.reddit.com": "simulator.hosts.reddit_oauth",
    "api.blockchair.com": "simulator.hosts.blockchair",
    "eth.blockscout.com": "simulator.hosts.blockscout",
    "community-api.coinmetrics.io": "simulator.hosts.coinmetrics",
    "api.blockscout.com": "simulator.hosts.blockscout",
    "api.llama.fi": "simulator.hosts.defillama",
    "ethereum-rpc.publicnode.com": "simulator.hosts.ethereum_rpc",
    "eth.drpc.org": "simulator.hosts.ethereum_rpc",
    "rpc.mevblocker.io": "simulator.hosts.ethereum_rpc",
    "ethereum.reth.rs": "simulator.hosts.ethereum_rpc",
    "bsc-rpc.publicnode.com": "simulator.hosts.ethereum_rpc",
    "bsc-dataseed.binance.org": "simulator.hosts.ethereum_rpc",
    "polygon-bor-rpc.publicnode.com": "simulator.hosts.ethereum_rpc",
    "polygon.drpc.org": "simulator.hosts.ethereum_rpc",
    "mainnet.base.org": "simulator.hosts.ethereum_rpc",
    "base-rpc.publicnode.com": "simulator.hosts.ethereum_rpc",
    "mainnet.optimism.io": "simulator.hosts.ethereum_rpc",
    "optimism-rpc.publicnode.com": "simulator.hosts.ethereum_rpc",
    "arb1.arbitrum.io": "simulator.hosts.ethereum_rpc",
    "arbitrum-one-rpc.publicnode.com": "simulator.hosts.ethereum_rpc",
    "api.mainnet-beta.solana.com": "simulator.hosts.solana_rpc",
    "solana-rpc.publicnode.com": "simulator.hosts.solana_rpc",
    "api.whale-alert.io": "simulator.hosts.whale_alert",
    "api.etherscan.io": "simulator.hosts.etherscan",
    "huggingface.co": "simulator.hosts.huggingface",
    "router.huggingface.co": "simulator.hosts.huggingface_inference",
}
"""Host header → the module whose `host(world)` answers for it."""


def open_hosts(world: World, clocks: Mapping[str, Clock] | None = None) -> dict[str, Host]:
    """All hosts, each with its own state (two names of one provider do not share a rate limit).

    `clocks` has the clock of each host, if it is not the world's.
    """
    return {
        name: import_module(module).host(world if clocks is None else replace(world, clock=clocks[name]))
        for name, module in HOSTS.items()
    }
