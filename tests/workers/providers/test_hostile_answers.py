"""Answers that fit their schema, and say something that can't be: told twice, of no time, blank, beyond all numbers."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from shared.errors import ProviderError
from tests.places import RECORDED
from workers.answers import Post
from workers.asking.provider import Request
from workers.asking.rows import noting
from workers.providers import blockchain_com, coinmetrics, esplora, mempool, solana_rpc
from workers.providers.ethereum_blocks import parse_block, parse_header
from workers.providers.ethereum_logs import parse_logs, parse_receipts, parse_transfers
from workers.providers.reddit import Reddit, parse_listing
from workers.providers.whale_alert import parse_transactions

BLANK = ("", " ", "\t", "\u00a0")


def recorded(provider: str, name: str) -> Any:
    """A recorded answer."""
    return json.loads((RECORDED / provider / f"{name}.json").read_bytes())


def dumped(body: Any) -> bytes:
    """An answer's body."""
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("provider", "name", "at", "parse"),
    [
        ("ethereum_rpc", "block", ("result", "transactions"), parse_block),
        ("ethereum_rpc", "header", ("result", "transactions"), parse_header),
        ("ethereum_rpc", "transfers", ("result",), parse_transfers),
        ("ethereum_rpc", "logs", ("result",), parse_logs),
        ("ethereum_rpc", "receipts", ("result", 0, "logs"), parse_receipts),
        ("esplora", "page", (), partial(esplora.parse_page, "esplora")),
        ("mempool", "page", (), partial(esplora.parse_page, "mempool")),
        ("mempool", "summary", (), mempool.parse_summary),
        ("blockchain_com", "block", ("tx",), blockchain_com.parse_block),
    ],
)
def test_what_is_told_twice_is_not_counted_twice(provider: str, name: str, at: tuple[Any, ...], parse: Any) -> None:
    """A block has a transaction and the place of a log once: the answer is refused, and another source is asked."""
    body = recorded(provider, name)
    rows = body
    for key in at:
        rows = rows[key]
    if "receipts" in name:
        rows = next(receipt["logs"] for receipt in body["result"] if receipt["logs"])
    parse(dumped(body))
    rows.append(rows[0])
    if "n_tx" in body:
        body["n_tx"] += 1
    with pytest.raises(ProviderError, match=r"twice|one index"):
        parse(dumped(body))


@pytest.mark.parametrize("odd", [None, 5, "", "0x1", [], {}], ids=repr)
def test_a_header_counts_transactions_only(odd: Any) -> None:
    """By their number it is judged whether an answer without logs can be true."""
    body = recorded("ethereum_rpc", "header")
    body["result"]["transactions"].append(odd)
    with pytest.raises(ProviderError):
        parse_header(dumped(body))


@pytest.mark.parametrize("blank", BLANK)
def test_a_blank_address_is_none(blank: str) -> None:
    """White space names nobody, as an empty text doesn't: no two of them are the same wallet."""
    transaction = recorded("esplora", "transaction")
    transaction["vin"][0]["prevout"]["scriptpubkey_address"] = blank
    assert esplora.parse_transaction("esplora", dumped(transaction)).inputs[0].address is None
    block = recorded("blockchain_com", "block")
    block["tx"][0]["out"][0]["addr"] = blank
    assert blockchain_com.parse_block(dumped(block)).transactions[0].outputs[0].address is None
    alert = recorded("whale_alert", "transactions")
    alert["transactions"][0] |= {"from": {"address": blank, "owner": blank}, "to": {"address": blank, "owner": blank}}
    transfer = parse_transactions(dumped(alert)).transfers[0]
    assert (transfer.sender, transfer.sender_owner, transfer.to, transfer.to_owner) == (None, None, None, None)


@pytest.mark.parametrize("count", ["0.4", "1e300", "1e13", "-5", "nan", "", {}, True])
def test_a_number_of_addresses_that_can_not_be_is_none(count: Any) -> None:
    """Neither zero after rounding, nor a number that no payload could hold: the day before it counts."""
    days = [
        {"asset": "btc", "time": "2026-11-25T00:00:00.000000000Z", "AdrActCnt": "700000"},
        {"asset": "btc", "time": "2026-11-26T00:00:00.000000000Z", "AdrActCnt": count},
    ]
    assert [found.count for found in coinmetrics.parse_days(dumped({"data": days}))] == [700_000]


