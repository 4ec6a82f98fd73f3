"""explorers: the state of Bitcoin and Ethereum, from block explorers and nodes.

Figures change at different speeds and so do the limits of their sources. Planned calls, with everything well:

    mempool.space    3 (height, mempool, fees) in 30 s, 1 (hash rate) in 10 min   6.1 a minute of its 12
    blockchain.com   1 (transactions of a day) in 10 min                         0.1 a minute of its 10
    Ethereum node    2 (height, gas price) in 10 s                               12 a minute
    Blockscout       1 (transactions of a day) in 10 min

and as fallbacks, around the clock: Esplora 3 in 30 s, 360 an hour of its 700; Blockchair 1 of Bitcoin in 100 s and 1 of
Ethereum in 10 min, 42 an hour of its 60 (it answers more frequent requests from its cache); blockchain.com 1 in 30 s
besides; Etherscan, where there is a key, 2 in 10 s, 17,280 a day of its 100,000. What is left of mempool.space, Esplora
and blockchain.com is for whale_tracking.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from shared.errors import ProviderError
from shared.payloads import Explorers
from shared.payloads.explorers import BitcoinExplorer, EthereumExplorer, ExplorerChains, Fees
from shared.timestamps import iso
from workers.answers import BitcoinStats, EthereumStats
from workers.asking.gathering import gather_all
from workers.asking.moments import Moments, believed
from workers.asking.parts import Part, refresh_parts
from workers.asking.pool import SourcePool
from workers.asking.ports import BitcoinDay, BitcoinMining, BitcoinTip, EthereumDay, EthereumHead
from workers.asking.provider import Ask
from workers.providers.blockchair import Blockchair
from workers.providers.ethereum_rpc import EthereumRpc
from workers.services.explorers.figures import BITCOIN, BITCOIN_DAY, ETHEREUM, ETHEREUM_DAY, HASHRATE
from workers.services.rpc_nodes import chains
from workers.services.rpc_nodes.heights import Claim, HeightWatch
from workers.services.rpc_nodes.nodes import ethereum_pool, verify_mainnet
from workers.services.service import Service, ServiceContext

_BITCOIN_REFRESH = 25.0  # s: every third cycle of 10 s, less half a cycle for jitter
_ETHEREUM_REFRESH = 5.0  # s: every cycle; a block comes every 12 s
_DAY_REFRESH = 600.0  # s: figures over a day or three move by less than a percent in that time
_GWEI = 10**9  # wei
_DEEPEST = 2  # blocks by which Ethereum's height may fall on the word of one node: reorganisations of one block occur


class ExplorersService(Service):
    """Five parts, each with its own sources; figures without an answer, and heights that are not believed, are null."""

    def __init__(self, context: ServiceContext) -> None:
        """Nothing is asked yet."""
        self._context = context
        # One instance for all pools, as it caches its last answer.
        blockchair = Blockchair(context.key_of("blockchair"), clock=context.clock)

        def pool(name: str, *names: str) -> SourcePool[Any]:
            return context.pool_of(name, [*map(context.provider, names), blockchair])

        bitcoin = context.pool_of(
            "explorers bitcoin",
            [*map(context.provider, ("mempool", "esplora")), blockchair, context.provider("blockchain_com")],
        )
        self._bitcoin = Part(bitcoin, self._ask_bitcoin, refresh=_BITCOIN_REFRESH, keep=BITCOIN.longest, dated=_time_of)
        self._hashrate = Part(
            pool("explorers bitcoin hashrate", "mempool", "blockchain_com"),
            _ask_hashrate,
            refresh=_DAY_REFRESH,
            keep=HASHRATE.longest,
            dated=_time_of,
        )
        self._bitcoin_day = Part(
            pool("explorers bitcoin day", "blockchain_com"),
            _ask_bitcoin_day,
            refresh=_DAY_REFRESH,
            keep=BITCOIN_DAY.longest,
            dated=_time_of,
        )
        name = "explorers ethereum"
        # The second pool is empty without a key.
        pools = (ethereum_pool(context, name), context.pool(name, ("etherscan",)))
        ethereum = context.pool_of(name, [source.provider for each in pools for source in each.sources])
        self._ethereum = Part(ethereum, self._ask_ethereum, refresh=_ETHEREUM_REFRESH, keep=ETHEREUM.longest)
        self._ethereum_day = Part(
            pool("explorers ethereum day", "blockscout"),
            _ask_ethereum_day,
            refresh=_DAY_REFRESH,
            keep=ETHEREUM_DAY.longest,
            dated=EthereumStats.day_or_time,
            oldest=ETHEREUM_DAY.day,
        )
        self._bitcoin_tip = HeightWatch(chains.BITCOIN)
        self._ethereum_tip = HeightWatch(replace(chains.ETHEREUM, depth=_DEEPEST))
        self._verified: set[str] = set()
        """Nodes that were verified to be on Ethereum's mainnet."""

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        return tuple(part.pool for part in self._parts)

    @property
    def _parts(self) -> tuple[Part[Any, Any], ...]:
        return self._bitcoin, self._hashrate, self._bitcoin_day, self._ethereum, self._ethereum_day

    async def collect(self, now: float, deadline: float) -> Explorers:
        """See Service. Raises NoSourceError if no source of either chain answers."""
        # Bitcoin is not asked in every cycle: between two of its answers the last one counts, even if Ethereum's nodes
        # fail.
        stands = self._bitcoin.age < _BITCOIN_REFRESH
        await refresh_parts("explorers", self._parts, now, deadline, stands=stands)
        return self._payload(now)

    def _payload(self, now: float) -> Explorers:
        moments = Moments(self._context.label)

        def said(part: Part[Any, Any], names: Iterable[str]) -> dict[str, Any]:
            """Those of these figures that a part's answer has; every answer has at least one."""
            answer = part.answer
            if answer is None:
                return {}
            moments.note(answer.source, part.moment(now))
            return {name: value for name in names if (value := getattr(answer.value, name)) is not None}

        current = ("latest_block", "difficulty", "mempool_size", "fee_fast", "fee_medium", "fee_slow")
        figures = said(self._bitcoin, current)
        # The difficulty comes with the hash rate too, but that one may be ten minutes old.
        figures |= said(self._hashrate, ("hashrate",) if "difficulty" in figures else ("hashrate", "difficulty"))
        figures |= said(self._bitcoin_day, ("transactions_count",))
        bitcoin = _bitcoin(figures)
        ether = said(self._ethereum, ("latest_block", "gas_price_gwei"))
        ether |= said(self._ethereum_day, ("transactions_count",))
        return Explorers(
            timestamp=iso(now),
            chains=ExplorerChains(bitcoin=bitcoin, ethereum=_ethereum(ether)),
            latest_block=figures.get("latest_block"),
            network_hashrate=figures.get("hashrate"),
            difficulty=figures.get("difficulty"),
            mempool_size=figures.get("mempool_size"),
            transactions_count=figures.get("transactions_count"),
            sources=moments.sources,
            as_of=moments.as_of,
        )

    async def _ask_bitcoin(self, provider: BitcoinTip, ask: Ask, now: float) -> BitcoinStats:
        stats = await provider.tip(ask)
        if stats.latest_block is None:
            raise ProviderError(provider.name, "no height")
        self._bitcoin_tip.check(provider.name, Claim(stats.latest_block, stats.block_time), now)
        return stats

    async def _ask_ethereum(self, provider: EthereumHead, ask: Ask, now: float) -> EthereumStats:
        if isinstance(provider, EthereumRpc):
            await verify_mainnet(provider, ask, self._verified)
        head, price = await gather_all(provider.head(ask), provider.gas_price(ask))
        self._ethereum_tip.check(provider.name, Claim(head.number, head.time), now)
        return EthereumStats(latest_block=head.number, gas_price_gwei=price / _GWEI)


