"""The upstreams. A new one is its file here and its line in PROVIDERS."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from workers.asking.provider import Provider

PROVIDERS: dict[str, str] = {
    "coingecko": "workers.providers.coingecko:CoinGecko",
    "coinpaprika": "workers.providers.coinpaprika:CoinPaprika",
    "coinlore": "workers.providers.coinlore:CoinLore",
    "binance": "workers.providers.binance:Binance",
    "kraken": "workers.providers.kraken:Kraken",
    "coinbase": "workers.providers.coinbase:Coinbase",
    "defillama_coins": "workers.providers.defillama_coins:DefiLlamaCoins",
    "mempool": "workers.providers.mempool:Mempool",
    "esplora": "workers.providers.esplora:Esplora",
    "blockchain_com": "workers.providers.blockchain_com:BlockchainCom",
    "blockchair": "workers.providers.blockchair:Blockchair",
    "blockscout": "workers.providers.blockscout:Blockscout",
    "coinmetrics": "workers.providers.coinmetrics:CoinMetrics",
    "defillama": "workers.providers.defillama:DefiLlama",
    "coindesk": "workers.providers.coindesk:CoinDesk",
    "cointelegraph": "workers.providers.cointelegraph:Cointelegraph",
    "decrypt": "workers.providers.decrypt:Decrypt",
    "theblock": "workers.providers.theblock:TheBlock",
    "cryptopanic": "workers.providers.cryptopanic:CryptoPanic",
    "alternative_me": "workers.providers.alternative_me:AlternativeMe",
    "coinmarketcap": "workers.providers.coinmarketcap:CoinMarketCap",
    "reddit": "workers.providers.reddit:Reddit",
    "ethereum_rpc": "workers.providers.ethereum_rpc:EthereumRpc",
    "solana_rpc": "workers.providers.solana_rpc:SolanaRpc",
    "whale_alert": "workers.providers.whale_alert:WhaleAlert",
    "etherscan": "workers.providers.etherscan:Etherscan",
    "huggingface": "workers.providers.huggingface:HuggingFace",
    "huggingface_inference": "workers.providers.huggingface_inference:HuggingFaceInference",
}
"""Name → "module:Class"."""


def provider_class(name: str) -> type[Provider]:
    """The class of provider `name`. Raises LookupError for a name not in the table."""
    if name not in PROVIDERS:
        raise LookupError(f"PROVIDERS in workers/providers/__init__.py has no line for {name}")
    module, _, attribute = PROVIDERS[name].partition(":")
    kind: type[Provider] = getattr(import_module(module), attribute)
    return kind


def load_provider(name: str, key: str | None = None) -> Provider:
    """A new provider `name`, with the operator's `key`.

    Raises LookupError for a name not in the table, and TypeError if the provider needs a key and there is none.
    """
    kind: Any = provider_class(name)
    provider: Provider = kind() if key is None else kind(key)
    return provider
