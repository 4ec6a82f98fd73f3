"""onchain: activity, fees and value locked per chain; and the events of a few contracts.

    figure                                   sources, in order                     asked
    gas price                                Ethereum nodes                        every cycle
    share of Ethereum's blocks that is used  Ethereum nodes                        every other cycle
    contract events                          Ethereum nodes                        every cycle
    transactions per second, priority fee    Solana nodes                          in 60 s
    transactions of 24 h on Ethereum         Blockscout, Blockchair                in 30 min
    transactions of 24 h on Bitcoin          blockchain.com, Blockchair            in 30 min
    addresses of a day on Bitcoin            blockchain.com's chart, Coin Metrics  in 60 min
    addresses of a day on Ethereum           Coin Metrics                          in 60 min
    fees of Bitcoin's last day               blockchain.com's chart                in 60 min
    value locked, by chain                   DefiLlama                             in 10 min
    fees of 24 h, by chain                   DefiLlama                             in 30 min

Planned calls: a node 12 in 30 s at most, of its 300 a minute; one of Solana 5 in 60 s, of its 40 in 10 s;
blockchain.com 4 an hour of its 10 a minute; DefiLlama 8 an hour of its 36. As a fallback, Blockchair 4 an hour: with
explorers' 42 that is 46 of its 60. While all nodes are down, the other sources are asked more often (see
workers/asking/parts.py), as far as these budgets go.

There is no second keyless source for value locked, Ethereum's addresses and fees of chains other than Bitcoin. They
 become null when DefiLlama's or Coin Metrics' answer is too old. Bitcoin's fees are blockchain.com's, at the
current price, or else DefiLlama's. A chain's fees are those that users paid for its transactions, without payments to
 applications on it. No source has the utilization of Bitcoin's blocks.

The figures at the top: gas price and utilization are Ethereum's; the others are sums over all chains for which the
figure is known. Those are more chains than `chains` has: Bitcoin, Ethereum and the ten with the most value locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from shared.errors import NoSourceError, ProviderError
from shared.payloads import Onchain
from shared.payloads.onchain import ChainMetrics
from shared.timestamps import iso
from workers.answers import BitcoinStats, EthereumStats
from workers.answers.onchain import PerChain
from workers.asking.gathering import gather_all
from workers.asking.moments import Moments, believed
from workers.asking.parts import Part, refresh_parts
from workers.asking.pool import SourcePool
from workers.asking.ports import BitcoinDay, EthereumDay
from workers.asking.provider import Ask
from workers.providers.blockchain_com import BlockchainCom
from workers.providers.blockchair import Blockchair
from workers.providers.defillama import DefiLlama
from workers.providers.ethereum_rpc import EthereumRpc
from workers.services.market_data.prices import PriceBook
from workers.services.onchain import figures
from workers.services.onchain.contract_events import ContractEvents, Reading, newest_header
from workers.services.onchain.days import Dated, addresses_of, check_day, time_of
from workers.services.onchain.figures import (
    ADDRESSES,
    BITCOIN_DAY,
    BITCOIN_FEES,
    ETHEREUM_DAY,
    FEES,
    GAS,
    LOCKED,
    USE,
)
from workers.services.onchain.solana import SOLANA, SolanaFigures, SolanaQuestion
from workers.services.rpc_nodes import chains
from workers.services.rpc_nodes.heights import HeightWatch
from workers.services.rpc_nodes.nodes import ethereum_pool, solana_pool
from workers.services.service import Service, ServiceContext

BITCOIN, ETHEREUM = "bitcoin", "ethereum"
_LARGEST = 10  # chains by value locked are in `chains`: they hold most of it; the rest is in the sums only
_BLOCKS = 25  # blocks whose utilization is averaged: five minutes, as single blocks vary between empty and full
_GAS_REFRESH = 20.0  # s: every cycle
_SOLANA_REFRESH = 50.0  # s: every other cycle; nodes take a sample per minute
_USE_REFRESH = 50.0  # s: every other cycle, a few blocks
_DAY_REFRESH = 1800.0  # s: figures over a day move by a percent in that time
_CHART_REFRESH = 3600.0  # s: charts get a point per day
_LOCKED_REFRESH = 600.0  # s: DefiLlama caches for ten minutes
_MOST_BITCOIN = 21e6  # of fees: a larger figure is not from this chart
_GWEI = 10**9  # wei
_SHARE_DIGITS = 4  # digits of a mean of 25 blocks: a hundredth of a percent; further digits are rounding noise


class OnchainService(Service):
    """Parts with their own sources, and contract events from nodes; figures that no source gave are null."""

    def __init__(self, context: ServiceContext) -> None:
        """Nothing is asked yet. Raises SettingsError where RPC_NODES can't be used."""
        self._context = context
        blockchair = Blockchair(context.key_of("blockchair"), clock=context.clock)

        def pool(name: str, *names: str, fallback: bool = False) -> SourcePool[Any]:
            return context.pool_of(f"onchain {name}", [*map(context.provider, names), *([blockchair] * fallback)])

        self._gas = Part(ethereum_pool(context, "onchain gas"), self._ask_gas, refresh=_GAS_REFRESH, keep=GAS.longest)
        self._use = Part(
            ethereum_pool(context, "onchain utilization"), self._ask_use, refresh=_USE_REFRESH, keep=USE.longest
        )
        self._ethereum_day = Part(
            pool("ethereum day", "blockscout", fallback=True),
            _ask_ethereum_day,
            refresh=_DAY_REFRESH,
            keep=ETHEREUM_DAY.longest,
            dated=time_of,
            oldest=ETHEREUM_DAY.day,
        )
        self._bitcoin_day = Part(
            pool("bitcoin day", "blockchain_com", fallback=True),
            _ask_bitcoin_day,
            refresh=_DAY_REFRESH,
            keep=BITCOIN_DAY.longest,
            dated=time_of,
        )
        self._addresses = {
            chain: Part(
                pool(f"{chain} addresses", *names),
                addresses_of(chain),
                refresh=_CHART_REFRESH,
                keep=ADDRESSES[chain].longest,
                dated=time_of,
                oldest=ADDRESSES[chain].day,
            )
            for chain, names in {BITCOIN: ("blockchain_com", "coinmetrics"), ETHEREUM: ("coinmetrics",)}.items()
        }
        self._bitcoin_fees = Part(
            pool("bitcoin fees", "blockchain_com"),
            self._ask_bitcoin_fees,
            refresh=_CHART_REFRESH,
            keep=BITCOIN_FEES.longest,
            dated=time_of,
            oldest=BITCOIN_FEES.day,
        )
        self._locked = Part(pool("value", "defillama"), _ask_locked, refresh=_LOCKED_REFRESH, keep=LOCKED.longest)
        self._fees = Part(pool("fees", "defillama"), _ask_fees, refresh=_DAY_REFRESH, keep=FEES.longest)
        solana = solana_pool(context, "onchain solana")
        self._solana = Part(solana, SolanaQuestion().ask, refresh=_SOLANA_REFRESH, keep=figures.SOLANA.longest)
        self._verified: set[str] = set()
        """Nodes that were verified to be on Ethereum's mainnet."""
        self._watch = HeightWatch(chains.ETHEREUM)
        self._events = ContractEvents(ethereum_pool(context, "onchain events"), watch=self._watch)
        self._book = PriceBook(context, "onchain")

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        return (*(part.pool for part in self._parts), self._events.pool, *self._book.pools)

    @property
    def _parts(self) -> tuple[Part[Any, Any], ...]:
        # RPC_NODES without a node of Ethereum or Solana is not an outage.
        parts: tuple[Part[Any, Any], ...] = (self._gas, self._use, self._solana)
        nodes = (part for part in parts if part.pool.sources)
        others: tuple[Part[Any, Any], ...] = (
            self._ethereum_day,
            self._bitcoin_day,
            *self._addresses.values(),
            self._bitcoin_fees,
            self._locked,
            self._fees,
        )
        return (*nodes, *others)

    @property
    def cursor(self) -> bytes:
        """See Resuming: the next log to read."""
        return self._events.cursor

    def resume(self, cursor: bytes | None) -> None:
        """See Resuming."""
        self._events.resume(cursor)

    async def collect(self, now: float, deadline: float) -> Onchain:
        """See Service. Raises NoSourceError if no source of any figure answers."""
        _, found, prices = await gather_all(
            refresh_parts("onchain", self._parts, now, deadline),
            self._read_events(now, deadline),
            self._book.usd((BITCOIN,), deadline),
        )
        if found is not None:
            self._events.accept(found[1])
        return self._payload(now, found, prices.get(BITCOIN))

    async def _read_events(self, now: float, deadline: float) -> tuple[str, Reading] | None:
        """The next events. None if no node answers: a later cycle reads them, and figures are published without."""
        try:
            return await self._events.read(now, deadline)
        except NoSourceError:
            return None  # the pool has logged it

    def _payload(self, now: float, found: tuple[str, Reading] | None, price: float | None) -> Onchain:
        moments = Moments(self._context.label)

        def said(part: Part[Any, Any], used: bool = True) -> Any:
            """A part's value; notes its source."""
            answer = part.answer if used else None
            if answer is None:
                return None
            moments.note(answer.source, part.moment(now))
            return answer.value.figure if isinstance(answer.value, Dated) else answer.value

        gas, use = said(self._gas), said(self._use)
        solana: SolanaFigures | None = said(self._solana)
        ethereum_day, bitcoin_day = said(self._ethereum_day), said(self._bitcoin_day)
        addresses = {chain: said(part) for chain, part in self._addresses.items()}
        coins = said(self._bitcoin_fees, used=price is not None)
        locked_by: PerChain = said(self._locked) or PerChain({})
        fees_by: PerChain = said(self._fees) or PerChain({})
        locked, fees = dict(locked_by), dict(fees_by)
        if coins is not None and price is not None:
            fees[BITCOIN] = coins * price
        locked, fees = _to_the_cent(locked), _to_the_cent(fees)
        events = found[1].events if found is not None else ()
        if found is not None and events:
            moments.note(found[0], believed(found[1].time, now))
        counts = {BITCOIN: bitcoin_day, ETHEREUM: ethereum_day}
        largest = sorted(locked, key=lambda chain: -locked[chain])[:_LARGEST]
        chains = {
            chain: ChainMetrics(
                active_addresses=addresses.get(chain),
                transaction_count=counts.get(chain),
                total_fees=fees.get(chain),
                gas_price=gas if chain == ETHEREUM else None,
                network_utilization=use if chain == ETHEREUM else None,
                total_value_locked=locked.get(chain),
                transactions_per_second=solana.transactions_per_second if solana and chain == SOLANA else None,
                priority_fee=solana.priority_fee if solana and chain == SOLANA else None,
            )
            for chain in dict.fromkeys((BITCOIN, ETHEREUM, *largest, *((SOLANA,) if solana is not None else ())))
        }
        return Onchain(
            timestamp=iso(now),
            active_addresses=_sum(addresses),
            transaction_count=_sum(counts),
            total_fees=round(sum(fees.values()), 2) if fees and fees_by.complete else None,
            gas_price=gas,
            network_utilization=use,
            total_value_locked=round(sum(locked.values()), 2) if locked and locked_by.complete else None,
            chains=chains,
            contract_events=list(events),
            sources=moments.sources,
            as_of=moments.as_of,
        )

    async def _ask_gas(self, node: EthereumRpc, ask: Ask, now: float) -> float:
        """Gwei."""
        await newest_header(node, ask, now, self._verified, self._watch)
        return await node.gas_price(ask) / _GWEI

    async def _ask_use(self, node: EthereumRpc, ask: Ask, now: float) -> float:
        """Used share of the newest blocks' gas limits."""
        await newest_header(node, ask, now, self._verified, self._watch)
        return round(fmean(await node.ratios(ask, _BLOCKS)), _SHARE_DIGITS)

    async def _ask_bitcoin_fees(self, provider: BlockchainCom, ask: Ask, now: float) -> Dated[float]:
        """BTC."""
        return await self._newest(provider, ask, now, "transaction-fees", _MOST_BITCOIN)

    async def _newest(self, provider: BlockchainCom, ask: Ask, now: float, chart: str, most: float) -> Dated[float]:
        """The newest point of a chart. Raises ProviderError if it is too old or implausible."""
        day, value = await provider.chart(ask, chart)
        check_day(provider.name, chart, day, now)
        if not 0 < value <= most:
            raise ProviderError(provider.name, f"{chart}: newest point is {value:g}")
        return Dated(value, day)


