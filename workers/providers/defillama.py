"""DefiLlama's totals per chain: https://api-docs.defillama.com (described in github.com/DefiLlama/api-docs)

Keyless. No limit is published, and answers are cached for ten minutes. /v2/chains excludes holdings of centralised
exchanges. /overview/fees lists applications and chains. Rows with the `protocolType` "chain" have the fees that users
paid to a chain for transactions ("Gas fees paid by users" in the methodology of such a row). Other rows have payments
to applications and are not read. A row that does not fit is left out.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta, Raw, Struct

from shared.budget import Budget
from shared.errors import ProviderError
from workers.answers.onchain import PerChain
from workers.asking.provider import Ask, Parsers, Provider, Request
from workers.asking.rows import decode_outside, fit_rows

NAME = "defillama"
_MOST_USD = 1e15  # more than all money: the sum of such figures stays finite
_CHAINS_LIMIT = 4 << 20  # bytes: some 450 chains of 140 bytes are 64 kB; this is about fifty times that
_FEES_LIMIT = 32 << 20  # bytes: a row has up to 5 kB of text and breakdowns, and there are some two thousand
_CHAIN = "chain"
_VITAL = ("total24h", "chains", "protocolType", "latestFetchIsOk")
"""Fields of a row of fees that say whose they are, and whether they are."""
_IDS = {"op-mainnet": "optimism", "binance": "bsc", "xdai": "gnosis"}
"""DefiLlama renames chains: a chain with several of its names has one id here. Other chains keep its name."""

Usd = Annotated[float, Meta(ge=0, le=_MOST_USD)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]


class _Chain(Struct):
    name: Name
    tvl: Usd | None


class _Fees(Struct, rename="camel"):
    total24h: Annotated[float, Meta(ge=-_MOST_USD, le=_MOST_USD)] | None = None
    """USD of the last 24 h; some applications pay their users more than they take."""
    chains: list[str] | None = None
    protocol_type: str | None = None
    latest_fetch_is_ok: bool | None = None


class _Kind(Struct, rename="camel"):
    protocol_type: str


class _Overview(Struct):
    protocols: list[Raw]
    total: Usd | None = msgspec.field(name="total24h", default=None)
    """Total of all rows, applications included: only its type is checked, to reject a broken answer."""


def chain_id(name: str) -> str:
    """Our id of the chain that DefiLlama calls `name`: lower case, with `-` for all but letters and digits."""
    own = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return _IDS.get(own, own)


def parse_chains(body: bytes) -> PerChain:
    """/v2/chains: USD locked by chain; chains with zero are left out. Raises ProviderError."""
    found = fit_rows(NAME, dict(enumerate(decode_outside(NAME, body, list[Raw]))), _Chain, "$[{}]", vital=("tvl",))
    rows = found.fitting.values()
    locked = {chain: row.tvl for row in rows if row.tvl and (chain := chain_id(row.name))}
    if not locked:
        raise ProviderError(NAME, "no chain with a value")
    return PerChain(locked, complete=not found.odd)


def parse_fees(body: bytes) -> PerChain:
    """/overview/fees: USD that users paid for transactions in 24 h, by chain. Raises ProviderError."""
    fees: dict[str, float] = {}
    protocols = dict(enumerate(decode_outside(NAME, body, _Overview).protocols))
    found = fit_rows(NAME, protocols, _Fees, "$.protocols[{}]", vital=_VITAL)
    for row in found.fitting.values():
        if row.protocol_type != _CHAIN or row.latest_fetch_is_ok is False or len(row.chains or ()) != 1:
            continue
        chain = chain_id((row.chains or [""])[0])
        # Zero means that a chain was not read; less is a mistake. Of two rows of one chain the first one counts.
        if chain and row.total24h and row.total24h > 0:
            fees.setdefault(chain, row.total24h)
    if not fees:
        raise ProviderError(NAME, "no chain with fees")
    return PerChain(fees, complete=not any(map(_may_be_chain, found.odd)))


def _may_be_chain(row: Raw) -> bool:
    """Whether an odd row does not say that it is an application's."""
    try:
        return msgspec.json.decode(row, type=_Kind).protocol_type == _CHAIN
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True


class DefiLlama(Provider):
    """Value locked and fees paid on all chains, one call each."""

    name = NAME
    base_url = "https://api.llama.fi"
    # Two calls in ten minutes are planned: its answers are cached for that long. Three times as many allow retries
    # after failures. Without budget the last answers are used until they are too old.
    budget = Budget(6, 600.0)
    parsers: ClassVar[Parsers] = {"chains": parse_chains, "fees": parse_fees}

    async def probe(self, ask: Ask) -> None:
        """See Provider. The smaller of its two lists."""
        await self.locked(ask)

    async def locked(self, ask: Ask) -> PerChain:
        """USD locked by chain (`ethereum`, `bsc`). One call. Raises ProviderError."""
        return await ask(Request("/v2/chains", parse_chains, limit=_CHAINS_LIMIT))

    async def fees(self, ask: Ask) -> PerChain:
        """USD that users paid for transactions in 24 h, by chain. One call of megabytes. Raises ProviderError."""
        params = {
            "excludeTotalDataChart": "true",
            "excludeTotalDataChartBreakdown": "true",
            "dataType": "dailyFees",
        }
        return await ask(Request("/overview/fees", parse_fees, params, limit=_FEES_LIMIT))
