"""whale_tracking: large transfers in every new block of Ethereum and Bitcoin, and on other chains from Whale Alert."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct

from shared.errors import NoSourceError, ProviderError
from shared.payloads import WhaleTracking
from shared.payloads.whale_tracking import WhaleTransaction, WhaleWallet
from shared.timestamps import iso
from workers.asking.moments import Moments, believed
from workers.asking.pool import SourcePool
from workers.services.market_data.prices import PriceBook
from workers.services.rpc_nodes.nodes import ethereum_pool
from workers.services.service import Service, ServiceContext
from workers.services.whale_tracking import alerts, bitcoin, ethereum
from workers.services.whale_tracking.trail import Trail, Transfer
from workers.services.whale_tracking.wallets import label_of

T = TypeVar("T")

log = structlog.get_logger()

PRICES = (*ethereum.PRICES, "bitcoin")
"""CoinGecko ids of the coins in the scans."""
_PRICES_SHARE = 0.25  # largest share of the deadline for prices: usually market_data has them, which takes no time
_FORMAT = 1  # version of the cursor; a cursor of another version is dropped


class _Cursor(Struct, frozen=True, kw_only=True):
    """The cursor stored in Redis with each update: some kilobytes, bounded by the limits of the scans."""

    format: int = _FORMAT
    ethereum: Trail | None = None
    bitcoin: bitcoin.BitcoinState = bitcoin.BitcoinState()
    alerts: alerts.Seen = alerts.Seen()


class WhaleTrackingService(Service):
    """Three independent scans, and the position of each."""

    def __init__(self, context: ServiceContext) -> None:
        threshold = context.settings.whale_threshold_usd
        self._threshold = threshold
        self._label = context.label
        self._prices = PriceBook(context, "whale_tracking")
        self._ethereum = ethereum.EthereumScan(ethereum_pool(context, "whale_tracking ethereum"), threshold)
        self._bitcoin = bitcoin.BitcoinScan(
            context.pool("whale_tracking bitcoin", bitcoin.TIPS),
            context.pool("whale_tracking bitcoin blocks", bitcoin.BLOCKS),
            context.pool("whale_tracking bitcoin transactions", bitcoin.TRANSACTIONS),
            threshold,
        )
        self._alerts = alerts.AlertScan(context.pool("whale_tracking alerts", alerts.PROVIDERS), threshold)
        self._state = _Cursor()

    @property
    def pools(self) -> tuple[SourcePool[Any], ...]:
        """Its pools, for reports on them."""
        btc = self._bitcoin
        scans = (self._ethereum.pool, btc.tips, btc.blocks, btc.transactions, self._alerts.pool)
        return (*(pool for pool in scans if pool.sources), *self._prices.pools)

    @property
    def cursor(self) -> bytes:
        """See Resuming."""
        return msgspec.msgpack.encode(self._state)

    def resume(self, cursor: bytes | None) -> None:
        """See Resuming. A cursor that can't be read is dropped: the scans begin at the newest blocks."""
        self._state = _Cursor()
        if cursor is None:
            return
        try:
            state = msgspec.msgpack.decode(cursor, type=_Cursor)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            state = None
        if state is not None and state.format == _FORMAT:
            self._state = state
        else:
            log.warning("cursor of another version dropped", service="whale_tracking")

    async def collect(self, now: float, deadline: float) -> WhaleTracking:
        """See Service. Raises NoSourceError if no chain could be scanned.

        A chain that could not be scanned continues from its position in a later cycle; the others are published. An
        update without transfers means that there were none.
        """
        clock = asyncio.get_running_loop().time
        end = clock() + deadline
        prices = await self._prices.usd(PRICES, deadline * _PRICES_SHARE)
        state, left = self._state, end - clock()
        errors: list[ProviderError] = []
        results = await asyncio.gather(
            self._ethereum.scan(state.ethereum, prices, now, left),
            self._bitcoin.scan(state.bitcoin, prices.get("bitcoin"), now, left),
            self._alerts.scan(state.alerts, now, left),
            return_exceptions=True,
        )
        eth, btc, alerted = (
            _answer(results[0], errors),
            _answer(results[1], errors),
            _answer(results[2], errors),
        )
        if eth is None:
            self._bitcoin.forget()  # so that an update of the next cycle needs an answer from Bitcoin in that cycle
        scans = (eth, btc, alerted)
        moments = Moments(self._label)
        for scan in scans:
            for name, time in scan.sources.items() if scan is not None else ():
                moments.note(name, believed(time, now))
        if not moments.sources:
            raise NoSourceError("whale_tracking", errors)
        self._state = _Cursor(
            ethereum=eth.trail if eth is not None else state.ethereum,
            bitcoin=btc.state if btc is not None else state.bitcoin,
            alerts=alerted.seen if alerted is not None else state.alerts,
        )
        found = [transfer for scan in scans if scan is not None for transfer in scan.found]
        return self._payload(now, found, _Labels(alerted), moments)

    def _payload(self, now: float, found: list[Transfer], labels: _Labels, moments: Moments) -> WhaleTracking:
        found = sorted(found, key=lambda transfer: (-transfer.time, -transfer.usd))
        entries = [_entry(transfer, labels) for transfer in found]
        return WhaleTracking(
            timestamp=iso(now),
            large_transactions=entries,
            whale_wallets=_wallets(found, labels),
            total_volume=round(sum((entry.value_usd for entry in entries), 0.0), 2),
            alert_threshold=self._threshold,
            sources=moments.sources,
            as_of=moments.as_of,
        )


