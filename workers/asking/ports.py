"""What a provider can be asked for: a port per kind of answer. Services ask ports, so that any provider of one fits."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from workers.answers import BitcoinStats, EthereumStats, EthHeader, FearAndGreed, Headline, ListedCoin, Ticker
from workers.asking.provider import Ask, Provider


class Aggregator(Provider, Protocol):
    """A provider that lists coins with their market values, over all exchanges."""

    refresh: float
    """Seconds after which it is worth asking again: its own cache, or what its limit allows around the clock."""
    listing_needs_key: ClassVar[bool] = False
    """Whether it lists coins only with a key, though other requests work without one."""

    async def listing(self, ask: Ask, wanted: int | tuple[str, ...]) -> tuple[ListedCoin, ...]:
        """The `wanted` first coins by market value, or those with these CoinGecko ids; more where it can't choose.

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

    async def prices(self, ask: Ask, ids: tuple[str, ...]) -> dict[str, float]:
        """USD of those of `ids` that it knows. Raises ProviderError, also where it knows none."""
        ...


class NewsSource(Provider, Protocol):
    """A provider that has headlines."""

    outlet: ClassVar[str]
    """Its name as people know it."""
    refresh: float
    """Seconds for which its answer stands before it is asked again; 0 to ask every cycle."""

    async def headlines(self, ask: Ask) -> tuple[Headline, ...]:
        """What it has now, in any order; not empty. Raises ProviderError."""
        ...


class FearAndGreedSource(Provider, Protocol):
    """A provider that has an index of fear and greed."""

    async def fear_and_greed(self, ask: Ask) -> FearAndGreed:
        """The index of today. One call. Raises ProviderError."""
        ...


class BitcoinTip(Provider, Protocol):
    """A provider that knows Bitcoin's newest block."""

    async def tip(self, ask: Ask) -> BitcoinStats:
        """Its height, and as far as they come with it difficulty, unconfirmed transactions and fees.

        Raises ProviderError.
        """
        ...


class BitcoinMining(Provider, Protocol):
    """A provider that knows how much is mined with."""

    async def mining(self, ask: Ask) -> BitcoinStats:
        """Hash rate and difficulty, over some days. One call. Raises ProviderError."""
        ...


class BitcoinDay(Provider, Protocol):
    """A provider that counts a day of Bitcoin."""

    async def day(self, ask: Ask) -> BitcoinStats:
        """Transactions of 24 h. One call. Raises ProviderError."""
        ...


class EthereumDay(Provider, Protocol):
    """A provider that counts a day of Ethereum."""

    async def ethereum_day(self, ask: Ask) -> EthereumStats:
        """Transactions of 24 h. One call. Raises ProviderError."""
        ...


class EthereumHead(Provider, Protocol):
    """A provider that knows Ethereum's newest block and its price of gas."""

    async def height(self, ask: Ask) -> int:
        """Number of the newest block. One call. Raises ProviderError."""
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
        """Number of the newest block that it knows. One call. Raises ProviderError."""
        ...

    async def suggested_gas_price(self, ask: Ask) -> int | None:
        """Wei for one unit of gas; None where its chain has no such price. One call at most. Raises ProviderError."""
        ...


@runtime_checkable
class HeaderSource(Protocol):
    """A node whose chain has blocks with hashes and parents."""

    async def header(self, ask: Ask, number: int | None = None) -> EthHeader | None:
        """Block `number`, or the newest; None if the node has none yet. Raises ProviderError."""
        ...