def test_a_negative_point_costs_itself() -> None:
    """A chart's newest point that is below zero is left out, not the chart."""
    points = [{"x": 1_795_341_600, "y": 5e5}, {"x": 1_795_428_000, "y": -3.0}]
    with noting() as misfits:
        assert blockchain_com.parse_chart(dumped({"status": "ok", "values": points})) == (1_795_341_600.0, 5e5)
    assert misfits.rows == {"y": 1}


def test_a_coinbase_without_outputs() -> None:
    """It is no whole block."""
    block = recorded("blockchain_com", "block")
    block["tx"][0]["out"] = []
    with pytest.raises(ProviderError, match="without outputs"):
        blockchain_com.parse_block(dumped(block))


@pytest.mark.parametrize("odd", [None, 5, [], {}, "x", {"samplePeriodSecs": 60}, {"prioritizationFee": "much"}])
@pytest.mark.parametrize(
    ("name", "parse"), [("samples", solana_rpc.parse_samples), ("priority", solana_rpc.parse_priority)]
)
def test_an_odd_row_of_solana_costs_itself(name: str, parse: Any, odd: Any) -> None:
    """The figures are a mean and a median: they stand without one minute, or one slot."""
    body = recorded("solana_rpc", name)
    body["result"] = [row for row in body["result"] for _ in range(2)]
    whole = parse(dumped(body))
    body["result"].insert(1, odd)
    with noting() as misfits:
        assert parse(dumped(body)) == whole
    assert sum(misfits.rows.values()) == 1


@pytest.mark.parametrize(
    "sample",
    [
        {"samplePeriodSecs": 0, "numNonVoteTransactions": 9000},
        {"samplePeriodSecs": 60, "numNonVoteTransactions": 2**53},
        {"samplePeriodSecs": 2**40, "numNonVoteTransactions": 1},
        {"samplePeriodSecs": 60, "numNonVoteTransactions": None},
    ],
)
def test_a_sample_that_can_not_be_changes_no_mean(sample: dict[str, Any]) -> None:
    """No second, or more than a day in a minute's sample; more transactions than any chain has."""
    good = {"samplePeriodSecs": 60, "numNonVoteTransactions": 120_000}
    body = {"jsonrpc": "2.0", "id": 1, "result": [good, sample, good]}
    assert solana_rpc.parse_samples(dumped(body)) == 2000.0


def listing(*created: float, after: str | None = None) -> dict[str, Any]:
    """A page of posts with these times."""
    children = [
        {"kind": "t3", "data": {"id": f"p{n}", "title": "t", "created_utc": at}} for n, at in enumerate(created)
    ]
    return {"kind": "Listing", "data": {"children": children, "after": after}}


async def read(*pages: dict[str, Any]) -> tuple[Post, ...]:
    """The posts of these pages."""
    left = list(pages)

    async def ask(request: Request[Any]) -> Any:
        if "token" in request.path:
            return request.parse(b'{"access_token":"t","expires_in":86400}')
        return request.parse(dumped(left.pop(0)))

    return await Reddit("an-app:its-secret").posts(ask, 1_795_000_000.0)


@pytest.mark.parametrize("odd", [0, 1, -1, 1_795_341_600_000, None, "now"])
async def test_a_post_without_a_possible_time_ends_no_count(odd: Any) -> None:
    """The last post of a page tells whether older ones are wanted; one of 1970 would hide all pages after it."""
    first, second = listing(1_795_341_600, 1_795_341_500, odd, after="t3_p1"), listing(1_795_341_400)
    second["data"]["children"][0]["data"]["id"] = "last"
    assert [post.created for post in await read(first, second)] == [1_795_341_600, 1_795_341_500, 1_795_341_400]
    assert len(parse_listing(dumped(first)).posts) == (3 if odd in (0, 1) else 2)


@pytest.mark.parametrize("after", [None, "", " ", "t3_p1"])
async def test_a_forum_without_any_post_is_not_believed(after: str | None) -> None:
    """The newest posts of a forum of millions are never none: a day without posts would be a false figure."""
    with pytest.raises(ProviderError, match="no post"):
        await read(listing(after=after))
