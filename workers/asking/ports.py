"""One port per kind of answer. Services depend on ports, so any provider with the port can be used."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from workers.answers import (
    ActiveAddresses,
    BitcoinStats,
    ChainHead,
    DatedPrice,
    EthereumStats,
    EthHeader,
    FearAndGreed,
    Headline,
    ListedCoin,
    Ticker,
)
from workers.asking.provider import Ask, Provider


class Aggregator(Provider, Protocol):
    """A provider that lists coins with their market values, over all exchanges."""

    refresh: float
    """Seconds before asking again: the time that its cache keeps an answer, or what its limit allows around the clock.
    """
    listing_needs_key: ClassVar[bool] = False
    """Whether it lists coins only with a key, though other requests work without one."""

    async def listing(self, ask: Ask, wanted: int | tuple[str, ...]) -> tuple[ListedCoin, ...]:
        """The `wanted` largest coins by market value, or those with these CoinGecko ids.

        It may return more if the provider can't select.

        Best market value first. Raises ProviderError.
        """
        ...


class Exchange(Provider, Protocol):
    """A provider that has the prices of its own trades."""

    async def tickers(self, ask: Ask, symbols: tuple[str, ...]) -> tuple[Ticker, ...]:
        """Dollar pairs of those of `symbols` (upper case) that it trades, and of USDT. Raises ProviderError."""
        ...


class PriceList(Provider, Protocol):
    """A provider that has prices by CoinGecko id."""

    async def prices(self, ask: Ask, ids: tuple[str, ...]) -> dict[str, DatedPrice]:
        """Price of each of `ids` that the provider has. Raises ProviderError, also if it has none of them."""
        ...


class NewsSource(Provider, Protocol):
    """A provider that has headlines."""

    outlet: ClassVar[str]
    """Its name for display."""
    refresh: float
    """Seconds before asking again; 0 to ask every cycle."""

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """The headlines that it has now, in any order; never empty. Raises ProviderError."""
        ...


class FearAndGreedSource(Provider, Protocol):
    """A provider that has an index of fear and greed."""

    async def fear_and_greed(self, ask: Ask) -> FearAndGreed:
        """The index of today. One call. Raises ProviderError."""
        ...


class BitcoinTip(Provider, Protocol):
    """A provider of Bitcoin's newest block."""

    async def tip(self, ask: Ask) -> BitcoinStats:
        """Its height; also difficulty, unconfirmed transactions and fees if they come with it.

        Raises ProviderError.
        """
        ...


class BitcoinMining(Provider, Protocol):
    """A provider of Bitcoin's hash rate."""

    async def mining(self, ask: Ask) -> BitcoinStats:
        """Hash rate averaged over some days, and difficulty. One call. Raises ProviderError."""
        ...


class BitcoinDay(Provider, Protocol):
    """A provider of Bitcoin's transactions per day."""

    async def day(self, ask: Ask) -> BitcoinStats:
        """Transactions of 24 h. One call. Raises ProviderError."""
        ...


class EthereumDay(Provider, Protocol):
    """A provider of Ethereum's transactions per day."""

    async def ethereum_day(self, ask: Ask) -> EthereumStats:
        """Transactions of 24 h. One call. Raises ProviderError."""
        ...


class AddressCounter(Provider, Protocol):
    """A provider of the number of addresses that are active in a day."""

    async def active_addresses(self, ask: Ask, chain: str) -> ActiveAddresses:
        """That of the newest whole day of `chain` that it has. One call. Raises ProviderError."""
        ...


class EthereumHead(Provider, Protocol):
    """A provider of Ethereum's newest block and gas price."""

    async def height(self, ask: Ask) -> int:
        """Number of the newest block. One call. Raises ProviderError."""
        ...

    async def head(self, ask: Ask) -> ChainHead:
        """Number and time of the newest block. One call if it is well. Raises ProviderError."""
        ...

    async def gas_price(self, ask: Ask) -> int:
        """Wei for one unit of gas. One call. Raises ProviderError."""
        ...


class ChainNode(Provider, Protocol):
    """A provider that is one node of one chain."""

    chain: str
    """`ethereum`, `solana`, …"""

    async def identity(self, ask: Ask) -> int | str:
        """What identifies its chain: an id, or the first block's hash. One call. Raises ProviderError."""
        ...

    async def height(self, ask: Ask) -> int:
        """Number of the newest block that it has. One call. Raises ProviderError."""
        ...

    async def head(self, ask: Ask) -> ChainHead:
        """Number and time of the newest block that it has. Three calls at most. Raises ProviderError."""
        ...

    async def suggested_gas_price(self, ask: Ask) -> int | None:
        """Wei for one unit of gas; None if its chain has no gas price. One call at most. Raises ProviderError."""
        ...


@runtime_checkable
class HeaderSource(Protocol):
    """A node whose chain has blocks with hashes and parents."""

    async def header(self, ask: Ask, number: int | None = None) -> EthHeader | None:
        """Block `number`, or the newest; None if the node has none yet. Raises ProviderError."""
        ...