def _time_of(stats: BitcoinStats) -> float | None:
    return stats.as_of


async def _ask_hashrate(provider: BitcoinMining, ask: Ask, now: float) -> BitcoinStats:
    stats = await provider.mining(ask)
    if stats.hashrate is None:
        raise ProviderError(provider.name, "no hash rate")
    return stats


async def _ask_bitcoin_day(provider: BitcoinDay, ask: Ask, now: float) -> BitcoinStats:
    stats = await provider.day(ask)
    if stats.transactions_count is None:
        raise ProviderError(provider.name, "no count of a day's transactions")
    return stats


async def _ask_ethereum_day(provider: EthereumDay, ask: Ask, now: float) -> EthereumStats:
    stats = await provider.ethereum_day(ask)
    if stats.transactions_count is None:
        raise ProviderError(provider.name, "no count of a day's transactions")
    if stats.day is None and now - believed(stats.as_of, now) > ETHEREUM_DAY.longest:
        raise ProviderError(provider.name, "its figures are of hours ago", kind="stale")
    return stats


def _bitcoin(figures: dict[str, Any]) -> BitcoinExplorer | None:
    if not figures:
        return None
    rates = {name: figures.get(f"fee_{name}") for name in ("fast", "medium", "slow")}
    return BitcoinExplorer(
        latest_block=figures.get("latest_block"),
        hashrate=figures.get("hashrate"),
        difficulty=figures.get("difficulty"),
        mempool_size=figures.get("mempool_size"),
        transactions_count=figures.get("transactions_count"),
        fees=Fees(**rates) if any(rate is not None for rate in rates.values()) else None,
    )


def _ethereum(figures: dict[str, Any]) -> EthereumExplorer | None:
    if not figures:
        return None
    return EthereumExplorer(
        latest_block=figures.get("latest_block"),
        gas_price_gwei=figures.get("gas_price_gwei"),
        transactions_count=figures.get("transactions_count"),
    )
