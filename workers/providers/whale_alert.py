"""Whale Alert, API v1: https://docs.whale-alert.io

Needs a key, sent as a header so that no URL holds it. The free plan allows ten calls a minute, transfers of 500,000 USD
or more, and looks back an hour. A wrong key gets 401 and JSON labelled `text/plain`. Hashes and addresses of Ethereum
come without `0x`. If there are many senders or receivers, words replace the address (in an answer
of 2019: github.com/oklove40/soulsurfer, WhaleAlert/transactions.py). An answer holds up to 100 transfers, the oldest
first, and a cursor for the rest.

Its transfers are reports, each for itself, and no one promises that they are all. So one that does not fit is left out;
refusing its page would lose the others, which are asked for only as long as they are younger than ten minutes. If Whale
Alert completes the row within that time (its value in USD, say), it is read then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers import ReportedTransfer, TransferPage
from workers.asking.limits import limit_in
from workers.asking.provider import Amount, Ask, Parsers, Provider, Request, Seconds
from workers.asking.rows import Label, decode_outside, decode_rows

NAME = "whale_alert"
PAGE = 100
"""Most transfers per answer."""
LEAST_USD = 500_000
"""The smallest transfer that the free plan reports."""
_SEVERAL = "multiple addresses"
"""What stands in place of an address that is not one."""


class _Party(Struct):
    address: str | None = None
    owner: str | None = None


class _Row(Struct):
    blockchain: Label
    symbol: Label
    hash: Label
    timestamp: Seconds
    amount: Amount
    amount_usd: Amount
    sender: _Party | None = msgspec.field(name="from", default=None)
    to: _Party | None = None


class _Answer(Struct):
    result: str
    count: int
    message: str = ""
    cursor: str | None = None
    transactions: list[Raw] = []
    """Absent where there are none."""


def parse_transactions(body: bytes) -> TransferPage:
    """/transactions. Raises ProviderError."""
    answer = decode_outside(NAME, body, _Answer)
    if answer.result != "success":
        raise limit_in(NAME, body) or ProviderError(NAME, "an error in the answer", field="$.result")
    if answer.count != len(answer.transactions):
        raise ProviderError(NAME, "fewer transfers than it says", field="$.count")
    rows = decode_rows(NAME, answer.transactions, _Row, "$.transactions")
    return TransferPage(transfers=tuple(map(_transfer, rows)), cursor=(answer.cursor or "").strip() or None)


class _Chain(Struct):
    name: Label
    status: Label


class _Status(Struct):
    result: str
    blockchains: list[Raw] = []


def parse_status(body: bytes) -> dict[str, str]:
    """/status: whether it is `connected`, by chain. Raises ProviderError."""
    answer = decode_outside(NAME, body, _Status)
    if answer.result != "success":
        raise limit_in(NAME, body) or ProviderError(NAME, "an error in the answer", field="$.result")
    if not answer.blockchains:
        raise ProviderError(NAME, "no chain in the answer", field="$.blockchains")
    chains = decode_rows(NAME, answer.blockchains, _Chain, "$.blockchains")
    return {chain.name: chain.status for chain in chains}


class WhaleAlert(Provider):
    """Large transfers on chains that coinwire does not scan."""

    name = NAME
    base_url = "https://api.whale-alert.io/v1"
    key_settings = ("whale_alert_key",)
    needs_key = True
    budget = Budget(10, 60.0)  # the free plan's limit
    parsers: ClassVar[Parsers] = {"transactions": parse_transactions, "status": parse_status}

    def __init__(self, key: str) -> None:
        self._key = key

    def headers(self) -> Mapping[str, str]:
        """The key."""
        return {"X-WA-API-KEY": self._key}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The chains that it follows."""
        await ask(Request("/status", parse_status))

    async def transfers(self, ask: Ask, least_usd: float, start: float, cursor: str | None = None) -> TransferPage:
        """Transfers of `least_usd` or more since `start` (unix seconds), or the page at `cursor` of these.

        One call. Raises ProviderError.
        """
        params = {"min_value": str(int(max(least_usd, LEAST_USD))), "start": str(int(start)), "limit": str(PAGE)}
        if cursor is not None:
            params["cursor"] = cursor
        return await ask(Request("/transactions", parse_transactions, params))


def _transfer(row: _Row) -> ReportedTransfer:
    return ReportedTransfer(
        chain=row.blockchain.lower(),
        hash=row.hash,
        sender=_address(row.sender),
        sender_owner=_owner(row.sender),
        to=_address(row.to),
        to_owner=_owner(row.to),
        symbol=row.symbol.upper(),
        amount=row.amount,
        usd=row.amount_usd,
        time=float(row.timestamp),
    )


def _address(party: _Party | None) -> str | None:
    address = ((party.address if party else None) or "").strip()
    return address if address and address.lower() != _SEVERAL else None


def _owner(party: _Party | None) -> str | None:
    owner = ((party.owner if party else None) or "").strip()
    return owner if owner and owner != "unknown" else None