def _answer(result: T | BaseException, errors: list[ProviderError]) -> T | None:
    """The result of a scan. On NoSourceError None, and the reason in `errors`; other errors pass through."""
    if isinstance(result, NoSourceError):
        errors += result.errors
        return None
    if isinstance(result, BaseException):
        raise result
    return result


class _Labels:
    """Owners of addresses: those of the table, and those that Whale Alert names."""

    def __init__(self, alerted: alerts.Alerted | None) -> None:
        self._owners = alerted.owners if alerted is not None else {}
        self._parties = alerted.parties if alerted is not None else {}

    def of(self, chain: str, address: str) -> str | None:
        """The owner of an address; None if it is not known."""
        return label_of(chain, address) or self._owners.get((chain, address))

    def of_parties(self, transfer: Transfer) -> tuple[str | None, str | None]:
        """The owners of sender and receiver. Whale Alert names some of several addresses that it does not name."""
        named = self._parties.get(transfer.key, (None, None))
        sender = self.of(transfer.chain, transfer.sender) if transfer.sender is not None else None
        to = self.of(transfer.chain, transfer.to) if transfer.to is not None else None
        return sender or named[0], to or named[1]


def _entry(transfer: Transfer, labels: _Labels) -> WhaleTransaction:
    from_label, to_label = labels.of_parties(transfer)
    return WhaleTransaction(
        hash=transfer.hash,
        value=round(transfer.usd, 2),
        from_=transfer.sender,
        to=transfer.to,
        timestamp=iso(transfer.time),
        chain=transfer.chain,
        symbol=transfer.symbol,
        amount=transfer.amount,
        value_usd=round(transfer.usd, 2),
        from_label=from_label,
        to_label=to_label,
    )


def _wallets(found: Iterable[Transfer], labels: _Labels) -> list[WhaleWallet]:
    """The known wallets among senders and receivers, each once."""
    wallets: dict[tuple[str, str], WhaleWallet] = {}
    for transfer in found:
        for address in (transfer.sender, transfer.to):
            if address is None:
                continue
            if (label := labels.of(transfer.chain, address)) is not None:
                wallets[transfer.chain, address] = WhaleWallet(address=address, label=label, chain=transfer.chain)
    return list(wallets.values())
