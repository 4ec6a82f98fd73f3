"""The upstreams. A new one is its file here and its line in PROVIDERS."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from workers.provider import Provider

PROVIDERS: dict[str, str] = {
    "coingecko": "workers.providers.coingecko:CoinGecko",
    "coinpaprika": "workers.providers.coinpaprika:CoinPaprika",
    "coinlore": "workers.providers.coinlore:CoinLore",
    "binance": "workers.providers.binance:Binance",
    "kraken": "workers.providers.kraken:Kraken",
}
"""Name → "module:Class"."""


def load_provider(name: str, keys: Mapping[str, str] | None = None) -> Provider:
    """A new provider `name`; `keys` are the operator's API keys by provider. KeyError for a name not in the table."""
    module, _, attribute = PROVIDERS[name].partition(":")
    kind = getattr(import_module(module), attribute)
    key = (keys or {}).get(name)
    provider: Provider = kind() if key is None else kind(key)
    return provider