def _sum(figures: Mapping[str, int | None]) -> int | None:
    """Of all chains for which the figure is known."""
    known = [figure for figure in figures.values() if figure is not None]
    return sum(known) if known else None


def _to_the_cent(figures: dict[str, float]) -> dict[str, float]:
    """USD by chain, rounded before they are summed, so that published figures add up."""
    return {chain: round(usd, 2) for chain, usd in figures.items()}


async def _ask_locked(provider: DefiLlama, ask: Ask, now: float) -> PerChain:
    return await provider.locked(ask)


async def _ask_fees(provider: DefiLlama, ask: Ask, now: float) -> PerChain:
    return await provider.fees(ask)


async def _ask_bitcoin_day(provider: BitcoinDay, ask: Ask, now: float) -> Dated[int]:
    stats = await provider.day(ask)
    return _count(provider.name, stats, stats.as_of)


async def _ask_ethereum_day(provider: EthereumDay, ask: Ask, now: float) -> Dated[int]:
    stats = await provider.ethereum_day(ask)
    if stats.day is None and now - believed(stats.as_of, now) > ETHEREUM_DAY.longest:
        raise ProviderError(provider.name, "its figures are of hours ago", kind="stale")
    return _count(provider.name, stats, stats.day_or_time())


def _count(provider: str, stats: BitcoinStats | EthereumStats, time: float | None) -> Dated[int]:
    if stats.transactions_count is None:
        raise ProviderError(provider, "no count of a day's transactions")
    return Dated(stats.transactions_count, time)
