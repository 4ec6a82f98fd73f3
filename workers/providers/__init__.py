"""The upstreams. A new one is its file here and its line in PROVIDERS."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from workers.provider import Provider

PROVIDERS: dict[str, str] = {
    "coingecko": "workers.providers.coingecko:CoinGecko",
    "coinpaprika": "workers.providers.coinpaprika:CoinPaprika",
    "coinlore": "workers.providers.coinlore:CoinLore",
    "binance": "workers.providers.binance:Binance",
    "kraken": "workers.providers.kraken:Kraken",
    "defillama_coins": "workers.providers.defillama_coins:DefiLlamaCoins",
}
"""Name → "module:Class"."""


def load_provider(name: str, keys: Mapping[str, str] | None = None) -> Provider:
    """A new provider `name`; `keys` are the operator's API keys by provider. KeyError for a name not in the table,
    or where the provider needs a key and there is none."""
    kind, known = _kind(name), keys or {}
    provider: Provider = kind(known[name]) if needs_key(name) or name in known else kind()
    return provider


def needs_key(name: str) -> bool:
    """Whether the provider `name` can't be asked without a key. KeyError for a name not in the table."""
    return bool(getattr(_kind(name), "needs_key", False))


def _kind(name: str) -> Any:
    module, _, attribute = PROVIDERS[name].partition(":")
    return getattr(import_module(module), attribute)
